"""Which bytes a file holds: the part of a delivered file's key that speaks for its input.

A local file is its content (SHA-256). A remote file is too large to read for its name's sake: its URL (as `shown`: a
new token makes no new file), its size and the UUID that ROOT writes into the header of every file stand for it.
"""

import contextlib
import hashlib
import json
import os
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import unquote, urlsplit

from delivery.errors import (
    DeliveryError,
    InputUnreachable,
    MissingFile,
    NotARootFile,
    TruncatedFile,
    UnreadableFile,
    nearest,
)
from delivery.retry import attempts, ends_early, is_transient
from delivery.urls import shown

__all__ = ["FileIdentity", "FileMemo", "Memo", "identify", "identify_all", "local_path", "remembered", "shown"]

Memo = MutableMapping[str, str]
"""Absolute path → what its file's metadata was and the digest found then (one line of text)."""

SETTLED_SECONDS = 2.0
"""A digest is remembered only if the file is older: file systems stamp times in ticks of up to two seconds, and a
second write within one tick would leave size and time as they were."""


ENDS_EARLY = "it ends within its header: truncated, or no ROOT file"


@dataclass(frozen=True, slots=True)
class FileIdentity:
    """What tells one file's content from another's.

    digest: 64 hexadecimal digits. Of a local file the SHA-256 of its content; of a remote one the SHA-256 of its URL
    (as `shown`), size and ROOT UUID.
    size: bytes.
    """

    digest: str
    size: int


def local_path(path_or_url: str | os.PathLike[str]) -> Path | None:
    """The local path that a path or a ``file://`` URL names; None for every other URL."""
    text = os.fspath(path_or_url)
    scheme, found, _ = text.partition("://")
    if not found:
        return Path(text)
    return Path(unquote(urlsplit(text).path)) if scheme == "file" else None


def identify(path_or_url: str | os.PathLike[str], memo: Memo | None = None) -> FileIdentity:
    """Find which bytes a file holds.

    memo: remembers digests of local files by absolute path, and is trusted only while inode, size and both times
    (modified, changed; in nanoseconds) are the same. A remote file is looked at every time.

    Raises MissingFile (with the nearest names in its folder) and UnreadableFile.
    """
    path = local_path(path_or_url)
    return _identify_remote(os.fspath(path_or_url)) if path is None else _identify_local(path, memo)


def remembered(path: Path, memo: Mapping[str, str]) -> FileIdentity | None:
    """The identity of a local file if the memo knows it as it is now; nothing of it is read."""
    try:
        now = path.stat()
    except OSError:
        return None
    stamp, _, digest = memo.get(str(path.absolute()), "").rpartition(" ")
    return FileIdentity(digest, now.st_size) if digest and stamp == _stamp(now) else None


def identify_all(
    files: Iterable[str | os.PathLike[str]], memo: Memo | None = None, threads: int = 8
) -> Iterator[tuple[str, FileIdentity | DeliveryError]]:
    """Identify many files side by side; in the order given, each with its identity or the reason there is none."""

    def one(file: str) -> tuple[str, FileIdentity | DeliveryError]:
        try:
            return file, identify(file, memo)
        except DeliveryError as error:
            return file, error

    with ThreadPoolExecutor(threads, thread_name_prefix="identify") as pool:
        yield from pool.map(one, map(os.fspath, files))


def _identify_local(path: Path, memo: Memo | None) -> FileIdentity:
    path = path.absolute()
    try:
        before = path.stat()
        if memo is not None:
            stamp, _, digest = memo.get(str(path), "").rpartition(" ")
            if digest and stamp == _stamp(before):
                return FileIdentity(digest, before.st_size)
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        after = path.stat()
    except FileNotFoundError as error:
        raise missing(path) from error
    except OSError as error:
        raise UnreadableFile(str(path), error.strerror or str(error)) from error
    if _stamp(after) != _stamp(before):
        raise UnreadableFile(str(path), "it was being written while it was read; try again when it is complete")
    if memo is not None and time.time_ns() - max(after.st_mtime_ns, after.st_ctime_ns) > SETTLED_SECONDS * 1e9:
        memo[str(path)] = f"{_stamp(after)} {digest}"
    return FileIdentity(digest, after.st_size)


def missing(path: Path) -> MissingFile:
    """What to say of a path without a file: its folder is not there, or the nearest names in it."""
    folder = path.parent
    if not folder.is_dir():
        return MissingFile(str(path), f"there is no folder {folder}")
    file, colon, tree = str(path).rpartition(":")
    if colon and Path(file).is_file():
        return MissingFile(str(path), f"it does not exist, {file} does; name the tree {tree!r} apart from the file")
    try:
        names = [other.name for other in folder.iterdir()]
    except OSError:  # a folder may be passed through by those who may not list it
        names = []
    return MissingFile(str(path), near=nearest(path.name, names))


def _stamp(stat: os.stat_result) -> str:
    return f"{stat.st_ino}:{stat.st_size}:{stat.st_mtime_ns}:{stat.st_ctime_ns}"


def _identify_remote(url: str) -> FileIdentity:
    for attempt in attempts(url):
        with attempt:
            size, uuid = root_header(url)
    content = json.dumps([shown(url), size, uuid])
    return FileIdentity(hashlib.sha256(content.encode()).hexdigest(), size)


def root_header(url: str) -> tuple[int, str]:
    """Size in bytes and UUID of a remote ROOT file, asked for once.

    Raises MissingFile, NotARootFile, TruncatedFile; UnreadableFile if it is damaged; InputUnreachable if asking again
    may help.
    """
    import uproot

    try:
        with uproot.open(url) as directory:
            size, end, uuid = directory.file.source.num_bytes, directory.file.fEND, directory.file.uuid
    except FileNotFoundError as error:
        raise MissingFile(url) from error
    except Exception as error:  # uproot and each protocol of fsspec raise what they like
        other = NotARootFile if str(error).startswith("not a ROOT file") else UnreadableFile
        kind = InputUnreachable if is_transient(error, url) else other
        said = f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
        raise kind(url, ENDS_EARLY if ends_early(error) else said) from error
    if size < end:
        raise TruncatedFile(url, f"truncated: it has {size} of {end} bytes")
    return int(size), str(uuid)


class FileMemo(Memo):
    """A memo of digests kept in one small JSON file.

    Losing it costs time, never a wrong answer: a file that is absent, damaged or not writable is an empty memo. Use as
    a context manager, or call ``save``; two processes that save at once leave one of the two, whole.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._digests: dict[str, str] = {}
        self._changed = False
        with contextlib.suppress(OSError, ValueError):
            kept = json.loads(self.path.read_bytes())
            if isinstance(kept, dict):
                self._digests = {key: value for key, value in kept.items() if isinstance(value, str)}

    def save(self) -> None:
        """Write the memo if it has changed: a temporary file beside it, then a rename."""
        if not self._changed:
            return
        with contextlib.suppress(OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            descriptor, name = tempfile.mkstemp(prefix=f".{self.path.name}.", dir=self.path.parent)
            try:
                with os.fdopen(descriptor, "w") as file:
                    json.dump(self._digests, file, indent=0, sort_keys=True)
                Path(name).replace(self.path)
            except BaseException:
                Path(name).unlink(missing_ok=True)
                raise
            self._changed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.save()

    def __getitem__(self, key: str) -> str:
        return self._digests[key]

    def __setitem__(self, key: str, value: str) -> None:
        self._changed = True
        self._digests[key] = value

    def __delitem__(self, key: str) -> None:
        self._changed = True
        del self._digests[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._digests)

    def __len__(self) -> int:
        return len(self._digests)
