"""Files behind an XRootD server, listed by the server itself."""

from collections.abc import Sequence
from importlib import import_module
from typing import Any, Final

from delivery.datasets.errors import DatasetError
from delivery.datasets.files import Deadline, FoundFile, FoundFiles
from delivery.datasets.patterns import Entry, Walk
from delivery.service import inputs
from delivery.service.errors import ServiceError
from delivery.service.settings import Settings

SECONDS: Final = 60.0
"""So long one question to the server may take."""

_NOT_FOUND, _NOT_AUTHORIZED, _FILE_SYSTEM_ERROR = 3011, 3010, 3005  # kXR_NotFound and so on
_SETTINGS: Final = {"ConnectionRetry": 1, "StreamErrorWindow": 0}  # as when files are read: see the engine's storage


def find(pattern: str, settings: Settings, deadline: Deadline) -> FoundFiles:
    """The files that a ``root://host//path`` with wildcards names. Raises DatasetError."""
    try:
        checked = inputs.check(pattern, settings)
    except ServiceError as error:
        raise DatasetError("bad_name", str(error)) from error
    scheme, _, rest = checked.partition("://")
    host, _, path = rest.partition("/")
    server = f"{scheme}://{host}/"
    found = Walk(_Server(server, deadline), settings.limits.files).files(path)
    return FoundFiles([FoundFile((server + path,), size=size) for path, size in found])


class _Server:
    """The folders of one server; paths are as they stand in a URL after the host's own slash."""

    def __init__(self, server: str, deadline: Deadline) -> None:
        client: Any = import_module("XRootD.client")  # has no types
        self._flags: Any = import_module("XRootD.client.flags")
        for name, value in _SETTINGS.items():
            client.EnvPutInt(name, value)
        self._files, self._server, self._deadline = client.FileSystem(server), server, deadline

    def entries(self, folder: str) -> Sequence[Entry]:
        """What a folder holds."""
        status, found = self._files.dirlist(folder, self._flags.DirListFlags.STAT, timeout=self._seconds())
        self._check(status, folder)
        return [self._entry(each.name, each.statinfo) for each in found if each.name not in (".", "..")]

    def entry(self, path: str) -> Entry:
        """What a path names."""
        status, found = self._files.stat(path, timeout=self._seconds())
        self._check(status, path)
        return self._entry(path.rstrip("/").rpartition("/")[2], found)

    def _seconds(self) -> int:
        return max(1, round(self._deadline.left(SECONDS)))

    def _entry(self, name: str, found: Any) -> Entry:
        if found is None:  # the server could not look at it, as at a link that leads nowhere
            return Entry(name, folder=False)
        return Entry(name, bool(found.flags & self._flags.StatInfoFlags.IS_DIR), int(found.size))

    def _check(self, status: Any, path: str) -> None:
        if status.ok:
            return
        url, said = self._server + path, str(status.message).strip()
        if status.errno == _NOT_FOUND:
            raise FileNotFoundError(url)
        if status.errno == _FILE_SYSTEM_ERROR and said.endswith("not a directory"):
            raise NotADirectoryError(url)
        if status.errno == _NOT_AUTHORIZED:
            raise DatasetError("internal_failure", f"{url} may not be listed: {said}")
        self._deadline.left(1.0)
        raise DatasetError("internal_failure", f"{url} cannot be listed: {said}")
