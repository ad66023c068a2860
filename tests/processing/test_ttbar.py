import json
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import awkward as ak
import correctionlib
import numpy as np
import pytest
import uproot
from coffea.nanoevents import NanoEventsFactory

from processing.chunks import ChunkResult
from processing.coffea_run import QuietNanoAODSchema
from processing.corrections import ttbar_corrections
from processing.errors import MissingColumns
from processing.filesets import CROSS_SECTIONS_PB, Fileset, InputFile, Sample
from processing.histograms import normalise
from processing.jer import jet_normals
from processing.ttbar import TtbarProcessor
from queries.objects import B_TAG, DELIVERED_JETS, ELECTRONS, JETS, MIN_JETS, MUONS

Run = Callable[..., ChunkResult]


@pytest.fixture(scope="module")
def run() -> Iterator[Run]:
    """Run the processor on a range of one file as one sample."""
    files = []

    def run(path: Path, process: str = "ttbar", variation: str = "nominal", tree: str = "Events", **ranges: int) -> Any:
        file = uproot.open(path)
        files.append(file)
        processor = TtbarProcessor()
        events = NanoEventsFactory.from_root(
            file,
            treepath=tree,
            schemaclass=QuietNanoAODSchema,
            mode="virtual",
            metadata={"process": process, "variation": variation},
            iteritems_options={"filter_name": list(processor.columns)},
            **ranges,
        ).events()
        return processor.process(events)

    yield run
    for file in files:
        file.close()


@pytest.fixture(scope="module")
def agc(shared_data: Path) -> Path:
    return shared_data / "agc/processor-reference"


SAMPLES = [("ttbar", "nominal"), ("ttbar", "ME_var"), ("wjets", "nominal")]


@pytest.mark.parametrize(("process", "variation"), SAMPLES)
def test_every_histogram_is_the_agc_processors(agc: Path, run: Run, process: str, variation: str) -> None:
    result = run(agc / "events.root", process, variation)
    sample = Sample(process, variation, (InputFile("events.root", 30_000),), CROSS_SECTIONS_PB[process])
    flat = normalise(sample, result, 30_000)
    prefix = f"{process}__{variation}/hist_dict/"
    reference = {
        key.removeprefix(prefix): histogram
        for key, histogram in json.loads((agc / "histograms.json").read_text()).items()
        if key.startswith(prefix)
    }
    assert len(flat) == len(reference) == {"ttbar__nominal": 22, "ttbar__ME_var": 2, "wjets__nominal": 26}[sample.name]
    for key, expected in reference.items():
        region, name = key.split("/")
        ours = flat[f"{region}_{process}" + ("" if name == "nominal" else f"_{name}")]
        if name == "pt_res_up":
            check_resolution(ours, expected, flat[f"{region}_{process}"])
            continue
        np.testing.assert_allclose(ours.values(flow=True), expected["values"], rtol=1e-9, err_msg=key)
        np.testing.assert_allclose(ours.variances(flow=True), expected["variances"], rtol=1e-9, err_msg=key)


def check_resolution(ours: Any, expected: dict[str, Any], nominal: Any) -> None:
    """Two independent smearings of the same events differ by less than two independent samples would.

    χ² with the variances of both as if independent is then below its number of bins, and yields agree within 3 %. Both
    move about as many events to other bins: some 65 in each region, hence two numbers that differ by 20 % at random.
    """
    values, variances = np.array(expected["values"]), np.array(expected["variances"])
    spread = variances + ours.variances(flow=True)
    filled = spread > 0
    chi2 = np.sum((ours.values(flow=True) - values)[filled] ** 2 / spread[filled])
    assert 0 < chi2 < filled.sum()
    assert ours.sum(flow=True).value == pytest.approx(values.sum(), rel=0.03)
    moved, expected_moved = (np.abs(h - nominal.values(flow=True)).sum() for h in (ours.values(flow=True), values))
    assert moved == pytest.approx(expected_moved, rel=0.5)


def test_jets_are_smeared_by_the_numbers_of_their_place_in_the_event(agc: Path, run: Run) -> None:
    """H_T of 4j1b under pt_res_up, worked out on jagged arrays."""
    with uproot.open(agc / "events.root") as file:
        arrays = file["Events"].arrays()
    electrons, muons, jets = (
        ak.zip({f.removeprefix(name): arrays[f] for f in arrays.fields if f.startswith(name)})
        for name in ("Electron_", "Muon_", "Jet_")
    )
    leptons = ak.sum(ELECTRONS.mask(electrons), axis=1) + ak.sum(MUONS.mask(muons), axis=1)
    keys = ak.broadcast_arrays(arrays.run, arrays.luminosityBlock, arrays.event, ak.local_index(jets.pt))
    normals = jet_normals(*(ak.to_numpy(ak.flatten(key)) for key in keys))
    jets["pt"] = jets.pt * (1 + 0.05 * ak.unflatten(normals, ak.num(jets)))
    jets = jets[JETS.mask(jets)]
    chosen = (leptons == 1) & (ak.num(jets) >= 4) & (ak.sum(jets.btagCSVV2 > 0.5, axis=1) == 1)
    expected, _ = np.histogram(ak.to_numpy(ak.sum(jets.pt[chosen], axis=1)), np.linspace(50, 550, 26))
    assert expected.sum() > 500
    assert run(agc / "events.root").histograms["4j1b"]["pt_res_up", :].values().tolist() == expected.tolist()


def identical(one: ChunkResult, other: ChunkResult) -> bool:
    return one.histograms.keys() == other.histograms.keys() and all(
        np.array_equal(h.view(flow=True), other.histograms[region].view(flow=True))
        for region, h in one.histograms.items()
    )


@pytest.fixture(scope="module")
def skimmed(agc: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The events that delivery keeps, whole collections, tree and counters as the engine writes them."""
    path = tmp_path_factory.mktemp("skim") / "skim.root"
    with uproot.open(agc / "events.root") as file:
        arrays = file["Events"].arrays()
    collections = {}
    for name in ("Electron", "Muon", "Jet"):
        fields = [f.removeprefix(f"{name}_") for f in arrays.fields if f.startswith(f"{name}_")]
        collections[name] = ak.zip({f: arrays[f"{name}_{f}"] for f in fields})
    leptons = ak.sum(ELECTRONS.mask(collections["Electron"]), axis=1) + ak.sum(MUONS.mask(collections["Muon"]), axis=1)
    jets = collections["Jet"][DELIVERED_JETS.mask(collections["Jet"])]
    kept = (leptons == 1) & (ak.num(jets) >= MIN_JETS) & ak.any(B_TAG.mask(jets), axis=1)
    flat = {name: arrays[name][kept] for name in ("run", "luminosityBlock", "event")}
    with uproot.recreate(path) as out:
        columns = {**flat, **{name: c[kept] for name, c in collections.items()}}
        out.mktree("servicex", {name: column.type.content for name, column in columns.items()}).extend(columns)
    return path


@pytest.mark.parametrize("process", ["ttbar", "wjets"])
def test_a_skim_gives_the_histograms_of_the_raw_file_bit_for_bit(
    agc: Path, skimmed: Path, run: Run, process: str
) -> None:
    raw, skim = run(agc / "events.root", process), run(skimmed, process, tree="servicex")
    assert skim.events < raw.events / 5
    assert identical(raw, skim)
    assert raw.cutflow["4j2b"]["atleast_2b"] == skim.cutflow["4j2b"]["atleast_2b"]


def test_chunks_add_up_to_the_whole(agc: Path, run: Run) -> None:
    whole = run(agc / "events.root")
    edges = [0, 1, 7_000, 7_000, 19_999, 30_000]
    parts = [run(agc / "events.root", entry_start=a, entry_stop=b) for a, b in pairwise(edges)]
    total = parts[0] + parts[1] + parts[2] + parts[3] + parts[4]
    assert (total.events, total.cutflow) == (whole.events, whole.cutflow)
    for region, histogram in whole.histograms.items():
        for name in ("nominal", "pt_scale_up", "pt_res_up"):  # unit weights: whole numbers, hence exact
            assert total.histograms[region][name, :] == histogram[name, :]
        np.testing.assert_allclose(total.histograms[region].values(flow=True), histogram.values(flow=True), rtol=1e-12)


def test_only_needed_columns_are_read(agc: Path) -> None:
    read: list[Any] = []
    with uproot.open(agc / "events.root") as file:
        events = NanoEventsFactory.from_root(
            file,
            treepath="Events",
            schemaclass=QuietNanoAODSchema,
            mode="virtual",
            access_log=read,
            metadata={"process": "ttbar", "variation": "ME_var"},
        ).events()
        TtbarProcessor().process(events)
    assert {access.branch for access in read} == {
        *("nElectron", "Electron_pt", "Electron_eta", "Electron_cutBased", "Electron_sip3d"),
        *("nMuon", "Muon_pt", "Muon_eta", "Muon_tightId", "Muon_sip3d", "Muon_pfRelIso04_all"),
        *("nJet", "Jet_pt", "Jet_eta", "Jet_phi", "Jet_mass", "Jet_jetId", "Jet_btagCSVV2"),
    }


def independent_cutflow(path: Path) -> list[int]:
    """Numbers of events that pass each step, counted event by event in plain Python."""
    with uproot.open(path) as file:
        columns = [c for c in TtbarProcessor.columns if "_" in c]
        rows = file["Events"].arrays(columns).to_list()
    counts = [len(rows), 0, 0, 0, 0]
    for e in rows:
        electrons = zip(e["Electron_pt"], e["Electron_eta"], e["Electron_cutBased"], e["Electron_sip3d"], strict=True)
        muons = zip(
            e["Muon_pt"], e["Muon_eta"], e["Muon_tightId"], e["Muon_sip3d"], e["Muon_pfRelIso04_all"], strict=True
        )
        leptons = sum(pt > 30 and abs(eta) < 2.1 and cut == 4 and sip < 4 for pt, eta, cut, sip in electrons)
        leptons += sum(
            pt > 30 and abs(eta) < 2.1 and tight and sip < 4 and iso < 0.15 for pt, eta, tight, sip, iso in muons
        )
        jets = zip(e["Jet_pt"], e["Jet_eta"], e["Jet_jetId"], e["Jet_btagCSVV2"], strict=True)
        tags = [csv > 0.5 for pt, eta, jet_id, csv in jets if pt > 30 and abs(eta) < 2.4 and jet_id == 6]
        steps = [leptons == 1, len(tags) >= 4]
        counts[1] += steps[0]
        counts[2] += all(steps)
        counts[3] += all(steps) and sum(tags) == 1
        counts[4] += all(steps) and sum(tags) >= 2
    return counts


@pytest.mark.parametrize(
    "name",
    ["root/nanoAOD_2015_CMS_Open_Data_ttbar.root", "root/nano_dy.root", "agc/processor-reference/events.root"],
)
def test_the_cutflow_of_real_files_is_an_independent_count(shared_data: Path, run: Run, name: str) -> None:
    result = run(shared_data / name)
    everything, leptons, jets, one_b, two_b = independent_cutflow(shared_data / name)
    assert result.events == everything
    shared = {"all": everything, "exactly_1l": leptons, "atleast_4j": jets}
    assert result.cutflow == {"4j1b": {**shared, "exactly_1b": one_b}, "4j2b": {**shared, "atleast_2b": two_b}}
    assert leptons > 0
    assert result.histograms["4j1b"]["nominal", :].sum(flow=True).value == one_b


def test_a_file_without_the_b_tag_is_refused_by_name(shared_data: Path, run: Run) -> None:
    with pytest.raises(MissingColumns, match=r"Jet_jetId, Jet_btagCSVV2"):
        run(shared_data / "root/nano_tt_v15.root")


def test_our_corrections_are_the_agcs_bit_for_bit(shared_data: Path) -> None:
    theirs = correctionlib.CorrectionSet.from_file(str(shared_data / "agc/corrections.json"))["event_systematics"]
    ours = ttbar_corrections()
    pt = np.concatenate([np.linspace(0, 1000, 997), [30.0, 1e4]])
    for direction in ("up", "down"):
        assert np.array_equal(ours["btag"].evaluate(direction, pt), theirs.evaluate("btag_var", direction, pt))
        assert ours["wjets_scale"].evaluate(direction) == theirs.evaluate("scale_var", direction, 0.0)


def test_a_fileset_refuses_a_file_twice() -> None:
    file = InputFile("a.root", 1)
    with pytest.raises(Exception, match=r"ttbar__nominal lists files more than once: a\.root"):
        Fileset((Sample("ttbar", "nominal", (file, file), 1.0),))
