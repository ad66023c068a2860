"""A folder as the place of a store: plain files, published by rename or link."""

import errno
import fcntl
import os
import re
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from artifacts.backend import USED_RESOLUTION, Item
from artifacts.errors import InvalidStoreURL, cannot_read, cannot_write

_NAME = re.compile(r"[0-9a-f]{64}(\.json)?")
_CHUNK = 1 << 20
_READ_ONLY = 0o444
# What a single bad file gives, in contrast to a process without descriptors or a folder without permission.
_UNREADABLE = {errno.EIO, errno.EISDIR, errno.ENOTDIR, errno.ELOOP, errno.ESTALE, errno.ENAMETOOLONG}
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK}


class FolderBackend:
    """Objects are read-only files under `root`; a writer's half-done files lie in `root/tmp`.

    File operations are Python's own: obstore's local store neither syncs nor takes a file over by link.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.expanduser().absolute()
        self.url = str(self.root)
        if self.root.exists() and not self.root.is_dir():
            raise InvalidStoreURL(f"{self.root} is a file; a store is a folder")

    def read(self, name: str, *, used: bool = False) -> bytes:
        """All bytes of the file."""
        path = self._path(name)
        with self._reading(), open(path, "rb", buffering=0) as file:  # noqa: PTH123 - half the time of Path.open
            if used and time.time() - os.fstat(file.fileno()).st_mtime > USED_RESOLUTION:
                with suppress(OSError):  # a store that is only read from cannot keep count
                    os.utime(path)
            return file.readall()

    def chunks(self, name: str) -> Iterator[bytes]:
        """The bytes of the file, a mebibyte at a time."""
        with self._reading(), Path(self._path(name)).open("rb", buffering=0) as file:
            while chunk := file.read(_CHUNK):
                yield chunk

    def stat(self, name: str) -> Item | None:
        """Size and time of the file; None if there is no such file."""
        try:
            with self._reading():
                status = os.stat(self._path(name))  # noqa: PTH116 - half the time of Path.stat
        except FileNotFoundError:
            return None
        return Item(name, status.st_size, status.st_mtime)

    def items(self, folder: str) -> Iterator[Item]:
        """The store's own files under the folder, in no order."""
        for shelf in self._scan(self.root / folder):
            if shelf.is_dir():
                for found in self._scan(shelf):
                    if _NAME.fullmatch(found.name):
                        item = self.stat(f"{folder}/{shelf.name}/{found.name}")
                        if item is not None:
                            yield item

    def write(self, name: str, content: bytes | Path) -> None:
        """Publish by rename."""
        with self._temporary(content) as temporary:
            temporary.replace(self._shelf(name))

    def create(self, name: str, content: bytes) -> bool:
        """Publish by hard link, which fails where there is a file already.

        Not synced, for that would double the time of a `put`: an entry that a power cut takes or spoils is a miss.
        """
        with self.scratch() as temporary:
            _write(temporary, content)
            target = self._shelf(name)
            try:
                target.hardlink_to(temporary)
            except FileExistsError:
                return False
            except OSError as error:
                if error.errno not in _NO_LINKS:
                    raise
                if target.exists():  # without links, the last of two simultaneous writers wins
                    return False
                temporary.replace(target)
        return True

    def delete(self, name: str) -> None:
        """Unlink the file."""
        with self._writing(), suppress(FileNotFoundError):
            Path(self._path(name)).unlink()

    def file(self, name: str) -> Path | None:
        """The path of the object."""
        return Path(self._path(name))

    def sweep(self, before: float) -> int:
        """Remove the temporaries whose inode nobody changed since `before`."""
        swept = 0
        for path in self._scan(self.root / "tmp"):
            # ctime: a file that was linked in keeps the mtime of its making
            with self._writing(), suppress(FileNotFoundError):
                if path.suffix == ".part" and path.stat().st_ctime <= before:
                    path.unlink()
                    swept += 1
        return swept

    @contextmanager
    def guard(self, *, exclusive: bool) -> Iterator[bool]:
        """Lock the folder for all processes of this machine (flock: freed when its process dies)."""
        with self._writing():
            self.root.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH)
                locked = True
            except OSError:  # some network file systems have no locks
                locked = False
            yield locked
        finally:
            os.close(descriptor)

    def _path(self, name: str) -> str:
        return f"{self.url}/{name}"

    def _scan(self, folder: Path) -> list[Path]:
        try:
            with self._reading():
                return list(folder.iterdir())
        except FileNotFoundError:
            return []

    def _shelf(self, name: str) -> Path:
        """The path of an object that is about to be there."""
        target = self.root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        return target

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A name for a file in `tmp`; the file is gone afterwards, at the latest by `sweep`."""
        path = self.root / "tmp" / f"{os.getpid()}-{uuid.uuid4().hex}.part"
        with self._writing():
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                yield path
            finally:
                path.unlink(missing_ok=True)

    @contextmanager
    def _temporary(self, content: bytes | Path) -> Iterator[Path]:
        """A complete, synced, read-only file that is about to be published."""
        with self.scratch() as path:
            if isinstance(content, bytes):
                _write(path, content)
            elif not _linked(content, path):
                _copy(content, path)
            _sync(path)
            yield path

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise
        except OSError as error:
            if error.errno in _UNREADABLE:
                raise FileNotFoundError(error.errno, error.strerror, error.filename) from error
            raise cannot_read(error, self.url) from error

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise cannot_write(error, self.url) from error


def _write(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _READ_ONLY)
    with open(descriptor, "wb", buffering=0) as file:  # noqa: PTH123 - a descriptor has no path
        left = memoryview(content)
        while left:
            left = left[file.write(left) :]


def _copy(source: Path, path: Path) -> None:
    shutil.copyfile(source, path)
    path.chmod(_READ_ONLY)


def _linked(source: Path, path: Path) -> bool:
    """Whether the file itself could be taken over: same file system, ours, and known under this one name."""
    status = source.lstat()
    if source.is_symlink() or status.st_nlink > 1 or status.st_uid != os.geteuid():
        return False
    try:
        path.hardlink_to(source)
    except OSError as error:
        if error.errno in _NO_LINKS | {errno.EXDEV}:
            return False
        raise
    os.utime(path)  # its age in the store begins now
    path.chmod(_READ_ONLY)
    return True


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
