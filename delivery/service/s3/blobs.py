"""The bytes of results, verified before they leave: read from the store's folder, or by ranges from its bucket.

A blob is read through once per process and remembered by what tells one file from another (inode, size, times; in a
bucket its ETag). What is served then comes from the very file or version that was verified: an open descriptor, or
reads on the condition of that ETag.
"""

import hashlib
import os
import threading
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol
from weakref import WeakValueDictionary

import anyio
from anyio import to_thread

from artifacts.backend import Backend
from artifacts.errors import ArtifactError, StoreUnavailable
from artifacts.store import Store, blob_name
from delivery.service.errors import ServiceError, Unavailable

if TYPE_CHECKING:
    from artifacts.objects import ObjectBackend

CHUNK: Final = 1 << 20
"""Bytes read and sent at a time; what a download holds in memory is a few of them."""

PIECE: Final = 8 << 20
"""Bytes asked of a bucket at a time: one slow client must not keep a request to the bucket open."""

READERS: Final = 8
"""Threads that read and verify, apart from those that serve routes."""

REMEMBERED: Final = 100_000


@dataclass(slots=True, weakref_slot=True)
class _Turn:
    """One blob is read through by one thread at a time."""

    lock: threading.Lock = field(default_factory=threading.Lock)


class Gone(Exception):
    """The blob is not there, or not what it ought to be (and was removed)."""


class CutShort(ServiceError):
    """The blob's bytes ended while it was sent; the answer breaks off, which no client takes for the whole."""


class Opened(Protocol):
    """A verified blob."""

    def chunks(self, start: int, end: int) -> AsyncIterator[bytes]:
        """The bytes from `start` up to `end`, piece by piece. Raises CutShort."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


class Blobs:
    """Opens a store's blobs. One per process; safe from any thread and event loop."""

    def __init__(self, store: Store) -> None:
        self._backend: Backend = store.backend
        self._url = store.url
        self._known: OrderedDict[tuple[object, ...], None] = OrderedDict()
        self._lock = threading.Lock()
        self._turns: WeakValueDictionary[str, _Turn] = WeakValueDictionary()
        self._readers = anyio.CapacityLimiter(READERS)

    async def open(self, digest: str, size: int) -> Opened:
        """The blob of that SHA-256 and size in bytes. Raises Gone and Unavailable."""
        return await to_thread.run_sync(self._open, digest, size, limiter=self._readers)

    def read(self, digest: str, size: int) -> bytes:
        """All bytes of a small blob, verified. Raises Gone and Unavailable."""
        try:
            content = self._backend.read(blob_name(digest))
        except FileNotFoundError as error:
            raise Gone(digest) from error
        except ArtifactError as error:
            raise Unavailable(f"the store {self._url} cannot be read now ({error})") from error
        if len(content) != size or hashlib.sha256(content).hexdigest() != digest:
            raise Gone(digest)
        return content

    async def check(self, digest: str, size: int) -> None:
        """See that a blob of that size is there, without reading it. Raises Gone and Unavailable."""
        try:
            item = await to_thread.run_sync(self._backend.stat, blob_name(digest), limiter=self._readers)
        except StoreUnavailable as error:
            raise Unavailable(f"the store {self._url} cannot be read now ({error})") from error
        if item is None or item.size != size:
            raise Gone(digest)

    def _open(self, digest: str, size: int) -> Opened:
        path = self._backend.file(blob_name(digest))
        try:
            opened = self._in_bucket(digest, size) if path is None else self._in_folder(path, digest, size)
        except FileNotFoundError as error:
            raise Gone(digest) from error
        except (ArtifactError, OSError) as error:
            raise Unavailable(f"the store {self._url} cannot be read now ({error})") from error
        if opened is None:
            with suppress(ArtifactError):  # a store that is only read from stays as it is, and nothing was served
                self._backend.delete(blob_name(digest))
            raise Gone(digest)
        return opened

    def _in_folder(self, path: Path, digest: str, size: int) -> "Opened | None":
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            status = os.fstat(descriptor)
            stamp = (digest, status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
            if status.st_size == size and self._is_verified(digest, stamp, lambda: _digest_of(descriptor)):
                found, descriptor = _File(descriptor, self._readers), -1
                return found
            return None
        finally:
            if descriptor >= 0:
                os.close(descriptor)

    def _in_bucket(self, digest: str, size: int) -> "Opened | None":
        import obstore
        from obstore.exceptions import BaseError

        from artifacts.objects import ObjectBackend

        backend = self._backend
        assert isinstance(backend, ObjectBackend)  # noqa: S101 - what is no folder is one
        try:
            meta = obstore.head(backend.objects, blob_name(digest))
        except FileNotFoundError:
            raise
        except BaseError as error:  # its further lines are the library's own state
            raise StoreUnavailable(str(error).partition("\n")[0]) from error
        tag = meta["e_tag"]
        if meta["size"] != size:
            return None
        if not self._is_verified(digest, (digest, tag, size, meta["last_modified"]), lambda: _through(backend, digest)):
            return None
        return _Object(backend, blob_name(digest), tag)

    def _is_verified(self, digest: str, stamp: tuple[object, ...], measure: Callable[[], str]) -> bool:
        """Whether the content has the digest; who asks for the same blob meanwhile waits for the answer."""
        with self._lock:
            turn = self._turns.setdefault(digest, _Turn())
        with turn.lock:
            with self._lock:
                if stamp in self._known:
                    self._known.move_to_end(stamp)
                    return True
            if measure() != digest:
                return False
            with self._lock:
                self._known[stamp] = None
                if len(self._known) > REMEMBERED:
                    self._known.popitem(last=False)
            return True


class _File:
    """An open file of the store's folder; it may be removed meanwhile."""

    def __init__(self, descriptor: int, readers: anyio.CapacityLimiter) -> None:
        self._descriptor = descriptor
        self._readers = readers

    async def chunks(self, start: int, end: int) -> AsyncIterator[bytes]:
        while start < end:
            wanted = min(CHUNK, end - start)
            chunk = await to_thread.run_sync(os.pread, self._descriptor, wanted, start, limiter=self._readers)
            if not chunk:
                raise CutShort("a blob of the store was cut short while it was sent")
            yield chunk
            start += len(chunk)

    def close(self) -> None:
        os.close(self._descriptor)


class _Object:
    """A version of an object in a bucket (or in memory)."""

    def __init__(self, backend: "ObjectBackend", name: str, tag: str | None) -> None:
        self._backend = backend
        self._name = name
        self._tag = tag

    async def chunks(self, start: int, end: int) -> AsyncIterator[bytes]:
        import obstore
        from obstore.exceptions import BaseError

        while start < end:
            piece = (start, min(start + PIECE, end))
            try:
                found = await obstore.get_async(
                    self._backend.objects, self._name, options={"range": piece, "if_match": self._tag}
                )
                content = await found.bytes_async()
            except (BaseError, FileNotFoundError) as error:
                raise CutShort(f"the store stopped giving {self._name} while it was sent") from error
            yield bytes(content)
            start = piece[1]

    def close(self) -> None:
        """Nothing is held."""


def _digest_of(descriptor: int) -> str:
    sha, place = hashlib.sha256(), 0
    while chunk := os.pread(descriptor, CHUNK, place):
        sha.update(chunk)
        place += len(chunk)
    return sha.hexdigest()


def _through(backend: Backend, digest: str) -> str:
    sha = hashlib.sha256()
    for chunk in backend.chunks(blob_name(digest)):
        sha.update(chunk)
    return sha.hexdigest()
