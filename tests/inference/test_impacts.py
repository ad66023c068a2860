"""Impacts and pulls: against each other, against fits with parameters held or data moved, closed forms, cabinetry."""

import dataclasses
import json

import numpy as np
import pytest
from click.testing import CliRunner

from inference.documents import from_json, to_json
from inference.errors import UnknownParameter
from inference.extensions.workspaces import attach
from inference.fit import fit_likelihood
from inference.impacts import figures
from inference.impacts.pulls import centres, pulls
from inference.likelihood.model import Likelihood
from inference.ranking import Impacts, impacts
from inference.reference import reference_model
from inference.toys.generate import asimov, throw
from skimflow.commands.ranking import ranking as ranking_command

# jsonschema deprecates the RefResolver that pyhf 0.7.6 still uses.
pytestmark = pytest.mark.filterwarnings("ignore:jsonschema.RefResolver is deprecated:DeprecationWarning")

POIS = ("ttbar_norm", "W+jets scale variations")


@pytest.fixture(scope="module")
def agc(fitted):
    workspace, result = fitted("5")
    return Likelihood(workspace), result


@pytest.fixture(scope="module")
def quiet(agc):
    """The AGC model with the data that it expects at its best fit, and the fit to these."""
    likelihood = Likelihood(agc[0].specification)
    likelihood.observed = asimov(likelihood, np.asarray(agc[1].bestfit))
    return likelihood, fit_likelihood(likelihood)


def counting(events=1e6):
    """Signal and two backgrounds in four bins, so many events that the likelihood is quadratic."""

    def norm(name, size):
        return {"name": name, "type": "normsys", "data": {"hi": 1 + size * small, "lo": 1 - size * small}}

    small = 1 / np.sqrt(events)
    errors = {"name": "errors", "type": "shapesys", "data": [0.7 / small] * 4}
    mu, other = ({"name": name, "type": "normfactor", "data": None} for name in ("mu", "other"))
    samples = {
        "signal": ([0.5, 0.4, 0.1, 0.0], [mu]),
        "background": ([1.0, 1.0, 1.0, 1.0], [norm("first", 1.0), norm("second", 0.5), errors]),
        "control": ([0.1, 0.3, 0.8, 2.0], [other, norm("first", 1.0)]),
    }
    seen = np.asarray([1.6, 1.7, 1.9, 3.0]) + np.asarray([0.4, -0.5, 0.9, -0.7]) * small
    return {
        "channels": [
            {
                "name": "both",
                "samples": [
                    {"name": name, "data": [events * share for share in shares], "modifiers": modifiers}
                    for name, (shares, modifiers) in samples.items()
                ],
            }
        ],
        "observations": [{"name": "both", "data": (events * seen).tolist()}],
        "measurements": [{"name": "m", "config": {"poi": "mu", "parameters": []}}],
        "version": "1.0.0",
    }


@pytest.fixture(scope="module")
def quadratic():
    likelihood = Likelihood(counting())
    return likelihood, fit_likelihood(likelihood)


def test_one_set_of_refits_serves_every_parameter_of_interest(agc):
    likelihood, result = agc
    calls = []

    class Counting(Likelihood):
        def minima(self, tasks):
            calls.append(len(tasks))
            return super().minima(tasks)

    counted = Counting(likelihood.specification)
    both = impacts(counted, fit=result, pois=POIS)
    assert len(calls) == 1
    for poi in POIS:
        alone = impacts(likelihood, fit=result, pois=[poi]).of(poi)
        found = {one.parameter: one for one in both.of(poi).impacts}
        assert set(found) == {one.parameter for one in alone.impacts} - set(POIS)
        for one in alone.impacts:
            if one.parameter in found:
                assert found[one.parameter].postfit_up == pytest.approx(one.postfit_up, abs=1e-9)
                assert found[one.parameter].prefit_down == pytest.approx(one.prefit_down, abs=1e-9)
    assert from_json(Impacts, to_json(both)) == both


@pytest.mark.parametrize("side", ["postfit_up", "postfit_down", "prefit_up", "prefit_down"])
def test_refits_are_the_covariances_where_the_likelihood_is_quadratic(quadratic, side):
    likelihood, result = quadratic
    refits = impacts(likelihood, fit=result, bin_gammas=True).of("mu")
    linear = impacts(likelihood, fit=result, bin_gammas=True, method="covariance").of("mu")
    predicted = {one.parameter: getattr(one, side) for one in linear.impacts}
    assert len(predicted) == 7
    for one in refits.impacts:
        shift = getattr(one, side)
        if one.parameter == "other" and side.startswith("prefit"):
            assert shift is predicted["other"] is None
        else:
            assert shift == pytest.approx(predicted[one.parameter], rel=5e-3, abs=1e-3 * result.value("mu")[1])


def test_a_global_impact_is_the_shift_of_a_fit_to_a_moved_auxiliary_measurement(agc):
    """By a thousandth of its standard deviation, so that the shift is the derivative."""
    likelihood, result = agc
    found = {
        one.parameter: one
        for one in impacts(likelihood, fit=result, method="global", bin_gammas=True).of(POIS[0]).impacts
    }
    assert set(found) == {label for label, width in zip(result.labels, result.prefit, strict=True) if width}
    _same_as_moved(
        likelihood, result, "ttbar_norm", found, ("Jet energy scale", "ME variation", "staterror_4j2b-SR[1]")
    )


def test_a_global_impact_of_a_counted_auxiliary_measurement(quadratic):
    likelihood, result = quadratic
    found = {
        one.parameter: one for one in impacts(likelihood, fit=result, method="global", bin_gammas=True).of("mu").impacts
    }
    _same_as_moved(likelihood, result, "mu", found, ("errors[0]", "errors[1]", "second"))


def _same_as_moved(likelihood, result, poi, found, labels):
    seen, share = likelihood.observed, 1e-3
    for label in labels:
        place = likelihood.index(label)
        sigma = np.sqrt(seen.auxiliary[place]) if label.startswith("errors") else result.prefit[place]
        ends = []
        for sign in (1, -1):
            moved = seen.auxiliary.copy()
            moved[place] += sign * share * sigma
            data = likelihood.observation(seen.main, moved)
            ends.append(likelihood.fit(data, start=np.asarray(result.bestfit)).parameters[likelihood.index(poi)])
        assert found[label].postfit_up == pytest.approx((ends[0] - ends[1]) / (2 * share), rel=1e-4)
        assert found[label].postfit_down == -found[label].postfit_up


def test_global_impacts_and_the_datas_own_add_up_to_the_uncertainty(quiet):
    """Exactly so on data that the model describes (arXiv:2307.04007, eq. 20 ff.); traditional impacts do not."""
    likelihood, result = quiet
    ranked = impacts(likelihood, fit=result, method="global", bin_gammas=True, groups={"all": ["*"]}).of("ttbar_norm")
    sigma = result.value("ttbar_norm")[1]
    squares = sum(one.postfit_up**2 for one in ranked.impacts) + ranked.split.statistical**2
    assert np.sqrt(squares) == pytest.approx(sigma, rel=1e-9)
    assert np.hypot(*dataclasses.astuple(ranked.split)[:2]) == pytest.approx(
        np.sqrt(sigma**2 - ranked.split.systematic**2), rel=1e-9
    )
    assert np.hypot(ranked.groups[0].impact, ranked.split.statistical) == pytest.approx(sigma, rel=1e-9)
    traditional = impacts(likelihood, fit=result, method="covariance", bin_gammas=True).of("ttbar_norm")
    assert sum(one.postfit_up**2 for one in traditional.impacts) > 1.2 * sigma**2


def test_correlated_auxiliary_measurements_fluctuate_together():
    """Constraints with a correlation of 0.6: the shares still add up, each with V where it is one covariance."""
    both = {"operator": "correlation", "name": "both", "of": ["first", "second"], "matrix": [[1, 0.6], [0.6, 1]]}
    likelihood = Likelihood(attach(counting(), both))
    likelihood.observed = asimov(likelihood, likelihood.init)
    result = fit_likelihood(likelihood)
    groups = {"norms": ["first", "second"]}
    ranked = impacts(likelihood, fit=result, method="global", groups=groups).of("mu")
    assert np.sqrt(sum(part**2 for part in dataclasses.astuple(ranked.split))) == pytest.approx(
        result.value("mu")[1], rel=1e-9
    )
    first, second = (one.postfit_up for one in sorted(ranked.impacts, key=lambda one: one.parameter))
    together = np.sqrt(first**2 + second**2 + 2 * 0.6 * first * second)
    assert ranked.groups[0].impact == pytest.approx(together, rel=1e-9)
    assert ranked.split.systematic == pytest.approx(together, rel=1e-9)


def test_a_group_and_the_split_are_those_of_fits_with_parameters_held(agc):
    likelihood, result = agc
    groups = {
        "b-tagging": ["b-tag NP *"],
        "simulated events": ["type:staterror"],
        "energy": ["Jet energy scale", "Jet energy resolution"],
    }
    found = impacts(likelihood, fit=result, method="covariance", groups=groups).of("ttbar_norm")
    sigma = result.value("ttbar_norm")[1]

    def with_held(labels):
        return fit_likelihood(likelihood, {label: result.value(label)[0] for label in labels}).value("ttbar_norm")[1]

    assert [len(group.parameters) for group in found.groups] == [4, 22, 2]
    for group in found.groups:
        remaining = with_held(group.parameters)
        assert group.remaining == pytest.approx(remaining, rel=1e-8)
        assert group.impact == pytest.approx(np.sqrt(sigma**2 - remaining**2), rel=1e-6)
    constrained = [label for label, width in zip(result.labels, result.prefit, strict=True) if width]
    assert found.split.statistical == pytest.approx(with_held(constrained), rel=1e-8)
    assert found.split.mc_statistical == found.groups[1].impact
    assert np.sqrt(sum(part**2 for part in dataclasses.astuple(found.split))) == pytest.approx(sigma, rel=1e-12)


def test_impacts_are_cabinetrys():
    """Its refits by Minuit, from the same fit."""
    from cabinetry import fit as cabinetry_fit
    from cabinetry.fit.results_containers import FitResults

    document = counting(1000.0)
    likelihood = Likelihood(document)
    result = fit_likelihood(likelihood)
    model, data = reference_model(document)
    numbers = np.asarray(result.bestfit), np.asarray(result.uncertainties)
    nominal = FitResults(*numbers, list(result.labels), result.correlation, result.twice_nll)
    theirs = cabinetry_fit.ranking(model, data, fit_results=nominal, tolerance=1e-4)
    ours = {one.parameter: one for one in impacts(likelihood, fit=result, bin_gammas=True).of("mu").impacts}
    for row, label in enumerate(theirs.labels):
        for side in ("prefit_up", "prefit_down", "postfit_up", "postfit_down"):
            # cabinetry gives 0 where there is no pre-fit width.
            found = getattr(ours[label], side) or 0.0
            assert found == pytest.approx(getattr(theirs, side)[row], abs=1e-3 * result.value("mu")[1]), (label, side)


def test_what_does_not_exist_is_said(agc):
    likelihood, result = agc
    with pytest.raises(UnknownParameter, match="no parameter is 'b_tag'; nearest: b-tag"):
        impacts(likelihood, fit=result, groups={"b": ["b_tag"]})
    with pytest.raises(UnknownParameter, match="no parameter is 'type:staterr'; nearest: type:staterror"):
        impacts(likelihood, fit=result, groups={"b": ["type:staterr"]})
    with pytest.raises(UnknownParameter, match="Luminosity was held in the fit"):
        impacts(likelihood, pois=["Luminosity"], fixed={"Luminosity": 0.0})
    with pytest.raises(UnknownParameter, match="no impacts on 'mu'"):
        impacts(likelihood, fit=result, method="covariance").of("mu")
    [free] = (
        impacts(likelihood, fit=result, pois=["Luminosity"], method="global", parameters=["ttbar_norm"])
        .rankings[0]
        .impacts
    )
    assert free.failures == ("post-fit up: ttbar_norm has no auxiliary measurement",)


def test_a_parameter_that_was_held_has_pre_fit_impacts_alone(agc):
    likelihood, _ = agc
    held = fit_likelihood(likelihood, {"Luminosity": 0.0})
    [one] = impacts(likelihood, fit=held, parameters=["Luminosity"]).of("ttbar_norm").impacts
    assert one.postfit_up is one.postfit_down is None
    assert one.failures == ("post-fit up: Luminosity has no uncertainty: a bound holds it, or the fit did",)
    free = fit_likelihood(likelihood, {"Luminosity": 1.0})
    shift = free.value("ttbar_norm")[0] - held.value("ttbar_norm")[0]
    assert one.prefit_up == pytest.approx(shift, abs=1e-7)


def test_pulls_know_the_auxiliary_measurement(agc):
    """An auxiliary measurement of 0.6 instead of 0 and the same data: the pull counts from 0.6."""
    likelihood = Likelihood(agc[0].specification)
    place = likelihood.index("Luminosity")
    auxiliary = likelihood.observed.auxiliary.copy()
    auxiliary[place] = 0.6
    likelihood.observed = likelihood.observation(likelihood.observed.main, auxiliary)
    result = fit_likelihood(likelihood)
    [one] = [one for one in pulls(likelihood, fit=result).pulls if one.parameter == "Luminosity"]
    assert one.centre == 0.6
    assert one.pull == pytest.approx(one.bestfit - 0.6)
    before = agc[1].value("Luminosity")
    # The data weigh 1 − σ², so the best fit follows the auxiliary measurement by σ² of its move.
    assert one.bestfit == pytest.approx(before[0] + 0.6 * before[1] ** 2, abs=0.02)
    [ranked] = impacts(likelihood, fit=result, parameters=["Luminosity"], method="covariance").rankings[0].impacts
    assert ranked.pull == one.pull


def test_a_pull_in_closed_form():
    """n = N (1 + s α) with s sqrt(N) = 1 and an auxiliary measurement of 0: the two weigh the same.

    α̂ is half of what the data alone say, its variance ½; the normalised pull is what data alone say over sqrt 2.
    """
    document = counting(1e8)
    document["channels"][0]["samples"] = [
        {
            "name": "all",
            "data": [1e8],
            "modifiers": [
                {"name": "first", "type": "histosys", "data": {"hi_data": [1e8 + 1e4], "lo_data": [1e8 - 1e4]}}
            ],
        }
    ]
    document["observations"][0]["data"] = [1e8 + 1.3e4]
    document["measurements"][0]["config"]["poi"] = ""
    [one] = pulls(Likelihood(document)).pulls
    assert one.pull == pytest.approx(0.65, rel=1e-4)
    assert one.constraint == pytest.approx(np.sqrt(0.5), rel=1e-4)
    assert one.normalised == pytest.approx(1.3 / np.sqrt(2), rel=1e-4)


def test_normalised_pulls_of_toys_are_standard_normal():
    likelihood = Likelihood(counting(1e5))
    toys = throw(likelihood, likelihood.init, count=300, seed=5)
    minima = likelihood.minima([(toys[number], likelihood.init, ~likelihood.constant) for number in range(300)])
    nominal = fit_likelihood(likelihood)
    found = []
    for number, minimum in enumerate(minima):
        likelihood.observed = toys[number]
        result = dataclasses.replace(
            nominal,
            bestfit=tuple(minimum.parameters.tolist()),
            uncertainties=tuple(np.sqrt(np.diag(likelihood.covariance(minimum))).tolist()),
            measured=tuple(None if np.isnan(centre) else centre for centre in centres(likelihood).tolist()),
        )
        found.append([one.normalised for one in pulls(likelihood, fit=result).pulls])
    spread = np.asarray(found, dtype=float)
    assert spread.shape == (300, 6)
    # Four standard deviations of a mean and of a standard deviation of 300.
    assert np.abs(spread.mean(axis=0)).max() < 4 / np.sqrt(300)
    assert np.abs(spread.std(axis=0) - 1).max() < 4 / np.sqrt(600)


@pytest.fixture(scope="module")
def on_disk(tmp_path_factory):
    path = tmp_path_factory.mktemp("ranking") / "workspace.json"
    path.write_text(json.dumps(counting(1000.0)), encoding="utf-8")
    return path


def typed(*words):
    return CliRunner().invoke(ranking_command, [str(word) for word in words], catch_exceptions=False)


def test_the_command_ranks_groups_and_draws(on_disk, tmp_path):
    figure, kept = tmp_path / "impacts.png", tmp_path / "impacts.json"
    groups = ("--group", "norms=first", "--group", "norms=sec*", "--group", "bins=type:shapesys")
    ended = typed(on_disk, "--poi", "mu", "--poi", "other", *groups, "--figure", figure, "--output", kept)
    assert ended.exit_code == 0, ended.output
    result = from_json(Impacts, kept.read_text())
    assert [(one.group, len(one.parameters)) for one in result.of("other").groups] == [("norms", 2), ("bins", 4)]
    assert figure.read_bytes().startswith(b"\x89PNG")
    assert "Impacts by refits on mu = 0.9981 ± 0.1" in ended.output
    assert "simulated events" in ended.output
    latex = typed(on_disk, "--method", "global", "--table", "latex").output
    assert latex.count(r"\begin{tabular}") == latex.count(r"\end{tabular}") == 2


def test_the_command_expects_impacts(on_disk):
    """At the values that are held: the signal strength's uncertainty grows with it."""
    ended = typed(on_disk, "--asimov", "--method", "covariance", "--json", "--fix", "other=2")
    [found] = json.loads(ended.output)["rankings"]
    assert found["bestfit"] == pytest.approx(1.0, abs=1e-9)
    assert max(abs(one["pull"]) for one in found["impacts"]) < 1e-9
    [observed] = json.loads(typed(on_disk, "--method", "covariance", "--json").output)["rankings"]
    assert observed["bestfit"] != pytest.approx(1.0, abs=1e-4)


def test_the_command_says_what_a_group_is(on_disk):
    ended = typed(on_disk, "--group", "first")
    assert ended.exit_code == 2
    assert "'first' is not NAME=PATTERN" in ended.output


def test_figures_show_all_parameters_of_interest_in_one_order(agc):
    likelihood, result = agc
    found = impacts(likelihood, fit=result, pois=POIS, method="covariance")
    figure = figures.impacts(found, largest=5)
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert len(names) == 5
    assert names[0] == found.of("ttbar_norm").impacts[0].parameter
    assert [axes.get_xlabel() for axes in figure.axes[1:]] == [f"Impact on {poi}" for poi in POIS]
    assert [len(axes.patches) for axes in figure.axes[1:]] == [20, 20]
    shown = figures.pulls(pulls(likelihood, fit=result), bin_gammas=True)
    assert len(shown.axes[0].get_yticklabels()) == 33
