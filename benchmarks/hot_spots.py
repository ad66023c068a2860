"""Where a transform's time goes: ``python -m benchmarks.hot_spots [FILE …]``.

A timer interrupts the process every millisecond of CPU time; the innermost function that has a part to play says which
part of the work was being done. Without FILE 300 000 W + jets events are simulated, once per compression.
"""

import collections
import signal
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from benchmarks.engine import COMPRESSIONS, QUERY, make_input
from benchmarks.measuring import Report, options, table, timed
from delivery.engine import TransformRequest, transform
from queries.named import load

ENGINE = "/delivery/engine/"
# Modules that are not named (values, forms, kernels) work for whoever called them.
PARTS = {
    "decompressing": ("compression",),
    "bytes to columns": ("baskets", "runs", "units", "tree_source", "ntuple_source", "storage/"),
    "evaluating": ("expressions", "elementwise", "reductions", "items", "records", "combining", "four_vectors"),
    "keeping selected rows": ("rows",),
    "writing": ("writers/",),
    "header and plan": ("plans", "compiler", "terms", "lists", "operators", "calls", "branches", "source", "reading"),
}
OTHER = "the rest"
REPEATS = 5


@dataclass(frozen=True)
class Shares:
    """CPU seconds of a transform, and the share of each part of the work."""

    name: str
    cpu: float
    shares: dict[str, float]


def part_of(frame: FrameType | None) -> str:
    """The part that the innermost function with one is playing."""
    while frame is not None:
        _, found, module = frame.f_code.co_filename.partition(ENGINE)
        for part, names in PARTS.items():
            if found and module.startswith(names):
                return part
        frame = frame.f_back
    return OTHER


def measure(file: Path, out: Path) -> Shares:
    """Sample a few transforms, each of one thread."""
    request = TransformRequest(load(QUERY).text, str(file), out, format="parquet")
    cpu = timed(lambda: transform(request), output=out).cpu
    seen: collections.Counter[str] = collections.Counter()
    last = 0.0

    def sample(_: int, frame: FrameType | None) -> None:
        """Python is told of several interruptions of one long call in a library only once: count the time since."""
        nonlocal last
        now = time.process_time()
        seen[part_of(frame)] += round((now - last) * 1e9)
        last = now

    signal.signal(signal.SIGPROF, sample)
    last = time.process_time()
    signal.setitimer(signal.ITIMER_PROF, 1e-3, 1e-3)
    try:
        for _ in range(REPEATS):
            transform(request)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    return Shares(file.stem, cpu, {part: seen[part] / seen.total() for part in (*PARTS, OTHER)})


def section(found: list[Shares]) -> str:
    """The table."""
    header = ["", *(f"{one.name}, {one.cpu:.2f} s" for one in found)]
    rows = [[part, *(f"{one.shares[part]:.0%}" for one in found)] for part in (*PARTS, OTHER)]
    return f"Shares of the CPU time of a transform to Parquet, one thread.\n\n{table(header, rows)}"


def main() -> None:
    """Measure."""
    parser = options(__doc__, peers=False)
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--events", type=int, default=300_000)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = chosen.files or [make_input(folder / f"{c}.root", chosen.events, c) for c in COMPRESSIONS]
        found = [measure(file, folder / "out") for file in files]
    Report("Where the time goes", "python -m benchmarks.hot_spots", section(found), found).show(chosen)


if __name__ == "__main__":
    main()
