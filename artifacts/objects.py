"""Memory and S3 buckets as the place of a store, through obstore."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import obstore
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    NotFoundError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)
from obstore.store import MemoryStore, S3Store

from artifacts.backend import USED_RESOLUTION, Item
from artifacts.errors import InvalidStoreURL, StoreNotWritable, StoreUnavailable

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from obstore import ObjectMeta

_PROBE = "probe"
_TIMEOUT = timedelta(seconds=30)


@dataclass
class ObjectBackend:
    """Objects of an obstore store.

    `lock` keeps writers and collectors apart where one process has the store to itself (memory). A bucket has
    none: there, collectors leave alone what was written within their grace period.
    """

    url: str
    objects: MemoryStore | S3Store
    lock: "threading.Lock | None" = None
    _conditional: bool | None = field(default=None, init=False)

    def read(self, name: str, *, used: bool = False) -> bytes:
        """All bytes of the object."""
        with self._reading():
            found = obstore.get(self.objects, name)
            content = bytes(found.bytes())
        if used and (datetime.now(UTC) - found.meta["last_modified"]).total_seconds() > USED_RESOLUTION:
            self._renew(name, content, found.meta)
        return content

    def chunks(self, name: str) -> Iterator[bytes]:
        """The bytes of the object as they come."""
        with self._reading():
            for chunk in obstore.get(self.objects, name):
                yield bytes(chunk)

    def stat(self, name: str) -> Item | None:
        """Size and time of the object."""
        try:
            with self._reading():
                return _item(obstore.head(self.objects, name))
        except FileNotFoundError:
            return None

    def items(self, folder: str) -> Iterator[Item]:
        """The objects under the folder, a page at a time."""
        try:
            with self._reading():
                for page in obstore.list(self.objects, f"{folder}/"):
                    yield from map(_item, page)
        except FileNotFoundError as error:  # there is no such bucket
            raise self._unavailable(error) from error

    def write(self, name: str, content: bytes | Path) -> None:
        """Upload; an object is seen whole or not at all. Large ones go in parts."""
        with self._writing():
            obstore.put(self.objects, name, content)

    def create(self, name: str, content: bytes) -> bool:
        """Upload under the condition that there is no such object."""
        with self._writing():
            if self._conditional is None:
                self._conditional = self._create(_PROBE, b"") is False or self._create(_PROBE, b"") is False
            if self._conditional:
                return self._create(name, content)
            # This S3 service ignores the condition: of two simultaneous writers the last one wins.
            if self.stat(name) is not None:
                return False
            obstore.put(self.objects, name, content)
            return True

    def delete(self, name: str) -> None:
        """Remove the object."""
        with self._writing(), suppress(NotFoundError):
            obstore.delete(self.objects, name)

    def file(self, name: str) -> Path | None:  # noqa: ARG002 - part of the protocol
        """No object is a file."""
        return None

    def sweep(self, before: float) -> int:  # noqa: ARG002 - part of the protocol
        """Nothing: an unfinished upload is no object (the bucket's life-cycle rule clears its parts away)."""
        return 0

    def guard(self, *, exclusive: bool) -> "AbstractContextManager[bool]":  # noqa: ARG002 - part of the protocol
        """Hold the process's lock if there is one."""
        return nullcontext(enter_result=False) if self.lock is None else _held(self.lock)

    def _create(self, name: str, content: bytes) -> bool:
        try:
            obstore.put(self.objects, name, content, mode="create")
        except AlreadyExistsError:
            return False
        return True

    def _renew(self, name: str, content: bytes, meta: "ObjectMeta") -> None:
        """Write the same bytes again, so that the object counts as used now."""
        tag = meta["e_tag"]
        if tag is not None:
            # Someone put another object there meanwhile, or the store is only read from: both are well.
            with suppress(BaseError, PreconditionError, OSError):
                obstore.put(self.objects, name, content, mode={"e_tag": tag})

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise
        except (BaseError, OSError) as error:
            raise self._unavailable(error) from error

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except (PermissionDeniedError, UnauthenticatedError, PermissionError) as error:
            raise StoreNotWritable(
                f"the store {self.url} cannot be written ({_first_line(error)}); check the access keys "
                "(AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY) and the bucket's policy"
            ) from error
        except (BaseError, OSError) as error:
            raise self._unavailable(error) from error

    def _unavailable(self, error: Exception) -> StoreUnavailable:
        return StoreUnavailable(
            f"the store {self.url} does not answer as it should ({_first_line(error)}); check that "
            "the bucket exists, AWS_ENDPOINT_URL, AWS_REGION, the access keys and the network"
        )


def open_bucket(url: str) -> ObjectBackend:
    """The store in `s3://bucket/prefix`; all else comes from the standard AWS environment variables.

    Raises `InvalidStoreURL` if no bucket is named or the environment makes no sense to obstore.
    """
    bucket, _, prefix = url.removeprefix("s3://").partition("/")
    if not bucket:
        raise InvalidStoreURL(f"{url} names no bucket; write s3://BUCKET/PREFIX")
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL", "")
    try:
        objects = S3Store(
            bucket,
            prefix=prefix.strip("/") or None,
            client_options={
                "allow_http": endpoint.startswith("http://"),
                "connect_timeout": timedelta(seconds=5),
                "timeout": timedelta(minutes=10),  # one whole request: a large object over a slow line
            },
            retry_config={"max_retries": 4, "retry_timeout": _TIMEOUT},
        )
    except (BaseError, ValueError) as error:
        raise InvalidStoreURL(f"{url} cannot be opened ({_first_line(error)})") from error
    return ObjectBackend(url.rstrip("/"), objects)


_memories: dict[str, ObjectBackend] = {}
_memories_lock = threading.Lock()


def open_memory(url: str) -> ObjectBackend:
    """The store of that name in this process: the same URL is the same store, until the process ends."""
    with _memories_lock:
        return _memories.setdefault(url, ObjectBackend(url, MemoryStore(), threading.Lock()))


@contextmanager
def _held(lock: "threading.Lock") -> Iterator[bool]:
    with lock:
        yield True


def _item(meta: "ObjectMeta") -> Item:
    return Item(meta["path"], meta["size"], meta["last_modified"].timestamp())


def _first_line(error: Exception) -> str:
    """obstore's messages end in pages of the library's own state."""
    return str(error).strip().partition("\n")[0]
