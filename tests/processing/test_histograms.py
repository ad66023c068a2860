import json
from itertools import pairwise
from pathlib import Path

import hist
import numpy as np
import pytest
import uproot

from processing.chunks import ChunkResult, add_up, chunk_ranges
from processing.errors import ProcessingError
from processing.filesets import CROSS_SECTIONS_PB, LUMINOSITY_PB, InputFile, Sample, load_fileset
from processing.histograms import flat_name, from_uhi_json, normalise, to_uhi_json, write_root
from processing.ttbar import variation_names
from queries.objects import REGIONS


def filled(*variations: str, events: int = 10, seed: int = 1) -> ChunkResult:
    rng = np.random.default_rng(seed)
    histograms = {}
    for region in REGIONS:
        h = hist.Hist(
            hist.axis.StrCategory(list(variations), name="variation"),
            hist.axis.Regular(25, 50, 550, name="observable", label="observable [GeV]"),
            storage=hist.storage.Weight(),
        )
        for name in variations:
            h.fill(variation=name, observable=rng.normal(300, 200, 500), weight=rng.uniform(0.5, 1.5, 500))
        histograms[region.name] = h
    return ChunkResult(events, {region.name: {"all": events} for region in REGIONS}, histograms)


def test_the_names_are_the_agcs(shared_data: Path) -> None:
    reference = json.loads((shared_data / "agc/reference/histos_1_file_per_process.json").read_text())
    fileset = load_fileset(shared_data / "agc/nanoaod_inputs.json")
    names = {
        flat_name(region.name, sample.process, name)
        for sample in fileset.samples
        for name in variation_names(sample.process, sample.variation)
        for region in REGIONS
    }
    assert names == {name for name in reference if not name.endswith("pseudodata")}
    assert (len(names), len(reference)) == (122, 124)


def test_normalisation_is_cross_section_times_luminosity_over_events() -> None:
    result = filled("nominal", "pt_scale_up")
    sample = Sample("single_top_tW", "nominal", (InputFile("a.root", 1_000),), CROSS_SECTIONS_PB["single_top_tW"])
    flat = normalise(sample, result, 1_000)
    weight = 75.842 * LUMINOSITY_PB / 1_000
    assert sorted(flat) == [
        "4j1b_single_top_tW",
        "4j1b_single_top_tW_pt_scale_up",
        "4j2b_single_top_tW",
        "4j2b_single_top_tW_pt_scale_up",
    ]
    raw = result.histograms["4j2b"]["pt_scale_up", :]
    scaled = flat["4j2b_single_top_tW_pt_scale_up"]
    np.testing.assert_allclose(scaled.values(flow=True), raw.values(flow=True) * weight, rtol=1e-14)
    np.testing.assert_allclose(scaled.variances(flow=True), raw.variances(flow=True) * weight**2, rtol=1e-14)
    with pytest.raises(ProcessingError, match="stands for 0 generated events"):
        normalise(sample, result, 0)


def test_json_gives_the_same_bits_back() -> None:
    histograms = {f"h_{name}": h[name, :] for h in [filled("a", "b").histograms["4j1b"]] for name in ("a", "b")}
    text = to_uhi_json(histograms)
    assert from_uhi_json(text) == histograms
    assert to_uhi_json(from_uhi_json(text)) == text
    assert to_uhi_json(dict(reversed(histograms.items()))) == text


@pytest.mark.parametrize("text", ["{", "[]", '{"a": 1}', '{"a": {"uhi_schema": 1}}'])
def test_other_json_is_refused(text: str) -> None:
    with pytest.raises(ProcessingError, match="UHI histograms"):
        from_uhi_json(text)


def test_root_files_hold_the_histograms_under_their_names(tmp_path: Path) -> None:
    sample = Sample("ttbar", "nominal", (InputFile("a.root", 100),), 1.0)
    flat = normalise(sample, filled("nominal", "btag_var_0_up"), 100)
    path = write_root(flat, tmp_path / "histograms.root")
    with uproot.open(path) as file:
        assert sorted(file.keys(cycle=False)) == sorted(flat)
        for name, histogram in flat.items():
            read = file[name].to_hist()
            assert np.array_equal(read.values(flow=True), histogram.values(flow=True))
            np.testing.assert_allclose(read.variances(flow=True), histogram.variances(flow=True), rtol=1e-15)
            assert read.axes[0].edges.tolist() == histogram.axes[0].edges.tolist()
    assert [entry.name for entry in tmp_path.iterdir()] == ["histograms.root"]


def test_chunk_results_survive_json_and_add_up() -> None:
    one, other = filled("nominal", seed=1), filled("nominal", events=5, seed=2)
    back = ChunkResult.from_json(one.to_json())
    assert (back.events, back.cutflow, back.histograms) == (one.events, one.cutflow, one.histograms)
    total = add_up([one, other])
    assert (total.events, total.cutflow["4j1b"]["all"]) == (15, 15)
    assert total.histograms["4j2b"] == one.histograms["4j2b"] + other.histograms["4j2b"]
    with pytest.raises(ProcessingError, match="do not add up"):
        add_up([one, ChunkResult(1, {}, {})])


@pytest.mark.parametrize(("entries", "most"), [(0, 10), (1, 10), (10, 10), (11, 10), (1_334_428, 100_000), (7, 1)])
def test_ranges_are_balanced_and_cover_all(entries: int, most: int) -> None:
    ranges = list(chunk_ranges(entries, most))
    sizes = [stop - start for start, stop in ranges]
    assert [ranges[0][0], ranges[-1][1]] == [0, entries]
    assert all(a[1] == b[0] for a, b in pairwise(ranges))
    assert max(sizes) <= most
    assert max(sizes) - min(sizes) <= 1
    assert len(ranges) == max(1, -(-entries // most))


def test_a_chunk_holds_at_least_one_event() -> None:
    with pytest.raises(ProcessingError, match="at least 1"):
        list(chunk_ranges(5, 0))
