"""The transform engine on the AGC's query: ``python -m benchmarks.engine [FILE …] [--peer PYTHON …]``.

CPU and wall seconds of whole transforms, file to file; their ratio to nothing but the decompression of the same
baskets, which no reader can beat, to a plain uproot read of the same columns, and to the peer writing Parquet.
Without FILE 300 000 W + jets events are simulated, once per compression.
"""

import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Literal, get_args

import uproot

from benchmarks.measuring import REPEATS, Peer, Report, Timing, options, table, timed
from delivery.engine import TransformRequest, evaluate, transform
from delivery.engine.compression import decompress
from delivery.engine.writers import TREE as WRITTEN
from delivery.engine.writers import open_writer
from queries.named import load
from skimflow.simulate.production import make_file
from skimflow.simulate.samples import SAMPLES

QUERY = "queries.ttbar:agc_published_ml"
TREE = "Events"
Format = Literal["root-file", "parquet"]
COMPRESSIONS = ("zlib", "zstd", "lz4", "lzma")
THREADS = (1, 2)


@dataclass(frozen=True)
class Measured:
    """One file: what was read and kept, and the timings of every way to do it."""

    name: str
    events_in: int
    events_out: int
    bytes_read: int
    transforms: dict[str, dict[int, Timing]]  # by output format and threads
    decompression: Timing
    writing: dict[str, Timing]  # nothing but the writing of the finished rows, by output format
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


def only_decompress(file: Path, columns: tuple[str, ...]) -> Callable[[], None]:
    """A function that decompresses all baskets of these columns, already in memory, and does nothing else."""
    payloads = []
    with uproot.open(file) as opened, file.open("rb") as stream:
        for name in columns:
            branch = opened[TREE][name]
            for number in range(branch.num_baskets):
                basket = branch.basket(number)
                stream.seek(int(branch.member("fBasketSeek")[number]))
                raw = stream.read(basket.compressed_bytes)
                if basket.block_compression_info is not None:
                    key = basket.member("fKeylen")
                    payloads.append((raw[key:], basket.uncompressed_bytes - key))

    def work() -> None:
        for packed, size in payloads:
            decompress(packed, size)

    return work


def only_write(file: Path, text: str, kind: Format, out: Path) -> Callable[[], None]:
    """A function that writes the query's result, already in memory, and does nothing else."""
    rows = evaluate(text, [file])

    def work() -> None:
        writer = open_writer(out, kind, {WRITTEN: rows[:0]}, bytes(16))
        writer.write(rows)
        writer.close({})

    return work


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


def measure(file: Path, folder: Path, peers: list[Peer]) -> Measured:
    """Time one file."""
    text, out = load(QUERY).text, folder / "out"
    results = {
        kind: {
            threads: timed(partial(transform, TransformRequest(text, str(file), out, format=kind, threads=threads)))
            for threads in THREADS
        }
        for kind in get_args(Format)
    }
    done = transform(TransformRequest(text, str(file), out))
    return Measured(
        name=file.stem,
        events_in=done.events_in,
        events_out=done.events_out,
        bytes_read=done.bytes_read,
        transforms=results,
        decompression=timed(only_decompress(file, done.columns)),
        writing={kind: timed(only_write(file, text, kind, out)) for kind in get_args(Format)},
        uproot=timed(partial(read_plainly, file, done.columns)),
        peers={peer.name: peer.run(text, file, TREE, out) for peer in peers},
    )


def section(measured: list[Measured], cores: float) -> str:
    """The table."""
    peers = list(measured[0].peers)
    ratios = ["CPU / decompression", "limit", "CPU / uproot read", *(f"{peer} CPU / ours" for peer in peers)]
    walls = "wall, " + " → ".join(map(str, THREADS)) + " threads"
    rows = []
    for one in measured:
        for kind, by_threads in one.transforms.items():
            cpu = by_threads[1].cpu
            least = one.decompression.cpu + one.writing[kind].cpu
            parts = (cpu / one.decompression.cpu, least / one.decompression.cpu, cpu / one.uproot.cpu)
            theirs = [f"{one.peers[p].cpu / cpu:.1f}" if kind == "parquet" else "" for p in peers]
            wall = " → ".join(f"{timing.wall:.2f}" for timing in by_threads.values())
            rows.append(
                [f"{one.name} → {kind}", f"{cpu:.2f} s", *(f"{part:.2f}" for part in parts), *theirs, f"{wall} s"]
            )
    header = ["input → output", "CPU", *ratios, walls]
    first = measured[0]
    share = first.events_out / first.events_in
    return (
        f"The AGC's query with the columns of its machine learning on {first.events_in:,} simulated W + jets events, "
        f"{share:.0%} of which pass ({first.bytes_read / 1e6:.0f} MB read). Two processes at once did {cores:.1f} "
        "times the work of one meanwhile; no number of threads can gain more. The limit is what the decompression "
        f"and the writing of the finished rows take by themselves, over the decompression.\n\n{table(header, rows)}"
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
        cores = free_cores()
    Report("Whole transforms", "python -m benchmarks.engine", section(measured, cores), measured).show(chosen)


if __name__ == "__main__":
    main()
