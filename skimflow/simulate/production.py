"""One file of one sample, from its seed to its bytes."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from skimflow.simulate import nanoaod, thinning
from skimflow.simulate.generate import Block, blocks, generator
from skimflow.simulate.samples import Sample

CLUSTER_EVENTS = 8_000
"""Events per cluster, about; also the size at which the arrays of one step fit a core's cache."""


@dataclass(frozen=True, slots=True)
class FileMade:
    """One file: its entries, the number of generated events it stands for, its bytes."""

    path: Path
    entries: int
    nevts: int
    size: int


def make_file(sample: Sample, file_index: int, events: int, seed: int, compression: str, path: Path) -> FileMade:
    """Write ``events`` events of a sample to ``path``; the same arguments give the same bytes.

    ``nevts`` is the expected number of generated events behind the written ones: ``events`` over the filter
    efficiency, which holds the parton-level filter and the thinning.
    """
    rng = generator(sample.seed(seed, file_index))
    table = thinning.of(sample.name)
    generated = int(1.02 * min(events, CLUSTER_EVENTS) / (table.passed * table.kept)) + 50
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = nanoaod.Writer(path, compression, clusters=events // (CLUSTER_EVENTS // 2) + 1)
    source = blocks(sample, rng, generated)
    while writer.events < events:
        block = next(source)
        kept = np.flatnonzero(table.draw(rng, block.selected))
        kept = kept[: events - writer.events]
        writer.extend(cluster(block, kept, writer.events, file_index))
    writer.close()
    return FileMade(path, events, round(events / table.filter_efficiency), path.stat().st_size)


def cluster(block: Block, kept: np.ndarray, first: int, file_index: int) -> dict[str, object]:
    """The branches of the kept events of one block; ``first`` of them were written to the file before."""
    collections = {
        "Electron": nanoaod.electrons(block.event, kept),
        "Muon": nanoaod.muons(block.event, kept),
        "Jet": nanoaod.jets(block.event, kept),
        "GenPart": nanoaod.generated(block.partons, kept),
    }
    return nanoaod.columns(nanoaod.numbering(first, kept.size, file_index), collections)
