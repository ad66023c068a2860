"""Twenty-four runs of two hundred requests, each with a fault in it: what was lost, made twice or other than it was.

python -m benchmarks.service_faults [--seed N] [--first N] [--last N] [--write]

Two service processes, PostgreSQL, an S3 server, a Dask scheduler and two workers run on loopback as processes of their
own. A full disk is a small file system of its own (root's rights are needed to mount it), and a clock is set by a
library that the processes load (gcc is needed).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.measuring import Report, table, write_section

DOCUMENT = Path(__file__).parents[1] / "docs" / "service-load.md"
TESTS = Path(__file__).parents[1] / "tests" / "service"
sys.path.insert(0, str(TESTS))
import faults  # type: ignore[import-not-found] # noqa: E402 - beside the tests
from topology import Topology  # type: ignore[import-not-found] # noqa: E402

RUNS: Sequence[Callable[[Any], str]] = (
    faults.nothing,
    faults.service,
    faults.worker,
    faults.scheduler,
    faults.client,
    faults.database_sessions,
    faults.leader,
    faults.worker_process,
    faults.database_session,
    faults.clock_of_all,
    faults.inputs_stall,
    faults.store_silent,
    faults.disk_of_workers,
    faults.services,
    faults.worker,
    faults.scheduler,
    faults.client,
    faults.database,
    faults.clock_of_one,
    faults.store_refuses,
    faults.disk_of_database,
    faults.leader,
    faults.worker_process,
    faults.database_sessions,
    faults.inputs_stall_for_good,
)
"""The undisturbed run, and then the faults."""


def main() -> None:
    """Run them all on one topology, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="the run to begin with")
    parser.add_argument("--last", type=int, default=len(RUNS) - 1, help="the run to end with")
    parser.add_argument("--requests", type=int, default=200, help="in each run")
    parser.add_argument("--write", action="store_true", help="put the table into docs/service-load.md")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="skimflow-faults-") as name:
        folder = Path(name)
        (folder / "inputs").mkdir()
        settings = {"disk": 128, "preload": shift_library(folder), "limits": {"read_seconds": 4.0}}
        with Topology(folder / "topology", folder / "inputs", **settings) as topology:
            met = [one_run(topology, number, options) for number in range(options.first, options.last + 1)]
    report = Report("Faults", "python -m benchmarks.service_faults", text(met, options.requests), met)
    print(report.text)
    if options.write:
        write_section(DOCUMENT, report)
    sys.exit(any(one.wrong for one in met))


def one_run(topology: Any, number: int, options: argparse.Namespace) -> Any:
    """One run, with a line of what came of it."""
    fault = RUNS[number]
    try:
        met = faults.fault_run(topology, fault, seed=options.seed + number, requests=options.requests)
    except Exception as error:  # noqa: BLE001 - the other runs are of interest, too
        topology.revive()
        met = faults.Met(fault.__name__, fault.__name__, 0.0, {}, [], [f"the run broke off: {error!r}"])
    print(f"{number} {met.what}: {met.seconds:.0f} s, {met.statuses}, {len(met.wrong)} wrong", flush=True)
    for wrong in met.wrong[:10]:
        print(f"    {wrong}", flush=True)
    return met


def text(met: Sequence[Any], requests: int) -> str:
    """The table."""
    rows = [
        (one.what, f"{one.statuses.get('Complete', 0)}", f"{one.statuses.get('Fatal', 0)}", f"{len(one.wrong)}",
         f"{one.seconds:.0f} s")
        for one in met
    ]  # fmt: skip
    said = (
        f"{requests} requests of two files each run through two service processes, half of them each. Wrong is what is"
        " missing, there twice, other than the engine makes it without any service, counted otherwise than there are"
        " rows, ended without its true reason, or seen otherwise by the official client (its list of all requests; the"
        " buckets and bytes of five). Every tenth input comes from a web server; when that stalls for good, requests"
        " with such a file are to end Fatal with it as their reason, and their other files are to be there."
    )
    return f"{said}\n\n{table(('fault', 'complete', 'fatal', 'wrong', 'time'), rows)}"


def shift_library(folder: Path) -> Path:
    """What sets the processes' clocks."""
    made = folder / "clock_shift.so"
    source = TESTS / "clock_shift.c"
    subprocess.run(["gcc", "-shared", "-fPIC", "-O2", "-o", str(made), str(source), "-ldl"], check=True)
    made.chmod(0o755)
    folder.chmod(0o755)  # PostgreSQL is another user
    return made


if __name__ == "__main__":
    main()
