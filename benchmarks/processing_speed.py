"""Processing speed: events per CPU-second of the ttbar processor, against a plain read of the same columns.

Usage: python benchmarks/processing_speed.py FILE [--tree Events] [--events 300000] [--chunk-events 100000]

FILE is a NanoAOD-like file, raw or skimmed. Everything runs in this process and its CPU time counts, not wall time.
Every row is measured in this run.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import uproot

from artifacts.store import Store
from processing.chunks import chunk_ranges
from processing.clusters import ClusterSettings
from processing.filesets import CROSS_SECTIONS_PB, Fileset, InputFile, Sample
from processing.run import process
from processing.ttbar import EVENT_IDS, READ

AGC_EVENTS_PER_CPU_SECOND = 67_000  # the AGC's processor with coffea 0.7, all systematics, without BDT, narrow file


def cpu_seconds(work: Callable[[], object], repeat: int = 3) -> float:
    """Least CPU time of several runs, of all threads of this process."""
    best = float("inf")
    for _ in range(repeat):
        start = time.process_time()
        work()
        best = min(best, time.process_time() - start)
    return best


def plain_read(path: Path, tree: str, ranges: list[tuple[int, int]]) -> None:
    """Read what the processor reads, with uproot and nothing else."""
    columns = [*EVENT_IDS, *(f"{name}_{field}" for name, fields in READ.items() for field in fields)]
    with uproot.open({path: None}) as file:
        for start, stop in ranges:
            file[tree].arrays(columns, entry_start=start, entry_stop=stop)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--tree", default="Events")
    parser.add_argument("--process", default="ttbar", choices=sorted(CROSS_SECTIONS_PB))
    parser.add_argument("--events", type=int, default=300_000)
    parser.add_argument("--chunk-events", type=int, default=100_000)
    options = parser.parse_args()
    with uproot.open({options.file: None}) as file:
        entries = min(options.events, int(file[options.tree].num_entries))
    ranges = list(chunk_ranges(entries, options.chunk_events))
    file_in = InputFile(str(options.file), entries, tree=options.tree, entries=entries, digest="benchmark")
    fileset = Fileset((Sample(options.process, "nominal", (file_in,), CROSS_SECTIONS_PB[options.process]),))

    def run(folder: str) -> None:
        store, cluster = Store.open(folder), ClusterSettings(kind="iterative")
        process(fileset, store=store, cluster=cluster, code="", chunk_events=options.chunk_events)

    def fresh() -> None:
        with tempfile.TemporaryDirectory() as folder:
            run(folder)

    read = cpu_seconds(lambda: plain_read(options.file, options.tree, ranges))
    new = cpu_seconds(fresh)
    with tempfile.TemporaryDirectory() as folder:
        run(folder)
        kept = cpu_seconds(lambda: run(folder))
    print(f"{entries} events of {options.file.name} in {len(ranges)} chunks, all systematic variations")
    print(f"{'plain uproot read of the same columns':42} {read:7.3f} CPU s {entries / read / 1e3:8.0f} kHz")
    print(f"{'read, process, keep each chunk':42} {new:7.3f} CPU s {entries / new / 1e3:8.0f} kHz")
    print(f"{'again, every chunk kept':42} {kept:7.3f} CPU s")
    print(f"processing / plain read: {new / read:.2f}")
    print(f"events per CPU-second / the AGC processor's {AGC_EVENTS_PER_CPU_SECOND}: ", end="")
    print(f"{entries / new / AGC_EVENTS_PER_CPU_SECOND:.1f}")


if __name__ == "__main__":
    main()
