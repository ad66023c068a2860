"""Fits: the AGC's reference histograms against published and listed results, cabinetry, and closed forms."""

import json
import logging
import pickle
from pathlib import Path

import numpy as np
import pytest

from inference.documents import from_json, to_json
from inference.errors import FitFailed, InferenceError, InvalidWorkspace, UnknownParameter
from inference.fit import FitSettings, fit
from inference.likelihood.model import Likelihood
from inference.results import FitResult
from inference.workspace import workspace_bytes

# jsonschema deprecates the RefResolver that pyhf 0.7.6 still uses.
pytestmark = pytest.mark.filterwarnings("ignore:jsonschema.RefResolver is deprecated:DeprecationWarning")

# ttbar_norm and HESSE uncertainty of default pyhf + Minuit fits of these histograms (None: that fit fails).
LISTED = {
    "1": (0.9603, 0.104),
    "2": (0.951, 0.0996),
    "5": (0.9535, 0.0893),
    "10": (0.9570, 0.0893),
    "20": (0.963, 0.0785),
    "50": (0.958, 0.077),
    "100": (0.959, 0.075),
    "200": (0.948, 0.0705),
    "all": (0.9468, 0.0789),
}


@pytest.fixture
def workspace(fitted):
    return fitted("1")[0]


@pytest.fixture
def result(fitted):
    return fitted("1")[1]


def counting(observed, background=50.0, sigma=None):
    """One bin: signal 10 times mu on a background, with a normalisation uncertainty when ``sigma`` is given."""
    modifiers = (
        [] if sigma is None else [{"name": "norm", "type": "normsys", "data": {"hi": 1 + sigma, "lo": 1 - sigma}}]
    )
    samples = [
        {"name": "signal", "data": [10.0], "modifiers": [{"name": "mu", "type": "normfactor", "data": None}]},
        {"name": "background", "data": [background], "modifiers": modifiers},
    ]
    parameters = [{"name": "mu", "inits": [1.0], "bounds": [[0.0, 10.0]]}]
    return {
        "channels": [{"name": "one", "samples": samples}],
        "observations": [{"name": "one", "data": [float(observed)]}],
        "measurements": [{"name": "m", "config": {"poi": "mu", "parameters": parameters}}],
        "version": "1.0.0",
    }


@pytest.mark.parametrize("size", LISTED)
def test_reference_histograms_fit_to_the_listed_values(fitted, size):
    _, found = fitted(size)
    value, sigma = found.value("ttbar_norm")
    listed, listed_sigma = LISTED[size]
    assert value == pytest.approx(listed, abs=0.01)
    # HESSE stops early for 200 files: 0.0705, where the exact Hessian and the profile scan below say 0.0778.
    assert sigma == pytest.approx(listed_sigma, rel=0.11 if size == "200" else 0.1)
    assert found.certificate.converged
    assert found.certificate.edm < 1e-12
    assert found.uncertainty == "hessian"
    for variation in ("ME variation", "PS variation"):
        assert found.value(variation)[0] == pytest.approx(0.45, abs=0.1)


def test_published_value_for_five_files(fitted):
    """0.964 ± 0.094 (AGC notebook, v2): same uncertainty, centre off by 0.01; docs/inference.md says why."""
    value, sigma = fitted("5")[1].value("ttbar_norm")
    assert value == pytest.approx(0.964, abs=0.012)
    assert sigma == pytest.approx(0.094, rel=0.05)


@pytest.mark.parametrize("size", LISTED)
def test_the_documentation_holds_the_numbers(fitted, size):
    text = (Path(__file__).parents[2] / "docs" / "inference.md").read_text(encoding="utf-8")
    value, sigma = fitted(size)[1].value("ttbar_norm")
    assert f"| {size} | {value:.4f} ± {sigma:.4f} |" in text


def test_a_published_likelihood_from_its_workspace_alone(published):
    """ATLAS sbottom, region A: a converged minimum found independently; the signal ends on its lower bound."""
    found = fit(published)
    assert found.twice_nll == pytest.approx(101.375820767, abs=1e-8)
    assert found.certificate.at_bound == ("mu_SIG",)


@pytest.mark.parametrize("size", ["1", "200"])
def test_uncertainty_is_where_the_profile_rises_by_one(fitted, size):
    """An independent route to the uncertainty: refits with ttbar_norm held at ±1 sigma."""
    workspace, found = fitted(size)
    likelihood = Likelihood(workspace)
    value, sigma = found.value("ttbar_norm")
    rises = []
    for side in (-1, 1):
        held = likelihood.fit(fixed={"ttbar_norm": value + side * 0.2 * sigma}, start=np.asarray(found.bestfit))
        assert held.certificate.converged
        rises.append((2 * held.nll - found.twice_nll) / 0.04)
    assert np.mean(rises) == pytest.approx(1.0, rel=0.02)


def test_cabinetry_agrees(workspace, result):
    import cabinetry

    logging.getLogger("cabinetry").setLevel(logging.ERROR)
    model, data = cabinetry.model_utils.model_and_data(workspace)
    theirs = cabinetry.fit.fit(model, data)
    assert tuple(theirs.labels) == result.labels
    pull = np.abs(theirs.bestfit - np.asarray(result.bestfit)) / np.asarray(result.uncertainties)
    # Minuit ends 1e-4 above the minimum in 2 log L, hence within some 0.01 sigma of it.
    assert pull.max() < 0.02
    assert result.twice_nll <= theirs.best_twice_nll + 1e-9
    np.testing.assert_allclose(result.uncertainties, theirs.uncertainty, rtol=0.1)


def test_result_survives_json(result):
    assert from_json(FitResult, to_json(result)) == result
    assert to_json(from_json(FitResult, to_json(result))) == to_json(result)
    with pytest.raises(InferenceError, match="no FitResult"):
        from_json(FitResult, "{}")
    with pytest.raises(InferenceError, match="no FitResult: labels: Field required"):
        from_json(FitResult, '{"kind": "FitResult"}')


def test_equal_input_gives_equal_bytes(workspace, result, tmp_path):
    path = tmp_path / "workspace.json"
    path.write_bytes(workspace_bytes(workspace))
    assert to_json(fit(path)) == to_json(result)


def test_correlation_is_a_correlation(result):
    matrix = result.correlation
    np.testing.assert_allclose(matrix, matrix.T)
    np.testing.assert_array_equal(np.diag(matrix), 1)
    assert np.abs(matrix).max() <= 1
    assert np.linalg.eigvalsh(np.asarray(result.covariance)).min() > 0


def test_counting_experiment_in_closed_form():
    found = fit(counting(80))
    assert found.value("mu") == pytest.approx((3.0, np.sqrt(80) / 10), rel=1e-5)
    assert found.goodness_of_fit is None
    assert found.degrees_of_freedom == 0


def test_constrained_counting_experiment_in_closed_form():
    """mu takes up what the background's normalisation leaves: sigma² = (n + (50·0.1)²)/10² at the nominal point."""
    found = fit(counting(60, sigma=0.1))
    assert found.value("mu")[0] == pytest.approx(1.0, abs=1e-5)
    assert found.value("norm") == pytest.approx((0.0, 1.0), abs=1e-3)
    assert found.value("mu")[1] == pytest.approx(np.sqrt(60 + 25) / 10, rel=1e-2)


def test_a_minimum_on_a_bound_is_told():
    found = fit(counting(30))
    assert found.certificate.at_bound == ("mu",)
    assert found.value("mu")[0] == pytest.approx(0.0, abs=1e-9)


def test_a_parameter_can_be_fixed(workspace, result):
    found = fit(workspace, FitSettings(fixed={"Luminosity": 1.0}))
    assert found.value("Luminosity") == (1.0, 0.0)
    assert found.fixed[found.index("Luminosity")]
    assert found.twice_nll > result.twice_nll
    assert found.value("ttbar_norm")[1] < result.value("ttbar_norm")[1]


def test_goodness_of_fit_of_a_bad_model(workspace):
    document = json.loads(json.dumps(workspace))
    document["observations"][0]["data"][5] *= 1.5
    assert fit(document).goodness_of_fit < 1e-6


def test_an_unknown_parameter_names_its_nearest(workspace):
    with pytest.raises(UnknownParameter, match="nearest: Luminosity"):
        fit(workspace, FitSettings(fixed={"Lumi": 1.0}))
    with pytest.raises(InvalidWorkspace, match="no measurement 'other'"):
        fit(workspace, FitSettings(measurement="other"))


def test_a_fit_without_minimum_says_why():
    """A signal of no events leaves mu undetermined."""
    document = counting(50)
    document["channels"][0]["samples"][0]["data"] = [0.0]
    with pytest.raises(FitFailed, match="no minimum: the data do not determine mu") as caught:
        fit(document)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
