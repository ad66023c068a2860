"""The engine on real files, against plain uproot and awkward and against published counts."""

import pickle
from pathlib import Path

import awkward as ak
import numpy as np
import pytest
import uproot

from delivery.engine import TransformRequest, evaluate, transform
from delivery.errors import CorruptBasket, UnknownBranch, UnknownTree
from queries.named import load

AGC = "queries.ttbar:agc_published_ml"
CMS = "root/nanoAOD_2015_CMS_Open_Data_ttbar.root"


@pytest.mark.parametrize(
    ("name", "rows", "total"),
    [("q1", 1000, 28467.6107), ("q2", 1699, 60461.6270), ("q3", 680, 28881.9880), ("q4", 116, 3363.7623)],
)
def test_the_adl_benchmarks_give_the_peers_counts_and_sums(shared_data, name, rows, total):
    result = evaluate(load(f"queries.adl:{name}").text, shared_data / "adl/Run2012B_SingleMu_1000.root")
    column = result[result.fields[0]] if result.fields else result
    assert len(result) == rows
    assert np.sum(ak.to_numpy(column), dtype=np.float64) == pytest.approx(total, abs=5e-5)


def agc_by_hand(events: ak.Array) -> list[ak.Array]:
    """Masks of the AGC query's three Wheres, each with those before it, written independently of the engine."""
    electrons = (
        (events.Electron_pt > 30)
        & (abs(events.Electron_eta) < 2.1)
        & (events.Electron_cutBased == 4)
        & (events.Electron_sip3d < 4)
    )
    muons = (
        (events.Muon_pt > 30) & (abs(events.Muon_eta) < 2.1) & events.Muon_tightId & (events.Muon_pfRelIso04_all < 0.15)
    )
    jets = (events.Jet_pt > 25) & (abs(events.Jet_eta) < 2.4) & (events.Jet_jetId == 6)
    one_lepton = ak.sum(electrons, axis=1) + ak.sum(muons, axis=1) == 1
    four_jets = one_lepton & (ak.sum(jets, axis=1) >= 4)
    return [one_lepton, four_jets, four_jets & (ak.sum(jets & (events.Jet_btagCSVV2 > 0.5), axis=1) >= 1)]


@pytest.mark.parametrize(
    "name", [CMS, "root/nano_dy.root", "root/nano_dimuon.root", "agc/processor-reference/events.root"]
)
def test_the_agc_query_selects_what_a_direct_computation_selects(shared_data, tmp_path, name):
    text = load(AGC).text
    done = transform(TransformRequest(text, str(shared_data / name), tmp_path / "out.root"))
    with uproot.open(shared_data / name) as file:
        events = file["Events"].arrays(list(done.columns))
    masks = agc_by_hand(events)
    assert [row.passed for row in done.cutflow] == [int(ak.sum(mask)) for mask in masks]
    assert (done.events_in, done.events_out) == (len(events), int(ak.sum(masks[-1])))
    with uproot.open(tmp_path / "out.root") as file:
        written = file["servicex"]
        for column in done.columns:
            assert written[column].array().tolist() == events[masks[-1]][column].tolist(), column
        assert written["Jet_pt"].typename == "float[]"
        assert written["event"].typename == "uint64_t"
    result = evaluate(text, shared_data / name)
    assert result.tolist() == events[masks[-1]][result.fields].tolist()


def test_a_rntuple_gives_what_uproot_reads(shared_data):
    (path,) = (shared_data / "root").glob("cmsopendata2015*rntuple*.root")
    columns = "(dict (list 'a' 'n') (list (attr e 'MET_pt') (Count (attr e 'Jet_pt'))))"
    result = evaluate(f"(Select (call EventDataset) (lambda (list e) {columns}))", path)
    with uproot.open(path) as file:
        met, jets = (file["Events"][name].array() for name in ("MET_pt", "Jet_pt"))
    assert result.a.tolist() == met.tolist()
    assert result.n.tolist() == ak.num(jets).tolist()


def test_projected_fields_of_a_rntuple_are_one_collection_and_are_checked(shared_data, tmp_path):
    (path,) = (shared_data / "root").glob("cmsopendata2015*rntuple*.root")
    done = transform(TransformRequest(load(AGC).text, str(path), tmp_path / "out.root"))
    assert done.warnings == ()  # the fields of Electron share the column of their lists' ends
    with uproot.open(path) as file:
        events = file["Events"]
        (field,) = (one for one in events.fields if one.name == "CorrT1METJet_area")
        form = field.to_akform()[0].contents[0].content
        (page,) = events.page_link_list[0][int(form.form_key.split("-")[1])].pages
    assert page.locator.num_bytes == 4 * page.num_elements  # not compressed: only the checksum can tell
    damaged = bytearray(path.read_bytes())
    damaged[page.locator.offset] ^= 0x40
    (tmp_path / "damaged.root").write_bytes(damaged)
    query = "(Select (call EventDataset) (lambda (list e) (attr e 'CorrT1METJet_area')))"
    with pytest.raises(CorruptBasket, match="CorrT1METJet_area is damaged: a checksum does not match"):
        evaluate(query, tmp_path / "damaged.root")


def test_all_columns_that_a_file_lacks_are_named_with_what_is_near(shared_data, tmp_path):
    request = TransformRequest(load(AGC).text, str(shared_data / "root/nano_tt_v15.root"), tmp_path / "out.root")
    with pytest.raises(UnknownBranch) as caught:
        transform(request)
    error = pickle.loads(pickle.dumps(caught.value))
    assert set(error.columns) == {"Jet_btagCSVV2", "Jet_qgl", "Jet_jetId"}
    message = str(error)
    assert "the file has no jet tagger btagCSVV2; near: Jet_btag" in message
    assert request.text[slice(*error.spans["Jet_btagCSVV2"])].endswith("'Jet_btagCSVV2')")
    assert "^^^" in message
    assert not request.output.exists()


def test_a_tree_that_is_not_there_is_named_beside_those_that_are(shared_data, tmp_path):
    text = load(AGC).text
    with pytest.raises(UnknownTree, match=r"no tree 'Event'; trees in the file: 'Events'"):
        transform(TransformRequest(text, str(shared_data / CMS), tmp_path / "out.root", tree="Event"))


def test_only_the_named_branches_are_parsed_and_each_as_uproot_parses_it(shared_data):
    from delivery.engine.branches import LazyTree, private_classes

    opened = uproot.open(shared_data / CMS, object_cache=None, custom_classes=private_classes())
    with opened as file, uproot.open(shared_data / CMS) as whole:
        tree, reference = LazyTree(file.key("Events")), whole["Events"]
        assert tree.keys() == reference.keys(recursive=False)
        assert tree.num_entries == reference.num_entries
        for name in reversed(tree.keys()):  # backwards, so that every back-reference leads to a branch not yet parsed
            ours, theirs = tree.branch(name), reference[name]
            assert repr(ours.interpretation) == repr(theirs.interpretation)
            assert ours.entry_offsets == theirs.entry_offsets
            leaves = [branch.member("fLeaves")[0].member("fLeafCount") for branch in (ours, theirs)]
            assert len({leaf and leaf.member("fName") for leaf in leaves}) == 1


def test_a_name_in_the_package_is_resolved_on_first_use_only():
    import subprocess
    import sys

    code = "import sys, delivery.engine; assert 'uproot' not in sys.modules; delivery.engine.evaluate"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])


def test_vectors_of_atlas_physlite_are_read_as_uproot_reads_them(shared_data):
    path, name = shared_data / "root/PHYSLITE_example.root", "AnalysisJetsAuxDyn.pt"
    columns = f"(dict (list 'pt' 'n') (list (subscript e '{name}') (Count (subscript e '{name}'))))"
    result = evaluate(f"(Select (call EventDataset) (lambda (list e) {columns}))", path, tree="CollectionTree")
    with uproot.open(path) as file:
        expected = file["CollectionTree"][name].array()
    assert result.pt.tolist() == expected.tolist()
    assert result.n.tolist() == ak.num(expected).tolist()
