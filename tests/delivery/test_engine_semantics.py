"""What each supported operator means (the peer's measured semantics) and how misuse is told.

Expected values are worked out by hand from the documented behaviour of func_adl_uproot; the peer itself does
not run here.
"""

import pickle
import sys
from pathlib import Path

import awkward as ak
import numpy as np
import pytest

from delivery.engine import evaluate
from delivery.errors import (
    BadLiteral,
    DepthMismatch,
    EmptyList,
    LengthMismatch,
    NotAFunction,
    QueryFault,
    UnknownBranch,
    UnknownName,
)

sys.path.insert(0, str(Path(__file__).parent))
from engine_inputs import qastle_text, write_tree


def lists(values, dtype):
    return ak.values_astype(ak.Array(values), dtype)


COLUMNS = {
    "met": np.array([1.5, np.nan, 3.3, 4.0], np.float32),
    "run": np.array([1, 2, 3, 4], np.uint32),
    "byte": np.array([250, 1, 2, 3], np.uint8),
    "flag": np.array([True, False, True, True]),
    "short": np.array([-3, 0, 7, 8], np.int16),
    "Jet": ak.zip(
        {
            "pt": lists([[50, 20, 10], [], [40], [30, 60]], "float32"),
            "id": lists([[1, 2, 3], [], [2], [2, 2]], "int32"),
        }
    ),
    "Mu": ak.zip({"pt": lists([[5], [], [6], [7, 8]], "float32")}),
    "same": lists([[1, 2, 3], [], [4], [5, 6]], "float64"),
}


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return write_tree(tmp_path_factory.mktemp("semantics") / "in.root", COLUMNS)


def run(file, query):
    return evaluate(qastle_text(query), file)


@pytest.mark.parametrize(
    ("body", "values", "kind"),
    [
        ("e.run + 1", [2, 3, 4, 5], "uint32"),
        ("e.run - 5", [2**32 - 4, 2**32 - 3, 2**32 - 2, 2**32 - 1], "uint32"),
        ("e.byte + 10", [4, 11, 12, 13], "uint8"),
        ("e.short / 2", [-1.5, 0.0, 3.5, 4.0], "float64"),
        ("e.short // 0", [0, 0, 0, 0], "int16"),
        ("e.flag * 2", [2, 0, 2, 2], "int64"),
        ("e.met <= 3.3", [True, False, True, False], "bool"),
        ("e.met * 1.5 > 0 or e.flag", [True, False, True, True], "bool"),
        ("not e.flag", [False, True, False, False], "bool"),
        ("0 < e.short < 8", [False, False, True, False], "bool"),
        ("abs(e.short)", [3, 0, 7, 8], "int16"),
        ("np.sqrt(e.run * e.run)", [1.0, 2.0, 3.0, 4.0], "float64"),
        ("e.short + (2 - 3)", [-4, -1, 6, 7], "int16"),
        ("e['run']", [1, 2, 3, 4], "uint32"),
        ("e.Jet_pt.Count()", [3, 0, 1, 2], "int64"),
        ("e.Jet_pt.Where(lambda p: p > 25).Count()", [1, 0, 1, 2], "int64"),
        ("e.Jet_pt.Sum()", [80.0, 0.0, 40.0, 90.0], "float32"),
        ("e.Jet_id.Sum()", [6, 0, 2, 4], "int64"),
        ("e.Jet_pt.Any(lambda p: p > 45)", [True, False, False, True], "bool"),
        ("e.Jet_pt.All(lambda p: p > 25)", [False, True, True, True], "bool"),
        ("e.Jet_pt.Select(lambda p: e.run)", [1, 2, 3, 4], "uint32"),
    ],
)
def test_a_number_per_event(file, body, values, kind):
    result = run(file, f"DS.Select(lambda e: {body})")
    assert str(result.type.content) == kind
    assert result.tolist() == values


@pytest.mark.parametrize(
    ("body", "values"),
    [
        ("e.Jet_pt.Select(lambda p: p + e.run)", [[51, 21, 11], [], [43], [34, 64]]),
        ("e.Jet_pt.Where(lambda p: p > 10 * e.run)", [[50, 20], [], [40], [60]]),
        ("e.Jet_pt.Where(lambda p: e.Jet_id == 2)", [[20], [], [40], [30, 60]]),
        ("e.Jet_pt.Where(lambda p: p > 15).Where(lambda p: p < 45)", [[20], [], [40], [30]]),
        ("e.Jet_pt.Select(lambda p: e.Mu_pt.Count())", [1, 0, 1, 2]),
    ],
)
def test_lists(file, body, values):
    assert run(file, f"DS.Select(lambda e: {body})").tolist() == values


ZIPPED = "{'pt': e.Jet_pt, 'id': e.Jet_id, 'run': e.run}.Zip()"


def test_zipped_records_are_selected_together(file):
    result = run(file, f"DS.Select(lambda e: {ZIPPED}.Where(lambda j: j.id == 2 and j.pt > 25))")
    assert result.tolist() == [
        [],
        [],
        [{"pt": 40, "id": 2, "run": 3}],
        [{"pt": 30, "id": 2, "run": 4}, {"pt": 60, "id": 2, "run": 4}],
    ]
    assert str(result.type) == "4 * var * {pt: float32, id: int32, run: uint32}"


def test_select_many_makes_the_items_the_rows(file):
    query = f"DS.SelectMany(lambda e: {ZIPPED}).Where(lambda j: j.pt > 25).Select(lambda j: {{'a': j.pt, 'r': j.run}})"
    assert run(file, query).tolist() == [{"a": 50, "r": 1}, {"a": 40, "r": 3}, {"a": 30, "r": 4}, {"a": 60, "r": 4}]
    assert run(file, "DS.SelectMany(lambda e: e.Mu_pt)").tolist() == [5, 6, 7, 8]


def test_wheres_apply_one_after_the_other_and_see_projected_columns(file):
    query = (
        "DS.Select(lambda e: {'n': e.Jet_pt.Count(), 'pt': e.Jet_pt, 'm': e.met}).Where(lambda r: r.n > 0)"
        ".Where(lambda r: r.m < 4).Select(lambda r: (r.pt, r[0], r['m']))"
    )
    result = run(file, query)
    assert result.is_tuple
    assert result.tolist() == [([50, 20, 10], 3, 1.5), ([40], 1, pytest.approx(3.3, rel=1e-6))]


def test_a_lone_column_of_lists_goes_inside_its_lists(file):
    assert str(run(file, "DS.Select(lambda e: {'a': e.Jet_pt})").type) == "4 * var * {a: float32}"
    assert str(run(file, "DS.Select(lambda e: {'a': e.met})").type) == "4 * {a: float32}"
    assert str(run(file, "DS.Select(lambda e: (e.Jet_pt,))").type) == "4 * var * (float32)"


def test_the_last_of_equal_keys_wins(file):
    assert run(file, "DS.Select(lambda e: {'a': e.met, 'b': e.run, 'a': e.run})").tolist()[0] == {"a": 1, "b": 1}


def test_first_needs_items(file):
    kept = "DS.Where(lambda e: e.Jet_pt.Count() > 0)"
    assert run(file, f"{kept}.Select(lambda e: e.Jet_pt.First())").tolist() == [50, 40, 30]
    with pytest.raises(EmptyList, match=r"a list is empty(.|\n)*\^"):
        run(file, "DS.Select(lambda e: e.Jet_pt.First())")
    with pytest.raises(EmptyList):  # `and` does not guard: both sides see every row, as in the peer
        run(file, "DS.Where(lambda e: e.Jet_pt.Count() > 0 and e.Jet_pt.First() > 0).Select(lambda e: e.met)")


def test_lists_of_other_branches_combine_only_if_their_lengths_agree(file):
    assert run(file, "DS.Select(lambda e: e.Jet_pt + e.same)").tolist() == [[51, 22, 13], [], [44], [35, 66]]
    for query in ("e.Jet_pt + e.Mu_pt", "{'a': e.Jet_pt, 'b': e.Mu_pt}.Zip().Count()"):
        with pytest.raises(LengthMismatch, match=r"(3 and 1|1 and 3) items"):
            run(file, f"DS.Select(lambda e: {query})")


@pytest.mark.parametrize(
    ("query", "error", "words"),
    [
        ("DS.Select(lambda e: e.mett)", UnknownBranch, "near: met"),
        ("DS.Select(lambda e: {'a': e.Jet_ptt, 'b': e.rum}).Select(lambda r: r.c)", UnknownBranch, "Jet_ptt, rum"),
        ("DS.Select(lambda e: {'abc': e.met, 'b': e.run}).Select(lambda r: r.abd)", UnknownName, "near: abc"),
        ("DS.Select(lambda e: f.met)", UnknownName, "known here: "),
        ("DS.Select(lambda e: e.met.Count())", DepthMismatch, "Count needs a list"),
        ("DS.Select(lambda e: e.Jet_pt.Select(lambda p: p.Count()))", DepthMismatch, "one value (var * float32)"),
        ("DS.Where(lambda e: e.run)", DepthMismatch, "uint32, not bool"),
        ("DS.Where(lambda e: e.Jet_pt > 3)", DepthMismatch, "reduce its predicate with Any"),
        ("DS.Select(lambda e: e.Jet_pt.Where(lambda p: e.met > 3))", DepthMismatch, "says nothing of the items"),
        ("DS.SelectMany(lambda e: {'a': e.Jet_pt, 'b': e.Jet_id})", DepthMismatch, "Zip them first"),
        ("DS.SelectMany(lambda e: e.met)", DepthMismatch, "one value (float32)"),
        ("DS.Select(lambda e: e.byte > 300)", BadLiteral, "300 is out of the range of uint8"),
        ("DS.Select(lambda e: -e.flag)", DepthMismatch, "negative does not work on bool"),
        ("DS.Select(lambda e: __import__('os').getpid())", NotAFunction, "unknown function '__import__'"),
        ("DS.Select(lambda e: open('x'))", NotAFunction, "unknown function 'open'"),
        ("DS.Select(lambda e: np.load('x'))", NotAFunction, "unknown function 'np.load'"),
        ("DS.Select(lambda e: e.met ** (9 ** 9 ** 9))", BadLiteral, "too large"),
    ],
)
def test_misuse_is_told_with_its_place(file, query, error, words):
    text = qastle_text(query)
    with pytest.raises(error) as caught:
        evaluate(text, file)
    again = pickle.loads(pickle.dumps(caught.value))
    assert str(again) == str(caught.value)
    assert words in str(again)
    assert "^" in str(again)
    if isinstance(again, QueryFault):
        assert text[slice(*again.span)]
