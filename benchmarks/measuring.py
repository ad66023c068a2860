"""What the benchmarks of the engine share: timing, the peer in its own environment, memory, tables."""

from __future__ import annotations

import argparse
import json
import math
import platform
import re
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "engine-speed.md"
REPEATS = 5


@dataclass(frozen=True)
class Timing:
    """Least CPU and least wall seconds of a few runs, and what the result came to."""

    cpu: float
    wall: float
    checks: Mapping[str, Any] = field(default_factory=dict)


def timed(work: Callable[[], Any], repeats: int = REPEATS, *, output: Path | None = None) -> Timing:
    """Run a few times in this process; the first run's imports are over when it is best.

    The file ``output`` is removed before each run: to put another one in its place would take time of its own.
    """
    cpu, wall = [], []
    for _ in range(repeats):
        if output is not None:
            output.unlink(missing_ok=True)
        began = time.process_time(), time.perf_counter()
        work()
        cpu.append(time.process_time() - began[0])
        wall.append(time.perf_counter() - began[1])
    return Timing(min(cpu), min(wall))


class Peer:
    """func_adl_uproot in a process of its environment; it stays warm from query to query."""

    def __init__(self, python: str) -> None:
        self.name = Path(python).parents[1].name  # the environment's folder
        child = Path(__file__).with_name("peer_child.py")
        self._process = subprocess.Popen(
            [python, str(child)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._process.communicate()

    def run(self, text: str, file: Path, tree: str, output: Path | None = None, repeats: int = REPEATS) -> Timing:
        """A query on a file; RuntimeError with the peer's own message if it fails."""
        job = {"text": text, "file": str(file), "tree": tree, "repeats": repeats, "output": output and str(output)}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        if "error" in answer:
            raise RuntimeError(f"the peer {self.name} failed: {answer['error']}")
        return Timing(**answer)


def agree(ours: Mapping[str, Any], theirs: Mapping[str, Any], tolerance: float = 1e-6) -> bool:
    """Whether two results' rows and numbers are as many, and their sums equal up to the order of adding."""
    if ours["rows"] != theirs["rows"] or ours["columns"].keys() != theirs["columns"].keys():
        return False
    pairs = ((ours["columns"][name], theirs["columns"][name]) for name in ours["columns"])
    return all(a[0] == b[0] and math.isclose(a[1], b[1], rel_tol=tolerance) for a, b in pairs)


def high_water() -> float:
    """Peak memory of this process in MB (getrusage would count the parent's, before exec, too)."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; all columns but the first are numbers."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


@dataclass(frozen=True)
class Report:
    """A benchmark's section: its title, the command, its text, and the figures that the text was made from."""

    title: str
    command: str
    text: str
    figures: Any

    def show(self, options: argparse.Namespace, document: Path = DOCUMENT) -> None:
        """Print the section or its figures, and put it into the document if asked to."""
        print(json.dumps(self.figures, default=asdict) if options.json else self.text)
        if options.write:
            write_section(document, self)


def write_section(document: Path, report: Report) -> None:
    """Put the section where the document has one of that title, else at its end."""
    section = f"## {report.title}\n\n`{report.command}`, on {_machine()}.\n\n{report.text}\n"
    text = document.read_text()
    old = re.compile(rf"^## {re.escape(report.title)}\n.*?(?=^## |\Z)", re.MULTILINE | re.DOTALL)
    text = old.sub(lambda _: section + "\n", text) if old.search(text) else f"{text.rstrip()}\n\n{section}"
    document.write_text(text.rstrip() + "\n")


def _machine() -> str:
    return f"two shared cores, Python {platform.python_version()}"


def options(description: str | None, peers: bool = True) -> argparse.ArgumentParser:
    """The options that all have in common."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("--write", action="store_true", help="put the section into the document")
    if peers:
        help_ = "Python of an environment with func_adl_uproot (tests/oracle says how to make one); may be repeated"
        parser.add_argument("--peer", action="append", default=[], metavar="PYTHON", help=help_)
    return parser
