"""Delivered files: their names, and what one holds, read from the file itself."""

from contextlib import closing
from hashlib import sha256
from pathlib import Path

from delivery.errors import UnreadableFile
from delivery.requests import FileRequest

SUFFIX = {"parquet": ".parquet", "root-file": ".root"}


def output_name(request: FileRequest) -> str:
    """The delivered file's name: readable, and its own for each request."""
    parts = (request.sample, str(request.index), request.file, str(request.tree), request.query_text, request.codegen)
    own = sha256("\0".join((*parts, request.format)).encode()).hexdigest()[:16]
    readable = "".join(c if c.isalnum() or c in "-_" else "_" for c in request.sample)
    return f"{readable[:100]}-{request.index}-{own}{SUFFIX.get(request.format, '')}"


def tree_and_entries(path: Path | str, tree: str | None = None) -> tuple[str, int]:
    """The tree (TTree or RNTuple) of a ROOT file and its number of events; for Parquet ("", number of rows).

    tree: its name; None means the first.

    Raises UnknownTree; UnreadableFile, caused by what went wrong, for a file that is damaged, absent or no such file.
    """
    if str(path).endswith(".parquet"):
        return "", _parquet_rows(path)
    from delivery.engine.source import open_source

    with closing(open_source(str(path), tree)) as source:
        return source.tree, source.entries


def _parquet_rows(path: Path | str) -> int:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        return int(parquet.read_metadata(path).num_rows)
    except (OSError, pa.ArrowInvalid) as error:
        raise UnreadableFile(str(path), str(error)) from error
