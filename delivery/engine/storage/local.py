"""A file on a disk of this machine."""

import os
from collections.abc import Sequence

from delivery.engine.storage.ranges import Range


class LocalStorage:
    """A local file. Raises OSError if it cannot be opened."""

    remote = False
    head = b""

    def __init__(self, path: str) -> None:
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self.size = os.fstat(self._descriptor).st_size

    def fetch(self, ranges: Sequence[Range]) -> list[bytes]:
        """The bytes of each range."""
        return [self._read(start, stop) for start, stop in ranges]

    def _read(self, start: int, stop: int) -> bytes:
        content = os.pread(self._descriptor, stop - start, start)
        while len(content) < stop - start:  # one call gives at most 2 GB
            more = os.pread(self._descriptor, stop - start - len(content), start + len(content))
            if not more:
                raise OSError(f"the file ended at byte {start + len(content)} while it was read")
            content += more
        return content

    def close(self) -> None:
        """Let go of the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
