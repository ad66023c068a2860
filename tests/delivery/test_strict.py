"""Strict semantics: what the query says, worked out here with loops over Python lists; and the warnings of the other.

The `servicex` answers stand beside them where they differ, so that the difference itself is held.
"""

import sys
from pathlib import Path

import numpy as np
import pytest

from delivery.engine import TransformRequest, evaluate, transform
from delivery.errors import BadLiteral, EmptyList, LengthMismatch, UnsupportedNode

sys.path.insert(0, str(Path(__file__).parent))
import awkward as ak
from engine_inputs import qastle_text, write_tree

A = [[1.0, 2.0], [], [3.0]]
B = [[10.0, 20.0, 30.0], [5.0], []]
C = [[100.0, 200.0], [], [3.0]]  # as many as A in every event, by accident
MET = [1.0, 2.0, 3.0]
BYTE = [250, 1, 2]


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    columns = {"met": np.array(MET, np.float32), "byte": np.array(BYTE, np.uint8)}
    columns |= {name: ak.zip({"pt": ak.Array(values)}) for name, values in zip("ABC", (A, B, C), strict=True)}
    return write_tree(tmp_path_factory.mktemp("strict") / "in.root", columns)


def strict(file, query):
    return evaluate(qastle_text(query), file, semantics="strict").tolist()


def servicex(file, query):
    return evaluate(qastle_text(query), file).tolist()


PRODUCTS = {
    "e.A_pt.Select(lambda x: e.B_pt.Select(lambda y: x * y))": [
        [[x * y for y in b] for x in a] for a, b in zip(A, B, strict=True)
    ],
    "e.A_pt.Select(lambda x: e['B_pt'].Select(lambda y: x * y))": [
        [[x * y for y in b] for x in a] for a, b in zip(A, B, strict=True)
    ],
    "e.A_pt.Select(lambda x: e.B_pt.Where(lambda y: y > 10 * x).Count())": [
        [sum(y > 10 * x for y in b) for x in a] for a, b in zip(A, B, strict=True)
    ],
    "e.A_pt.Where(lambda x: e.B_pt.Any(lambda y: y > 10 * x))": [
        [x for x in a if any(y > 10 * x for y in b)] for a, b in zip(A, B, strict=True)
    ],
    "e.A_pt.Select(lambda x: e.B_pt.Where(lambda y: y > 10 * x).Select(lambda y: y - x).Sum())": [
        [sum(y - x for y in b if y > 10 * x) for x in a] for a, b in zip(A, B, strict=True)
    ],
    "e.A_pt.Select(lambda x: e.B_pt.Select(lambda y: e.C_pt.Select(lambda z: x * y * z)))": [
        [[[x * y * z for z in c] for y in b] for x in a] for a, b, c in zip(A, B, C, strict=True)
    ],
    "e.A_pt.Select(lambda x: e.B_pt.OrderBy(lambda y: abs(y - 10 * x - 4)).Select(lambda y: y + 0 * x))": [
        [sorted(b, key=lambda y: abs(y - 10 * x - 4)) for x in a] for a, b in zip(A, B, strict=True)
    ],
    "e.A_pt.Select(lambda x: e.met)": [[m for _ in a] for a, m in zip(A, MET, strict=True)],
    "e.A_pt.Where(lambda x: e.met > 1)": [[x for x in a if m > 1] for a, m in zip(A, MET, strict=True)],
    "e.A_pt.Where(lambda x: e.A_pt.Max() > 2)": [[x for x in a if max(a) > 2] for a in A],
}


@pytest.mark.parametrize("query", PRODUCTS)
def test_every_written_product_is_one(file, query):
    assert strict(file, f"DS.Select(lambda e: {query})") == PRODUCTS[query]


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("e.A_pt.First()", [a[0] if a else None for a in A]),
        ("e.A_pt.Last()", [a[-1] if a else None for a in A]),
        ("e.B_pt.ElementAt(1)", [b[1] if len(b) > 1 else None for b in B]),
        ("e.B_pt.ElementAt(-2)", [b[-2] if len(b) > 1 else None for b in B]),
        ("e.A_pt.OrderBy(lambda x: -x).First()", [max(a, default=None) for a in A]),
        ("e.A_pt.Select(lambda x: e.B_pt.Select(lambda y: x * y)).Select(lambda z: z.Last())",
         [[x * b[-1] if b else None for x in a] for a, b in zip(A, B, strict=True)]),
    ],
)  # fmt: skip
def test_an_item_that_a_list_lacks_is_missing(file, query, wanted):
    assert strict(file, f"DS.Select(lambda e: {query})") == wanted
    if "A_pt.F" in query:
        with pytest.raises(EmptyList):
            servicex(file, f"DS.Select(lambda e: {query})")


def test_a_numbered_item_of_a_list(file):
    text = "(Select (call EventDataset 'f' 'Events') (lambda (list e) (subscript (attr e 'B_pt') 1)))"
    assert evaluate(text, file, semantics="strict").tolist() == [20, None, None]
    with pytest.raises(UnsupportedNode, match="First or ElementAt"):
        evaluate(text, file)


def test_one_column_stays_a_column(file):
    query = "DS.Select(lambda e: {'a': e.A_pt})"
    assert strict(file, query) == [{"a": a} for a in A]
    assert servicex(file, query) == [[{"a": x} for x in a] for a in A]


def test_events_without_objects_do_not_pass_a_cut_on_them(file):
    query = "DS.Where(lambda e: e.A_pt.Max() > 2).Select(lambda e: {'m': e.met, 'a': e.A_pt})"
    assert strict(file, query) == [{"m": 3, "a": [3]}]
    assert servicex(file, query) == [{"m": None, "a": None}, {"m": 3, "a": [3]}]


@pytest.mark.parametrize(
    ("comparison", "wanted"),
    [("< 300", True), ("> 300", False), ("> -1", True), ("== 256", False), ("!= -5", True), (">= 256", False)],
)
def test_a_literal_beyond_the_columns_range_compares_as_a_number(file, comparison, wanted):
    assert strict(file, f"DS.Select(lambda e: e.byte {comparison})") == [wanted] * 3
    with pytest.raises(BadLiteral, match="out of the range of uint8"):
        servicex(file, f"DS.Select(lambda e: e.byte {comparison})")


@pytest.mark.parametrize("first", ["e.A_pt.Max() > 1", "e.met > 1", "e.byte > 1"])
@pytest.mark.parametrize("second", ["e.B_pt.Count() < 2", "e.C_pt.Min() > 2", "e.met < 3"])
def test_two_cuts_are_one_cut_with_and(file, first, second):
    columns = "{'m': e.met, 'a': e.A_pt, 'top': e.C_pt.Max()}"
    apart = strict(file, f"DS.Where(lambda e: {first}).Where(lambda e: {second}).Select(lambda e: {columns})")
    assert apart == strict(file, f"DS.Where(lambda e: {first} and {second}).Select(lambda e: {columns})")


def test_an_accident_of_equal_lengths_is_warned_of(file, tmp_path):
    def run(query, semantics="servicex"):
        text = qastle_text(f"DS.Select(lambda e: {{'m': e.met, 'x': {query}}})")
        request = TransformRequest(text, str(file), tmp_path / "out", format="parquet", semantics=semantics)
        return text, transform(request).warnings

    text, (warning,) = run("e.A_pt.Select(lambda x: e['C_pt'].Select(lambda y: x * y))")
    assert "A_pt, C_pt" in warning
    assert f"query 1:{text.index('(* x y)') + 1}" in warning
    assert run("e.A_pt.Select(lambda x: e['C_pt'].Select(lambda y: x * y))", "strict")[1] == ()
    assert len(run("{'a': e.A_pt, 'c': e.C_pt}.Zip()")[1]) == 1
    for certain in (
        "e.A_pt + e.met",
        "e.A_pt * 2 + e.A_pt",
        "e.A_pt.Select(lambda x: e.B_pt.Select(lambda y: x * y))",
        "e.A_pt.Where(lambda x: x > 1).Select(lambda x: x + e.met)",
    ):
        assert run(certain)[1] == ()
    with pytest.raises(LengthMismatch):
        run("e.A_pt.Select(lambda x: e['B_pt'].Select(lambda y: x * y))")


WHOLE = {
    "DS.Count()": 3,
    "DS.Where(lambda e: e.met > 1).Count()": 2,
    "DS.Select(lambda e: e.met).Max()": 3,
    "DS.Select(lambda e: e.met).Sum()": 6,
    "DS.SelectMany(lambda e: e.B_pt).Sum()": 65,
    "DS.SelectMany(lambda e: e.B_pt).Where(lambda x: x > 5).Count()": 3,
    "DS.OrderBy(lambda e: 0 - e.met).Select(lambda e: e.met)": [3, 2, 1],
    "DS.OrderByDescending(lambda e: e.met).Where(lambda e: e.met < 3).Select(lambda e: e.B_pt.Count())": [1, 3],
    "DS.Select(lambda e: e.met).First()": 1,
    "DS.Select(lambda e: e.A_pt).Last()": [3],
    "DS.Any(lambda e: e.met > 2)": True,
    "DS.All(lambda e: e.met > 2)": False,
}


@pytest.mark.parametrize("query", WHOLE)
def test_operators_on_the_whole_dataset(file, query):
    result = evaluate(qastle_text(query), [file, file])  # of both files together
    twice = {3: 6, 2: 4, 6: 12, 65: 130}
    once = evaluate(qastle_text(query), file)
    assert (once.tolist() if hasattr(once, "tolist") else once) == WHOLE[query]
    if query.endswith(("Count()", "Sum()")):
        assert result == twice[WHOLE[query]]


def test_a_sorted_dataset_is_written(file, tmp_path):
    text = qastle_text("DS.Where(lambda e: e.met > 1).OrderBy(lambda e: 0 - e.met).Select(lambda e: {'m': e.met})")
    for chunk_bytes in (1, 1 << 25):
        request = TransformRequest(text, str(file), tmp_path / "out", format="parquet", chunk_bytes=chunk_bytes)
        done = transform(request)
        assert ak.from_parquet(tmp_path / "out").tolist() == [{"m": 3}, {"m": 2}]
        assert (done.events_out, [row.passed for row in done.cutflow]) == (2, [2])
