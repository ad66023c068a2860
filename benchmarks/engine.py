"""The transform engine on the AGC query: ``python benchmarks/engine.py [FILE]``.

Prints CPU and wall seconds, the ratios to a plain uproot read of the same columns and to nothing but the decompression
of the same baskets, and the peak memory above the import baseline for a file and one three times its size. Without FILE
it simulates 300 000 W + jets events, once per compression.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import uproot

from delivery.engine import TransformRequest, transform
from delivery.engine.baskets import decompress
from queries.named import load
from skimflow.simulate.production import make_file
from skimflow.simulate.samples import SAMPLES

QUERY = "queries.ttbar:agc_published_ml"
REPEATS = 3


def make_input(path: Path, events: int, compression: str = "zlib") -> Path:
    """Simulated W + jets events: a few percent of them pass the query, as in real samples."""
    sample = next(one for one in SAMPLES if one.name == "wjets__nominal")
    make_file(sample, 0, events, 1, compression, path)
    return path


def timed(work: Callable[[], Any]) -> tuple[float, float]:
    """Least CPU and least wall seconds of a few runs."""
    cpu, wall = [], []
    for _ in range(REPEATS):
        began = time.process_time(), time.perf_counter()
        work()
        cpu.append(time.process_time() - began[0])
        wall.append(time.perf_counter() - began[1])
    return min(cpu), min(wall)


def read_plainly(file: Path, columns: tuple[str, ...]) -> None:
    """What one would write by hand: all of these columns as arrays."""
    with uproot.open(file) as opened:
        opened["Events"].arrays(list(columns))


def only_decompress(file: Path, columns: tuple[str, ...]) -> Callable[[], None]:
    """A function that decompresses all baskets of these columns, already in memory, and does nothing else."""
    payloads = []
    with uproot.open(file) as opened, file.open("rb") as stream:
        for name in columns:
            branch = opened["Events"][name]
            for number in range(branch.num_baskets):
                basket = branch.basket(number)
                stream.seek(int(branch.member("fBasketSeek")[number]))
                raw = stream.read(basket.compressed_bytes)
                if basket.block_compression_info is not None:
                    key = basket.member("fKeylen")
                    payloads.append((raw, key, basket.uncompressed_bytes - key))

    def work() -> None:
        for raw, start, size in payloads:
            decompress(raw, start, size)

    return work


def _high_water() -> float:
    """Peak memory of this process in MB (getrusage would count the parent's, before exec, too)."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def _peak(file: str, threads: int) -> float:
    transform  # noqa: B018 - brings the imports that do not count
    base = _high_water()
    with tempfile.TemporaryDirectory() as folder:
        transform(TransformRequest(load(QUERY).text, file, Path(folder) / "out.root", threads=threads))
    return _high_water() - base


def peak_memory(file: Path, threads: int) -> float:
    """MB above the import baseline, in a process of its own."""
    with get_context("spawn").Pool(1) as pool:
        return pool.apply(_peak, (str(file), threads))


def report(file: Path, folder: Path) -> None:
    """Time one file."""
    text = load(QUERY).text
    results = {}
    for kind in ("root-file", "parquet"):
        for threads in (1, 2):
            request = TransformRequest(text, str(file), folder / "out", format=kind, threads=threads)
            results[kind, threads] = timed(partial(transform, request))
    done = transform(TransformRequest(text, str(file), folder / "out"))
    plain = timed(lambda: read_plainly(file, done.columns))
    pure = timed(only_decompress(file, done.columns))
    print(f"{file.name}: {done.events_in} events in, {done.events_out} out, {done.bytes_read / 1e6:.1f} MB read")
    for row in done.cutflow:
        print(f"  {row.passed:8d} pass")
    print(f"{'':24}{'CPU s':>8}{'wall s':>8}{'CPU / uproot':>14}{'CPU / inflate':>15}")
    lines = {"uproot arrays": plain, "decompression alone": pure}
    lines |= {f"{kind}, {threads} thread(s)": took for (kind, threads), took in results.items()}
    for name, (cpu, wall) in lines.items():
        print(f"{name:24}{cpu:8.3f}{wall:8.3f}{cpu / plain[0]:14.2f}{cpu / max(pure[0], 1e-9):15.2f}")


def main() -> None:
    """Measure."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if len(sys.argv) > 1:
            report(Path(sys.argv[1]), folder)
            return
        for compression in ("zstd", "lzma", "zlib"):
            small = make_input(folder / f"{compression}.root", 300_000, compression)
            report(small, folder)
        large = make_input(folder / "zlib-large.root", 900_000)
        for file in (small, large):
            sizes = ", ".join(f"{peak_memory(file, threads):.0f} MB with {threads}" for threads in (1, 8))
            print(f"peak above imports, {file.stat().st_size / 1e6:.0f} MB file: {sizes} thread(s)")


if __name__ == "__main__":
    main()
