"""What a submission is refused for before anything runs, and what the refusal says."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from delivery.service.errors import BadRequest
from delivery.service.protocol import checks
from delivery.service.protocol.models import Submission
from delivery.service.settings import Inputs, Limits, Settings, Upstream

QASTLE = "(Select (call EventDataset 'f.root' 'Events') (lambda (list e) (dict (list 'met') (list (attr e 'MET_pt')))))"
RAW = json.dumps([{"treename": "Events", "filter_name": ["MET_pt"]}])
PYTHON = base64.b64encode(b"def run_query(input_filenames):\n    return None\n").decode()
LIMITS = Limits()


def settings(tmp_path: Path, **more: Any) -> Settings:
    inputs = Inputs(roots=(tmp_path,), schemes=("root", "https"), hosts=("127.0.0.1",))
    return Settings(data=tmp_path / "data", inputs=inputs, **more)


def submission(**more: Any) -> Submission:
    return Submission(**{"selection": QASTLE, "codegen": "uproot", "did": "cernopendata://1507", **more})


@pytest.mark.parametrize(("codegen", "text"), [("uproot", QASTLE), ("uproot-raw", RAW), ("python", PYTHON)])
def test_good_selections_pass(codegen: str, text: str) -> None:
    checks.check_selection(codegen, text, LIMITS)


@pytest.mark.parametrize(
    ("codegen", "text", "says"),
    [
        ("uproot", "(Slect (call EventDataset 'f' 't') (lambda (list e) e))", ["line 1, column 2", "nearest: Select"]),
        ("uproot", QASTLE[:-1], ["never closed"]),
        ("uproot", "", ["the query is empty"]),
        ("uproot", "(Select (call Dataset 'f' 't') (lambda (list e) e))", ["EventDataset", "^"]),
        ("uproot-raw", '[{"treename": "Events", "filtr_name": "x"}]', ["filtr_name", "filter_name"]),
        ("uproot-raw", '[{"treename": "Events", "cut": "pt >"}]', ["cut"]),
        ("uproot-raw", "{}", ["not a list of dictionaries"]),
        ("python", "def run_query(x): pass", ["base64"]),
        ("python", base64.b64encode("def run_query(é)".encode()).decode(), ["ASCII"]),
        ("python", base64.b64encode(b"def main(): pass").decode(), ["run_query"]),
    ],
)
def test_a_malformed_query_is_refused_with_its_place_and_a_hint(codegen: str, text: str, says: list[str]) -> None:
    with pytest.raises(BadRequest) as refused:
        checks.check_selection(codegen, text, LIMITS)
    for words in says:
        assert words in str(refused.value)


def test_brackets_in_strings_do_not_nest() -> None:
    assert checks.depth("(a '((((' (b [c \"{{{\"]))") == 3
    assert checks.depth("'no end ((((") == 0


def test_a_long_text_of_open_strings_is_measured_in_time() -> None:
    text = '"' + '\\"' * 500_000  # quadratic, were each quote tried anew
    assert checks.depth(text) == 0


def test_a_query_may_be_only_so_deep_and_so_long() -> None:
    deep = Limits(query_depth=3)
    with pytest.raises(BadRequest, match="levels deep, it may be 3"):
        checks.check_selection("uproot", QASTLE, deep)
    with pytest.raises(BadRequest, match="it may have 100"):
        checks.check_request(submission(), Limits(query_characters=100))


def test_what_nobody_runs_is_refused_with_what_runs_here(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match=r"'atlasr22' does not run here: this endpoint runs uproot, uproot-raw"):
        checks.runs_upstream(submission(codegen="atlasr22"), settings(tmp_path))
    with pytest.raises(BadRequest, match="did you mean uproot"):
        checks.runs_upstream(submission(codegen="uprot"), settings(tmp_path))
    with pytest.raises(BadRequest, match="'python' is switched off"):
        checks.runs_upstream(submission(codegen="python"), settings(tmp_path))


def test_an_upstream_takes_what_does_not_run_here(tmp_path: Path) -> None:
    upstream = Upstream(url="https://servicex.example", codegens=("atlasr22",))
    found = settings(tmp_path, upstream=upstream, codegens=("uproot", "python"))
    assert checks.runs_upstream(submission(codegen="atlasr22"), found)
    assert not checks.runs_upstream(submission(codegen="python"), found)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"title": "x" * 11}, "the title has 11 characters, it may have 10"),
        ({"result_destination": "volume"}, "object store only"),
        ({"result_format": "raw-file"}, "codegen 'python' alone"),
    ],
)
def test_formats_destinations_and_titles(given: dict[str, str], says: str) -> None:
    with pytest.raises(BadRequest, match=says):
        checks.check_request(submission(**given), Limits(title_characters=10))


@pytest.mark.parametrize("text", ["a\0b", "half \ud800"])
@pytest.mark.parametrize("field", ["title", "selection", "did", "codegen", "tree_name"])
def test_text_that_no_database_holds_is_malformed(field: str, text: str) -> None:
    with pytest.raises(ValidationError):
        submission(**{field: text})


@pytest.mark.parametrize(
    ("did", "name", "finder", "files"),
    [
        ("cernopendata://1507", "cernopendata://1507", "cernopendata", None),
        ("cernopendata://1507?files=3", "cernopendata://1507", "cernopendata", 3),
        ("cernopendata://1507?files=2&get=available", "cernopendata://1507?get=available", "cernopendata", 2),
        ("xrootd://root://127.0.0.1:1094//d/f?.root", "xrootd://root://127.0.0.1:1094//d/f?.root", "xrootd", None),
        ("xrootd://root://127.0.0.1//d/*.root?files=5", "xrootd://root://127.0.0.1//d/*.root", "xrootd", 5),
    ],
)
def test_dataset_identifiers(tmp_path: Path, did: str, name: str, finder: str, files: int | None) -> None:
    found = checks.source_of(submission(did=did), settings(tmp_path), LIMITS)
    assert (found.did, found.name, found.did_finder, found.files, found.max_files) == (did, name, finder, None, files)


@pytest.mark.parametrize(
    ("did", "says"),
    [
        ("ruciu://a:b", "DID scheme is not supported: ruciu; .*did you mean rucio"),
        ("rucio://", "names no dataset"),
        ("cernopendata://ttbar", "no number of a CERN Open Data record"),
        ("cernopendata://1?files=0", "no number of files"),
        ("xrootd://root://10.0.0.1//d/*.root", "internal address"),
        ("xrootd://ftp://127.0.0.1//d/*.root", "is no XRootD URL"),
    ],
)
def test_identifiers_that_cannot_be_looked_up(tmp_path: Path, did: str, says: str) -> None:
    with pytest.raises(BadRequest, match=says):
        checks.source_of(submission(did=did), settings(tmp_path), LIMITS)


def test_a_file_list_is_checked_counted_and_named_by_its_content(tmp_path: Path) -> None:
    files = [str(tmp_path / "a.root"), f"file://{tmp_path}/b.root"]
    found = checks.source_of(submission(did=None, file_list=files), settings(tmp_path), LIMITS)
    assert found.files == (str(tmp_path / "a.root"), str(tmp_path / "b.root"))
    assert (found.did, found.did_finder, len(found.name)) == ("File List Provided in Request", "user", 64)
    other = checks.source_of(submission(did=None, file_list=files[:1]), settings(tmp_path), LIMITS)
    assert other.name != found.name


@pytest.mark.parametrize(
    ("files", "says"),
    [
        (["ROOT/a.root", "ROOT/a.root"], "a.root 2 times"),
        (["ROOT/a.root", "file://ROOT/a.root"], "a.root 2 times"),
        (["ROOT/a.root", "ROOT/b.root", "ROOT/c.root"], "the file-list has 3 files, it may have 2"),
        ([], "neither"),
        (["ROOT/../etc/passwd"], r"must not hold '\.\.'"),
    ],
)
def test_file_lists_that_are_refused(tmp_path: Path, files: list[str], says: str) -> None:
    paths = [file.replace("ROOT", str(tmp_path)) for file in files]
    with pytest.raises(BadRequest, match=says):
        checks.source_of(submission(did=None, file_list=paths), settings(tmp_path), Limits(files=2))


def test_a_request_has_either_a_did_or_a_file_list(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match="this one has both"):
        checks.source_of(submission(file_list=["/a"]), settings(tmp_path), LIMITS)
