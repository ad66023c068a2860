"""What a function returned, as trees of columns, and those as a file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np

from delivery.engine.usercode.job import Job
from delivery.engine.writers import GROUP_ROWS, TREE, Grouped, open_writer

BRANCH = "branch"


def trees_of(result: Any) -> dict[str, Any] | None:
    """Tree name -> ``ak.Array`` of its rows; None for a result that has no columns.

    An array is the tree `servicex`, a dict has one tree per key, as ServiceX has it.
    """
    if isinstance(result, ak.Array | np.ndarray):
        return {TREE: ak.Array(result)}
    if not isinstance(result, Mapping) or not result:
        return None
    if not all(isinstance(name, str) and isinstance(rows, ak.Array | np.ndarray) for name, rows in result.items()):
        return None
    return {name: ak.Array(rows) for name, rows in result.items()}


def columns_of(trees: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of the columns; with several trees as ``tree.column``."""
    many = len(trees) > 1
    return tuple(f"{tree}.{name}" if many else name for tree, rows in trees.items() for name in rows.fields or [BRANCH])


def entries_of(trees: Mapping[str, Any]) -> int:
    """Rows of all trees together."""
    return sum(len(rows) for rows in trees.values())


def write(trees: Mapping[str, Any], path: Path, job: Job) -> None:
    """Write the trees; in ROOT a column without a name is called `branch`, as ServiceX calls it.

    Raises UnwritableType and OutputUnwritable.
    """
    if job.format != "parquet":
        trees = {tree: rows if rows.fields else ak.Array({BRANCH: rows}) for tree, rows in trees.items()}
    samples = {tree: rows[:0] for tree, rows in trees.items()}
    writer = open_writer(path, job.format, samples, bytes.fromhex(job.identity))
    try:
        for tree, rows in trees.items():
            grouped = Grouped(writer, tree, GROUP_ROWS)
            grouped.add(rows)
            grouped.end()
        writer.close({**job.record, "events_out": entries_of(trees)})
    except BaseException:
        writer.abandon()
        raise
