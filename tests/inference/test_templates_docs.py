"""The examples of docs/datacards.md and docs/templates.md, run as the pages say."""

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from inference.workspace import workspace_bytes
from skimflow.commands.smooth import smooth

DOCS = Path(__file__).parents[2] / "docs"
# jsonschema deprecates the RefResolver that pyhf 0.7.6 still uses.
pytestmark = pytest.mark.filterwarnings("ignore:jsonschema.RefResolver is deprecated:DeprecationWarning")


def blocks(page, language):
    return re.findall(rf"```{language}\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL)


def test_datacards(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    [card], [code] = blocks("datacards.md", "text"), blocks("datacards.md", "python")
    Path("card.txt").write_text(card)
    names = {}
    exec(code, names)
    said = float(re.search(r"# (\d\.\d+);", code)[1])
    assert names["limit"].observed == pytest.approx(said, abs=6e-4)
    assert Path("workspace.json").stat().st_size > 1000


def test_templates(fitted, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("workspace.json").write_bytes(workspace_bytes(fitted("all")[0]))
    command = re.search(r"skimflow smooth (.*?)\n\n", (DOCS / "templates.md").read_text(), re.DOTALL)[1]
    # one systematic, since figures take their time
    words = [*shlex.split(command.replace("\\\n", " ")), "--only", "ME*"]
    result = CliRunner().invoke(smooth, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert Path("new.json").exists()
    assert list(Path("figures").glob("*.png"))
    [code] = blocks("templates.md", "python")
    names = {}
    exec(code, names)
    assert names["result"].changes
    assert names["result"].workspace != names["workspace"]
