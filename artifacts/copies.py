"""Local copies of blobs that lie in memory or in a bucket, for libraries that read files."""

import os
import stat
import tempfile
import time
from contextlib import suppress
from functools import cache
from pathlib import Path

from artifacts.errors import ArtifactError, StoreNotWritable, cannot_write
from artifacts.folder import FolderBackend

LIFETIME = 7 * 86400.0
"""Seconds after which a copy that was not asked for is removed."""


def user_cache() -> Path:
    """Folder for what may be lost: `$XDG_CACHE_HOME/skimflow`, else `~/.cache/skimflow`."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "skimflow"


def copies() -> FolderBackend:
    """The folder of the copies: in the user's cache, or in the temporary folder where that is closed.

    Raises `StoreNotWritable` if the one in the temporary folder belongs to somebody else.
    """
    try:
        folder = user_cache() / "copies"
        folder.mkdir(parents=True, exist_ok=True)
        usable = os.access(folder, os.W_OK)
    except (OSError, RuntimeError):
        usable = False
    if not usable:
        folder = Path(tempfile.gettempdir()) / f"skimflow-copies-{os.getuid()}"
        _make_private(folder)
    return _opened(folder)


def _make_private(folder: Path) -> None:
    """Make a folder for this user alone. Everybody writes to its parent, so that one of its name may be a trap."""
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
    except OSError as error:
        raise cannot_write(error, str(folder)) from error
    ours = stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & 0o022
    if not ours:
        raise StoreNotWritable(
            f"{folder} is no folder that you alone may write to; remove it, or set XDG_CACHE_HOME to a folder of yours"
        )


@cache
def _opened(folder: Path) -> FolderBackend:
    """The folder without its old copies; what is in use was touched when it was asked for."""
    kept = FolderBackend(folder)
    with suppress(ArtifactError):
        for item in kept.items("blobs"):
            if time.time() - item.modified > LIFETIME:
                kept.delete(item.name)
        kept.sweep(time.time() - LIFETIME)
    return kept
