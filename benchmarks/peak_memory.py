"""Peak memory of a transform: ``python -m benchmarks.peak_memory [--sizes MB …] [--keep FOLDER]``.

Each transform runs in a process of its own, which tells its peak (VmHWM) above what the imports took. Files are
simulated W + jets events of about the sizes given, in MB.
"""

import argparse
import tempfile
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Literal, get_args

from benchmarks.engine import QUERY, make_input
from benchmarks.measuring import Report, high_water, options, table
from delivery.engine import TransformRequest, transform
from queries.named import load

BYTES_PER_EVENT = 237
SIZES_MB = (300, 3000)
THREADS = (1, 2, 8)
BUDGET_MB = 256
Format = Literal["root-file", "parquet"]


@dataclass(frozen=True)
class Peak:
    """MB above the imports."""

    file_mb: float
    format: str
    threads: int
    peak_mb: float


def measure(file: Path, kind: Format, threads: int) -> Peak:
    """One transform, in a process of its own."""
    with get_context("spawn").Pool(1) as pool:
        peak = pool.apply(_peak, (str(file), kind, threads))
    return Peak(file.stat().st_size / 1e6, kind, threads, peak)


def _peak(file: str, kind: Format, threads: int) -> float:
    text = load(QUERY).text
    import delivery.engine.skim  # noqa: F401 - what is imported does not count

    base = high_water()
    with tempfile.TemporaryDirectory(dir=Path(file).parent) as folder:
        transform(TransformRequest(text, file, Path(folder) / "out", format=kind, threads=threads))
    return high_water() - base


def section(peaks: list[Peak]) -> str:
    """The table."""
    sizes = list(dict.fromkeys(peak.file_mb for peak in peaks))
    rows = []
    for kind in get_args(Format):
        for threads in THREADS:
            found = {p.file_mb: p.peak_mb for p in peaks if (p.format, p.threads) == (kind, threads)}
            rows.append([f"{kind}, {threads} thread(s)", *(f"{found[size]:.0f} MB" for size in sizes)])
    header = ["output", *(f"file of {size:,.0f} MB" for size in sizes)]
    return f"Above the imports; at most {BUDGET_MB} MB are allowed.\n\n{table(header, rows)}"


def main() -> None:
    """Measure."""
    parser: argparse.ArgumentParser = options(__doc__, peers=False)
    parser.add_argument("--sizes", type=float, nargs="*", default=SIZES_MB, metavar="MB")
    parser.add_argument("--keep", type=Path, help="make the files here, use those that are here, and leave them")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = chosen.keep or Path(name)
        peaks = []
        for size in chosen.sizes:
            file = folder / f"events_{size:.0f}MB.root"
            if not file.exists():
                make_input(file, round(size * 1e6 / BYTES_PER_EVENT))
            peaks += [measure(file, kind, threads) for kind in get_args(Format) for threads in THREADS]
    Report("Peak memory", "python -m benchmarks.peak_memory", section(peaks), peaks).show(chosen)


if __name__ == "__main__":
    main()
