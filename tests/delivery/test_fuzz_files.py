"""Damaged ROOT files: a typed error, or the right answer, or a wrong one only where the format cannot tell.

Every part of a file that a query depends on is hit: headers, keys, directories, streamer info, the tree's record,
baskets; anchors, headers, footers, page lists and pages of RNTuples. All runs in child processes, which would show a
crash, a hang or memory without bounds.
"""

import sys
from pathlib import Path

import pytest
import uproot

sys.path.insert(0, str(Path(__file__).parents[1] / "fuzz"))
from children import run_cases
from fuzz_inputs import small_ntuple, small_tree

EVENTS = "(call EventDataset 'bogus.root' 'Events')"


def columns(*names: str, source: str = EVENTS) -> str:
    """A query for these columns."""
    keys, values = " ".join(f"'{n}'" for n in names), " ".join(f"(attr e '{n}')" for n in names)
    return f"(Select {source} (lambda (list e) (dict (list {keys}) (list {values}))))"


def with_two(name: str) -> str:
    """The events with at least two items in a column."""
    return f"(Where {EVENTS} (lambda (list e) (> (Count (attr e '{name}')) 1)))"


SMALL = {
    columns("Jet_pt", "met", "Jet_id"): ["Jet_pt", "met", "Jet_id"],
    columns("long", "flag", source=with_two("Mu_pt")): ["Mu_pt", "long", "flag"],
}
NANO = {
    columns("Jet_eta", "run"): ["Jet_eta", "run"],
    columns("Muon_pt", "MET_pt", source=with_two("Jet_pt")): ["Jet_pt", "Muon_pt", "MET_pt"],
}
COMPRESSIONS = {
    "none": None,
    "zlib": uproot.ZLIB(1),
    "lz4": uproot.LZ4(1),
    "zstd": uproot.ZSTD(1),
    "lzma": uproot.LZMA(1),
}
REAL = {
    "embedded baskets": "nanoAOD_2015_CMS_Open_Data_ttbar.root",
    "NanoAOD": "nano_dy.root",
    "NanoAOD as RNTuple": "cmsopendata2015_ttbar_19980_NANOAOD_RNTupleImporter_rntuple_v1-0-0-1.root",
}
CASES = {
    **dict.fromkeys(COMPRESSIONS, 320),
    "embedded baskets": 250,
    "NanoAOD": 250,
    "small RNTuple": 120,
    "NanoAOD as RNTuple": 60,
}
UNCHECKED = {"wrong: basket", "wrong: page"}  # data that is not compressed, or by zstd, has no checksum


def test_enough_files() -> None:
    assert sum(CASES.values()) >= 2000


@pytest.mark.parametrize("kind", CASES)
def test_damaged(kind: str, shared_data: Path, tmp_path: Path) -> None:
    queries = SMALL
    if kind in REAL:
        file, queries = shared_data / "root" / REAL[kind], NANO
    elif kind == "small RNTuple":
        file = small_ntuple(tmp_path / "good.root")
        queries = {columns("Jet_pt", "met", "Jet_id"): []}
    else:
        file = small_tree(tmp_path / "good.root", COMPRESSIONS[kind])
    report = run_cases(
        "damaged", CASES[kind], seed=3, file=str(file), tree="Events", queries=queries, scratch=str(tmp_path)
    )
    assert not report.bugs
    assert report.outcomes.total() == CASES[kind]
    assert report.outcomes["right"] > CASES[kind] / 10
    assert report.outcomes["TruncatedFile"] > 0
    assert sum(report.outcomes.values()) - report.outcomes["right"] > CASES[kind] / 10
    assert {outcome for outcome in report.outcomes if outcome.startswith("wrong")} <= UNCHECKED
    assert report.peak < 1 << 28
