"""What a delivered file holds, read from the file itself."""

from pathlib import Path

from delivery.errors import MissingTree, UnreadableFile


def tree_and_entries(path: Path | str, tree: str | None = None) -> tuple[str, int]:
    """The tree (TTree or RNTuple) of a ROOT file and its number of events; for Parquet ("", number of rows).

    tree: its name; None means the only tree, or the one named Events.

    Raises MissingTree; UnreadableFile for what is neither ROOT nor Parquet; for a URL whatever the network raises.
    """
    if str(path).endswith(".parquet"):
        return "", _parquet_rows(path)
    import uproot

    try:
        directory = uproot.open(path)
    except ValueError as error:  # no ROOT file, or a damaged one
        raise UnreadableFile(str(path), str(error).strip().splitlines()[0]) from error
    with directory:
        classes = directory.classnames(cycle=False)
        trees = sorted(name for name, kind in classes.items() if kind == "TTree" or kind.endswith("RNTuple"))
        if tree is None and len(trees) == 1:
            tree = trees[0]
        wanted = "Events" if tree is None else tree
        if wanted not in trees:
            raise MissingTree(str(path), tree, trees)
        return wanted, int(directory[wanted].num_entries)


def _parquet_rows(path: Path | str) -> int:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        return int(parquet.read_metadata(path).num_rows)
    except pa.ArrowInvalid as error:
        raise UnreadableFile(str(path), str(error)) from error
