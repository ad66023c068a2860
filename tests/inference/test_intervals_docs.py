"""docs/intervals.md: its Python runs, its commands run, and the commands keep their promises."""

import json
import re
import shlex
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

sys.path.insert(0, str(Path(__file__).parent))
from small_models import counting

from inference.documents import from_json
from inference.goodness.goodness import Goodness
from inference.intervals.contours import Contours
from inference.intervals.minos import Intervals
from inference.intervals.scan import PlaneScan, Scan
from inference.toys.feldman_cousins import FeldmanCousins
from skimflow.commands.gof import gof
from skimflow.commands.intervals import intervals
from skimflow.commands.scan import scan

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "intervals.md").read_text(encoding="utf-8")
LINES = [line.strip() for line in PAGE.splitlines() if line.startswith("    skimflow ")]
COMMANDS = {"intervals": intervals, "scan": scan, "gof": gof}


@pytest.fixture
def workspace(fitted, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("workspace.json").write_text(json.dumps(fitted("10")[0]))
    return tmp_path


def run(line):
    name, *arguments = shlex.split(line)
    told = CliRunner().invoke(COMMANDS[name], arguments)
    assert told.exit_code == 0, told.output
    return told.output


@pytest.mark.parametrize("line", LINES)
def test_each_command_of_the_page_runs(line, workspace):
    output = run(line.removeprefix("skimflow "))
    assert "ttbar_norm" in output or "Goodness of fit" in output
    for name in re.findall(r"--(?:figure|output) (\S+)", line):
        assert (workspace / name).stat().st_size > 1000


def test_the_pages_python_runs(workspace, fitted):
    spaces: dict[str, object] = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL):
        exec(compile(block, "intervals.md", "exec"), spaces)
    value, sigma = fitted("10")[1].value("ttbar_norm")
    assert spaces["down"] == pytest.approx(-1.96 * sigma, rel=0.25)
    assert spaces["up"] == pytest.approx(1.96 * sigma, rel=0.25)
    assert len(spaces["line"].values) == 21
    assert spaces["grid"].bestfit[0] == pytest.approx(value, abs=1e-9)
    assert len(spaces["curves"].contours) == 2
    assert 0 < spaces["p_value"] <= 1


def test_results_come_as_json(workspace):
    pair = '--par ttbar_norm --par "Jet energy scale"'
    for line, kind in (
        ("intervals workspace.json --json", Intervals),
        ("scan workspace.json --points 3 --json", Scan),
        (f"scan workspace.json {pair} --points 3 --points 2 --json", PlaneScan),
        (f"scan workspace.json {pair} --contour --points 8 --confidence 0.9 --json", Contours),
        ("gof workspace.json --json", Goodness),
    ):
        document = run(line)
        assert isinstance(from_json(kind, document), kind)
    plane = from_json(PlaneScan, run(f"scan workspace.json {pair} --points 3 --points 2 --json"))
    assert [len(row) for row in plane.twice_rises] == [2, 2, 2]


def test_feldman_and_cousins_interval_is_another_method(tmp_path, monkeypatch):
    """0 events over a background of 3: their Table II has 0 to 1.08 at 90 %."""
    monkeypatch.chdir(tmp_path)
    Path("workspace.json").write_text(json.dumps(counting(1.0, 3.0, observed=0.0)))
    line = "intervals workspace.json --method feldman-cousins --level 90% --toys 400 --seed 1"
    assert "mu" in run(f"{line} --figure belt.png")
    result = from_json(FeldmanCousins, run(f"{line} --json"))
    assert (result.lower.status, result.lower.value) == ("bound", 0.0)
    assert result.upper.value == pytest.approx(1.08, abs=4 * result.upper.error)
    told = CliRunner().invoke(intervals, [*line.split()[1:], "--all"])
    assert "one parameter at a time" in told.output


def test_held_parameters_are_held(workspace):
    profiled = from_json(Intervals, run("intervals workspace.json --json")).intervals[0]
    held = from_json(Intervals, run('intervals workspace.json --fix "ME variation=0.5" --json')).intervals[0]
    assert held.upper.value - held.lower.value < profiled.upper.value - profiled.lower.value


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("scan workspace.json --par ttbar_norm --contour", "a contour needs two parameters"),
        ("scan workspace.json --par a --par b --par c", "at most two --par"),
        ("scan workspace.json --range 0 1 --range 0 1", "at most one --range"),
        ("intervals workspace.json --level much", "'much' is neither a number of standard deviations"),
    ],
)
def test_what_a_command_cannot_do_is_said(line, words, workspace):
    name, *arguments = shlex.split(line)
    told = CliRunner().invoke(COMMANDS[name], arguments)
    assert told.exit_code == 2
    assert words in told.output
