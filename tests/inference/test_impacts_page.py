"""The examples of docs/impacts.md and docs/comparison.md, run as the pages say."""

import json
import re
import shlex
from importlib import import_module
from pathlib import Path

import pytest
from click.testing import CliRunner

# jsonschema deprecates the RefResolver that pyhf 0.7.6 still uses.
pytestmark = pytest.mark.filterwarnings("ignore:jsonschema.RefResolver is deprecated:DeprecationWarning")

DOCS = Path(__file__).resolve().parents[2] / "docs"
IMPACTS, COMPARISON = ((DOCS / name).read_text(encoding="utf-8") for name in ("impacts.md", "comparison.md"))
COMMANDS = [line.strip() for line in (IMPACTS + COMPARISON).splitlines() if line.startswith("    skimflow ")]


@pytest.fixture
def folder(fitted, tmp_path, monkeypatch):
    """Where the page's workspace lies, and another one beside it."""
    workspace, _ = fitted("5")
    (tmp_path / "workspace.json").write_text(json.dumps(workspace), encoding="utf-8")
    workspace, _ = fitted("10")
    (tmp_path / "other.json").write_text(json.dumps(workspace), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(page):
    """The page's Python, one block after the other; what it has defined."""
    names = {}
    for code in re.findall(r"^```python\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL):
        exec(code, names)
    return names


def test_the_page_on_impacts_runs_and_its_numbers_are_right(folder, capsys):
    names = run(IMPACTS)
    assert "PS variation" in capsys.readouterr().out
    region = names["after"].region("4j2b SR")
    assert round(region.prediction.total_uncertainty) == 222
    assert round(sum(region.data)) == 51079
    assert names["shown"].blinded


def test_the_page_on_comparisons_runs(folder, capsys):
    names = run(COMPARISON)
    assert names["background_only"].test.parameters == ("ttbar_norm",)
    assert {one.kind for one in names["found"].differences} == {"sample", "modifier", "data"}


@pytest.mark.parametrize("line", COMMANDS)
def test_the_commands_run(line, folder):
    _, name, *words = shlex.split(line)
    command = getattr(import_module(f"skimflow.commands.{name}"), name)
    ended = CliRunner().invoke(command, words, catch_exceptions=False)
    assert ended.exit_code == 0, ended.output
    for figure in re.findall(r"--figure (\S+)", line):
        assert (folder / figure).read_bytes().startswith(b"\x89PNG")
