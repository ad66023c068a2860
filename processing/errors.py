"""What can go wrong in this room; every error is a ``ProcessingError`` and survives pickling."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from processing.chunks import ChunkFailure

SHOWN_FAILURES = 10


class ProcessingError(Exception):
    """Base class of every error that this room raises on purpose."""


class FilesetError(ProcessingError):
    """A fileset cannot be read or does not say what is needed; the message names the file and the key."""


class UnknownProcessor(ProcessingError):
    """The text ``module:Class`` does not lead to a coffea processor."""


class MissingColumns(ProcessingError):
    """The file lacks columns that the processor reads."""


class UnexpectedResult(ProcessingError):
    """A processor returned something else than a `ChunkResult`."""


class ClusterUnavailable(ProcessingError):
    """The workers that the settings ask for cannot be had."""


class WorkersLost(ClusterUnavailable):
    """The cluster has had no worker for longer than the settings allow."""


class IncompleteProcessing(ProcessingError):
    """Some planned chunks gave no result; those that did are kept, so that a rerun does only the rest.

    Attributes:
        failures: one record per chunk without a result, with its file, entry range and reason.
        planned: number of chunks planned.
        hint: what to do about it, one sentence.
    """

    def __init__(self, failures: Sequence[ChunkFailure], planned: int, hint: str = "") -> None:
        super().__init__(tuple(failures), planned, hint)
        self.failures = tuple(failures)
        self.planned = planned
        self.hint = hint

    def __str__(self) -> str:
        shown = "\n".join(f"  {failure}" for failure in self.failures[:SHOWN_FAILURES])
        more = len(self.failures) - SHOWN_FAILURES
        rest = f"\n  and {more} more" if more > 0 else ""
        head = f"{len(self.failures)} of {self.planned} chunks gave no result; the others are kept:"
        return f"{head}\n{shown}{rest}" + (f"\n{self.hint}" if self.hint else "")
