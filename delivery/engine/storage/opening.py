"""Which storage a path or URL stands for, and the same bytes as uproot wants them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from queue import Queue
from typing import Any

import numpy as np
from uproot.source.chunk import Chunk, Source
from uproot.source.futures import TrivialFuture

from delivery.engine.storage.held import HeldBytes
from delivery.engine.storage.local import LocalStorage
from delivery.engine.storage.ranges import Storage
from delivery.identity import local_path

_KEPT: ContextVar[dict[str, "_Kept"] | None] = ContextVar("_KEPT", default=None)


@contextmanager
def opened_once() -> Iterator[None]:
    """A remote file that is opened several times within the block is opened once, and closed at the block's end.

    Whoever looks at a file before a query runs on it needs no round trips of its own then.
    """
    kept: dict[str, _Kept] = {}
    token = _KEPT.set(kept)
    try:
        yield
    finally:
        _KEPT.reset(token)
        for held in kept.values():
            held.end()


def open_held(file: str) -> HeldBytes:
    """The bytes of a file (`open_storage`), those at its ends fetched."""
    kept = _KEPT.get()
    if kept is None or local_path(file) is not None:
        return HeldBytes(open_storage(file))
    if file not in kept:
        kept[file] = _Kept(open_storage(file))
    return kept[file]


class _Kept(HeldBytes):
    """Bytes that stay at hand for the next who opens the file."""

    def close(self) -> None:
        """Stay open."""

    def end(self) -> None:
        """Let go of the file."""
        super().close()


def open_storage(file: str) -> Storage:
    """The file's storage: a local path's or ``file://`` URL's, else by the URL's scheme."""
    path = local_path(file)
    if path is not None:
        return LocalStorage(str(path))
    scheme = file.partition("://")[0]
    if scheme in ("root", "roots", "xroot", "xroots"):
        from delivery.engine.storage.xrd import XrootdStorage

        return XrootdStorage(file)
    if scheme in ("http", "https"):
        from delivery.engine.storage.web import WebStorage

        return WebStorage(file)
    from delivery.engine.storage.other import FsspecStorage

    return FsspecStorage(file)


class UprootSource(Source):  # type: ignore[misc]
    """Held bytes as the source that uproot reads a file from: pass it as ``handler`` with the option ``held``."""

    def __init__(self, file_path: str, *, held: HeldBytes, **_: Any) -> None:
        super().__init__()
        self._file_path, self._held, self._num_bytes = file_path, held, held.size
        self._open = True

    def chunk(self, start: int, stop: int) -> Chunk:
        """These bytes, as many of them as the file has: uproot notices itself when it needs more."""
        last = min(int(stop), self._held.size)
        content = self._held.read(min(int(start), last), last)
        return Chunk(self, int(start), int(stop), TrivialFuture(np.frombuffer(content, np.uint8)))

    def chunks(self, ranges: Sequence[tuple[int, int]], notifications: "Queue[Any]") -> list[Chunk]:
        """The chunks of all ranges, which are there at once."""
        found = [self.chunk(start, stop) for start, stop in ranges]
        for each in found:
            notifications.put(each)
        return found

    @property
    def closed(self) -> bool:
        """Whether the file was closed."""
        return not self._open

    def __enter__(self) -> "UprootSource":
        return self

    def __exit__(self, *_: object) -> None:
        self._open = False
        self._held.close()
