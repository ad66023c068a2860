"""The command line: exit codes, what goes to stdout, and what a broken-off run leaves."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from typing import Any

import pytest

from skimflow.cli import COMMANDS

pytestmark = pytest.mark.xdist_group("analysis")

SLOW = ("awkward", "coffea", "cabinetry", "dask", "distributed", "matplotlib", "numpy", "pyhf", "servicex", "uproot")


def stages(stdout: str) -> dict[str, dict[str, Any]]:
    return {one["stage"]: one for one in json.loads(stdout)["stages"]}


def test_help_names_every_command_and_imports_nothing_slow(tmp_path):
    code = (
        "import sys\nsys.argv = ['skimflow', '--help']\nfrom skimflow.cli import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    print('code', end.code)\n"
        f"print('slow', [name for name in {SLOW} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.endswith("code 0\nslow []\n")
    for name in COMMANDS:
        assert f"\n  {name} " in done.stdout


@pytest.mark.parametrize("command", [*COMMANDS, "cache ls", "cache gc"])
def test_every_command_has_help_and_json(fresh, command):
    done = fresh.command(*command.split(), "--help")
    assert done.returncode == 0
    assert command == "cache" or "--json" in done.stdout


def test_every_result_is_json_on_stdout_and_nothing_else_there(analysis):
    """One call of each command that a finished analysis can answer at once."""
    workspace = analysis.folder / "report" / "workspace.json"
    key = analysis.entries("fit")[0]["key"]
    for command in (
        ("run", "tiny.yml", "--until", "fit"),
        ("plan", "tiny.yml"),
        ("report", "tiny.yml", "elsewhere"),
        ("init", "new.yml"),
        ("init", "--schema"),
        ("fit", workspace),
        ("simulate", "few", "--events-per-file", "50", "--files-per-sample", "1", "--jobs", "1"),
        ("cache", "ls", "--store", analysis.store),
        ("cache", "show", key, "--store", analysis.store),
        ("cache", "verify", "--store", analysis.store),
        ("cache", "gc", "--max-size", "10GB", "--store", analysis.store),
    ):
        done = analysis.command(*command, "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout), command
    assert (analysis.folder / "elsewhere" / "index.html").is_file()


def test_a_run_in_words_says_the_result_on_stdout(analysis):
    done = analysis.command("run", "tiny.yml", "--until", "fit")
    assert done.returncode == 0
    assert "ttbar_norm = " in done.stdout
    fit = json.loads((analysis.folder / "first.json").read_text())["results"]["fit"]
    assert f"{fit['bestfit'][fit['labels'].index('ttbar_norm')]:.3f} ± " in done.stdout


def test_a_plan_in_words(analysis):
    assert "nothing to do" in analysis.command("plan", "tiny.yml").stdout
    analysis.change(inference={"fixed": {"Luminosity": 0.0}})
    done = analysis.command("plan", "tiny.yml")
    assert "deliver  6 of 6 kept" in done.stdout
    assert "would run fit: fixed Luminosity None → 0.0" in done.stdout


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (("rnu", "tiny.yml"), "Did you mean 'run'?"),
        (("run", "gone.yml"), "gone.yml"),
        (("run", "tiny.yml", "--until", "fitt"), "'fitt' is not one of"),
        (("run", "tiny.yml", "--allow-missing", "100"), "100"),
        (("run", "bad.yml"), "bad.yml:3: unknown key 'delivry'; did you mean 'delivery'?"),
        (("run", "query.yml"), "selectd"),
        (("run", "processor.yml"), "processing.tbar"),
        (("run", "model.yml"), "name"),
        (("run", "files.yml"), "nowhere.json"),
        (("init", "tiny.yml"), "is there already"),
        (("fit", "tiny.yml", "--fix", "mu"), "NAME=VALUE"),
    ],
)
def test_bad_input_is_code_2_and_one_helpful_message(fresh, command, words):
    fileset = "name: x\nsamples: {fileset: fileset.json}\n"
    (fresh.folder / "bad.yml").write_text(fileset + "delivry: {}\n")
    (fresh.folder / "query.yml").write_text(fileset + "query: queries.ttbar:selectd\n")
    (fresh.folder / "processor.yml").write_text(
        fileset
        + "query: my_query.py:mine\ndelivery: {endpoint: raw}\nprocessing: {processor: 'processing.tbar:Mine'}\n"
    )
    (fresh.folder / "files.yml").write_text("name: x\nsamples: {fileset: nowhere.json}\n")
    done = fresh.command(*command)
    assert done.returncode == 2, done.stderr
    assert words in done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


def test_a_report_folder_that_cannot_be_written_is_named(analysis):
    (analysis.folder / "taken").write_text("a file")
    done = analysis.command("report", "tiny.yml", "taken")
    assert done.returncode in {1, 2}
    assert "taken" in done.stderr
    assert "Traceback" not in done.stderr


def test_results_that_are_not_kept_are_named(fresh):
    done = fresh.command("report", "tiny.yml")
    assert done.returncode == 1
    assert "stage 'deliver' lacks 6 of 6 results" in done.stderr


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL])
def test_a_run_that_is_broken_off_goes_on_where_it_was(fresh, events, end):
    fresh.write_fileset(events)  # twelve files
    fresh.change(cluster={"kind": "local", "workers": 1})
    child = subprocess.Popen(
        [sys.executable, "-m", "skimflow", "run", "tiny.yml", "--until", "process", "--quiet"],
        cwd=fresh.folder, env=dict(os.environ), stderr=subprocess.PIPE, text=True, start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - a background job ignores it
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while not fresh.entries_on_disk() and child.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(child.pid, end)  # as a terminal does: all processes of the run
    _, said = child.communicate(timeout=60)
    assert child.returncode == (130 if end == signal.SIGINT else -signal.SIGKILL), said
    if end == signal.SIGINT:
        assert "the same command goes on from what was finished" in said
        assert "Traceback" not in said
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    kept = len(fresh.entries_on_disk())
    assert 1 <= kept < 12
    fresh.change(cluster={"kind": "iterative", "workers": None})
    done = fresh.command("run", "tiny.yml", "--until", "process", "--json")
    assert done.returncode == 0, done.stderr
    found = stages(done.stdout)["deliver"]
    assert found["hits"] + found["ran"] == 12
    assert found["hits"] >= 1
    assert stages(done.stdout)["process"]["ran"] == 12
