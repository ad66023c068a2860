"""Wrong queries that users write: each is told by its kind, with the place, and with what would be right."""

import ast
import pickle
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from delivery.engine import TransformRequest, evaluate, transform
from delivery.errors import (
    BadLiteral,
    DeliveryError,
    DepthMismatch,
    EmptyList,
    LengthMismatch,
    NotAFunction,
    ResultTooLarge,
    UnknownBranch,
    UnknownName,
    UnknownTree,
    UnsupportedNode,
    UnwritableType,
    to_json,
)
from queries.errors import QuerySyntaxError
from queries.linq import from_python
from queries.printer import unparse

sys.path.insert(0, str(Path(__file__).parents[1] / "fuzz"))
from fuzz_inputs import small_tree

DATASET = "EventDataset('bogus.root', 'Events')"
JETS = "{'pt': e.Jet_pt, 'eta': e.Jet_eta}.Zip()"


class Misuse(NamedTuple):
    """A wrong query, and what is to be said of it: where in the query, and words of the message."""

    query: str  # Python; DS is the dataset, JETS a list of records
    error: type[Exception]
    place: str  # Python, found in the query's text as it is sent
    words: str  # a regular expression


def text_of(python: str) -> str:
    """The text that travels for a query (or a part of one) written in Python."""
    tree = ast.parse(python.replace("DS", DATASET).replace("JETS", JETS), mode="eval")
    return unparse(from_python(tree.body, unify=True))


ON_LISTS = [
    "Count()",
    "Sum()",
    "Min()",
    "First()",
    "Where(lambda x: x > 1)",
    "Any(lambda x: x > 1)",
    "OrderBy(lambda x: x)",
    "Choose(2)",
    "SelectMany(lambda x: x)",
]

SELECTED = [
    # names
    Misuse("e.Jet_ptt", UnknownBranch, "e.Jet_ptt", "lacks Jet_ptt(.|\n)*near: Jet_pt"),
    Misuse("e.jet_pt", UnknownBranch, "e.jet_pt", "near: Jet_pt"),
    Misuse("e['MET']", UnknownBranch, "e['MET']", "near: met"),
    Misuse("{'a': e.Jet_ptt, 'b': e.Jet_etta}", UnknownBranch, "e.Jet_ptt", "lacks Jet_ptt, Jet_etta(.|\n)*Jet_eta"),
    Misuse("e.Jet_btagCSVV2", UnknownBranch, "e.Jet_btagCSVV2", "no jet tagger btagCSVV2"),
    Misuse("e.Jet.pt", UnknownBranch, "e.Jet", "near: .*Jet_pt"),
    Misuse("event.met", UnknownName, "event", "unknown name 'event'; known here: e"),
    Misuse("met", UnknownName, "met", "unknown name 'met'; known here: e"),
    Misuse("JETS.Select(lambda j: j.ptt)", UnknownName, "j.ptt", "no field 'ptt'.* pt"),
    Misuse("JETS.Select(lambda j: j['mass'])", UnknownName, "j['mass']", "no field 'mass'.* pt, eta"),
    Misuse("JETS.Select(lambda j: k.pt)", UnknownName, "k", "unknown name 'k'; known here: e, j"),
    # functions
    Misuse("sqr(e.met)", NotAFunction, "sqr", "unknown function 'sqr'.*sqrt"),
    Misuse("np.sqr(e.met)", NotAFunction, "np.sqr", "unknown function 'np.sqr'.*sqrt"),
    Misuse("np.foo(e.met)", NotAFunction, "np.foo", "unknown function 'np.foo'"),
    Misuse("math.sqr(e.met)", NotAFunction, "math.sqr", "unknown function 'math.sqr'.*sqrt"),
    Misuse("np.random(e.met)", NotAFunction, "np.random", "unknown function 'np.random'"),
    Misuse("open('x')", NotAFunction, "open", "unknown function 'open'"),
    Misuse("__import__('os')", NotAFunction, "__import__", "unknown function '__import__'"),
    Misuse("e.met.sqrt()", NotAFunction, "e.met.sqrt", "no operator or method 'sqrt'.*np.sqrt"),
    Misuse("e.Jet_pt.Cuont()", NotAFunction, "e.Jet_pt.Cuont", "'Cuont'.*near: Count"),
    Misuse("e.Jet_pt.count()", NotAFunction, "e.Jet_pt.count", "'count'.*near: Count"),
    Misuse("e.Jet_pt.where(lambda x: x > 1)", NotAFunction, "e.Jet_pt.where", "'where'.*near: Where"),
    Misuse("e.met(1)", NotAFunction, "e.met", "no operator or method 'met'"),
    Misuse("np.pi(1)", NotAFunction, "np.pi", "'np.pi' is a number"),
    Misuse("e.Jet_pt.deltaR(e.Mu_pt)", NotAFunction, "e.Jet_pt.deltaR", "ToFourMomentum"),
    Misuse("np.sqrt(e.met, e.run)", UnsupportedNode, "np.sqrt(e.met, e.run)", "sqrt takes 1 argument"),
    Misuse("np.hypot(e.met)", UnsupportedNode, "np.hypot(e.met)", "hypot takes 2 argument"),
    Misuse("abs()", UnsupportedNode, "abs()", "(abs|absolute) takes 1 argument"),
    # depth
    *[
        Misuse(f"e.met.{call}", DepthMismatch, f"e.met.{call}", f"{call.split('(')[0]} needs a list, this is one value")
        for call in ON_LISTS
    ],
    Misuse(
        "e.met.Where(lambda x: x > 1)",
        DepthMismatch,
        "e.met.Where(lambda x: x > 1)",
        "Where needs a list, this is one value",
    ),
    Misuse(
        "e.met.Any(lambda x: x > 1)", DepthMismatch, "e.met.Any(lambda x: x > 1)", "Any needs a list, this is one value"
    ),
    Misuse(
        "e.met.OrderBy(lambda x: x)",
        DepthMismatch,
        "e.met.OrderBy(lambda x: x)",
        "OrderBy needs a list, this is one value",
    ),
    Misuse(
        "e.met.SelectMany(lambda x: x)",
        DepthMismatch,
        "e.met.SelectMany(lambda x: x)",
        "SelectMany needs a list, this is one value",
    ),
    Misuse("e.Jet_pt.SelectMany(lambda x: x)", DepthMismatch, "e.Jet_pt.SelectMany(lambda x: x)", "SelectMany needs"),
    Misuse("len(e.met)", DepthMismatch, "len(e.met)", "len needs a list"),
    Misuse("sum(e.met)", DepthMismatch, "sum(e.met)", "sum needs a list"),
    Misuse("len(3)", DepthMismatch, "len(3)", "len needs a list"),
    Misuse("e.met.pt", DepthMismatch, "e.met.pt", "no field 'pt' in a column of float32"),
    Misuse("e.Jet_pt.pt", DepthMismatch, "e.Jet_pt.pt", "no field 'pt'"),
    Misuse("(1).real", DepthMismatch, "(1).real", "no field 'real'"),
    Misuse("JETS + 1", DepthMismatch, "JETS + 1", "add does not work on var"),
    Misuse("{'a': e.met, 'b': e.run} + 1", DepthMismatch, "{'a': e.met, 'b': e.run}", "record.*fields"),
    Misuse("e + 1", DepthMismatch, "e", "record.*fields"),
    Misuse("{'a': e.met, 'b': e.run}.Count()", DepthMismatch, "{'a': e.met, 'b': e.run}", "Zip makes a list"),
    Misuse("e.Jet_pt.Zip()", DepthMismatch, "e.Jet_pt.Zip()", "Zip needs a dict or a tuple"),
    Misuse("e.Jet_pt.Where(lambda x: x)", DepthMismatch, "lambda x: x", "predicate is float32, not bool"),
    Misuse("e.Jet_pt.Where(lambda x: e.flag)", DepthMismatch, "lambda x: e.flag", "nothing of the items"),
    Misuse("e.Jet_pt.Any(lambda x: e.flag)", DepthMismatch, "e.Jet_pt.Any(lambda x: e.flag)", "nothing of the items"),
    Misuse("e.Jet_pt.Where(lambda x: True)", UnsupportedNode, "lambda x: True", "predicate is a literal"),
    Misuse("e.met['pt']", DepthMismatch, "e.met['pt']", "no field 'pt'"),
    Misuse("e.met[0]", UnsupportedNode, "e.met[0]", "for a list's item use First or ElementAt"),
    Misuse("(e.met, e.run)[2]", UnknownName, "(e.met, e.run)[2]", "no field 2 of 2"),
    # types
    Misuse("e.met + 'a'", DepthMismatch, "e.met + 'a'", "add does not work on .*'a'"),
    Misuse("e.met == 'muon'", DepthMismatch, "e.met == 'muon'", "does not work on .*'muon'"),
    Misuse("np.sqrt('a')", BadLiteral, "np.sqrt('a')", "sqrt does not work on 'a'"),
    Misuse("e.met + None", DepthMismatch, "e.met + None", "None"),
    Misuse("e.met & 3", DepthMismatch, "e.met & 3", "bitwise_and does not work on float32"),
    Misuse("e.met << 1", DepthMismatch, "e.met << 1", "left_shift does not work on float32"),
    Misuse("~e.met", DepthMismatch, "~e.met", "invert does not work on float32"),
    Misuse("-e.flag", DepthMismatch, "-e.flag", "negative does not work on bool"),
    Misuse("e.byte > 300", BadLiteral, "e.byte > 300", r"300 is out of the range of uint8 \(0 to 255\)"),
    Misuse("e.run > -1", BadLiteral, "e.run > -1", "-1 is out of the range of uint32"),
    Misuse("e.byte + 300", BadLiteral, "e.byte + 300", "300.*uint8"),
    Misuse("e.met / (1 / 0)", BadLiteral, "1 / 0", "zero"),
    Misuse("9 ** 9 ** 9 ** 9", BadLiteral, "9 ** 9 ** 9", "power is too large"),
    # shapes of the result
    Misuse("None", UnsupportedNode, "None", "None cannot be a column"),
    Misuse("'text'", UnsupportedNode, "'text'", "'text' cannot be a column"),
    Misuse("{'a': 'text'}", UnsupportedNode, "'text'", "cannot be a column"),
    Misuse("{1: e.met}", UnsupportedNode, "1", "column's name must be a string"),
    Misuse("{}", UnsupportedNode, "{}", "at least one column"),
    Misuse("[]", UnsupportedNode, "[]", "at least one column"),
    Misuse("{'a': {'b': {'c': e.met}}}", UnsupportedNode, "{'b': {'c': e.met}}", "one level"),
    Misuse("lambda x: x", UnsupportedNode, "lambda x: x", "lambda cannot stand here"),
    Misuse("DS.Select(lambda f: f.met)", UnsupportedNode, DATASET, "EventDataset"),
    Misuse("e.Jet_pt.Choose(0)", UnsupportedNode, "0", "Choose takes 1 to"),
    Misuse("e.Jet_pt.Choose(1000)", UnsupportedNode, "1000", "Choose takes 1 to"),
    Misuse("e.Jet_pt.Choose(e.run)", UnsupportedNode, "e.run", "(number|integer)"),
    Misuse("e.Jet_pt.ElementAt(1.5)", UnsupportedNode, "1.5", "(number|integer)"),
    Misuse("e.Jet_pt.ElementAt('a')", UnsupportedNode, "'a'", "(number|integer)"),
    Misuse(f"e.Jet_pt.ElementAt({10**30})", UnsupportedNode, f"e.Jet_pt.ElementAt({10**30})", "no list has as many"),
    Misuse("e.Jet_pt.Contains([1, 2])", UnsupportedNode, "[1, 2]", "one value"),
    # the data
    Misuse("e.Jet_pt.First()", EmptyList, "e.Jet_pt.First()", "entry 0: a list is empty.*Count"),
    Misuse("e.Jet_pt.Last()", EmptyList, "e.Jet_pt.Last()", "entry 0: a list is empty.*Count"),
    Misuse(
        "e.Jet_pt.ElementAt(2)", EmptyList, "e.Jet_pt.ElementAt(2)", "entry 0: a list has fewer than 3 items.*Count"
    ),
    Misuse("e.Jet_pt + e.Mu_pt", LengthMismatch, "e.Jet_pt + e.Mu_pt", "items"),
    Misuse("(e.Jet_pt, e.Mu_pt).Zip()", LengthMismatch, "(e.Jet_pt, e.Mu_pt).Zip()", "one collection"),
]

WHOLE = [
    Misuse("DS.Where(lambda e: e.met)", DepthMismatch, "e.met", "predicate is float32, not bool"),
    Misuse("DS.Where(lambda e: 1)", UnsupportedNode, "1", "predicate is a literal"),
    Misuse("DS.Where(lambda e: e)", UnsupportedNode, "e", "predicate is no column"),
    Misuse("DS.Where(lambda e: {'a': e.flag})", UnsupportedNode, "{'a': e.flag}", "predicate is"),
    Misuse("DS.Where(lambda e: e.Jet_pt)", DepthMismatch, "e.Jet_pt", "not bool"),
    Misuse("DS.SelectMany(lambda e: e.met)", DepthMismatch, "DS.SelectMany(lambda e: e.met)", "needs a list"),
    Misuse(
        "DS.SelectMany(lambda e: {'a': e.Jet_pt, 'b': e.Jet_eta})",
        DepthMismatch,
        "DS.SelectMany(lambda e: {'a': e.Jet_pt, 'b': e.Jet_eta})",
        "Zip them first",
    ),
    Misuse("Events.Select(lambda e: e.met)", UnsupportedNode, "Events", "EventDataset"),
    Misuse("EventDatset('f').Select(lambda e: e.met)", UnsupportedNode, "EventDatset('f')", "begins with EventDataset"),
    Misuse("EventDataset(1, 2, 3)", UnsupportedNode, "EventDataset(1, 2, 3)", "a file and a tree"),
    Misuse("42", UnsupportedNode, "42", "EventDataset"),
    Misuse("DS.Select(lambda e: e.met).Where(lambda m: m.x > 1)", DepthMismatch, "m.x", "no field 'x'"),
    Misuse("DS.Select(lambda e: {'a': e.met}).Select(lambda r: r.met)", UnknownName, "r.met", "no field 'met'.* a"),
    Misuse("DS.Select(lambda e: e.met).Select(lambda e: e.run)", DepthMismatch, "e.run", "no field 'run'"),
    Misuse("DS.foo()", UnsupportedNode, "DS.foo()", "begins with EventDataset, not with foo"),
]

MALFORMED = [
    ("(Select (call EventDataset))", "Select takes", "(Select (call EventDataset))"),
    ("(Select (call EventDataset) (attr e 'x'))", "needs a lambda", "(attr e 'x')"),
    ("(Where (call EventDataset) (lambda (list a b) a))", "lambda of 1 variable", "(lambda (list a b) a)"),
    ("(call Select (call EventDataset) 'lambda e: e.x is 1')", "cannot hold this Python", "'lambda e: e.x is 1'"),
    ("(call Select (call EventDataset) 'lambda e: f(e, a=1)')", "cannot hold this Python", "'lambda e: f(e, a=1)'"),
    ("(call Select (call EventDataset) 'e.x')", "needs a lambda", "'e.x'"),
    ("(call Select (call EventDataset) 'lambda e: ')", "Python lambda", "'lambda e: '"),
    ("(Count)", "needs a source", "(Count)"),
    ("(Selct (call EventDataset) e)", "nearest: Select", "Selct"),
    ("(attr e Jet_pt)", "name of an attribute is a string", "Jet_pt"),
    ("(dict (list 'a') (list 1 2))", "1 keys and 2 values", "(dict (list 'a') (list 1 2))"),
    ("(+ 1 2 3)", r"takes 2", "(+ 1 2 3)"),
    ("(> a)", "takes 2", "(> a)"),
    ("e.x > 3", "begins nothing|ended before", "."),
    ("", "empty", ""),
]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_tree(tmp_path_factory.mktemp("misuse") / "in.root")


def test_the_table_is_long() -> None:
    assert len({case.query for case in SELECTED + WHOLE}) + len(MALFORMED) > 110


def check(error: DeliveryError, case: Misuse, text: str, file: Path) -> None:
    """The error is as the table says, and as useful in JSON."""
    assert type(error) is case.error
    document = to_json(error)
    place = text_of(case.place)
    assert text[document["span"]["start"] : document["span"]["end"]] == place
    line, carets = document["excerpt"].split("\n")
    assert place.startswith(line[carets.index("^") : len(carets)])
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
    assert document["hint"] or document["near"]
    if isinstance(error, UnknownBranch | EmptyList | LengthMismatch):
        assert document["file"] == str(file)


@pytest.mark.parametrize("case", SELECTED, ids=lambda case: case.query)
def test_in_a_select(case: Misuse, file: Path) -> None:
    text = text_of(f"DS.Select(lambda e: {case.query})")
    with pytest.raises(case.error, match=case.words) as caught:
        evaluate(text, file)
    check(caught.value, case, text, file)


@pytest.mark.parametrize("case", WHOLE, ids=lambda case: case.query)
def test_a_whole_query(case: Misuse, file: Path) -> None:
    text = text_of(case.query)
    with pytest.raises(case.error, match=case.words) as caught:
        evaluate(text, file)
    check(caught.value, case, text, file)


@pytest.mark.parametrize(("text", "words", "place"), MALFORMED, ids=[text for text, *_ in MALFORMED])
def test_malformed_text(text: str, words: str, place: str, file: Path) -> None:
    with pytest.raises(QuerySyntaxError, match=words) as caught:
        evaluate(text, file)
    span = to_json(caught.value)["span"]
    if text:
        assert text[span["start"] : span["end"]].startswith(place)


def test_an_unknown_tree(file: Path) -> None:
    with pytest.raises(UnknownTree, match="no tree 'Event'; trees in the file: 'Events'") as caught:
        evaluate("(Count (call EventDataset 'x' 'Event'))", file)
    assert to_json(caught.value)["near"] == {"Event": ["Events"]}


UNWRITABLE = [
    ("e.met", "name"),
    ("e.Jet_pt.Max()", "name|option|missing"),
    ("{'a': e.Jet_pt.Max(), 'b': e.met}", "missing|None|option"),
    ("{'a': e.Jet_pt.Choose(2), 'b': e.met}", "list"),
]


@pytest.mark.parametrize(("query", "words"), UNWRITABLE, ids=[query for query, _ in UNWRITABLE])
def test_what_a_tree_cannot_hold(query: str, words: str, file: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.root"
    with pytest.raises(UnwritableType, match=f"(?i){words}") as caught:
        transform(TransformRequest(text_of(f"DS.Select(lambda e: {query})"), str(file), output))
    assert not list(tmp_path.iterdir())
    assert "arquet" in str(caught.value) or "dict" in str(caught.value)


def test_too_many_combinations(tmp_path: Path) -> None:
    import awkward as ak
    import numpy as np
    import uproot

    with uproot.recreate(tmp_path / "wide.root") as wide:
        wide.mktree("Events", {"x": "var * float32"}).extend({"x": ak.Array([np.arange(200, dtype=np.float32)])})
    with pytest.raises(ResultTooLarge, match=r"wide.root(.|\n)*cut on the objects") as caught:
        evaluate(text_of("DS.Select(lambda e: e.x.Choose(10))"), tmp_path / "wide.root")
    assert to_json(caught.value)["span"] is not None
