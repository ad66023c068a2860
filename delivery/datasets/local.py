"""Files of this machine, below the folders that the operator allows."""

import os
import stat
from collections.abc import Sequence
from pathlib import Path

from delivery.datasets.errors import DatasetError
from delivery.datasets.files import Deadline, FoundFile, FoundFiles
from delivery.datasets.patterns import Entry, Walk
from delivery.service import inputs
from delivery.service.errors import ServiceError
from delivery.service.settings import Settings


def find(pattern: str, settings: Settings, deadline: Deadline) -> FoundFiles:
    """The files that a glob, a file's path or a folder's path names. Raises DatasetError."""
    folders = _Folders(settings, deadline)
    found = Walk(folders, settings.limits.files).files(pattern)
    for path, _ in found:
        folders.check(path)
    return FoundFiles([FoundFile((path,), size=size) for path, size in found])


class _Folders:
    """The allowed folders. A link that leads out of them is an error where it matches, not a gap."""

    def __init__(self, settings: Settings, deadline: Deadline) -> None:
        self._settings, self._deadline = settings, deadline

    def entries(self, folder: str) -> Sequence[Entry]:
        """What a folder holds. A link that leads nowhere is taken for a file, which then fails by name."""
        self.check(folder)
        try:
            with os.scandir(folder) as found:
                return [
                    Entry(each.name, each.is_dir(), _size(each), each.is_symlink())
                    for each in found
                    if each.is_dir() or each.is_file() or each.is_symlink()
                ]
        except (FileNotFoundError, NotADirectoryError):
            raise
        except OSError as error:
            raise _failed(folder, error) from error

    def entry(self, path: str) -> Entry:
        """What a path names."""
        self.check(path)
        try:
            status = Path(path).stat()
        except (FileNotFoundError, NotADirectoryError):
            raise
        except OSError as error:
            raise _failed(path, error) from error
        name = path.rstrip("/").rpartition("/")[2]
        return Entry(name, stat.S_ISDIR(status.st_mode), status.st_size, Path(path).is_symlink())

    def check(self, path: str) -> None:
        """Raise DatasetError if the path, or what it links to, may not be read."""
        self._deadline.left(1.0)
        try:
            inputs.check(path, self._settings)
        except ServiceError as error:
            raise DatasetError("bad_name", str(error)) from error


def _size(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat().st_size
    except OSError:
        return 0


def _failed(path: str, error: OSError) -> DatasetError:
    return DatasetError("internal_failure", f"{path} cannot be looked at: {error.strerror or error}")
