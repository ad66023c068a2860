"""Queries and small files for the engine's tests."""

import ast
from pathlib import Path
from typing import Any

import awkward as ak
import qastle
import uproot


def qastle_text(query: str) -> str:
    """The reference client's text of a query written in Python; ``DS`` stands for the dataset."""
    tree = ast.parse(query.replace("DS", "EventDataset('bogus.root', 'Events')"))
    return str(qastle.python_ast_to_text_ast(qastle.insert_linq_nodes(tree)))


def write_tree(path: Path, columns: dict[str, Any], baskets: list[int] | None = None, compression: Any = None) -> Path:
    """A file with a tree `Events` of these columns (records become collections), cut into baskets of these lengths."""
    arrays = {name: ak.Array(column) for name, column in columns.items()}
    (length,) = {len(array) for array in arrays.values()}
    with uproot.recreate(path, compression=compression) as file:
        tree = file.mktree("Events", {name: array.type.content for name, array in arrays.items()})
        start = 0
        for size in [*(baskets or []), length]:
            stop = min(start + size, length)
            if stop > start:
                tree.extend({name: array[start:stop] for name, array in arrays.items()})
            start = stop
    return path
