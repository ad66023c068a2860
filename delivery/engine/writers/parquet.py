"""Parquet as awkward makes it: large lists, columns that are not nullable unless values can be missing, SNAPPY.

An array without columns of names becomes one column named with the empty string. The extension types that awkward puts
beside the storage types are kept; they let ``ak.from_parquet`` give back tuples and named records.
"""

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import awkward as ak
import pyarrow as pa
import pyarrow.parquet as pq

from delivery.engine.writers.layouts import in_one_form
from delivery.engine.writers.record import NAME, Json, to_text
from delivery.engine.writers.unfinished import Unfinished
from delivery.errors import UnwritableType

# A column whose values are nearly all different is soon known by a small limit. With pyarrow's own (1 MiB) a group's
# dictionary often fits just so, which makes random floats cost three times the time and four thirds of the bytes.
_DICTIONARY_BYTES = 64 * 1024
_SHOWN_TYPE = 200  # characters


class TableWriter:
    """A Parquet file; each group of rows becomes one row group."""

    def __init__(self, path: Path, samples: Mapping[str, Any], *, treenames: bool) -> None:
        self._treenames = treenames
        self._empty = self._one_table(samples)
        self._written = False
        self._file = Unfinished(path)
        try:
            with self._file.refusals():
                self._writer = pq.ParquetWriter(
                    str(self._file.place),
                    self._empty.schema,
                    compression="snappy",
                    dictionary_pagesize_limit=_DICTIONARY_BYTES,
                )
        except pa.ArrowException as error:
            self._file.discard()
            raise _refused(", ".join(str(sample.type.content) for sample in samples.values()), error) from error
        except BaseException:
            self._file.discard()
            raise

    def write(self, rows: Any, tree: str = "servicex") -> None:
        """Append rows as one row group."""
        table = self._table(rows, tree)
        with self._file.refusals():
            self._writer.write_table(table, row_group_size=max(1, table.num_rows))
        self._written = True

    def copy(self, name: str, source: Any) -> None:  # noqa: ARG002
        """Parquet holds no objects: raises UnwritableType."""
        raise UnwritableType(f"Parquet cannot hold the object {name!r}", hint="write ROOT: --format root-file")

    def close(self, record: Mapping[str, Json]) -> None:
        """End the file; without rows it gets one empty row group, for readers that expect one."""
        try:
            with self._file.refusals():
                if not self._written:
                    self._writer.write_table(self._empty)
                self._writer.add_key_value_metadata({NAME: to_text(record)})
                self._writer.close()
            self._file.finish()
        except BaseException:
            self.abandon()
            raise

    def abandon(self) -> None:
        """Remove the unfinished file."""
        self._file.discard()

    def _one_table(self, samples: Mapping[str, Any]) -> Any:
        """A table of zero rows that all trees' rows fit in; UnwritableType if there is none."""
        tables = {tree: self._table(sample, tree) for tree, sample in samples.items()}
        first = next(iter(tables), None)
        if first is None:
            return pa.table({})
        for tree, table in tables.items():
            if not table.schema.equals(tables[first].schema):
                raise UnwritableType(
                    f"the trees {first!r} ({samples[first].type.content}) and {tree!r} ({samples[tree].type.content}) "
                    "have different columns, and Parquet holds one table",
                    hint="select the same columns of each tree, or use --format root-file",
                )
        return tables[first]

    def _table(self, rows: Any, tree: str) -> Any:
        if self._treenames:
            rows = ak.with_field(rows, tree, "treename")
        try:
            return ak.to_arrow_table(in_one_form(rows))
        except pa.ArrowException as error:
            raise _refused(str(rows.type.content), error) from error


def refused(sample: Any) -> dict[str, str]:
    """The columns that Parquet cannot hold, and why not."""
    if not _refusal(sample):
        return {}
    return {field: reason for field in sample.fields if (reason := _refusal(sample[[field]]))}


def _refusal(rows: Any) -> str:
    """Why there is no Parquet file of such rows, empty if there is one."""
    try:
        pq.ParquetWriter(BytesIO(), ak.to_arrow_table(in_one_form(rows)).schema).close()
    except pa.ArrowException as error:
        return str(error)
    return ""


def _refused(what: str, error: Exception) -> UnwritableType:
    if len(what) > _SHOWN_TYPE:
        what = f"the columns ({what[:_SHOWN_TYPE]}…)"
    return UnwritableType(
        f"Parquet cannot hold {what}: {error}", hint="convert the column that it names, or leave it out"
    )
