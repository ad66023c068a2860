"""What errors and warnings tell: the file, one warning for one place, hints in the words of the user's own codegen."""

import json
import sys
from pathlib import Path

import awkward as ak
import numpy as np
import pytest

from delivery.engine import TransformRequest, evaluate, explain, transform
from delivery.errors import DataFault, DepthMismatch, EmptyList, LengthMismatch, QueryFault, UnknownName, to_json

sys.path.insert(0, str(Path(__file__).parent))
from engine_inputs import qastle_text, write_tree


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """Three collections, of which A and C have equal lengths by accident."""
    rows = {"A": [[1.0, 2], [3]], "B": [[1.0], []], "C": [[5.0, 6], [7]]}
    columns = {name: ak.zip({"pt": ak.Array(values)}) for name, values in rows.items()}
    return write_tree(tmp_path_factory.mktemp("messages") / "in.root", {"met": np.array([1.0, 2]), **columns})


def raw(*expressions):
    return json.dumps([{"treename": "Events", "expressions": list(expressions)}])


@pytest.mark.parametrize(
    ("body", "kind"), [("e.met.Count()", DepthMismatch), ("nothing", UnknownName), ("e.A_pt.Median()", QueryFault)]
)
@pytest.mark.parametrize("entry", ["evaluate", "transform", "explain"])
def test_a_fault_of_a_query_names_the_file(file, tmp_path, body, kind, entry):
    text = qastle_text(f"DS.Select(lambda e: {body})")
    request = TransformRequest(text, str(file), tmp_path / "out")
    run = {
        "evaluate": lambda: evaluate(text, file),
        "transform": lambda: transform(request),
        "explain": lambda: explain(request),
    }
    with pytest.raises(kind) as caught:
        run[entry]()
    assert caught.value.file == to_json(caught.value)["file"] == str(file)
    assert str(file) in str(caught.value)


def test_a_fault_of_an_uproot_raw_selection_names_the_file(file, tmp_path):
    with pytest.raises(DepthMismatch) as caught:
        evaluate(raw("A_pt[met]"), file, codegen="uproot-raw")
    assert caught.value.file == str(file)


def test_one_place_is_warned_of_once_and_two_places_twice(file, tmp_path):
    def warnings(text, codegen):
        return transform(TransformRequest(text, str(file), tmp_path / "out", codegen=codegen)).warnings

    three = [f"{{'x': {body}, 'm': e.met}}" for body in ("(e.A_pt + e.C_pt)", "(e.A_pt * e.C_pt - e.C_pt)")]
    one, several = (warnings(qastle_text(f"DS.Select(lambda e: {row})"), "uproot") for row in three)
    assert len(one) == 1
    assert len(several) == len({warning.split(":")[1] for warning in several}) == 2
    (nested,) = warnings(raw("A_pt * C_pt - C_pt"), "uproot-raw")  # both operations begin with A_pt
    assert "A_pt, C_pt" in nested
    assert len(warnings(raw("A_pt * C_pt", "A_pt - C_pt"), "uproot-raw")) == 2


@pytest.mark.parametrize(
    ("text", "raw_text", "kind"),
    [
        ("e.A_pt * e.B_pt", "A_pt * B_pt", LengthMismatch),
        ("e.B_pt.First()", "B_pt[:, 0]", EmptyList),
    ],
)
def test_hints_are_in_the_words_of_the_codegen(file, text, raw_text, kind):
    hints = {}
    for codegen, query in (("uproot", qastle_text(f"DS.Select(lambda e: {text})")), ("uproot-raw", raw(raw_text))):
        with pytest.raises(DataFault) as caught:
            evaluate(query, file, codegen=codegen)
        hints[codegen] = caught.value.hint
        if codegen == "uproot":
            assert type(caught.value) is kind
    assert "cut" in hints["uproot-raw"]
    assert "Where" not in hints["uproot-raw"]
    assert "Count()" in hints["uproot"]


@pytest.mark.parametrize(("tried", "rows"), [("num(A_pt) == num(C_pt)", 2), ("num(B_pt) > 0", 1)])
def test_the_cuts_that_hints_show_can_be_run(file, tried, rows):
    text = json.dumps([{"treename": "Events", "expressions": ["met"], "cut": tried}])
    assert len(evaluate(text, file, codegen="uproot-raw")) == rows
