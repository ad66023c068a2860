"""docs/limits.md: its Python and its commands run."""

import json
import re
import shlex
import tarfile
from pathlib import Path

import jsonpatch
import pyhf
import pytest
from click.testing import CliRunner

from skimflow.commands.limit import limit
from skimflow.commands.reinterpret import reinterpret
from skimflow.commands.significance import significance

pytestmark = pytest.mark.filterwarnings("ignore:jsonschema.RefResolver is deprecated:DeprecationWarning")

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "limits.md").read_text(encoding="utf-8")
LINES = [line.strip() for line in PAGE.splitlines() if line.startswith("    skimflow ")]
COMMANDS = {"limit": limit, "significance": significance, "reinterpret": reinterpret}


@pytest.fixture
def files(shared_data, tmp_path, monkeypatch):
    """The page's files: a background, a signal of the page in it, an archive, a workspace with signal."""
    monkeypatch.chdir(tmp_path)
    archive = shared_data / "likelihoods" / "pyhf-ins1748602-probability-models.tar.gz"
    Path("patches.tar.gz").symlink_to(archive)
    with tarfile.open(archive) as members:
        background, patch = (
            json.loads(members.extractfile(f"RegionA/{name}.json").read())
            for name in ("BkgOnly", "patch.sbottom_1300_205_60")
        )
    Path("background.json").write_text(json.dumps(background))
    Path("workspace.json").write_text(json.dumps(jsonpatch.apply_patch(background, patch)))
    [named] = re.findall(r'`(\{"name".*\})`', PAGE)
    Path("signal.json").write_text(named)
    return tmp_path


@pytest.mark.parametrize("line", LINES)
def test_each_command_of_the_page_runs(line, files):
    name, *arguments = shlex.split(line.removeprefix("skimflow "))
    told = CliRunner().invoke(COMMANDS[name], arguments)
    assert told.exit_code == 0, told.output
    assert "mu_SIG" in told.output or "--patchset" in arguments
    assert "failed to" not in told.output
    for kept in re.findall(r"--(?:figure|output|patchset) (\S+)", line):
        assert (files / kept).stat().st_size > 1000
    if "--patchset" in arguments:
        pyhf.PatchSet(json.loads(Path("set.json").read_text())).verify(json.loads(Path("background.json").read_text()))


def test_the_pages_python_runs(files):
    spaces: dict[str, object] = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL):
        exec(compile(block, "limits.md", "exec"), spaces)
    assert spaces["one"].cls == pytest.approx(0.24443695, abs=1e-8)
    assert spaces["limit"].observed == pytest.approx(2.01016, abs=5e-6)
    assert spaces["significance"](spaces["likelihood"]).z == 0.0
    assert spaces["limits"].signals[0].observed == pytest.approx(spaces["limit"].observed, rel=1e-9)
