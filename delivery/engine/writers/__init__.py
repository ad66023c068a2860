"""Results to files, as ServiceX's transformers write them: Parquet, a TTree or an RNTuple, written group by group.

The bytes of an output depend on its rows, its groups and the identity given by the caller, on nothing else: neither on
the time nor on the process. `Grouped` makes the groups depend on the rows alone.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from delivery.engine.writers.grouping import GROUP_BYTES, GROUP_ROWS, Grouped
from delivery.engine.writers.record import Json, read_record
from delivery.errors import UnwritableType
from delivery.requests import OutputFormat

__all__ = [
    "GROUP_BYTES",
    "GROUP_ROWS",
    "TREE",
    "Grouped",
    "Writer",
    "open_writer",
    "read_record",
    "unwritable",
]

TREE = "servicex"


class Writer(Protocol):
    """An output in the making: under another name until `close`, so that what was there before stays if it fails."""

    def write(self, rows: Any, tree: str = TREE) -> None:
        """Append a group of rows (an ``ak.Array`` of the sample's type) to an output tree."""

    def copy(self, name: str, source: Any) -> None:
        """Copy the object ``name`` of an open ROOT file or folder (an uproot directory) with its bytes as they are."""

    def close(self, record: Mapping[str, Json]) -> None:
        """End the file, with a record of what was done in it, and give it its name."""

    def abandon(self) -> None:
        """Remove the unfinished file; nothing happens after `close`."""


def open_writer(
    path: Path, output_format: OutputFormat, samples: Mapping[str, Any], identity: bytes, *, treenames: bool = False
) -> Writer:
    """An output file at ``path`` with a tree (in Parquet: a table) for each of ``samples``.

    ``samples`` maps a tree's name to an ``ak.Array`` of zero rows whose type is that of every group. ``identity`` (at
    least 16 bytes) says what is written; a ROOT file gets its identifier from it. With ``treenames``, or with several
    trees, a Parquet table has a last column `treename` that says to which tree a row belongs, as uproot-raw writes it.

    Raises UnwritableType for what the format cannot hold, OutputUnwritable where the file system refuses.
    """
    if output_format == "parquet":
        from delivery.engine.writers.parquet import TableWriter

        return TableWriter(path, samples, treenames=treenames or len(samples) > 1)
    if output_format == "root-file":
        from delivery.engine.writers.tree import TreeWriter

        return TreeWriter(path, samples, identity)
    if output_format == "root-rntuple":
        from delivery.engine.writers.ntuple import NTupleWriter

        return NTupleWriter(path, samples, identity)
    raise UnwritableType(f"columns cannot be written as {output_format}", hint="use --format parquet")


def unwritable(output_format: OutputFormat, sample: Any) -> tuple[str, ...]:
    """Those columns of rows like ``sample`` (an ``ak.Array`` of records) that the format cannot hold."""
    if output_format == "root-file":
        from delivery.engine.writers import tree

        return tuple(tree.refused(sample))
    if output_format == "root-rntuple":
        from delivery.engine.writers import ntuple

        return tuple(ntuple.refused(sample))
    from delivery.engine.writers import parquet

    return tuple(parquet.refused(sample))
