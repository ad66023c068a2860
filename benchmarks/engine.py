"""The transform engine on the AGC's query: ``python -m benchmarks.engine [FILE …] [--peer PYTHON …]``.

CPU and wall seconds of whole transforms, file to file; their ratio to nothing but the decompression of the same
baskets, to all steps that cannot be left out (`engine_steps`), to a plain uproot read of the same columns, and to the
peer writing Parquet. Without FILE 300 000 W + jets events are simulated, once per compression, and four times as many
for what threads gain where a file is longer.
"""

import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import get_args

import uproot

from benchmarks import engine_steps
from benchmarks.engine_steps import TREE, Format, Steps
from benchmarks.measuring import REPEATS, Peer, Report, Timing, options, table, timed
from delivery.engine import TransformRequest, transform
from queries.named import load
from skimflow.simulate.production import make_file
from skimflow.simulate.samples import SAMPLES

QUERY = "queries.ttbar:agc_published_ml"
COMPRESSIONS = ("zlib", "zstd", "lz4", "lzma")
THREADS = (1, 2)
LONGER, LONGER_COMPRESSIONS = 4, ("zlib", "zstd")


@dataclass(frozen=True)
class Measured:
    """One file: what was read and kept, and the timings of every way to do it."""

    name: str
    events_in: int
    events_out: int
    bytes_read: int
    transforms: dict[str, dict[int, Timing]]  # by output format and threads
    steps: Steps
    uproot: Timing
    peers: dict[str, Timing]


def make_input(path: Path, events: int, compression: str = "zlib") -> Path:
    """Simulated W + jets events: a few percent of them pass the query, as in real samples."""
    sample = next(one for one in SAMPLES if one.name == "wjets__nominal")
    make_file(sample, 0, events, 1, compression, path)
    return path


def read_plainly(file: Path, columns: tuple[str, ...]) -> None:
    """What one would write by hand: all of these columns as arrays."""
    with uproot.open(file) as opened:
        opened[TREE].arrays(list(columns))


def _busy(_: int) -> float:
    began = time.perf_counter()
    sum(range(30_000_000))
    return time.perf_counter() - began


def free_cores() -> float:
    """How many times the work of one process two do at once: what any two threads can gain here at this moment."""
    with get_context("spawn").Pool(2) as pool:
        alone = min(pool.apply(_busy, (0,)) for _ in range(REPEATS))
        together = min(max(pool.map(_busy, range(2), 1)) for _ in range(REPEATS))
    return 2 * alone / together


def by_threads(file: Path, out: Path, kind: Format) -> dict[int, Timing]:
    """A whole transform by numbers of threads."""
    request = partial(TransformRequest, load(QUERY).text, str(file), out, format=kind)
    return {threads: timed(partial(transform, request(threads=threads)), output=out) for threads in THREADS}


def measure(file: Path, folder: Path, peers: list[Peer]) -> Measured:
    """Time one file."""
    text, out = load(QUERY).text, folder / "out"
    request = TransformRequest(text, str(file), out)
    results = {kind: by_threads(file, out, kind) for kind in get_args(Format)}
    done = transform(request)
    return Measured(
        name=file.stem,
        events_in=done.events_in,
        events_out=done.events_out,
        bytes_read=done.bytes_read,
        transforms=results,
        steps=engine_steps.measure(request),
        uproot=timed(partial(read_plainly, file, done.columns)),
        peers={peer.name: peer.run(text, file, TREE, out) for peer in peers},
    )


def wholes(measured: list[Measured]) -> str:
    """The table of whole transforms."""
    peers = list(measured[0].peers)
    ratios = ["CPU / decompression", "limit", "CPU / uproot read", *(f"{peer} CPU / ours" for peer in peers)]
    rows = []
    for one in measured:
        for kind, timings in one.transforms.items():
            cpu, steps = timings[1].cpu, one.steps
            parts = (cpu / steps.decompressing, steps.total(kind) / steps.decompressing, cpu / one.uproot.cpu)
            theirs = [f"{one.peers[p].cpu / cpu:.1f}" if kind == "parquet" else "" for p in peers]
            ours = [f"{cpu:.2f} s", *(f"{part:.2f}" for part in parts)]
            rows.append([f"{one.name} → {kind}", *ours, *theirs, f"{walls(timings)} s", f"{best(one, kind):.2f} s"])
    return table(["input → output", "CPU", *ratios, f"wall, {walls_title()}", "2 at best"], rows)


def walls(timings: dict[int, Timing]) -> str:
    """Wall seconds by threads."""
    return " → ".join(f"{timing.wall:.2f}" for timing in timings.values())


def walls_title() -> str:
    """What `walls` shows."""
    return " → ".join(map(str, THREADS)) + " threads"


def best(one: Measured, kind: str) -> float:
    """Least wall seconds of two threads: the plan comes before all else, the only group of rows is written after it."""
    alone = one.steps.planning + one.steps.writing[kind]
    return alone + (one.transforms[kind][1].cpu - alone) / 2


def alone(measured: list[Measured]) -> str:
    """The table of the steps."""
    names = ["planning", "reading", "decompressing", "turning", "selecting"]
    header = ["input → output", *names, "writing", "sum", "whole transform"]
    rows = []
    for one in measured:
        for kind, timings in one.transforms.items():
            steps = [getattr(one.steps, name) for name in names]
            seconds = [*steps, one.steps.writing[kind], one.steps.total(kind), timings[1].cpu]
            rows.append([f"{one.name} → {kind}", *(f"{1000 * each:.0f}" for each in seconds)])
    return table(header, rows)


def section(measured: list[Measured], longer: dict[str, dict[int, Timing]], cores: float) -> str:
    """The text with its tables."""
    first = measured[0]
    share = first.events_out / first.events_in
    long = "; ".join(f"{name} {walls(timings)} s" for name, timings in longer.items())
    return (
        f"The AGC's query with the columns of its machine learning on {first.events_in:,} simulated W + jets events, "
        f"{share:.0%} of which pass ({first.bytes_read / 1e6:.0f} MB read). Two processes at once did {cores:.1f} "
        "times the work of one meanwhile; no number of threads can gain more. The limit is the sum of the steps below, "
        'over the decompression; "2 at best" is what two threads take if all but the plan and the writing, which has '
        f"one group of rows here, is shared out evenly.\n\n{wholes(measured)}\n\n"
        + (f"Files of {LONGER} times as many events to Parquet, wall, {walls_title()}: {long}.\n\n" if long else "")
        + "CPU milliseconds of each step by itself, on the same data in the same run: the header, the needed branches "
        "and the query's plan; the needed bytes into one buffer; their decompression; the numbers that selections "
        "read, once into this machine's byte order; the selections and the output's rows, all columns being in memory; "
        f"the writing of the finished rows.\n\n{alone(measured)}"
    )


def main() -> None:
    """Measure."""
    parser = options(__doc__)
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--events", type=int, default=300_000)
    chosen = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        files = chosen.files or [make_input(folder / f"{c}.root", chosen.events, c) for c in COMPRESSIONS]
        peers = [stack.enter_context(Peer(python)) for python in chosen.peer]
        measured = [measure(file, folder, peers) for file in files]
        longer = {}
        for each in () if chosen.files else LONGER_COMPRESSIONS:
            file = make_input(folder / "longer.root", LONGER * chosen.events, each)
            longer[each] = by_threads(file, folder / "out", "parquet")
        cores = free_cores()
    text = section(measured, longer, cores)
    Report("Whole transforms", "python -m benchmarks.engine", text, measured).show(chosen)


if __name__ == "__main__":
    main()
