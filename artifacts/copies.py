"""Local copies of blobs that lie in memory or in a bucket, for libraries that read files."""

import os
import tempfile
import time
from contextlib import suppress
from functools import cache
from pathlib import Path

from artifacts.errors import ArtifactError
from artifacts.folder import FolderBackend

LIFETIME = 7 * 86400.0
"""Seconds after which a copy that was not asked for is removed."""


def user_cache() -> Path:
    """Folder for what may be lost: `$XDG_CACHE_HOME/skimflow`, else `~/.cache/skimflow`."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "skimflow"


def copies() -> FolderBackend:
    """The folder of the copies: in the user's cache, or in the temporary folder where that is closed."""
    try:
        folder = user_cache() / "copies"
        folder.mkdir(parents=True, exist_ok=True)
        usable = os.access(folder, os.W_OK)
    except (OSError, RuntimeError):
        usable = False
    if not usable:
        folder = Path(tempfile.gettempdir()) / f"skimflow-copies-{os.getuid()}"
    return _opened(folder)


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
