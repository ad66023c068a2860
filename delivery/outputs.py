"""What a file of columns holds, read from the file itself."""

from contextlib import closing
from pathlib import Path

from delivery.errors import UnreadableFile


def tree_and_entries(path: Path | str, tree: str | None = None) -> tuple[str, int]:
    """The tree (TTree or RNTuple) of a ROOT file and its number of events; for Parquet ("", number of rows).

    tree: its name; None means the first.

    Raises MissingTree; UnreadableFile, caused by what went wrong, for a file that is damaged, absent or no such file.
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
