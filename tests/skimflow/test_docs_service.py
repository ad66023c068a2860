"""What docs/service.md says is typed, against real services."""

import json
import os
import re
import shlex
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import uproot
import yaml

sys.path.insert(0, str(Path(__file__).parent))
from shell import Shell

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "service.md").read_text(encoding="utf-8")
BLOCKS = dict(re.findall(r"^```(\w+)\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL))
COMMANDS = re.findall(r"^    (\S.*)$", "".join(re.split(r"^```", PAGE, flags=re.MULTILINE)[::2]), re.MULTILINE)
SERVES = [line for line in COMMANDS if line.startswith("skimflow serve") and "--print-config" not in line]
TABLE = re.findall(r"^\| `skimflow ([^`]+)` \|", PAGE, re.MULTILINE)
SELECTED = (
    "(Select (Where (call EventDataset 'bogus.root' 'Events') (lambda (list e) (> (attr e 'MET_pt') 25)))"
    " (lambda (list e) (dict (list 'met') (list (attr e 'MET_pt')))))"
)


@pytest.fixture
def folder(tmp_path: Path, shared_data: Path) -> Path:
    """A working folder with the files that the page speaks of."""
    shutil.copyfile(shared_data / "adl" / "Run2012B_SingleMu_1000.root", tmp_path / "events.root")
    (tmp_path / "query.qastle").write_text(SELECTED)
    (tmp_path / "sample.yaml").write_text(BLOCKS["yaml"].replace("/data", str(tmp_path)))
    return tmp_path


@pytest.fixture
def shell(folder: Path) -> Iterator[Shell]:
    """The folder, served by the page's first command."""
    with Shell(folder, {"/data": str(folder)}) as opened:
        opened.serve(SERVES[0])
        yield opened


@pytest.fixture
def passing(folder: Path) -> list[float]:
    met = uproot.open(folder / "events.root")["Events"]["MET_pt"].array(library="np")
    return [float(value) for value in met[met > 25]]


def test_the_page_has_what_this_test_types() -> None:
    assert len(SERVES) == 3
    assert [line.split()[:2] for line in COMMANDS if line not in SERVES] == [
        ["skimflow", "serve"], ["skimflow", "submit"], ["curl", "-o"], ["servicex", "deliver"], ["skimflow", "users"],
    ]  # fmt: skip
    assert [row.split()[1] for row in TABLE] == [
        "--no-wait", "list", "show", "files", "logs", "download", "cancel", "retry", "delete",
    ]  # fmt: skip
    assert set(BLOCKS) == {"yaml", "python"}


def test_the_first_commands(shell: Shell, passing: list[float]) -> None:
    config = yaml.safe_load(shell.run("skimflow serve --print-config").stdout)
    assert (config["port"], config["data"]) == (0, str(shell.folder / "skimflow-service"))
    (submit,) = [line for line in COMMANDS if line.startswith("skimflow submit")]
    assert "Complete: 1 of 1 files" in shell.run(submit).stdout
    assert met_of(shell.folder / "skim") == passing


def test_the_official_client(shell: Shell, passing: list[float]) -> None:
    curl, deliver = [line for line in COMMANDS if line.startswith(("curl", "servicex"))]
    (shell.folder / "servicex.yaml").unlink()
    shell.run(curl)
    cache = f"\ncache_path: {shell.folder / 'cache'}\n"
    (shell.folder / "servicex.yaml").write_text((shell.folder / "servicex.yaml").read_text() + cache)
    assert "Total files delivered: 1" in shell.run(deliver).stdout
    assert met_of(shell.folder / "cache") == passing


def test_python(shell: Shell, passing: list[float]) -> None:
    shell.run([sys.executable, "-c", shell.meant(BLOCKS["python"])])
    assert met_of(shell.folder / "results") == passing


def test_the_table_of_commands(shell: Shell, passing: list[float]) -> None:
    """Row by row, for people and as JSON; the request of the row that cancels waits for workers that are held."""
    asked = f" --selection query.qastle {shell.folder / 'events.root'}"
    first = shell.run(f"skimflow {TABLE[0].replace(' …', asked)}").stdout.strip()
    rows = {row.split()[1]: row.replace("[PLACE]", "0") for row in TABLE[1:]}

    def typed(name: str, request_id: str, more: str = "") -> str:
        words = rows[name].replace("ID", request_id).replace("DIR", f"{name}-{request_id}")
        return shell.run(f"skimflow {words}{more}").stdout

    typed("download", first)
    assert met_of(shell.folder / f"download-{first}") == passing
    for name in ("list", "show", "files", "logs", "download"):
        assert "events.root" in typed(name, first) or name in ("list", "show", "download")
        assert json.loads(typed(name, first[:13], " --json"))
    with held_workers(shell):
        (shell.folder / "query.qastle").write_text(SELECTED.replace("25", "26"))
        second = json.loads(shell.run(f"skimflow {TABLE[0].replace(' …', asked)} --json").stdout)["request_id"]
        assert typed("cancel", second) == f"canceled {second}\n"
        assert "Canceled" in typed("show", second)
    assert "Complete: 1 of 1 files" in typed("retry", second)
    assert json.loads(typed("retry", second, " --json"))["status"] == "Complete"
    assert typed("delete", second) == f"deleted {second}\n"
    assert json.loads(typed("delete", first, " --json")) == {"deleted": [first]}
    assert json.loads(typed("list", "", " --json")) == []


@contextmanager
def held_workers(shell: Shell) -> Iterator[None]:
    """The processes below the service that run files do nothing meanwhile."""
    assert shell.service is not None
    workers = [pid for pid in below(shell.service.pid) if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    assert workers
    for pid in workers:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in workers:
            if Path(f"/proc/{pid}").exists():
                os.kill(pid, signal.SIGCONT)


def below(pid: int) -> list[int]:
    """Processes that a process has started."""
    texts = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children")]
    children = [int(child) for text in texts for child in text.split()]
    return children + [one for child in children for one in below(child)]


def test_other_ways_to_start(folder: Path) -> None:
    with Shell(folder, {"/data/cms": str(folder), "/data/atlas": str(folder.parent)}) as shell:
        assert SERVES[1].split()[2:4] == ["--port", "5001"]
        shell.serve(SERVES[1])
        assert shell.service is not None
        assert shell.service.stdout is not None
        rest = "".join(shell.service.stdout.readline() for _ in range(8))
        assert f"local files below {folder}, {folder.parent} " in rest
        assert "workers   4 here" in rest


def test_others_use_it(folder: Path, passing: list[float]) -> None:
    """Sign-in from the operator's first command to the token's end, for our commands and for the official client."""
    with Shell(folder, {"/data": str(folder)}) as shell:
        add, serve = COMMANDS[-2:]
        (folder / "token").write_text(shell.run(add).stdout)
        assert "http://0.0.0.0:" in shell.serve(serve)
        asked = "skimflow submit --selection query.qastle --output alices events.root"
        assert "refuses requests without a token (servicex.yaml" in shell.run(asked, code=1).stderr
        assert (
            "--token-file query.qastle holds no token" in shell.run(f"{asked} --token-file query.qastle", code=2).stderr
        )
        assert "Complete: 1 of 1 files" in shell.run(f"{asked} --token-file token").stdout
        assert met_of(folder / "alices") == passing
        second = shell.run("skimflow token alice").stdout.strip()
        config = {
            "api_endpoints": [{"name": "here", "endpoint": shell.url, "token": second}],
            "cache_path": str(folder / "cache"),
        }
        (folder / "servicex.yaml").write_text(yaml.safe_dump(config))
        assert "Total files delivered: 1" in shell.run("servicex deliver sample.yaml").stdout
        assert met_of(folder / "cache") == passing
        shell.run("skimflow users revoke alice")
        assert "refuses the token of 'here' in" in shell.run("skimflow requests list", code=1).stderr


def met_of(place: Path) -> list[float]:
    (path,) = place.rglob("*.parquet")
    return [float(value) for value in pq.read_table(path)["met"].to_pylist()]


def test_the_names_in_the_text_are_of_commands_that_there_are(folder: Path) -> None:
    named = re.findall(r"`(?:skimflow )?((?:users|token|serve|submit)(?: [^`]*)?)`", PAGE)
    options = {tuple(word for word in text.split() if word.startswith("--")): text for text in named}
    for text in options.values():
        words = shlex.split(text)
        known = Shell(folder).run(["skimflow", *words[: 2 if words[0] == "users" else 1], "--help"]).stdout
        assert all(word in known for word in words if word.startswith("--")), text
