"""The long run of the fuzz tests: mutated query texts, mutated queries on a file, damaged files.

python benchmarks/fuzz.py REAL_FILES [--texts N] [--queries N] [--files N] [--seed N]

REAL_FILES is the folder with the real inputs of the tests; --files counts the damaged copies of each of nine files.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "fuzz"))
from children import Report, run_cases  # type: ignore[import-not-found] # beside the tests
from fuzz_inputs import COMPRESSIONS, REAL, damage_input, small_tree  # type: ignore[import-not-found]

KINDS = (*COMPRESSIONS, *REAL, "small RNTuple")


def reports(options: argparse.Namespace, folder: Path) -> Iterator[tuple[str, Any]]:
    """What each part of the run found."""
    yield "texts", run_cases("parsed", options.texts, seed=options.seed)
    file = str(small_tree(folder / "in.root"))
    for semantics in ("servicex", "strict"):
        report = run_cases("evaluated", options.queries, seed=options.seed, file=file, semantics=semantics)
        yield f"queries, {semantics}", report
    for kind in KINDS:
        good, queries = damage_input(kind, folder, options.real)
        arguments = {"file": str(good), "tree": "Events", "queries": queries, "scratch": str(folder)}
        yield f"files, {kind}", run_cases("damaged", options.files, seed=options.seed, **arguments)


def show(name: str, report: Report, seconds: float) -> None:
    """One row for each part, and every bug."""
    counts = ", ".join(f"{outcome} {count}" for outcome, count in report.outcomes.most_common())
    cases, bugs, peak = report.outcomes.total(), len(report.bugs), report.peak / 1e6
    print(f"| {name} | {cases} | {counts} | {bugs} | {peak:.0f} MB | {seconds:.0f} s |", flush=True)
    for bug in report.bugs:
        print("   ", bug, flush=True)


def main() -> None:
    """Run all, print a table, and fail if there was a bug."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("real", type=Path)
    for name, count in (("texts", 1_000_000), ("queries", 20_000), ("files", 1_000), ("seed", 1)):
        parser.add_argument(f"--{name}", type=int, default=count)
    options = parser.parse_args()
    print("| what | cases | outcomes | bugs | memory taken by the cases | wall |\n|---|---:|---|---:|---:|---:|")
    bugs = 0
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        for name, report in reports(options, Path(folder)):
            show(name, report, time.perf_counter() - began)
            bugs += len(report.bugs)
            began = time.perf_counter()
    sys.exit(bool(bugs))


if __name__ == "__main__":
    main()
