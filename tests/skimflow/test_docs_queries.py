"""The examples of docs/queries.md, run as the page says."""

import ast
import re
import runpy
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, get_args

import awkward as ak
import pytest

from delivery.engine import evaluate
from delivery.requests import Semantics
from queries.errors import QueryError
from queries.linq import from_python
from queries.printer import unparse
from skimflow import cli

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "queries.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"^`([\w.]+)`:\n\n```\w+\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL))
COMMANDS = [line.strip() for line in PAGE.splitlines() if line.startswith("    skimflow ")]
FORMS = {
    "query": "{}",
    "in a Select": "DS.Select(lambda e: {})",
    "in a lambda as text": "(call Select (call EventDataset) 'lambda e: {}')",
}
"""The first cell of a table's head, and the query that a cell below it stands for."""


class Example(NamedTuple):
    query: str
    semantics: Semantics
    promise: str

    def __str__(self) -> str:
        return f"{self.semantics}: {self.query}"


def examples() -> Iterator[Example]:
    """The rows of the tables that promise a result, once for each semantics that they speak of."""
    heads: list[str] = []
    for line in PAGE.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")] if line.startswith("|") else []
        if not cells or set(line) <= set("|-"):
            heads = heads if cells else []
        elif not heads:
            heads = cells
        elif heads[0] in FORMS:
            query = FORMS[heads[0]].format(cells[0].split("`")[1])
            for head, promise in zip(heads[1:], cells[1:], strict=True):
                for semantics in get_args(Semantics) if head == "gives" else (head,):
                    if promise[0] in "`*":
                        yield Example(query, semantics, promise)


EXAMPLES = list(examples())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of the page, and the ROOT file that one of them makes."""
    place = tmp_path_factory.mktemp("queries")
    for name, content in FILES.items():
        (place / name).write_text(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        runpy.run_path("events.py")
    return place


def text_of(query: str) -> str:
    """The text of a query in Python, as the ServiceX client sends it; text stays."""
    if query.startswith("("):
        return query
    return unparse(from_python(ast.parse(query.replace("DS", "EventDataset()"), mode="eval").body, unify=False))


def plain(result: Any) -> Any:
    return result.to_list() if isinstance(result, ak.Array) else result


def test_the_page_has_what_this_test_reads():
    assert set(FILES) == {"my_query.py", "events.py", "raw.json", "function.py"}
    assert len(EXAMPLES) > 120
    assert {example.semantics for example in EXAMPLES} == {"servicex", "strict"}
    assert len(COMMANDS) == 5
    links = [link for link in re.findall(r"\]\(([^)]+)\)", PAGE) if not link.startswith("http")]
    headings = {re.sub(r"\W+", "-", title.lower()) for title in re.findall(r"^## (.*)$", PAGE, flags=re.MULTILINE)}
    assert [link for link in links if link.removeprefix("#") not in headings] == []


@pytest.mark.parametrize("example", EXAMPLES, ids=str)
def test_example(example, folder):
    promise = example.promise
    if promise.startswith("*"):
        with pytest.raises(Exception) as caught:  # noqa: PT011 - its type is compared below
            evaluate(text_of(example.query), folder / "events.root", semantics=example.semantics)
        assert type(caught.value).__name__ == promise.split("*")[1]
        return
    found = evaluate(text_of(example.query), folder / "events.root", semantics=example.semantics)
    assert plain(found) == ast.literal_eval(promise.split("`")[1])


def test_python_block(folder, monkeypatch):
    (code,) = re.findall(r"```python\n(from delivery\.engine import evaluate.*?)```", PAGE, flags=re.DOTALL)
    monkeypatch.chdir(folder)
    names: dict[str, Any] = {}
    exec(code, names)
    assert plain(names["events"]) == [{"met": 40, "jets": []}, {"met": 33, "jets": [45]}]


@pytest.mark.parametrize("command", COMMANDS)
def test_command(command, folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", shlex.split(command))
    with pytest.raises(SystemExit) as end:
        cli.main()
    said = capsys.readouterr()
    assert not end.value.code, said.err
    assert said.out
    if sys.argv[1] == "transform":
        assert (folder / sys.argv[-1]).stat().st_size > 0


def test_the_error_on_the_page(folder):
    with pytest.raises(Exception) as caught:  # noqa: PT011 - its words are compared below
        evaluate(text_of("DS.Select(lambda e: e.jet_ptt)"), folder / "events.root")
    lines = [line for line in PAGE.splitlines() if "lacks jet_ptt" in line or "jet_ptt: not in the tree" in line]
    for line in lines:
        for part in (
            line.strip().removeprefix("error: events.root: ").removeprefix("jet_ptt: ").split("…")[0].split(";")
        ):
            assert part.strip() in str(caught.value)
    assert not isinstance(caught.value, QueryError)
