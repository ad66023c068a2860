"""Reading histograms: both layouts, rebuilt variances against the AGC's own event counts, rebinning."""

import json
import pickle

import hist
import numpy as np
import pytest
import uhi.io.json

from inference.errors import InvalidHistograms
from inference.model import load_model
from inference.templates import common_weight, load_histograms, rebin
from inference.workspace import pseudodata

LUMINOSITY_PB = 3378.0
CROSS_SECTIONS_PB = {
    "ttbar": 396.87 + 332.97,
    "wjets": 61457 * 0.252,
    "single_top_tW": 37.936 + 37.906,
}
SIZES = ("1", "2", "5", "10", "20", "50", "100", "200", "all")


def reference(shared_data, size):
    return shared_data / "agc" / "reference" / f"histos_{size}_file_per_process.json"


@pytest.mark.parametrize("size", SIZES)
def test_rebuilt_weights_are_cross_section_times_luminosity_over_events(shared_data, size):
    histograms = load_histograms(reference(shared_data, size))
    files = json.loads((shared_data / "agc" / "nanoaod_inputs.json").read_text())
    number = None if size == "all" else int(size)
    for sample in ("ttbar", "wjets", "single_top_tW"):
        events = sum(file["nevts"] for file in files[sample]["nominal"]["files"][:number])
        expected = CROSS_SECTIONS_PB[sample] * LUMINOSITY_PB / events
        assert histograms[f"4j2b_{sample}"].metadata["event_weight"] == pytest.approx(expected, rel=1e-9)


def test_rebuilt_variance_is_contents_times_weight(shared_data):
    histogram = load_histograms(reference(shared_data, "5"))["4j2b_ttbar"]
    counts = histogram.values(flow=True) / histogram.metadata["event_weight"]
    np.testing.assert_allclose(counts, np.round(counts), atol=1e-6)
    np.testing.assert_allclose(histogram.variances(flow=True), counts * histogram.metadata["event_weight"] ** 2)


def test_variations_of_the_weight_take_their_samples_weight(shared_data):
    histograms = load_histograms(reference(shared_data, "1"))
    weight = histograms["4j1b_ttbar"].metadata["event_weight"]
    assert histograms["4j1b_ttbar_btag_var_2_up"].metadata["event_weight"] == pytest.approx(weight)
    assert histograms["4j1b_wjets_scale_var_up"].metadata["event_weight"] == pytest.approx(
        1.025 * histograms["4j1b_wjets"].metadata["event_weight"]
    )


def test_the_origin_of_variances_is_told(shared_data):
    histograms = load_histograms(reference(shared_data, "1"))
    origins = {histogram.metadata["variances"] for histogram in histograms.values()}
    assert origins == {"contents, taken as counts", "rebuilt as contents x event weight"}


def weighted(values, variances, edges=(0.0, 1.0, 2.0, 3.0, 4.0)):
    histogram = hist.Hist(hist.axis.Variable(edges), storage=hist.storage.Weight())
    histogram[...] = np.stack([values, variances], axis=-1)
    return histogram


def test_uhi_json_comes_back_as_it_was(tmp_path):
    histogram = weighted([1.0, 2.0, 3.5, 4.0], [0.1, 0.2, 0.3, 0.4])
    path = tmp_path / "histograms.json"
    path.write_text(json.dumps({"4j1b_ttbar": histogram}, default=uhi.io.json.default))
    loaded = load_histograms(path)
    np.testing.assert_array_equal(loaded["4j1b_ttbar"].values(), histogram.values())
    np.testing.assert_array_equal(loaded["4j1b_ttbar"].variances(), histogram.variances())
    decoded = load_histograms(json.loads(path.read_text()))
    assert decoded["4j1b_ttbar"] == loaded["4j1b_ttbar"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("no json", "is no JSON"),
        ("[1]", "not a mapping"),
        ("{}", "holds no histogram"),
        ('{"4j1b_ttbar": {"edges": [0, 1, 2], "contents": [1, 2]}}', "must be 4"),
        ('{"4j1b_ttbar": {"bins": 3}}', "neither a UHI histogram"),
    ],
)
def test_what_is_no_histogram_file_is_said(tmp_path, content, message):
    path = tmp_path / "histograms.json"
    path.write_text(content)
    with pytest.raises(InvalidHistograms, match=message) as caught:
        load_histograms(path)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_a_missing_file_is_said(tmp_path):
    with pytest.raises(InvalidHistograms, match="cannot read histograms"):
        load_histograms(tmp_path / "none.json")


def test_histograms_without_variances_are_refused():
    plain = hist.Hist(hist.axis.Regular(2, 0, 1), storage=hist.storage.Double())
    decoded = json.loads(json.dumps({"4j1b_ttbar": plain}, default=uhi.io.json.default))
    with pytest.raises(InvalidHistograms, match="4j1b_ttbar in the given mapping has Double storage"):
        load_histograms(decoded)


def test_rebinning_merges_and_drops():
    values, variances = rebin(weighted([1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 3.0, 4.0]), [1, 2, 4])
    assert values.tolist() == [2.0, 7.0]
    assert variances.tolist() == [2.0, 7.0]
    values, _ = rebin(weighted([1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 3.0, 4.0]), [0, 2, 3])
    assert values.tolist() == [3.0, 3.0]


def test_rebinning_to_edges_that_are_none_is_refused():
    with pytest.raises(InvalidHistograms, match=r"\[2\.5\] are no bin edges"):
        rebin(weighted([1.0] * 4, [1.0] * 4), [1, 2.5, 4])


@pytest.mark.parametrize("size", ["1", "5", "all"])
def test_the_fits_bins_are_the_agcs(shared_data, size):
    """The AGC drops three bins of 20 GeV, then merges pairs."""
    path = reference(shared_data, size)
    contents = np.array(json.loads(path.read_text())["4j2b_ttbar"]["contents"])[1:-1]
    region = load_model().regions[1]
    values, _ = rebin(load_histograms(path)["4j2b_ttbar"], region.edges)
    np.testing.assert_allclose(values, contents[3:].reshape(11, 2).sum(axis=1), rtol=1e-12)


@pytest.mark.parametrize("size", SIZES)
def test_pseudodata_are_those_that_the_agc_stored(shared_data, size):
    histograms, model = load_histograms(reference(shared_data, size)), load_model()
    for region in model.regions:
        stored, _ = rebin(histograms[f"{region.histogram}_pseudodata"], region.edges)
        np.testing.assert_allclose(pseudodata(histograms, region, model.data), stored, rtol=1e-12)


@pytest.mark.parametrize("weight", [41.88347225629185, 0.008930046783290502, 1e-6])
def test_common_weight_of_summed_weights(weight):
    counts = np.random.default_rng(1).integers(1, 800_000, size=54)
    sums = counts * weight * (1 + 1e-15)
    assert common_weight(sums) == pytest.approx(weight, rel=1e-12)


def test_varying_weights_have_no_common_one():
    assert common_weight(np.random.default_rng(2).uniform(1, 2, size=54)) is None
    assert common_weight(np.zeros(3)) is None
