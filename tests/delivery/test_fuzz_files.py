"""Damaged ROOT files: a typed error, or the right answer, or a wrong one only where the format cannot tell.

Every part of a file that a query depends on is hit: headers, keys, directories, streamer info, the tree's record,
baskets; anchors, headers, footers, page lists and pages of RNTuples. All runs in child processes, which would show a
crash, a hang or memory without bounds.
"""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "fuzz"))
from children import run_cases
from fuzz_inputs import COMPRESSIONS, damage_input

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
    file, queries = damage_input(kind, tmp_path, shared_data / "root")
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
