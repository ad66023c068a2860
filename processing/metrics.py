"""What a run cost, in the quantities that the AGC reports."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Metrics:
    """Cost of one call of ``processing.run.process``.

    Attributes:
        wall_seconds: from start to end, planning and reading of kept results included.
        process_seconds: sum over the new chunks of the time inside the processor.
        events: events of the whole result; new_events: those worked on in this call, the others were kept.
        bytes_read: requested from the files for the new chunks.
        columns: branches read, as coffea names them.
        chunks, cached_chunks: of the whole result, and how many of them were kept before.
        cluster, chunk_events, files: how the run was set up.
        workers: one-thread workers that it used; 0 if every result was kept.
    """

    wall_seconds: float
    process_seconds: float
    events: int
    new_events: int
    bytes_read: int
    columns: tuple[str, ...]
    chunks: int
    cached_chunks: int
    cluster: str
    workers: int
    chunk_events: int
    files: int

    @property
    def events_per_second(self) -> float:
        """New events per second of wall time."""
        return self.new_events / self.wall_seconds if self.wall_seconds > 0 else 0.0

    @property
    def events_per_second_per_core(self) -> float:
        """New events per second of wall time and worker."""
        return self.events_per_second / max(1, self.workers)

    @property
    def events_per_process_second(self) -> float:
        """New events per second inside the processor."""
        return self.new_events / self.process_seconds if self.process_seconds > 0 else 0.0

    def to_json(self) -> dict[str, Any]:
        """The fields and the three rates as a JSON-able dict."""
        rates = ("events_per_second", "events_per_second_per_core", "events_per_process_second")
        fields = asdict(self) | {"columns": list(self.columns)}
        return fields | {name: getattr(self, name) for name in rates}
