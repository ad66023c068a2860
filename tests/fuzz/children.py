"""Random cases run in child processes: crashes, hangs and memory are seen, and the rest of the cases still run."""

import json
import selectors
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CHILD = Path(__file__).with_name("fuzz_child.py")
SILENCE = 30.0  # seconds without an outcome that count as a hang; a case takes milliseconds
MEMORY = 1 << 30


@dataclass
class Report:
    """How the cases ended: the outcomes counted, those that are bugs, and the most memory taken by them, in bytes."""

    outcomes: Counter[str] = field(default_factory=Counter)
    bugs: list[str] = field(default_factory=list)
    peak: int = 0

    def add(self, outcome: str) -> None:
        """Count one outcome."""
        if outcome.startswith("BUG"):
            self.bugs.append(outcome)
        else:
            self.outcomes[outcome] += 1


def run_cases(task: str, count: int, memory: int = MEMORY, silence: float = SILENCE, **arguments: Any) -> Report:
    """All cases of a task of `fuzz_child`; after a crash or hang a new child goes on with the next case."""
    report, done = Report(), 0
    while done < count:
        command = [sys.executable, str(CHILD), task, str(done), str(memory), json.dumps({"count": count, **arguments})]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=CHILD.parents[2])
        try:
            done, ended = _listen(child, report, done, silence)
        finally:
            child.kill()
            errors = child.communicate()[1].decode(errors="replace")
        if not ended:
            how = "hung" if child.returncode == -9 and not errors else f"died with {child.returncode}"
            report.bugs.append(f"BUG case {done} {how}: {errors[-2000:]}")
            done += 1
            if len(report.bugs) > 20:
                return report
    return report


def _listen(child: subprocess.Popen[bytes], report: Report, done: int, silence: float) -> tuple[int, bool]:
    """Read outcomes until the child ends or is silent: how many cases are done, and whether it came to its end."""
    assert child.stdout is not None
    with selectors.DefaultSelector() as ready:
        ready.register(child.stdout, selectors.EVENT_READ)
        rest = b""
        while ready.select(silence):
            block = child.stdout.read1(1 << 16)
            if not block:
                return done, False
            *lines, rest = (rest + block).split(b"\n")
            for line in lines:
                if line.startswith(b"PEAK"):
                    report.peak = max(report.peak, int(line.split()[1]))
                    child.wait()
                    return done, True
                report.add(line.decode())
                done += 1
    return done, False
