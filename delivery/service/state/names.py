"""Names of results: the input's path made one name, as ServiceX does, and no two alike within a request."""

from collections.abc import Sequence
from hashlib import sha256
from typing import Final

from delivery.urls import shown

LONGEST: Final = 255
"""Bytes of a file's name on any usual file system, and of a name in the table."""

_ON_DISK: Final = str.maketrans("*;:", "___")
"""What the official client writes instead when it downloads."""


def object_names(paths: Sequence[str], result_format: str) -> list[str]:
    """One name for each input path, in order.

    A name is the path with ":" for "/", and ".parquet" after it for Parquet; a URL's user and query are left out. One
    that is too long, no safe name of a file, or like an earlier one (also on a disk that knows no capitals, and after
    the official client's replacements) gets a hash before its readable end.
    """
    taken: set[str] = set()
    names = []
    for place, path in enumerate(paths):
        name = _readable(path, result_format)
        if len(name.encode()) > LONGEST or name.strip(". ") == "" or _on_disk(name) in taken:
            own = sha256(f"{place}\0{path}".encode(errors="surrogatepass")).hexdigest()[:20]
            name = f"{own}-{_end(name, LONGEST - len(own) - 1)}"
        taken.add(_on_disk(name))
        names.append(name)
    return names


def _readable(path: str, result_format: str) -> str:
    plain = shown(path).replace("/", ":").replace("\\", ":")
    safe = "".join(c if c.isprintable() else "_" for c in plain)
    return safe + ".parquet" if result_format == "parquet" else safe


def _end(name: str, size: int) -> str:
    """The last characters of at most so many bytes."""
    return name.encode()[-size:].decode(errors="ignore")


def _on_disk(name: str) -> str:
    return name.translate(_ON_DISK).casefold()
