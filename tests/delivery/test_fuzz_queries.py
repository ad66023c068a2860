"""Mutated queries run on a small file: a typed error with its place, or an answer; never a crash, a hang or a bomb."""

import ast
import json
import sys
from functools import reduce
from pathlib import Path

import awkward as ak
import numpy as np
import pytest
import uproot

sys.path.insert(0, str(Path(__file__).parents[1] / "fuzz"))
from children import run_cases
from fuzz_inputs import small_tree

from queries.linq import from_python
from queries.printer import unparse

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


def repeated(change: str, start: str, times: int) -> str:
    """`change` applied to itself, `_` being what it is applied to."""
    return reduce(lambda inner, _: change.replace("_", inner), range(times), start)


X, N = "e.x", "e.n"
BOMBS = {
    "combinations": "e.x.Choose(12)",
    "combinations of combinations": "e.x.Choose(2).Choose(2).Choose(2)",
    "pairs": "e.x.Select(lambda a: e.x.Select(lambda b: e.x.Select(lambda c: a + b + c)))",
    "range": "Range(0, e.n * 1000000000000)",
    "literal range": f"Range(0, {10**12})",
    "item": f"e.x.ElementAt({10**30})",
    "slice": f"e.x[{-(10**30)}:{10**30}]",
    "power": "9**9**9**9",
    "power of a column": "e.n * 9**9**9",
    "shift": f"e.n + (1 << {10**10})",
    "digits": f"e.n * {'*'.join(['9' * 19] * 150)}",
    "string": f"'a' * {10**11}",
    "factorial": f"math.factorial({10**9})",
    "allocation": f"np.ones({10**12})",
    "repetition": f"np.repeat(e.x, {10**9})",
    "doubled lists": repeated("(lambda a: a.Concat(a))(_)", X, 40) + ".Count()",
    "doubled sums": repeated("(lambda a: a + a)(_)", N, 60),
    "doubled tuples": repeated("(lambda a: (a, a))(_)", N, 60),
    "doubled records": "e.x" + ".Select(lambda r: {'a': r, 'b': r})" * 30,
    "doubled rows": "e.x).Select(lambda r: (r, r)" + ").Select(lambda r: (r, r)" * 25,
    "doubled columns": "e.x).Select(lambda r: r.Concat(r)" + ").Select(lambda r: r.Concat(r)" * 25,
    "long": " + ".join(["e.n"] * 180),
    "wide": "{" + ", ".join(f"'c{i}': e.n + {i}" for i in range(3000)) + "}",
    "unknown": "{" + ", ".join(f"'c{i}': e.Jet_pt{i}" for i in range(3000)) + "}",
}


@pytest.mark.parametrize("semantics", ["servicex", "strict"])
def test_queries_made_to_exhaust(tmp_path: Path, semantics: str) -> None:
    """Three lists of 2000 items are enough for each of these to ask for more memory than there is, were it to run."""
    with uproot.recreate(tmp_path / "wide.root") as wide:
        tree = wide.mktree("Events", {"x": "var * float32", "n": "int64"})
        tree.extend({"x": ak.Array([np.arange(2000, dtype=np.float32)] * 3), "n": np.arange(3)})
    queries = [f"EventDataset('f', 'Events').Select(lambda e: {query})" for query in BOMBS.values()]
    texts = [unparse(from_python(ast.parse(query, mode="eval").body, unify=True)) for query in queries]
    (tmp_path / "texts.json").write_text(json.dumps(texts))
    files = {"texts": str(tmp_path / "texts.json"), "file": str(tmp_path / "wide.root")}
    report = run_cases("bombs", len(texts), 3 << 30, semantics=semantics, **files)
    assert not report.bugs
    assert report.outcomes.total() == len(BOMBS)
    assert report.outcomes["ResultTooLarge"] >= 5
    assert report.peak < 5 << 29  # 2.0 to 2.1 GiB, as the kernel deals out its pages; well below what is allowed
