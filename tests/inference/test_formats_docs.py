"""docs/formats.md: its commands and its Python run."""

import json
import re
import shlex
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

sys.path.insert(0, str(Path(__file__).parent))
from counting_workspaces import counting

from inference.likelihood.specification import specification
from inference.workspace import load_workspace
from skimflow.commands.combine import combine
from skimflow.commands.convert import convert
from skimflow.commands.fit import fit

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "formats.md").read_text(encoding="utf-8")
COMMANDS = {"combine": combine, "convert": convert, "fit": fit}


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.DOTALL)


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("A.json").write_text(json.dumps(counting()))
    Path("B.json").write_text(json.dumps(counting(poi="mu_B")))
    [text] = blocks("yaml")
    Path("map.yml").write_text(text)


def test_the_pages_commands_run(files):
    said = {}
    for line in "".join(blocks("bash")).splitlines():
        _, name, *arguments = shlex.split(line)
        done = CliRunner().invoke(COMMANDS[name], arguments, catch_exceptions=False)
        assert done.exit_code == 0, done.output
        said[name] = done.output
    one, other = (specification(load_workspace(Path(name))).parameters for name in ("A.json", "again.json"))
    assert {each.name for each in one} == {each.name for each in other}
    assert {"jes_A", "jes_other", "mu", "lumi"} <= set(said["combine"].split())
    assert "mu" in said["fit"]


def test_the_pages_python_runs(files):
    spaces: dict[str, object] = {}
    for text in blocks("python"):
        exec(compile(text, "formats.md", "exec"), spaces)
    assert specification(spaces["workspace"]).parameters == specification(load_workspace(Path("A.json"))).parameters
