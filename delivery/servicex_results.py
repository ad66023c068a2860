"""Which of a ServiceX request's results belongs to which input file.

The official client hands back an unordered list of local files and counts nothing. The service's own result rows name
the input of each result; a service too old to have them names each object after its input instead.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha1
from pathlib import Path
from typing import Any

OBJECT_NAME_LENGTH = 255
LOCAL_NAME_LENGTH = 60
SUFFIXES = ("", ".parquet", ".root")


@dataclass(frozen=True, slots=True)
class Result:
    """What came back for one input: the downloaded file (None: none did) and what its result row says, if anything."""

    path: Path | None
    status: str = ""
    bytes: int | None = None


def match(files: Iterable[str], downloaded: Iterable[Path], rows: Sequence[Mapping[str, Any]]) -> dict[str, Result]:
    """The result of each input file, by the input's name as it was asked for.

    downloaded: local files as the official client named them. rows: of the service's results call; empty if it has
    none. A file on disk that belongs to no input is left out.
    """
    on_disk = {path.name: path for path in downloaded}
    by_input = {str(row.get("file-path")): row for row in rows}
    results = {}
    for file in files:
        row = by_input.get(file)
        if row is None:
            names = [local_name(_shorten(object_name(file) + suffix, OBJECT_NAME_LENGTH)) for suffix in SUFFIXES]
            results[file] = Result(next((on_disk[name] for name in names if name in on_disk), None))
            continue
        results[file] = Result(
            on_disk.get(local_name(str(row.get("s3-object-name")))),
            str(row.get("transform_status")),
            row.get("total-bytes"),
        )
    return results


def object_name(file: str) -> str:
    """The name that the service gives an input's result, without suffix."""
    return file.replace("/", ":")


def local_name(name: str) -> str:
    """The name of an object's file on disk, as the official client makes it when it is told to shorten names."""
    short = _shorten(name, LOCAL_NAME_LENGTH)
    return short.replace("*", "_").replace(";", "_").replace(":", "_")


def _shorten(name: str, length: int) -> str:
    """Both the service and its client replace the front of a long name by the SHA-1 of the whole."""
    if len(name) <= length:
        return name
    digest = sha1(name.encode(), usedforsecurity=False).hexdigest()
    return f"_{digest}{name[len(digest) + 1 - length :]}"
