"""What a lookup finds, and how long it may take."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from delivery.datasets.errors import DatasetError


@dataclass(frozen=True, slots=True)
class FoundFile:
    """One file of a dataset.

    paths: its replicas (local paths or URLs), in the order in which they are to be tried.
    adler32: checksum as 8 hexadecimal digits, if the catalogue knows it.
    size: bytes; events: number of events; 0 where the catalogue does not say.
    """

    paths: tuple[str, ...]
    adler32: str | None = None
    size: int = 0
    events: int = 0


@dataclass(frozen=True, slots=True)
class FoundFiles:
    """All files of a dataset in an order that the dataset alone decides: the first N are always the same."""

    files: Sequence[FoundFile] = field(default_factory=list)

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)

    @property
    def events(self) -> int:
        """Events of all files, as far as known."""
        return sum(file.events for file in self.files)


class Deadline:
    """The moment at which a lookup must have ended. `seconds` is what it was given in all."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    def left(self, at_most: float) -> float:
        """Seconds that one step may take. Raises DatasetError when none are left."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise DatasetError("internal_failure", f"the lookup took longer than {self.seconds:g} s and was given up")
        return min(left, at_most)
