"""Blind workspaces: hidden bins hold what pyhf expects after a fit to the others, and nothing tells the data there."""

import copy
import json

import numpy as np
import pyhf
import pytest

from inference.comparison.variants import compare_with
from inference.errors import InferenceError, UnknownParameter
from inference.expected import expected_fit
from inference.fit import fit, fit_likelihood
from inference.hidden import Hidden, hide
from inference.likelihood.model import Likelihood

# jsonschema deprecates the RefResolver that pyhf 0.7.6 still uses.
pytestmark = pytest.mark.filterwarnings("ignore:jsonschema.RefResolver is deprecated:DeprecationWarning")


def search(observed=(93.0,)):
    """A signal of 20 on a background whose size two control bins measure, with a shape that all bins share."""
    mu, norm = ({"name": name, "type": "normfactor", "data": None} for name in ("mu", "norm"))
    size = {"name": "size", "type": "normsys", "data": {"hi": 1.1, "lo": 0.9}}
    tilt = {"name": "tilt", "type": "histosys", "data": {"hi_data": [110.0, 95.0], "lo_data": [90.0, 105.0]}}
    signal = {"name": "signal", "data": [20.0], "modifiers": [mu]}
    background = {"name": "background", "data": [50.0], "modifiers": [norm, size]}
    control = {"name": "background", "data": [100.0, 100.0], "modifiers": [norm, tilt]}
    return {
        "channels": [{"name": "SR", "samples": [signal, background]}, {"name": "CR", "samples": [control]}],
        "observations": [{"name": "SR", "data": list(observed)}, {"name": "CR", "data": [108.0, 104.0]}],
        "measurements": [{"name": "m", "config": {"poi": "mu", "parameters": []}}],
        "version": "1.0.0",
    }


@pytest.fixture(scope="module")
def hidden():
    return hide(search(), at={"mu": 0.5})


def data(workspace):
    return {each["name"]: each["data"] for each in workspace["observations"]}


def test_hidden_bins_hold_what_pyhf_expects_after_a_fit_to_the_others(hidden):
    control = copy.deepcopy(search())
    control["channels"], control["observations"] = control["channels"][1:], control["observations"][1:]
    control["measurements"][0]["config"]["poi"] = "norm"
    model = pyhf.Workspace(control).model()
    best = dict(
        zip(
            model.config.par_names,
            pyhf.infer.mle.fit(pyhf.Workspace(control).data(model), model, tolerance=1e-10),
            strict=True,
        )
    )
    assert data(hidden.workspace)["SR"] == pytest.approx([50.0 * best["norm"] + 0.5 * 20.0], rel=1e-4)
    assert data(hidden.workspace)["CR"] == [108.0, 104.0]
    assert {each.channel: each.bins for each in hidden.channels} == {"SR": (True,), "CR": (False, False)}


def test_the_data_of_hidden_bins_change_nothing():
    one, other = hide(search((93.0,)), at={"mu": 0.5}), hide(search((41.0,)), at={"mu": 0.5})
    assert one == other
    assert "93" not in json.dumps(one.workspace)


def test_a_fit_of_the_blind_workspace_finds_what_it_was_filled_with(hidden):
    result = fit(hidden.workspace)
    assert result.value("mu")[0] == pytest.approx(0.5, abs=1e-7)
    pull, _ = result.value("tilt")
    assert pull == pytest.approx(fit(search()).value("tilt")[0], abs=0.2)
    assert abs(pull) > 0.05


def test_the_workspace_is_left_as_it_is():
    given = search()
    hide(given)
    assert given == search()


def test_where_the_parameter_changes_nothing_all_is_hidden():
    background = search()
    del background["channels"][0]["samples"][0]
    background["measurements"][0]["config"]["poi"] = "other"
    background["channels"][1]["samples"].append(
        {"name": "none", "data": [0.0, 0.0], "modifiers": [{"name": "other", "type": "normfactor", "data": None}]}
    )
    found = hide(background)
    assert all(bin_ for each in found.channels for bin_ in each.bins)
    assert data(found.workspace) == {"SR": [50.0], "CR": [100.0, 100.0]}


def test_published_data_are_hidden_where_the_signal_is(shared_data):
    """All bins of the AGC hold ttbar: what is left is the nominal prediction, of which pyhf says the same."""
    from inference.templates import load_histograms
    from inference.workspace import build

    workspace = build(load_histograms(shared_data / "agc" / "reference" / "histos_5_file_per_process.json"))
    found = hide(workspace)
    assert "22 of 22 bins" in found.sentence
    assert "ttbar_norm = 1" in found.sentence
    model = pyhf.Workspace(workspace).model()
    nominal = model.expected_actualdata(model.config.suggested_init())
    bins = [count for name in model.config.channels for count in data(found.workspace)[name]]
    np.testing.assert_allclose(bins, nominal, rtol=1e-9)


def test_what_cannot_be_hidden_is_named():
    with pytest.raises(UnknownParameter, match="nearest: mu"):
        hide(search(), at={"mus": 1.0})
    with pytest.raises(UnknownParameter, match="mu cannot be hidden at -1: its bounds are 0 and 10"):
        hide(search(), at={"mu": -1.0})
    nameless = search()
    nameless["measurements"][0]["config"]["poi"] = ""
    with pytest.raises(UnknownParameter, match="say which are to be blinded"):
        hide(nameless)


def test_it_is_written_and_read(hidden):
    from inference.documents import from_json, to_json

    assert from_json(Hidden, to_json(hidden)) == hidden


def test_asimov_data_are_fitted_where_they_were_made():
    likelihood = Likelihood(search())
    result = expected_fit(likelihood, at={"mu": 1.5, "tilt": 0.7})
    assert result.value("mu")[0] == pytest.approx(1.5, abs=1e-6)
    assert result.value("tilt")[0] == pytest.approx(0.7, abs=1e-6)
    # the auxiliary measurement moved along, so nothing pulls
    assert result.measured[result.index("tilt")] == pytest.approx(0.7)
    observed = fit_likelihood(likelihood)
    fitted = expected_fit(likelihood, truth="fitted")
    assert fitted.bestfit == pytest.approx(observed.bestfit, abs=1e-5)


def test_a_model_is_compared_with_itself_without_a_systematic(tmp_path):
    likelihood = Likelihood(search())
    found = compare_with(likelihood, without=["ti*"])
    pairs = {pair.parameter: pair for pair in found.parameters}
    assert (found.first.name, found.second.name) == ("this", "without ti*")
    assert pairs["tilt"].second.fixed
    assert pairs["tilt"].second.bestfit == 0.0
    assert found.test.parameters == ("tilt",)
    held = fit_likelihood(likelihood, {"tilt": 0.0})
    assert pairs["mu"].second.bestfit == pytest.approx(held.value("mu")[0], abs=1e-9)
    file = tmp_path / "later.json"
    file.write_text(json.dumps(search((80.0,))))
    other = compare_with(likelihood, other=file, fixed={"size": 0.0})
    assert other.second.name == "later"
    assert {pair.parameter: pair for pair in other.parameters}["size"].second.fixed
    with pytest.raises(UnknownParameter, match="nearest: tilt"):
        compare_with(likelihood, without=["tiltt"])
    with pytest.raises(InferenceError, match="give other, without or hold"):
        compare_with(likelihood)
