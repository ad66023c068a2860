"""The workspace: against numbers of the AGC's rules, deterministic, checked, and helpful when it cannot be built."""

import json

import numpy as np
import pytest

from inference.errors import InvalidHistograms, InvalidWorkspace, MissingTemplate
from inference.model import load_model
from inference.templates import load_histograms, rebin
from inference.workspace import build, load_workspace, workspace_bytes

# jsonschema deprecates the RefResolver that pyhf 0.7.6 still uses.
pytestmark = pytest.mark.filterwarnings("ignore:jsonschema.RefResolver is deprecated:DeprecationWarning")


@pytest.fixture(scope="module")
def histograms(shared_data):
    return load_histograms(shared_data / "agc" / "reference" / "histos_5_file_per_process.json")


@pytest.fixture(scope="module")
def workspace(histograms):
    return build(histograms)


def modifier(workspace, channel, sample, name, kind):
    samples = next(c["samples"] for c in workspace["channels"] if c["name"] == channel)
    modifiers = next(s["modifiers"] for s in samples if s["name"] == sample)
    return next(m["data"] for m in modifiers if (m["name"], m["type"]) == (name, kind))


def test_channels_samples_and_parameters_are_the_agcs(workspace):
    assert [channel["name"] for channel in workspace["channels"]] == ["4j1b CR", "4j2b SR"]
    for channel in workspace["channels"]:
        assert [sample["name"] for sample in channel["samples"]] == [
            "ttbar", "W+jets", "single top, s-channel", "single top, t-channel", "tW",
        ]  # fmt: skip
        assert all(len(sample["data"]) == 11 for sample in channel["samples"])
    measurement = workspace["measurements"][0]
    assert measurement["name"] == "CMS_ttbar"
    assert measurement["config"]["poi"] == "ttbar_norm"
    assert measurement["config"]["parameters"] == [{"name": "ttbar_norm", "inits": [1.0], "bounds": [[0.0, 10.0]]}]


def test_luminosity_is_three_percent(workspace):
    assert modifier(workspace, "4j1b CR", "tW", "Luminosity", "normsys") == {"hi": 1.03, "lo": 0.97}


def test_a_symmetrised_variation_mirrors_shape_and_norm(workspace, histograms):
    edges = load_model().regions[1].edges
    nominal, _ = rebin(histograms["4j2b_ttbar"], edges)
    varied, _ = rebin(histograms["4j2b_ttbar_ME_var"], edges)
    norm = modifier(workspace, "4j2b SR", "ttbar", "ME variation", "normsys")
    shape = modifier(workspace, "4j2b SR", "ttbar", "ME variation", "histosys")
    assert norm["hi"] == pytest.approx(varied.sum() / nominal.sum())
    assert norm["hi"] + norm["lo"] == pytest.approx(2)
    np.testing.assert_allclose(shape["hi_data"], varied * nominal.sum() / varied.sum())
    np.testing.assert_allclose(np.add(shape["hi_data"], shape["lo_data"]), 2 * nominal)


def test_statistical_uncertainty_comes_from_the_variances(workspace, histograms):
    values, variances = rebin(histograms["4j1b_wjets"], load_model().regions[0].edges)
    np.testing.assert_allclose(
        modifier(workspace, "4j1b CR", "W+jets", "staterror_4j1b-CR", "staterror"), np.sqrt(variances)
    )
    assert values.sum() == pytest.approx(sum(workspace["channels"][0]["samples"][1]["data"]))


def test_equal_input_gives_equal_bytes(workspace, histograms):
    again = build(dict(reversed(histograms.items())), load_model())
    assert workspace_bytes(again) == workspace_bytes(workspace)
    assert json.loads(workspace_bytes(workspace)) == workspace


def test_a_workspace_is_read_from_a_file(workspace, tmp_path):
    path = tmp_path / "workspace.json"
    path.write_bytes(workspace_bytes(workspace))
    assert load_workspace(path) == workspace


def test_a_missing_template_names_its_nearest(histograms):
    fewer = {name: histogram for name, histogram in histograms.items() if name != "4j2b_ttbar_ME_var"}
    with pytest.raises(MissingTemplate, match=r"region '4j2b SR' needs the histogram '4j2b_ttbar_ME_var'.*nearest: 4j"):
        build(fewer)


def test_an_empty_template_is_named(histograms):
    empty = histograms["4j1b_single_top_tW"].copy().reset()
    with pytest.raises(InvalidHistograms, match="4j1b_single_top_tW has no positive finite yield"):
        build(histograms | {"4j1b_single_top_tW": empty})


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "is no JSON"), ('{"channels": []}', "no valid pyhf workspace"), ("[]", "not a list")],
)
def test_what_is_no_workspace_is_said(tmp_path, text, message):
    path = tmp_path / "workspace.json"
    path.write_text(text)
    with pytest.raises(InvalidWorkspace, match=message):
        load_workspace(path)
    with pytest.raises(InvalidWorkspace, match="cannot read"):
        load_workspace(tmp_path / "none.json")
