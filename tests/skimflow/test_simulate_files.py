"""The files that ``simulate`` writes: their layout, normalisation, identity from run to run, and damage on request."""

import hashlib
import json
import pickle
from pathlib import Path

import awkward as ak
import numpy as np
import pytest
import uproot
from click.testing import CliRunner
from coffea.nanoevents import NanoAODSchema, NanoEventsFactory

from skimflow.errors import SimulationError
from skimflow.simulate import SimulationResult, nanoaod, production, simulate, up_to_date
from skimflow.simulate.calibrate import CROSS_SECTIONS_PB, LUMINOSITY_PB
from skimflow.simulate.command import simulate_command
from skimflow.simulate.damaged import MISSING_BRANCH, write_damaged
from skimflow.simulate.generate import blocks, generator
from skimflow.simulate.nanoaod import COLLECTIONS, SCALARS, rounded
from skimflow.simulate.samples import SAMPLES
from skimflow.simulate.selection import REGION_4J1B, REGION_4J2B
from skimflow.simulate.thinning import REGIONS

EVENTS = 10_000
AGC_SAMPLES = {
    "ttbar": {"nominal", "scaledown", "scaleup", "ME_var", "PS_var"},
    "single_top_s_chan": {"nominal"},
    "single_top_t_chan": {"nominal"},
    "single_top_tW": {"nominal"},
    "wjets": {"nominal"},
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> SimulationResult:
    return simulate(tmp_path_factory.mktemp("events"), events_per_file=EVENTS, files_per_sample=1, seed=7, jobs=1)


@pytest.fixture(scope="module")
def root(made: SimulationResult) -> Path:
    return made.fileset.parent


def digests(folder: Path) -> dict[str, str]:
    paths = sorted(folder.glob("*__*/*.root"))
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def tree(root: Path, sample: str) -> uproot.TTree:
    return uproot.open({root / sample / f"{sample}_0.root": "Events"})


def test_fileset_has_the_layout_of_the_agc(made: SimulationResult, root: Path) -> None:
    fileset = json.loads(made.fileset.read_text())
    assert {process: set(variations) for process, variations in fileset.items()} == AGC_SAMPLES
    for process, variations in fileset.items():
        for variation, sample in variations.items():
            assert sample["nevts_total"] == sum(file["nevts"] for file in sample["files"])
            (file,) = sample["files"]
            assert file["path"] == f"{process}__{variation}/{process}__{variation}_0.root"
            assert file["entries"] == tree(root, f"{process}__{variation}").num_entries == EVENTS
            assert file["nevts"] == round(EVENTS / sample["filter_efficiency"])


def test_branches_are_those_of_the_real_file(root: Path, shared_data: Path) -> None:
    real = uproot.open({shared_data / "root" / "nanoAOD_2015_CMS_Open_Data_ttbar.root": "Events"})
    simulated = tree(root, "ttbar__nominal")
    assert len(simulated.keys()) == len(SCALARS) + sum(1 + len(names) for names in COLLECTIONS.values())
    for branch in simulated.keys():  # noqa: SIM118 (a tree is not a mapping)
        assert simulated[branch].typename == real[branch].typename, branch
        assert str(simulated[branch].interpretation) == str(real[branch].interpretation), branch


def test_files_have_clusters_and_sorted_objects(root: Path) -> None:
    simulated = tree(root, "wjets__nominal")
    assert 1 < simulated["Jet_pt"].num_baskets <= 4
    events = simulated.arrays(["Jet_pt", "nJet", "event", "run", "luminosityBlock", "GenPart_pt", "nGenPart"])
    assert ak.all(events.Jet_pt[:, 1:] <= events.Jet_pt[:, :-1])
    np.testing.assert_array_equal(ak.num(events.Jet_pt), events.nJet)
    np.testing.assert_array_equal(ak.num(events.GenPart_pt), events.nGenPart)
    np.testing.assert_array_equal(events.event, np.arange(1, EVENTS + 1))
    assert len(np.unique(events.luminosityBlock)) == EVENTS // 1000
    for branch in simulated.keys():  # noqa: SIM118 (a tree is not a mapping)
        assert np.all(np.isfinite(ak.to_numpy(ak.flatten(simulated[branch].array(), axis=None)))), branch


def test_rounding_keeps_the_bits_it_says() -> None:
    values = np.array([1.0, 37.87731, -2.71828, 0.0, 1e-30, -10.0], dtype=np.float32)
    kept = rounded(values, 10)
    np.testing.assert_allclose(kept, values, rtol=2.0**-11)
    assert np.all(kept.view(np.uint32) & 0x1FFF == 0)
    assert kept[5] == -10


def selected_counts(root: Path, sample: str) -> dict[int, int]:
    """The AGC's regions, written independently of the simulation's own selection."""
    events = NanoEventsFactory.from_root(
        {root / sample / f"{sample}_0.root": "Events"}, schemaclass=NanoAODSchema
    ).events()
    electron, muon, jet = events.Electron, events.Muon, events.Jet
    electron = electron[
        (electron.pt > 30) & (abs(electron.eta) < 2.1) & (electron.cutBased == 4) & (electron.sip3d < 4)
    ]
    muon = muon[(muon.pt > 30) & (abs(muon.eta) < 2.1) & muon.tightId & (muon.sip3d < 4) & (muon.pfRelIso04_all < 0.15)]
    jet = jet[(jet.pt > 30) & (abs(jet.eta) < 2.4) & jet.isTightLeptonVeto]
    tags = ak.sum(jet.btagCSVV2 > 0.5, axis=1)
    candidate = (ak.num(electron) + ak.num(muon) == 1) & (ak.num(jet) >= 4)
    return {REGION_4J1B: int(ak.sum(candidate & (tags == 1))), REGION_4J2B: int(ak.sum(candidate & (tags >= 2)))}


@pytest.mark.filterwarnings("ignore:Missing cross-reference:RuntimeWarning")
@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
def test_yields_are_those_of_the_agc(root: Path, shared_data: Path, sample: object) -> None:
    reference = json.loads((shared_data / "agc/reference/histos_all_file_per_process.json").read_text())
    fileset = json.loads((root / "fileset.json").read_text())
    nevts = fileset[sample.process][sample.variation]["nevts_total"]
    weight = CROSS_SECTIONS_PB[sample.process] * LUMINOSITY_PB / nevts
    suffix = "" if sample.variation == "nominal" else f"_{sample.variation}"
    for region, count in selected_counts(root, sample.name).items():
        expected = sum(reference[f"{REGIONS[region]}_{sample.process}{suffix}"]["contents"])
        # Statistics of these events, and 1 % for those that the thinning tables were made from.
        allowed = 4 * weight * np.sqrt(count) + 0.01 * expected
        assert count * weight == pytest.approx(expected, abs=allowed)


@pytest.mark.filterwarnings("ignore:Missing cross-reference:RuntimeWarning")
def test_generated_particles_serve_the_training(root: Path) -> None:
    """The labels of the AGC's jet assignment: 24, 24, 6 and -6 in each tt̄ event with one lepton and one hadronic W."""
    events = NanoEventsFactory.from_root(
        {root / "ttbar__nominal" / "ttbar__nominal_0.root": "Events"}, schemaclass=NanoAODSchema
    ).events()
    particles = events.GenPart
    parents = particles.distinctParent
    quark = (abs(particles.pdgId) < 7) & ~ak.is_none(parents, axis=1) & particles.hasFlags("isLastCopy")
    quark = quark & ak.fill_none((abs(parents.pdgId) == 6) | (abs(parents.pdgId) == 24), False)
    quarks = particles[quark]
    identities = abs(quarks.distinctParent.pdgId)
    grandchildren = abs(ak.flatten(quarks.distinctParent.distinctChildren.distinctChildren.pdgId, axis=-1))
    lepton = (grandchildren > 10) & (grandchildren < 19)
    leptonic = ak.any(lepton & (grandchildren % 2 == 1), axis=-1) & ak.any(lepton & (grandchildren % 2 == 0), axis=-1)
    labels = ak.where(leptonic, -6, identities)
    one_lepton = ak.num(quarks) == 4
    assert 0.7 < ak.mean(one_lepton) < 1  # the others have two leptons
    np.testing.assert_array_equal(
        ak.sort(labels[one_lepton], axis=1).to_numpy(), np.tile([-6, 6, 24, 24], (int(ak.sum(one_lepton)), 1))
    )
    assert ak.all(ak.num(quarks)[~one_lepton] == 2)
    daughters = particles[(abs(particles.pdgId) == 24)].children
    assert ak.all(ak.num(daughters, axis=2) == 2)


def test_same_bytes_from_any_number_of_processes_and_whatever_is_made_besides(tmp_path: Path) -> None:
    one = simulate(tmp_path / "one", events_per_file=500, files_per_sample=1, seed=3, jobs=1)
    two = simulate(tmp_path / "two", events_per_file=500, files_per_sample=2, seed=3, jobs=2)
    first, both = digests(one.fileset.parent), digests(two.fileset.parent)
    assert len(first) == len(SAMPLES)
    assert len(both) == len(set(both.values())) == 2 * len(SAMPLES)
    assert first.items() <= both.items()
    other = simulate(tmp_path / "other", events_per_file=500, files_per_sample=1, seed=4, jobs=1)
    assert not set(digests(other.fileset.parent).values()) & set(first.values())
    # Nothing is made twice; one more file per sample leaves the others alone.
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "one").rglob("*.root")}
    again = simulate(tmp_path / "one", events_per_file=500, files_per_sample=1, seed=3, jobs=1)
    assert (again.made, len(again.kept), again.events) == ((), len(SAMPLES), 0)
    more = simulate(tmp_path / "one", events_per_file=500, files_per_sample=2, seed=3, jobs=1)
    assert len(more.made) == len(more.kept) == len(SAMPLES)
    assert {path: path.stat().st_mtime_ns for path in times} == times
    assert digests(tmp_path / "one") == both
    assert (tmp_path / "one" / "fileset.json").read_bytes() == two.fileset.read_bytes()


def test_up_to_date_notices_what_changed(tmp_path: Path) -> None:
    settings = {"events_per_file": 100, "files_per_sample": 1, "seed": 3}
    assert not up_to_date(tmp_path, **settings)
    made = simulate(tmp_path, jobs=1, **settings)
    assert up_to_date(tmp_path, **settings)
    assert not up_to_date(tmp_path, **settings | {"seed": 4})
    assert not up_to_date(tmp_path, **settings | {"files_per_sample": 2})
    assert not up_to_date(tmp_path, **settings, compression="zstd")
    victim = tmp_path / made.made[0]
    intact = victim.read_bytes()
    victim.write_bytes(intact[:-1])
    assert not up_to_date(tmp_path, **settings)
    assert simulate(tmp_path, jobs=1, **settings).made == (made.made[0],)
    assert victim.read_bytes() == intact
    (tmp_path / "simulation.json").write_text("{")
    assert not up_to_date(tmp_path, **settings)


@pytest.mark.parametrize("compression", ["zlib", "lzma", "zstd", "lz4"])
def test_compressions(tmp_path: Path, compression: str) -> None:
    simulate(tmp_path, events_per_file=100, files_per_sample=1, compression=compression, jobs=1)
    simulated = tree(tmp_path, "ttbar__nominal")
    assert type(simulated.file.compression).__name__ == compression.upper()
    assert simulated["GenPart_pdgId"].compressed_bytes < 0.5 * simulated["GenPart_pdgId"].uncompressed_bytes
    assert ak.all(simulated["Jet_pt"].array() > 0)


def test_counters_are_unsigned_however_many_clusters(tmp_path: Path) -> None:
    sample = SAMPLES[0]
    block = next(blocks(sample, generator(sample.seed(1, 0)), 400))
    writer = nanoaod.Writer(
        tmp_path / "many.root", "zlib", clusters=5000
    )  # its tree's header takes more than a megabyte
    writer.extend(production.cluster(block, np.arange(100), 0, 0))
    writer.close()
    with uproot.open(tmp_path / "many.root") as file:
        assert {file["Events"][name].typename for name in ("nJet", "nMuon", "nElectron", "nGenPart")} == {"uint32_t"}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"events_per_file": 0}, "from 1 to 10000000"),
        ({"files_per_sample": 0}, "at least 1"),
        ({"seed": -1}, "0 or a positive number"),
        ({"compression": "brotli"}, "zlib, lzma, zstd, lz4"),
    ],
)
def test_wrong_settings_are_refused(tmp_path: Path, settings: dict[str, object], words: str) -> None:
    with pytest.raises(SimulationError, match=words) as raised:
        simulate(tmp_path, **settings)
    assert str(pickle.loads(pickle.dumps(raised.value))) == str(raised.value)
    assert not list(tmp_path.iterdir())


def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SimulationError, match="Cannot make the folder"):
        simulate(tmp_path / "file" / "below", events_per_file=10, files_per_sample=1)


def test_damaged_files_are_wrong_as_they_say(tmp_path: Path) -> None:
    *paths, readme = write_damaged(tmp_path, seed=1)
    says = json.loads(readme.read_text())
    assert {path.name for path in paths} == set(says) == {path.name for path in tmp_path.glob("*.root")}
    unreadable = {"truncated", "not_root"}
    for stem in unreadable:
        with pytest.raises((ValueError, OSError)):
            uproot.open({tmp_path / f"{stem}.root": "Events"}).arrays()
    opened = {path.stem: uproot.open({path: "Events"}).arrays() for path in paths if path.stem not in unreadable}
    intact = opened.pop("intact")
    assert set(intact.fields) - set(opened["missing_branch"].fields) == {MISSING_BRANCH}
    assert len(opened["empty_tree"]) == 0
    assert opened["empty_tree"].fields == intact.fields
    assert ak.all(opened["no_jets"].nJet == 0)
    assert ak.all(opened["no_jets"].nMuon == intact.nMuon)
    is_nan = np.isnan(opened["nan_pt"].Jet_pt)
    assert ak.all(is_nan == (intact.event % 10 == 0))
    doubled = opened["duplicated_events"].event
    assert len(doubled) == len(intact) + 10
    np.testing.assert_array_equal(doubled[-10:], intact.event[:10])


def test_command(tmp_path: Path) -> None:
    arguments = [str(tmp_path), "--events-per-file", "50", "--files-per-sample", "1", "--jobs", "1", "--json"]
    run = CliRunner().invoke(simulate_command, [*arguments, "--damaged"])
    assert run.exit_code == 0, run.output
    result = json.loads(run.stdout)
    assert (len(result["made"]), result["events"]) == (9, 450)
    assert Path(result["fileset"]).is_file()
    assert all(Path(path).is_file() for path in result["damaged"])
    assert CliRunner().invoke(simulate_command, [str(tmp_path), "--compression", "bzip2"]).exit_code == 2
