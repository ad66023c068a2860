"""What is processed as one: a range of one file's events, and what comes of it."""

from __future__ import annotations

import json
import operator
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any

from processing.errors import ProcessingError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hist import Hist

    from processing.filesets import InputFile, Sample

Cutflow = dict[str, dict[str, int]]
"""Region → step → events that pass this step and all before it."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Events ``start`` to ``stop`` (exclusive) of one file of one sample."""

    sample: str
    process: str
    variation: str
    path: str
    tree: str
    start: int
    stop: int
    digest: str

    @property
    def events(self) -> int:
        """Number of events."""
        return self.stop - self.start

    def __str__(self) -> str:
        return f"{self.sample} {self.path}:{self.tree} events {self.start} to {self.stop}"


@dataclass(frozen=True, slots=True)
class ChunkFailure:
    """Why a planned chunk (or a whole file that could not be planned) gave no result.

    ``start`` and ``stop`` are None for a whole file; ``error`` names the error's class, ``reason`` is one sentence.
    """

    sample: str
    path: str
    start: int | None
    stop: int | None
    error: str
    reason: str
    attempts: int = 1

    def __str__(self) -> str:
        where = "" if self.start is None else f" events {self.start} to {self.stop}"
        return f"{self.sample} {self.path}{where}: {self.error}: {self.reason}"


@dataclass(frozen=True)
class ChunkResult:
    """What a processor makes of one chunk, before any normalisation; results of one sample add up.

    Attributes:
        events: events read.
        cutflow: see ``Cutflow``.
        histograms: region → histogram with axes ``variation`` (text) and ``observable`` and Weight storage,
            filled with the weight of the systematic variation alone.
    """

    events: int
    cutflow: Cutflow
    histograms: dict[str, Hist[Any]]

    def __add__(self, other: ChunkResult) -> ChunkResult:
        if self.histograms.keys() != other.histograms.keys():
            raise ProcessingError(
                f"results with regions {sorted(self.histograms)} and {sorted(other.histograms)} do not add up"
            )
        cutflow = {
            region: {step: count + other.cutflow[region][step] for step, count in steps.items()}
            for region, steps in self.cutflow.items()
        }
        histograms = {region: h + other.histograms[region] for region, h in self.histograms.items()}
        return ChunkResult(self.events + other.events, cutflow, histograms)

    def to_json(self) -> bytes:
        """The result as JSON text, histograms in the UHI form."""
        from uhi.io.json import default

        document = {"events": self.events, "cutflow": self.cutflow, "histograms": self.histograms}
        return json.dumps(document, default=default, separators=(",", ":")).encode()

    @staticmethod
    def from_json(text: bytes) -> ChunkResult:
        """Inverse of ``to_json``; the numbers are the same to the last bit."""
        from hist import Hist
        from uhi.io.json import object_hook

        document = json.loads(text, object_hook=object_hook)
        histograms = {region: Hist(h) for region, h in document["histograms"].items()}
        return ChunkResult(document["events"], document["cutflow"], histograms)


def chunk_ranges(entries: int, chunk_events: int) -> Iterator[tuple[int, int]]:
    """Cut events into the fewest ranges of at most ``chunk_events``, equal to within one event.

    A file without events is one empty range, for its histograms are empty and not absent.
    """
    if chunk_events < 1:
        raise ProcessingError(f"events per chunk must be at least 1, got {chunk_events}")
    pieces = max(1, -(-entries // chunk_events))
    for i in range(pieces):
        yield i * entries // pieces, (i + 1) * entries // pieces


def chunks_of(sample: Sample, file: InputFile, entries: int, digest: str, chunk_events: int) -> tuple[Chunk, ...]:
    """The chunks of one file, which depend on that file alone: adding another changes none of them."""
    return tuple(
        Chunk(sample.name, sample.process, sample.variation, file.path, file.tree, start, stop, digest)
        for start, stop in chunk_ranges(entries, chunk_events)
    )


def add_up(results: Iterable[ChunkResult]) -> ChunkResult:
    """Sum of at least one result in the given order: float sums must not depend on who finished first."""
    return reduce(operator.add, results)
