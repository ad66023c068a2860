"""`skimflow serve`: one command to a running endpoint, and a sentence for what cannot be served."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

sys.path.insert(0, str(Path(__file__).parents[1] / "service"))
from lifeline import on_a_lifeline

from delivery.service.settings import Limits, Settings


def call(folder: Path, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "skimflow", *map(str, arguments)],
        cwd=folder, env={**os.environ, "HOME": str(folder), **environment}, capture_output=True, text=True, timeout=120,
        check=False,
    )  # fmt: skip


@contextmanager
def served(folder: Path, *options: object) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A running `skimflow serve`, and the first line that it prints."""
    with (folder / "log").open("w") as log:
        command = [sys.executable, "-m", "skimflow", "serve", "--port", "0", "--workers", "1", *map(str, options)]
        process = subprocess.Popen(on_a_lifeline(command), cwd=folder, stdout=subprocess.PIPE, stderr=log, text=True)
    assert process.stdout is not None
    try:
        yield process, process.stdout.readline()
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        process.stdout.close()


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_one_line_when_it_is_ready_and_a_quiet_end(tmp_path: Path, end: signal.Signals) -> None:
    with served(tmp_path, "--json") as (process, line):
        facts: dict[str, Any] = json.loads(line)
        assert facts["pid"] == process.pid
        assert facts["roots"] == [str(tmp_path)]  # on loopback, the current folder
        assert Path(facts["data"]) == tmp_path / "skimflow-service"
        assert httpx.get(f"{facts['url']}/servicex").json()["code-gen-image"].keys() == {"uproot", "uproot-raw"}
        assert (
            yaml.safe_load(httpx.get(f"{facts['url']}/servicex.yaml").text)["api_endpoints"][0]["endpoint"]
            == facts["url"]
        )
        process.send_signal(end)
        assert process.wait(60) == 0
    said = (tmp_path / "log").read_text()
    assert said.endswith("stopped: what was asked for goes on at the next start\n")
    assert "Traceback" not in said


def test_people_are_told_where_it_is_what_it_reads_and_how_to_stop_it(tmp_path: Path) -> None:
    (tmp_path / "inputs").mkdir()
    with served(tmp_path, "--root", "inputs", "--codegen", "uproot") as (process, line):
        assert line.startswith("skimflow serves a ServiceX endpoint at http://127.0.0.1:")
        assert process.stdout is not None
        rest = "".join(process.stdout.readline() for _ in range(8))
    for words in (f"local files below {tmp_path}/inputs", "codegens  uproot\n", "servicex.yaml", "Ctrl-C"):
        assert words in rest


def test_what_cannot_be_served_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "bad.yml").write_text("portt: 5000\n")
    (tmp_path / "a file").write_text("")
    (tmp_path / "open.yml").write_text("sign_in: false\n")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        for options, words in (
            (("--port", port), f"127.0.0.1 port {port} cannot be served at (Address already in use)"),
            (("--data", "/proc/nowhere"), "the folder /proc/nowhere cannot be made"),
            (("--data", "a file/data"), "cannot be made (Not a directory)"),
            (("--config", "bad.yml"), "portt"),
            (("--host", "0.0.0.0", "--config", "open.yml"), "0.0.0.0 can be reached from other machines"),
            (("--store", "ftp://x"), "ftp://x is no store"),
            (("--database", "mysql://x"), "database"),
            (("--codegen", "xaod"), "'xaod' is not one of 'uproot', 'uproot-raw', 'python'"),
            (("--root", "nowhere"), "'nowhere' does not exist"),
        ):
            done = call(tmp_path, "serve", *options)
            assert done.returncode in (1, 2), options
            assert words in done.stderr, options
            assert "Traceback" not in done.stderr, options
            assert done.stdout == ""


def test_settings_come_from_options_then_the_environment_then_the_file(tmp_path: Path) -> None:
    (tmp_path / "service.yml").write_text("port: 1\nworkers: 1\nresult_days: 1\nlimits: {files: 10}\n")
    done = call(
        tmp_path, "serve", "--config", "service.yml", "--port", "3", "--print-config", "--root", tmp_path,
        "--database", "postgresql://me:secret@host/name", SKIMFLOW_PORT="2", SKIMFLOW_WORKERS="2",
    )  # fmt: skip
    found = yaml.safe_load(done.stdout)
    assert (found["port"], found["workers"], found["result_days"], found["limits"]["files"]) == (3, 2, 1, 10)
    assert found["inputs"]["roots"] == [str(tmp_path)]
    assert "secret" not in done.stdout.replace("secret_file", "")
    assert not (tmp_path / "skimflow-service").exists()


def test_the_page_names_every_setting_and_limit() -> None:
    page = (Path(__file__).parents[2] / "docs" / "service.md").read_text()
    for name in (*Settings.model_fields, *Limits.model_fields):
        assert f"`{name}`" in page, name
