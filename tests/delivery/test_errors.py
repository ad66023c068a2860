"""Every error says what was wrong, where, and what to do; it pickles, has one JSON form, and gives no secret away."""

import errno
import json
import pickle
import re
import textwrap
from pathlib import Path

import pytest

import delivery.errors
from delivery.errors import (
    BadLiteral,
    CorruptBasket,
    DataFault,
    DeliveryError,
    DepthMismatch,
    EmptyList,
    EndpointUnreachable,
    InputUnreachable,
    LengthMismatch,
    MissingFile,
    MissingResult,
    NotAFunction,
    NotARootFile,
    NotAuthorized,
    NoWorkers,
    OutOfMemory,
    OutputUnwritable,
    QueryFault,
    RequestFailed,
    ResultTooLarge,
    TruncatedFile,
    UnknownBranch,
    UnknownEndpoint,
    UnknownName,
    UnknownTree,
    UnreadableFile,
    UnsupportedNode,
    UnwritableType,
    WorkerDiffers,
    WorkerKilled,
    describe_near,
    nearest,
    to_json,
)
from queries.errors import QuerySyntaxError
from queries.parser import parse

URL = "https://user:s3cret@host/a.root?authz=s3cret"
TEXT = f"(Select (call EventDataset '{URL}' 'Events')\n  (lambda (list e) (attr e 'Jet_ptt')))"
SPAN = (TEXT.index("(attr"), TEXT.index("'Jet_ptt'") + 10)
WRONG = f"no good: GET {URL} said no"

QUERY_FAULTS = [UnsupportedNode, DepthMismatch, BadLiteral, UnknownName, NotAFunction, UnwritableType]
DATA_FAULTS = [LengthMismatch, EmptyList, ResultTooLarge]
FILE_ERRORS = [
    UnreadableFile,
    InputUnreachable,
    MissingFile,
    NotARootFile,
    TruncatedFile,
    OutOfMemory,
    OutputUnwritable,
]

ERRORS: list[DeliveryError] = [
    *(kind("no good", TEXT, SPAN, name="Jet_ptt", near=("Jet_pt",), file=URL) for kind in QUERY_FAULTS),
    *(kind(URL, "no good", TEXT, SPAN, 7) for kind in DATA_FAULTS),
    *(kind(URL, WRONG) for kind in FILE_ERRORS),
    MissingFile(URL, "there is no folder", ["b.root"]),
    CorruptBasket(URL, "Jet_pt", 3, WRONG),
    CorruptBasket(URL, "Jet_pt", 3, WRONG, "page"),
    UnknownTree(URL, "Event", ["Events", "Runs"]),
    UnknownTree(URL, None, []),
    UnknownBranch(URL, "Events", {"Jet_ptt": ("Jet_pt", "Jet_eta"), "x": ()}, TEXT, {"Jet_ptt": SPAN}),
    UnknownEndpoint("here", ["local", "raw"], "is known"),
    EndpointUnreachable(URL, "nothing answers"),
    NotAuthorized(URL, "the token in servicex.yaml"),
    RequestFailed(URL, "no good"),
    MissingResult(URL, "no good"),
    NoWorkers("tcp://here:1", 3.0, 8),
    WorkerDiffers("tcp://here:1", "uproot", "1", "2"),
    WorkerKilled(URL, 3),
]
WITH_PLACE = [error for error in ERRORS if error.span is not None]
WITHOUT_ADVICE = {"RequestFailed", "MissingResult", "UnreadableFile"}  # the service, or the reason, says what to do

each = pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)


def test_every_class_is_tried() -> None:
    bases = {DeliveryError, QueryFault, DataFault}
    public = {getattr(delivery.errors, name) for name in delivery.errors.__all__}
    classes = {thing for thing in public if isinstance(thing, type)}
    assert classes - bases == {type(error) for error in ERRORS}
    assert all(issubclass(kind, DeliveryError) for kind in classes)


@each
def test_pickles_with_all_its_parts(error: DeliveryError) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert vars(again) == vars(error)
    assert to_json(again) == to_json(error)


@each
def test_no_secret(error: DeliveryError) -> None:
    assert "s3cret" not in f"{error} {error!r} {error.args} {vars(error)} {to_json(error)}"


@each
def test_says_what_to_do(error: DeliveryError) -> None:
    document = to_json(error)
    assert document["message"] in " ".join(document["detail"].split())
    if document["type"] in WITHOUT_ADVICE | {"UnknownEndpoint"}:
        assert document["hint"] is None
    else:
        assert document["hint"] in str(error).splitlines()[0]


@each
def test_the_json_form(error: DeliveryError) -> None:
    document = to_json(error)
    assert json.loads(json.dumps(document)) == document
    keys = ["type", "message", "detail", "file", "span", "excerpt", "near", "hint", "transient"]
    assert list(document) == keys
    assert document["type"] == type(error).__name__
    assert "\n" not in document["message"]
    assert document["detail"] == str(error)
    assert document["transient"] is (document["type"] in {"InputUnreachable", "EndpointUnreachable"})
    about_a_file = hasattr(error, "file") and error.file is not None
    assert document["file"] == ("https://host/a.root" if about_a_file else None)
    assert (document["span"] is None) == (document["excerpt"] is None) == (error not in WITH_PLACE)


@pytest.mark.parametrize("error", WITH_PLACE, ids=lambda error: type(error).__name__)
def test_the_place(error: DeliveryError) -> None:
    document = to_json(error)
    assert document["span"] == {"start": SPAN[0], "end": SPAN[1], "line": 2, "column": 20}
    line, carets = document["excerpt"].split("\n")
    assert line == TEXT.split("\n")[1]
    assert carets.rstrip("^") == " " * 19
    assert line[19 : len(carets)] == TEXT[slice(*SPAN)].rstrip()[: len(carets) - 19]
    assert "  query 2:20\n" in str(error)


def test_near_names() -> None:
    near = [to_json(error)["near"] for error in ERRORS if error.suggestions()]
    assert near == [
        *[{"Jet_ptt": ["Jet_pt"]}] * len(QUERY_FAULTS),
        {"a.root": ["b.root"]},
        {"Event": ["Events", "Runs"]},
        {"Jet_ptt": ["Jet_pt", "Jet_eta"], "x": []},
    ]


def test_an_own_hint_replaces_the_general_one() -> None:
    error = DepthMismatch("no good", hint="use Sum")
    assert str(error) == "no good; use Sum"
    assert to_json(error)["hint"] == "use Sum"


def test_a_syntax_error_of_the_query() -> None:
    text = f"(Select (call EventDataset '{URL}' 'Events')\n  (lamda (list e) e))"
    with pytest.raises(QuerySyntaxError) as caught:
        parse(text)
    document = to_json(caught.value)
    assert document["type"] == "QuerySyntaxError"
    assert document["message"].startswith("unknown node type 'lamda'; nearest: lambda")
    start = text.index("lamda")
    assert document["span"] == {"start": start, "end": start + 5, "line": 2, "column": 4}
    assert document["excerpt"] == "  (lamda (list e) e))\n   ^^^^^"
    assert (document["file"], document["near"], document["transient"]) == (None, {}, False)
    with pytest.raises(QuerySyntaxError) as caught:
        parse(f"(Where '{URL}')")
    assert "s3cret" not in str(to_json(caught.value))
    assert json.loads(json.dumps(to_json(pickle.loads(pickle.dumps(caught.value))))) == to_json(caught.value)


def test_an_error_that_is_not_ours() -> None:
    document = to_json(KeyError(URL))
    assert document["type"] == "KeyError"
    assert "s3cret" not in str(document)
    assert to_json(ValueError())["message"] == "ValueError"
    assert to_json(UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"))["span"] is None


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EACCES, "you may not write there"),
        (errno.ENOENT, "its folder does not exist"),
        (errno.EIO, "Input/output error"),
    ],
)
def test_the_system_refuses_to_write(number: int, words: str) -> None:
    error = OutputUnwritable.because("/out/a.root", OSError(number, {errno.EIO: "Input/output error"}.get(number, "")))
    assert str(error).startswith(f"cannot write /out/a.root: {words}; give another place")


def test_a_long_line_is_cut_around_the_place() -> None:
    text = "(list " + " ".join(f"name{i}" for i in range(1000)) + ")"
    for word in ("name0", "name500", "name999"):
        start = text.index(word)
        line, carets = to_json(QueryFault("x", text, (start, start + len(word))))["excerpt"].split("\n")
        assert len(line) <= 96
        assert len(carets) <= 96
        assert line[carets.index("^") : len(carets)] == word


def test_tabs_and_control_characters_keep_the_carets_in_place() -> None:
    text = "(list\t'\x1b[31m'\u2028 wrong\r\n b)"
    start = text.index("wrong")
    line, carets = to_json(QueryFault("x", text, (start, start + 5)))["excerpt"].split("\n")
    assert line[carets.index("^") : len(carets)] == "wrong"
    assert line.isprintable()


@pytest.mark.parametrize("span", [(0, 0), (3, 3), (3, 2), (5, 99), (50, 60)])
def test_odd_places_do_not_fail(span: tuple[int, int]) -> None:
    document = to_json(QueryFault("x", "(a\nb)", span))
    assert document["excerpt"].endswith("^")


KNOWN = ["Jet_pt", "Jet_eta", "Jet_btagCSVV2", "FatJet_pt", "Muon_pt", "MET_pt", "nJet", "AnalysisJetsAuxDyn.pt", "run"]


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("Jet_ptt", "Jet_pt"),
        ("jet_pt", "Jet_pt"),
        ("JET_ETA", "Jet_eta"),
        ("Muon_pT", "Muon_pt"),
        ("Jet_btagCSV2", "Jet_btagCSVV2"),
        ("njet", "nJet"),
        ("AnalysisJetsAuxDyn_pt", "AnalysisJetsAuxDyn.pt"),
        ("rum", "run"),
    ],
)
def test_nearest(name: str, first: str) -> None:
    assert nearest(name, KNOWN)[0] == first


def test_a_name_with_a_dot_is_told_with_its_spelling() -> None:
    assert describe_near("Jets", ("Jets.pt", "Jet")).endswith("func_adl writes a name with a dot as e['Jets.pt']")
    assert "dot" not in describe_near("Jets_pt", ("Jets.pt", "Jet"))


def test_nothing_is_near() -> None:
    assert nearest("qzx", KNOWN) == ()
    assert nearest("x" * 100_000, KNOWN) == ()


PAGE = (Path(__file__).parents[2] / "docs" / "errors.md").read_text(encoding="utf-8")


def test_the_page_names_every_class_and_key() -> None:
    table = PAGE.split("## Classes")[1].split("## For programs")[0]
    rows = dict(re.findall(r"^\| `(\w+)` \| .* \| (yes|no) \|$", table, re.MULTILINE))
    assert rows == {type(error).__name__: "yes" if error.transient else "no" for error in ERRORS}
    keys = re.findall(r"^\| `(\w+)` \|", PAGE.split("## For programs")[1], re.MULTILINE)
    assert keys == list(to_json(ERRORS[0]))


def test_the_page_shows_what_people_see() -> None:
    text = "(Where (call EventDataset 'bogus.root' 'Events')\n  (lambda (list e) (> (attr e 'Jet_ptt') 30)))"
    start = text.index("(attr e")
    span = (start, start + len("(attr e 'Jet_ptt')"))
    near = {"Jet_ptt": nearest("Jet_ptt", KNOWN, 2)}
    error = UnknownBranch("events.root", "Events", near, text, {"Jet_ptt": span})
    assert textwrap.indent(str(error), "    ") in PAGE
