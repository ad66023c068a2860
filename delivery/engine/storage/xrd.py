"""A file behind an XRootD server, read by vector reads."""

from collections.abc import Sequence
from importlib import import_module
from typing import Any

from delivery.engine.storage.patience import READ_SECONDS
from delivery.engine.storage.ranges import Range, cut, joined

PIECES = 1024  # of one vector read: XRootD's protocol allows no more
PIECE_BYTES = 2 * 1024 * 1024 - 16  # the default of XRootD's servers; others refuse longer pieces
_NOT_FOUND, _NOT_AUTHORIZED, _IS_DIRECTORY = 3011, 3010, 3016  # kXR_NotFound and so on
_CONNECTION_ERROR = 108  # the client's own code

# The client would try a port where nothing listens five times, once in two minutes, and then give the server up for
# half an hour. Whoever reads files here tries again himself. The environment's XRD_CONNECTIONRETRY and so on win.
_SETTINGS = {"ConnectionRetry": 1, "StreamErrorWindow": 0}


class XrootdStorage:
    """A file at a ``root://`` or ``roots://`` URL.

    Raises FileNotFoundError, PermissionError, IsADirectoryError where the server says so, else OSError.
    """

    remote = True
    head = b""

    def __init__(self, url: str) -> None:
        client: Any = import_module("XRootD.client")  # has no types
        flags: Any = import_module("XRootD.client.flags")
        for name, value in _SETTINGS.items():
            client.EnvPutInt(name, value)
        self._file = client.File()
        self._seconds = max(1, int(READ_SECONDS.get()))  # the client's own limit for one request is half an hour
        status, _ = self._file.open(url, flags.OpenFlags.READ, timeout=self._seconds)
        _check(status)
        try:
            status, found = self._file.stat(timeout=self._seconds)  # told with the answer to `open`
            _check(status)
            self.size = int(found.size)
        except BaseException:
            self.close()
            raise

    def fetch(self, ranges: Sequence[Range]) -> list[bytes]:
        """The bytes of each range: one vector read for each 1024 pieces of 2 MB."""
        if len(ranges) == 1:
            (start, stop) = ranges[0]
            status, content = self._file.read(start, stop - start, timeout=self._seconds)
            _check(status)
            return [_whole(content, start, stop)]
        pieces = cut(ranges, PIECE_BYTES)
        groups = [pieces[first : first + PIECES] for first in range(0, len(pieces), PIECES)]
        return joined(ranges, [content for group in groups for content in self._vector(group)])

    def _vector(self, pieces: Sequence[Range]) -> list[bytes]:
        wanted = [(start, stop - start) for start, stop in pieces]
        status, answer = self._file.vector_read(chunks=wanted, timeout=self._seconds)
        _check(status)
        found = {chunk.offset: chunk.buffer for chunk in answer.chunks}
        return [_whole(found.get(start, b""), start, stop) for start, stop in pieces]

    def close(self) -> None:
        """Let go of the file."""
        if self._file.is_open():
            self._file.close(timeout=self._seconds)


def _whole(content: bytes, start: int, stop: int) -> bytes:
    if len(content) != stop - start:
        raise OSError(f"{len(content)} bytes came where {start} to {stop} were asked for")
    return content


def _check(status: Any) -> None:
    """Raise what an XRootD status that is no success means."""
    if status.ok:
        return
    if status.code == _CONNECTION_ERROR:
        raise ConnectionError("the server does not answer: nothing listens at its port, or the network fails")
    kinds = {_NOT_FOUND: FileNotFoundError, _NOT_AUTHORIZED: PermissionError, _IS_DIRECTORY: IsADirectoryError}
    raise kinds.get(int(status.errno), OSError)(status.message.strip())
