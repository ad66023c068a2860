"""Mutated queries run on a small file: a typed error with its place, or an answer; never a crash, a hang or a bomb."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "fuzz"))
from children import run_cases
from fuzz_inputs import small_tree

MANY = 2_000


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_tree(tmp_path_factory.mktemp("fuzz") / "in.root")


@pytest.mark.parametrize("semantics", ["servicex", "strict"])
def test_mutated_queries(file: Path, semantics: str) -> None:
    report = run_cases("evaluated", MANY, seed=7, file=str(file), semantics=semantics)
    assert not report.bugs
    assert report.outcomes.total() == MANY
    assert report.outcomes["answer"] > MANY / 20
    assert len(report.outcomes) > 6
    assert report.peak < 1 << 28
