"""What codegen uproot-raw refuses, with the place in the selection."""

import json
import pickle
import sys
from pathlib import Path
from typing import Any

import pytest

from delivery.engine.raw.language import MAX_DEPTH, BadExpression, parse
from delivery.engine.raw.request import BadSelection, SubQuery, parse_selection
from delivery.engine.row_errors import UnequalLists
from delivery.errors import (
    BadLiteral,
    DeliveryError,
    DepthMismatch,
    NotAFunction,
    QueryFault,
    UnknownBranch,
    UnsupportedNode,
)

sys.path.insert(0, str(Path(__file__).parent))
from raw_oracle import ours, theirs

CMS = "root/nanoAOD_2015_CMS_Open_Data_ttbar.root"


def under_carets(error: Any) -> str:
    """The part of the query that the message's carets stand under."""
    *_, line, carets = str(error).split("\n")
    start = len(carets) - len(carets.lstrip())
    return line[start : len(carets)]


def test_every_key_of_the_client_is_read() -> None:
    document = {
        "treename": {"Events": "selected"},
        "expressions": ["Jet_pt * 2", "fast"],
        "cut": "nJet > 2",
        "filter_name": None,
        "filter_typename": ["float*"],
        "aliases": {"fast": "Jet_pt > 30"},
        "fail_on_missing_trees": True,
        "use_standard_awkward_axis": True,
    }
    (found,) = parse_selection(json.dumps([document]))
    assert found == SubQuery(
        trees={"Events": "selected"},
        expressions=("Jet_pt * 2", "fast"),
        cut="nJet > 2",
        filter_name=None,
        filter_typename=("float*",),
        aliases={"fast": "Jet_pt > 30"},
        fail_on_missing_trees=True,
        standard_axis=True,
    )


@pytest.mark.parametrize(
    ("treename", "trees"),
    [
        ("Events", {"Events": "Events"}),
        (["a", "b"], {"a": "a", "b": "b"}),
        ({"a": "x", "b": "y"}, {"a": "x", "b": "y"}),
    ],
)
def test_the_three_forms_of_treename(treename: Any, trees: dict[str, str]) -> None:
    first, second = parse_selection(json.dumps([{"treename": treename}, {"copy_histograms": "hist*"}]))
    assert (first.trees, first.copied, second.trees, second.copied) == (trees, (), {}, ("hist*",))


@pytest.mark.parametrize(
    ("text", "words", "place"),
    [
        ("", "empty", None),
        ("   ", "empty", None),
        ("Select", "no JSON", "S"),
        ('[{"treename": "Events",}]', "no JSON", None),
        ('{"treename": "Events"}', "a dictionary, not a list", "{"),
        ("[]", "asks for nothing", "["),
        ("3", "a number", "3"),
        ("[" * 100_000, "no JSON", None),
        ('[{"treename": "Events"}, 7]', "sub-query 1 is a number", "7"),
        ('[{"treename": "Events", "filtername": "x"}]', "near: filter_name", '"filtername"'),
        ('[{"treename": "a"}, {"treename": "b", "cuts": "x"}]', "sub-query 1 has an unknown key", '"cuts"'),
        ('[{"treename": 5}]', "treename of sub-query 0 is a number", '"treename"'),
        ('[{"treename": ["a", 5]}]', "a list with other things than strings", '"treename"'),
        ('[{"treename": {"a": 5}}]', "a dictionary with other things", '"treename"'),
        ('[{"treename": null}]', "names no tree", '{"treename": null}'),
        ('[{"treename": []}]', "names no tree", '{"treename": []}'),
        ('[{"treename": "a", "cut": ["x", "y"]}]', "join several with &", '"cut"'),
        ('[{"treename": "a", "expressions": {"x": "y"}}]', "a string or a list of strings", '"expressions"'),
        ('[{"treename": "a", "aliases": ["x"]}]', "a dictionary of strings", '"aliases"'),
        ('[{"treename": "a", "fail_on_missing_trees": "yes"}]', "true or false", '"fail_on_missing_trees"'),
        ('[{"treename": "a", "use_standard_awkward_axis": 1}]', "true or false", '"use_standard_awkward_axis"'),
    ],
)
def test_selections_that_are_none(text: str, words: str, place: str | None) -> None:
    with pytest.raises(BadSelection) as caught:
        parse_selection(text)
    assert words in str(caught.value)
    if place is not None:
        assert under_carets(caught.value) == place
    assert str(pickle.loads(pickle.dumps(caught.value))).split("\n")[0] == str(caught.value).split("\n")[0]


@pytest.mark.parametrize(
    ("expression", "kind", "words", "place"),
    [
        ("nJet > 2 and nMuon > 0", UnsupportedNode, "`and` and `or`", "nJet > 2 and nMuon > 0"),
        ("nJet > 2 or nMuon > 0", UnsupportedNode, "`(a) & (b)`", None),
        ("not nJet", UnsupportedNode, "`~(a)`", "not nJet"),
        ("1 < nJet < 3", UnsupportedNode, "cannot be chained", "1 < nJet < 3"),
        ("nJet>1 & nMuon>2", UnsupportedNode, "(a > 1) & (b > 2)", None),
        ("nJet if nMuon else run", UnsupportedNode, "where(test, yes, no)", None),
        ("nJet in [1, 2]", UnsupportedNode, "(a == 1) | (a == 2)", None),
        ("nJet not in [1, 2]", UnsupportedNode, "!=", None),
        ("nJet is None", UnsupportedNode, "is_none(a)", None),
        ("nJet is not None", UnsupportedNode, "~is_none(a)", None),
        ("Jet_pt @ Jet_eta", UnsupportedNode, "`@`", None),
        ("lambda x: x", UnsupportedNode, "lambda", "lambda x: x"),
        ("(x := 3)", UnsupportedNode, "assignment", "x := 3"),
        ("f'{nJet}'", UnsupportedNode, "formatted string", None),
        ("sum(*nJet)", UnsupportedNode, "`*`", "*nJet"),
        ("sum(**nJet)", UnsupportedNode, "`**`", None),
        ("zip({**nJet})", UnsupportedNode, "`**`", None),
        ("[x for x in Jet_pt]", UnsupportedNode, "ListComp", None),
        ("{1, 2}", UnsupportedNode, "Set", "{1, 2}"),
        ("(yield)", UnsupportedNode, "Yield", None),
        ("await nJet", UnsupportedNode, "Await", None),
        ("nJet >", BadExpression, "no expression", None),
        ("nJet; nMuon", BadExpression, "no expression", None),
        ("import os", BadExpression, "no expression", None),
        ("x = 3", BadExpression, "no expression", None),
        ("", BadExpression, "no expression", None),
        ("Jet_pt + 3j", BadLiteral, "complex", "3j"),
        ("Jet_pt + b'x'", BadLiteral, "bytes", "b'x'"),
        ("Jet_pt + ...", BadLiteral, "ellipsis", "..."),
        ("(" * 5000, BadExpression, "no expression", None),
        ("-" * 5000 + "nJet", BadExpression, "nested", None),
        ("+".join(["nJet"] * (MAX_DEPTH + 5)), BadExpression, "nested deeper", None),
        ("nJet\0", BadExpression, "", None),
    ],
)
def test_expressions_that_are_not_of_the_language(
    expression: str, kind: type[QueryFault], words: str, place: str | None
) -> None:
    with pytest.raises(kind) as caught:
        parse(expression)
    assert words in str(caught.value)
    if place is not None:
        assert under_carets(caught.value) == place


@pytest.mark.parametrize(
    ("expression", "kind", "words", "place"),
    [
        ("Jet_ptt * 2", UnknownBranch, "near: Jet_pt", "Jet_ptt"),
        ("Jet.pt", UnknownBranch, "Jet.pt", "Jet.pt"),
        ("get('no such')", UnknownBranch, "no such", "get('no such')"),
        ("get(nJet)", BadLiteral, "takes one string", "get(nJet)"),
        ("sqr(Jet_pt)", NotAFunction, "near: sqrt", "sqr"),
        ("__import__('os')", NotAFunction, "__import__", "__import__"),
        ("open('/etc/passwd')", NotAFunction, "open", "open"),
        ("eval('1')", NotAFunction, "eval", "eval"),
        ("nJet()", NotAFunction, "nJet", "nJet"),
        ("Jet_pt.max()", NotAFunction, "methods are not", "Jet_pt.max"),
        ("np.sqrt(Jet_pt)", NotAFunction, "by their names", "np.sqrt"),
        ("sqrt(Jet_pt).__class__", UnsupportedNode, "no field", "sqrt(Jet_pt).__class__"),
        ("(Jet_pt + 1).layout", UnsupportedNode, "no field", None),
        ("sqrt", UnsupportedNode, "is a function", "sqrt"),
        ("1", DepthMismatch, "the same for all events", "1"),
        ("'a'", DepthMismatch, "the same for all events", "'a'"),
        ("[Jet_pt, nJet]", DepthMismatch, "a list of columns", None),
        ("sqrt(Jet_pt, nJet)", UnsupportedNode, "takes 1 argument", None),
        ("sum(Jet_pt, bins=3)", UnsupportedNode, "bins", None),
        ("sum()", DepthMismatch, "no column", None),
        ("sum(Jet_pt, highlevel=False)", UnsupportedNode, "highlevel", None),
        ("max(nJet)", DepthMismatch, "needs a list in each event", "max(nJet)"),
        ("sum(Jet_pt, axis=None)", DepthMismatch, "all events together", None),
        ("sum(Jet_pt, axis=0)", DepthMismatch, "works across events", None),
        ("sum(Jet_pt, axis=-2)", DepthMismatch, "works across events", None),
        ("sum(Jet_pt, axis=nJet)", UnsupportedNode, "axis must be an integer", None),
        ("sort(nJet)", DepthMismatch, "works across events", None),
        ("flatten(Jet_pt, axis=1)", DepthMismatch, "one row per event", None),
        ("concatenate([nJet, nMuon], axis=0)", DepthMismatch, "works across events", None),
        ("almost_equal(Jet_pt, Jet_eta)", DepthMismatch, "isclose", None),
        ("run_lengths(nJet)", DepthMismatch, "across events", None),
        ("drop_none(max(Jet_pt))", DepthMismatch, "drops events", None),
        ("num(Jet_pt, axis=0)", DepthMismatch, "works across events", None),
        ("Jet_pt[0]", DepthMismatch, "picks events", "Jet_pt[0]"),
        ("Jet_pt[:10]", DepthMismatch, "picks events", None),
        ("Jet_pt[0, :]", DepthMismatch, "picks events", None),
        ("MET_pt[..., 0]", DepthMismatch, "picks events", None),
        ("Jet_pt[argmax(Jet_pt)]", DepthMismatch, "keepdims=True", None),
        ("Jet_pt[nJet]", DepthMismatch, "keepdims=True", None),
        ("Jet_pt[:, nJet]", UnsupportedNode, "subscript", "nJet"),
        ("Jet_pt[:, 1.5]", UnsupportedNode, "subscript", "1.5"),
        ("Jet_pt[:, :1.5]", BadLiteral, "bounds of a slice", ":1.5"),
        ("Jet_pt['x']", DepthMismatch, "does not work", None),
        ("MET_pt[:, 0]", DepthMismatch, "", None),
        ("MET_pt[MET_pt > 5][nJet > 2]", UnsupportedNode, "selected twice", None),
        ("Jet_pt[nJet > 2] + Jet_pt", DepthMismatch, "different events", None),
        ("broadcast_arrays(nJet, Jet_pt)[2]", BadLiteral, "no place", None),
        ("broadcast_arrays(nJet, Jet_pt)", DepthMismatch, "a tuple of columns", None),
        ("Jet_nConstituents > 300", BadLiteral, "out of the range of uint8", "Jet_nConstituents > 300"),
        ("nJet == -1", BadLiteral, "out of the range of uint32", None),
        ("Jet_nConstituents + 300", BadLiteral, "out of", None),
        ("-(Jet_pt > 30)", DepthMismatch, "negative", None),
        ("Jet_pt & 1", DepthMismatch, "bitwise_and", None),
        ("Jet_pt + 'a'", DepthMismatch, "", None),
        ("Jet_pt + None", DepthMismatch, "not on None", None),
        ("Jet_pt + [1]", DepthMismatch, "not on a list", None),
        ("nJet ** (9 ** 9 ** 9)", BadLiteral, "too big", "9 ** 9 ** 9"),
        ("nJet + (1 << 10 ** 9)", BadLiteral, "too big", None),
        ("nJet + 1 / 0", BadLiteral, "division by zero", "1 / 0"),
        ("zip({1: Jet_pt})", BadLiteral, "keys", None),
        ("combinations(Jet_pt, 0)", DepthMismatch, "positive", None),
    ],
)
def test_expressions_that_a_file_cannot_give(
    shared_data: Path, expression: str, kind: type[DeliveryError], words: str, place: str | None
) -> None:
    with pytest.raises(kind) as caught:
        ours(shared_data / CMS, "Events", expressions=[expression])
    assert words in str(caught.value)
    if place is not None:
        assert under_carets(caught.value) == place


REFUSED_BY_BOTH = """
nJet > 2 and nMuon > 0
not nJet
1 < nJet < 3
nJet>1 & nMuon>2
nJet if nMuon else run
nJet in [1, 2]
1
'a'
sqrt
Jet_ptt
Jet.pt
sqr(Jet_pt)
(Jet_pt + 1).no_field
max(nJet)
sum(Jet_pt, axis=None)
-(Jet_pt > 30)
Jet_pt & 1
nJet == -1
Jet_nConstituents > 300
Jet_nConstituents + 300
Jet_pt['x']
MET_pt[:, 0]
Jet_pt + 'a'
Jet_pt + None
Jet_pt * Muon_pt
Jet_pt[:, 0]
almost_equal(Jet_pt, Jet_eta)
"""


@pytest.mark.parametrize("expression", REFUSED_BY_BOTH.strip().split("\n"))
def test_uproot_refuses_them_too(shared_data: Path, expression: str) -> None:
    refused = False
    try:
        theirs(shared_data / CMS, "Events", expressions=[expression])
    except Exception:  # noqa: BLE001 - of any class
        refused = True
    assert refused
    with pytest.raises((DeliveryError, UnequalLists)):
        ours(shared_data / CMS, "Events", expressions=[expression])


@pytest.mark.parametrize(
    ("query", "kind", "words"),
    [
        ({"filter_name": ["Jet_pt", "run"], "cut": "Jet_pt > 30"}, DepthMismatch, "the column run has none"),
        ({"expressions": ["Jet_pt[nJet > 2]"], "cut": "nJet > 2"}, DepthMismatch, "put all into the cut"),
        ({"expressions": ["Jet_pt[nJet > 2]", "run"]}, DepthMismatch, "different events"),
        ({"expressions": ["Jet_pt"], "cut": "1"}, DepthMismatch, "the same for all events"),
        ({"expressions": ["Jet_pt"], "cut": "where(nJet > 2, Jet_pt, 0)"}, DepthMismatch, "no truth for each event"),
        ({"expressions": ["argmax(Jet_pt, keepdims=True) * nJet"]}, DepthMismatch, "across events"),
        ({"expressions": ["Jet_pt[any(Jet_pt > 30, keepdims=True)]"]}, DepthMismatch, "fixed length"),
        ({"expressions": ["Jet_pt"], "cut": "nJett > 1"}, UnknownBranch, "near: nJet"),
        ({"expressions": ["a"], "aliases": {"a": "b", "b": "a"}}, UnsupportedNode, "a -> b -> a"),
        ({"expressions": ["a"], "aliases": {"a": "no_such"}}, UnknownBranch, "no_such"),
        ({"filter_name": "/(/"}, BadSelection, "no regular expression"),
    ],
)
def test_columns_and_cut_that_do_not_fit(
    shared_data: Path, query: dict[str, Any], kind: type[DeliveryError], words: str
) -> None:
    with pytest.raises(kind) as caught:
        ours(shared_data / CMS, "Events", **query)
    assert words in str(caught.value)


def test_all_missing_names_are_in_one_error(shared_data: Path) -> None:
    query = {"expressions": ["Jet_ptt", "Jet_etaa * 2"], "cut": "nMuonn > 0"}
    with pytest.raises(UnknownBranch) as caught:
        ours(shared_data / CMS, "Events", **query)
    assert caught.value.columns == ("Jet_ptt", "Jet_etaa", "nMuonn")


@pytest.mark.parametrize(
    "pattern",
    [
        *("/(.+)+X/", "/(.*)*X/", "/(.|.)*X/", "/(a?a?)*X/", "/(?:(?:.+){2,})X/", "/(.+?)+?X/", "/(.*){9}X/"),
        *("/.*.*.*.*.*.*X/", "/" + "(a|.)" * 20 + "X/", "/" + ".?" * 20 + "X/", "/(?=(.+)+X)/", "/(x)?(?(1)(.+)+|y)X/"),
    ],
)
def test_filters_that_could_take_for_ever(shared_data: Path, pattern: str) -> None:
    with pytest.raises(BadSelection, match="for ever"):
        ours(shared_data / CMS, "Events", filter_name=pattern)


@pytest.mark.parametrize(
    "pattern",
    [
        *(
            "/Jet_.*/",
            "/.*_(pt|eta)$/",
            "/^(mu|el|Jet)_.*(pt|eta)(_NOSYS)?$/",
            r"/n\w+/i",
            "/[MJ]et_\\w{2,5}/",
            "/J.{2}_p./",
        ),
        *("/(?!n).*pt/", "/Jet_(?:pt|eta|phi|mass)/", "/.*btag.*[BC].*/"),
    ],
)
def test_filters_that_people_write(shared_data: Path, pattern: str) -> None:
    found = ours(shared_data / CMS, "Events", filter_name=pattern)
    assert found.fields == theirs(shared_data / CMS, "Events", filter_name=pattern).fields != []


def test_places_in_expressions_that_json_writes_with_escapes(shared_data: Path) -> None:
    with pytest.raises(DepthMismatch) as caught:
        ours(shared_data / CMS, "Events", expressions=['zip({"a": Jet_pt})["b"]'])
    assert under_carets(caught.value) == 'zip({"a": Jet_pt})["b"]'
    with pytest.raises(UnequalLists) as unequal:
        ours(shared_data / CMS, "Events", expressions=['Muon_pt + zip({"a": Jet_pt})["a"]'])
    selection = json.dumps([{"treename": "Events", "expressions": ['Muon_pt + zip({"a": Jet_pt})["a"]']}])
    start, end = unequal.value.span or (0, 0)
    assert selection[start:end] == json.dumps('Muon_pt + zip({"a": Jet_pt})["a"]')
    with pytest.raises(BadExpression) as broken:
        parse_selection('[{"treename": "Events", "cut": "nJet >> > 2"}]')
    assert under_carets(broken.value) == ">"
