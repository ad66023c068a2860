"""The store: what was computed once is kept under the key of its request and found again."""

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from urllib.parse import unquote, urlsplit

from artifacts.backend import Backend
from artifacts.entry import DIGEST, Blob, Entry, decode, encode
from artifacts.errors import ArtifactError, BlobDamaged, InvalidRequest, InvalidStoreURL
from artifacts.folder import FolderBackend
from artifacts.keys import JSON, Request

__all__ = ["Blob", "Entry", "Store"]

_UNTYPED = "application/octet-stream"
_NO_TYPES: Mapping[str, str] = MappingProxyType({})


class Store:
    """Blobs by their SHA-256 and entries by their key, in a folder, in memory or in an S3 bucket.

    Blobs are published before the entry that names them, each at one stroke: a process killed at any
    moment leaves the old state or the new one. Nothing leaves the store that does not match its digest. An
    entry that lacks a blob, or whose own bytes are damaged, is a miss; the next `put` mends it.

    A store may be used by any number of threads, processes and machines at once (memory: by one process),
    and may be pickled: it opens the same URL again.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    @classmethod
    def open(cls, url: str | Path) -> "Store":
        """The store in a folder (`path`, `file:///path`), in `memory://name` or in `s3://bucket/prefix`.

        S3 is configured by the standard AWS environment variables (AWS_ENDPOINT_URL, AWS_REGION, keys). Opening
        makes nothing: a folder comes into being with the first `put`. Raises `InvalidStoreURL`.
        """
        text = str(url)
        scheme = text.partition("://")[0] if "://" in text else ""
        if scheme == "":
            return cls(FolderBackend(Path(text)))
        if scheme == "file":
            return cls(FolderBackend(_file_path(text)))
        if scheme in {"memory", "s3"}:
            from artifacts import objects

            return cls(objects.open_memory(text) if scheme == "memory" else objects.open_bucket(text))
        raise InvalidStoreURL(f"{text} is no store; write FOLDER, file:///PATH, memory://NAME or s3://BUCKET/PREFIX")

    @property
    def url(self) -> str:
        """Where the store is; `Store.open(store.url)` opens it again, in another process too."""
        return self._backend.url

    @property
    def backend(self) -> Backend:
        """The place of the bytes, for maintenance."""
        return self._backend

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Store.open, (self.url,)

    def __repr__(self) -> str:
        return f"Store({self.url!r})"

    def get(self, request: Request | str) -> Entry | None:
        """The entry of a request or key; None if there is none, or it is damaged, or a blob is not whole.

        Raises `InvalidRequest` for a key that is no key and `StoreUnavailable` if the store cannot be read.
        """
        key = _key(request)
        try:
            entry = decode(self._backend.read(entry_name(key), used=True), key)
        except FileNotFoundError:
            return None
        return entry if entry is not None and self.is_whole(entry) else None

    def put(
        self,
        request: Request,
        outputs: Mapping[str, bytes | Path],
        meta: Mapping[str, JSON],
        media_types: Mapping[str, str] = _NO_TYPES,
    ) -> Entry:
        """Keep the outputs of a request by name and return its entry: the first writer's, if there was one.

        A file given as an output is moved into a store on the same file system and copied into any other. If
        an error is raised no entry is published and every file is where it was. Raises `StoreFull`,
        `StoreNotWritable`, `StoreUnavailable`, `InvalidRequest` (meta is not JSON) or `ArtifactError` (an output is
        no file).
        """
        found = self.get(request)
        if found is not None:
            return found
        with self._backend.guard(exclusive=False):
            entry = Entry(
                key=request.key,
                stage=request.stage,
                version=request.version,
                request=request.parts,
                created=datetime.now(UTC).isoformat(timespec="seconds"),
                blobs={name: self._keep(outputs[name], media_types.get(name, _UNTYPED)) for name in sorted(outputs)},
                meta=meta,
            )
            kept = self._publish(entry)
        self._release(outputs.values(), kept)
        return kept

    def read(self, blob: Blob) -> bytes:
        """The bytes of a blob, verified. Raises `BlobDamaged` (its entry is a miss from then on)."""
        try:
            content = self._backend.read(blob_name(blob.digest))
        except FileNotFoundError:
            content = None
        if content is None or hashlib.sha256(content).hexdigest() != blob.digest:
            raise self._damaged(blob, gone=content is None)
        return content

    def local_path(self, blob: Blob) -> Path:
        """A file with the bytes of a blob, verified now. It is the store's: read it, never write to it.

        In a folder it is the blob itself; from memory or S3 it is a copy in the user's cache folder.
        Raises `BlobDamaged`.
        """
        name = blob_name(blob.digest)
        path = self._backend.file(name)
        if path is None:
            return self._copied(blob)
        if self.measure(blob.digest) != blob.size:
            raise self._damaged(blob, gone=not path.exists())
        return path

    def entries(self) -> Iterator[Entry]:
        """Every readable entry, whole or not, in the order of keys."""
        for item in sorted(self._backend.items("entries"), key=lambda item: item.name):
            entry = self.load(key_of(item.name))
            if entry is not None:
                yield entry

    def load(self, key: str) -> Entry | None:
        """The entry of a key without counting as use and without looking at its blobs."""
        try:
            return decode(self._backend.read(entry_name(key)), key)
        except FileNotFoundError:
            return None

    def is_whole(self, entry: Entry) -> bool:
        """Whether every blob of the entry is there and has its size."""
        for blob in entry.blobs.values():
            item = self._backend.stat(blob_name(blob.digest))
            if item is None or item.size != blob.size:
                return False
        return True

    def measure(self, digest: str) -> int | None:
        """The size of the blob of that digest in bytes if its content has that digest, else None."""
        return _measure(self._backend, digest)

    def _keep(self, content: bytes | Path, media_type: str) -> Blob:
        if isinstance(content, bytes):
            blob = Blob(hashlib.sha256(content).hexdigest(), len(content), media_type)
        else:
            blob = _describe(content, media_type)
        # Written even where the digest is known: that mends a damaged blob and renews its time.
        self._backend.write(blob_name(blob.digest), content)
        return blob

    def _publish(self, entry: Entry) -> Entry:
        content = encode(entry)
        if not self._backend.create(entry_name(entry.key), content):
            first = self.get(entry.key)
            if first is not None:
                return first
            self._backend.write(entry_name(entry.key), content)  # what stood there was damaged
        published = decode(content, entry.key)
        assert published is not None  # noqa: S101 - the two functions are each other's inverse
        return published

    def _release(self, outputs: Iterable[bytes | Path], entry: Entry) -> None:
        """Complete the move of files whose inode the store has taken over."""
        taken = [path for blob in entry.blobs.values() if (path := self._backend.file(blob_name(blob.digest)))]
        for output in outputs:
            with suppress(OSError):
                if isinstance(output, Path) and any(output.samefile(path) for path in taken):
                    output.unlink()

    def _copied(self, blob: Blob) -> Path:
        from artifacts.copies import copies

        folder, name = copies(), blob_name(blob.digest)
        path = folder.root / name
        if _measure(folder, blob.digest) == blob.size:
            os.utime(path)  # in use: not to be removed soon
        else:
            with folder.scratch() as scratch:
                try:
                    with scratch.open("xb") as file:
                        for chunk in self._backend.chunks(name):
                            file.write(chunk)
                except FileNotFoundError:
                    raise self._damaged(blob, gone=True) from None
                if _describe(scratch, blob.media_type) != blob:
                    raise self._damaged(blob, gone=False)
                folder.write(name, scratch)
        return path

    def _damaged(self, blob: Blob, *, gone: bool) -> BlobDamaged:
        """Remove the blob, so that its entry is a miss, and say so."""
        with suppress(ArtifactError):  # a store that is only read from stays as it is, and nothing was served
            self._backend.delete(blob_name(blob.digest))
        what = "is gone from" if gone else "did not match its digest and was removed from"
        return BlobDamaged(
            blob.digest,
            f"blob {blob.digest[:12]} ({blob.size} bytes) {what} {self.url}; run again to make it anew",
        )


def entry_name(key: str) -> str:
    """The object that holds the entry of a key."""
    return f"entries/{key[:2]}/{key}.json"


def blob_name(digest: str) -> str:
    """The object that holds the blob of a digest."""
    return f"blobs/{digest[:2]}/{digest}"


def key_of(name: str) -> str:
    """The key or digest in the name of an object."""
    return name.rpartition("/")[2].removesuffix(".json")


def _key(request: Request | str) -> str:
    if isinstance(request, Request):
        return request.key
    if DIGEST.fullmatch(request) is None:
        raise InvalidRequest(f"{request!r} is no key; a key is 64 hexadecimal digits")
    return request


def _file_path(url: str) -> Path:
    parts = urlsplit(url)
    if parts.netloc not in {"", "localhost"} or not parts.path:
        raise InvalidStoreURL(f"{url} names no local folder; write file:///PATH with three slashes")
    return Path(unquote(parts.path))


def _measure(backend: Backend, digest: str) -> int | None:
    sha, size = hashlib.sha256(), 0
    try:
        for chunk in backend.chunks(blob_name(digest)):
            sha.update(chunk)
            size += len(chunk)
    except FileNotFoundError:
        return None
    return size if sha.hexdigest() == digest else None


def _describe(path: Path, media_type: str) -> Blob:
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            return Blob(digest, file.tell(), media_type)
    except OSError as error:
        raise ArtifactError(f"the output {path} cannot be read ({error.strerror}); an output is a file") from error
