"""Start-up times: `skimflow --help` and a run with nothing to do, as whole processes, beside a bare Python start.

python benchmarks/startup.py [FOLDER]      # FOLDER of a finished `skimflow demo`; made (--small) if not given
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

REPEATS = 5
BUDGET_S = {"--help": 0.2, "nothing to do": 2.0}


def fastest(command: Sequence[str]) -> float:
    """Shortest wall time of a command in seconds, over a few runs (the machine is shared: the minimum is the truth)."""
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> None:
    """Print the table."""
    skimflow = [sys.executable, "-m", "skimflow"]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(sys.argv[1] if len(sys.argv) > 1 else scratch)
        if len(sys.argv) == 1:
            subprocess.run([*skimflow, "demo", "--small", str(folder)], check=True, capture_output=True)
        python = fastest([sys.executable, "-c", "pass"])
        print(f"{'':<16}{'seconds':>9}{'x python':>10}{'budget':>9}")
        print(f"{'python':<16}{python:>9.3f}{1:>10.1f}")
        commands = {"--help": [*skimflow, "--help"], "nothing to do": [*skimflow, "demo", str(folder)]}
        for name, command in commands.items():
            seconds = fastest(command)
            print(f"{name:<16}{seconds:>9.3f}{seconds / python:>10.1f}{BUDGET_S[name]:>9.1f}")


if __name__ == "__main__":
    main()
