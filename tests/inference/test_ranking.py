"""Impacts: against the covariance where the likelihood is near to quadratic, closed forms, and injected failures."""

import pytest

from inference.documents import from_json, to_json
from inference.errors import InferenceError, UnknownParameter
from inference.fit import FitSettings, fit
from inference.ranking import Ranking, ranking

# jsonschema deprecates the RefResolver that pyhf 0.7.6 still uses.
pytestmark = pytest.mark.filterwarnings("ignore:jsonschema.RefResolver is deprecated:DeprecationWarning")

LINEAR = ("Luminosity", "W+jets scale variations", "b-tag NP 4")


@pytest.fixture(scope="module")
def ranked(fitted):
    return ranking(*fitted("5"))


def test_every_nuisance_parameter_is_ranked_without_failure(ranked):
    assert ranked.poi == "ttbar_norm"
    assert len(ranked.impacts) == 11
    assert not [impact.failures for impact in ranked.impacts if impact.failures]
    assert [impact.size for impact in ranked.impacts] == sorted((i.size for i in ranked.impacts), reverse=True)
    assert {impact.parameter for impact in ranked.impacts[:3]} == {
        "PS variation", "ME variation", "ttbar scale variations",
    }  # fmt: skip


def test_post_fit_impacts_are_the_covariances_where_it_is_linear(ranked, fitted):
    result = fitted("5")[1]
    for impact in ranked.impacts:
        index = result.index(impact.parameter)
        predicted = result.covariance[result.index("ttbar_norm")][index] / result.uncertainties[index]
        mean = 0.5 * (impact.postfit_up - impact.postfit_down)
        assert mean == pytest.approx(predicted, abs=0.006)
        if impact.parameter in LINEAR:
            assert mean == pytest.approx(predicted, rel=0.02)


def test_an_impact_is_the_shift_of_a_fit_with_the_parameter_fixed(ranked, fitted):
    workspace, result = fitted("5")
    impact = next(impact for impact in ranked.impacts if impact.parameter == "ME variation")
    value, sigma = result.value("ME variation")
    for shift, at in ((impact.postfit_up, value + sigma), (impact.prefit_down, value - 1.0)):
        refit = fit(workspace, FitSettings(fixed={"ME variation": at}))
        assert shift == pytest.approx(refit.value("ttbar_norm")[0] - result.value("ttbar_norm")[0], abs=2e-5)


def test_a_pre_fit_impact_is_larger_where_the_data_constrain(ranked):
    for impact in ranked.impacts:
        assert impact.constraint < 1.0
        if impact.constraint < 0.5:
            before = abs(impact.prefit_up - impact.prefit_down)
            assert before > 1.5 * abs(impact.postfit_up - impact.postfit_down)


def test_some_parameters_and_bins_can_be_ranked(fitted):
    workspace, result = fitted("5")
    some = ranking(workspace, result, parameters=["Luminosity", "staterror_4j2b-SR[1]"])
    assert {impact.parameter for impact in some.impacts} == {"Luminosity", "staterror_4j2b-SR[1]"}
    assert all(impact.postfit_up is not None for impact in some.impacts)


def two_bins(bounds=(-5.0, 5.0)):
    """Signal in the first bin, one constrained shape of the background in both."""
    shape = {"name": "shape", "type": "normsys", "data": {"hi": 1.1, "lo": 0.9}}
    background = {"name": "background", "data": [100.0, 100.0], "modifiers": [shape]}
    free = {"name": "mu", "type": "normfactor", "data": None}
    signal = {"name": "signal", "data": [50.0, 0.0], "modifiers": [free]}
    parameters = [
        {"name": "mu", "inits": [1.0], "bounds": [[0.0, 10.0]]},
        {"name": "shape", "bounds": [list(bounds)]},
    ]
    return {
        "channels": [{"name": "both", "samples": [signal, background]}],
        "observations": [{"name": "both", "data": [150.0, 100.0]}],
        "measurements": [{"name": "m", "config": {"poi": "mu", "parameters": parameters}}],
        "version": "1.0.0",
    }


def test_pre_fit_impact_in_closed_form():
    """With the shape held at ±1 the signal takes the background's ±10 events of 50: −0.2 and +0.2."""
    document = two_bins()
    (impact,) = ranking(document, fit(document)).impacts
    assert impact.prefit_up == pytest.approx(-0.2, abs=1e-4)
    assert impact.prefit_down == pytest.approx(0.2, abs=1e-4)
    assert impact.postfit_up == pytest.approx(-0.2 * impact.uncertainty, abs=2e-3)


def test_a_failed_refit_is_recorded_and_spoils_no_other():
    document = two_bins(bounds=(-5.0, 0.3))
    (impact,) = ranking(document, fit(document)).impacts
    assert impact.prefit_up is None
    assert impact.prefit_down == pytest.approx(0.2, abs=1e-4)
    assert any(reason.startswith("pre-fit up: shape = 1 is outside its bounds") for reason in impact.failures)


def test_ranking_survives_json(ranked):
    assert from_json(Ranking, to_json(ranked)) == ranked
    with pytest.raises(InferenceError, match="no Ranking"):
        from_json(Ranking, "[]")


def test_what_does_not_fit_together_is_said(fitted):
    workspace, result = fitted("5")
    with pytest.raises(UnknownParameter, match="other parameters than the workspace"):
        ranking(two_bins(), result)
    with pytest.raises(UnknownParameter, match="no parameter 'Lumi'"):
        ranking(workspace, result, parameters=["Lumi"])
