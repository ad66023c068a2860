"""What a selective query reads: ``python -m benchmarks.selective [--events N]``.

One event in ten thousand passes, and all of these lie together, as the events of one run do. Bytes read of each column
are shown beside those of a query that keeps every event, and of one that keeps none.
"""

import argparse
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.engine import make_input
from benchmarks.engine_steps import TREE
from benchmarks.measuring import Report, options, table, timed
from delivery.engine import TransformRequest, TransformResult, transform

PAYLOAD = ("Jet_pt", "Jet_eta", "Jet_phi", "Jet_mass", "Muon_pt", "Electron_pt")
SELECTING = "event"
SHARE = 1e-4


@dataclass(frozen=True)
class Reading:
    """Compressed bytes read of one column: by a query for every event, for the few that lie together, and for none."""

    column: str
    full: int
    few: int
    none: int


def query(columns: tuple[str, ...], first: int, last: int) -> str:
    """Columns of the events numbered `first` to before `last`."""
    source = f"(call EventDataset 'bogus.root' '{TREE}')"
    inside = f"(and (>= (attr e 'event') {first}) (< (attr e 'event') {last}))"
    names = " ".join(f"'{name}'" for name in columns)
    values = " ".join(f"(attr e '{name}')" for name in columns)
    selected = f"(Where {source} (lambda (list e) {inside}))"
    return f"(Select {selected} (lambda (list e) (dict (list {names}) (list {values}))))"


def section(readings: list[Reading], cpu: tuple[float, float], chosen: argparse.Namespace, size: int) -> str:
    """The table."""
    header = ["column", "every event", "one in 10 000, together", "none"]
    rows = [[one.column, f"{one.full:,}", f"{one.few:,}", f"{one.none:,}"] for one in readings]
    total = [f"**{sum(getattr(one, name) for one in readings):,}**" for name in ("full", "few", "none")]
    return (
        f"Compressed bytes read of each column (what is read is decompressed, nothing else is); {chosen.events:,} "
        f"simulated events in a file of {size / 1e6:.0f} MB, selected by the column `event`. CPU seconds: {cpu[0]:.3f} "
        f"for every event, {cpu[1]:.3f} for the few.\n\n{table(header, [*rows, ['**all**', *total]])}"
    )


def measure(file: Path, out: Path, ranges: tuple[tuple[int, int], ...]) -> tuple[list[Reading], list[float]]:
    """Bytes of each column, and CPU seconds of the whole query, for each range of events."""

    def run(columns: tuple[str, ...], selected: tuple[int, int]) -> Callable[[], TransformResult]:
        return partial(transform, TransformRequest(query(columns, *selected), str(file), out, format="parquet"))

    alone = [run((SELECTING,), selected)().bytes_read for selected in ranges]
    readings = [Reading(SELECTING, *alone)]
    for column in PAYLOAD:
        both = [run((column,), selected)().bytes_read for selected in ranges]
        readings.append(Reading(column, *(total - first for total, first in zip(both, alone, strict=True))))
    return readings, [timed(run(PAYLOAD, selected)).cpu for selected in ranges]


def main() -> None:
    """Measure."""
    parser = options(__doc__, peers=False)
    parser.add_argument("--events", type=int, default=300_000)
    chosen = parser.parse_args()
    middle = chosen.events // 2
    ranges = ((0, 2**40), (middle, middle + max(1, round(SHARE * chosen.events))), (0, 0))
    with tempfile.TemporaryDirectory() as name:
        file = make_input(Path(name) / "events.root", chosen.events)
        readings, cpu = measure(file, Path(name) / "out", ranges)
        text = section(readings, (cpu[0], cpu[1]), chosen, file.stat().st_size)
    Report("A selective query", "python -m benchmarks.selective", text, readings).show(chosen)


if __name__ == "__main__":
    main()
