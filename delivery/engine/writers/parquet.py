"""Parquet as awkward makes it: large lists, columns that are not nullable unless values can be missing, SNAPPY.

Arrow says what the schema is; numbers and lists of numbers are encoded by `container`, everything else by Arrow. An
array without columns of names becomes one column named with the empty string. The extension types that awkward puts
beside the storage types are kept; they let ``ak.from_parquet`` give back tuples and named records.
"""

from collections.abc import Mapping
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any

import awkward as ak
import pyarrow as pa
import pyarrow.parquet as pq

from delivery.engine.writers.container import NumbersFile, arrow_footer, suits
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
        self._empty, schema = self._one_sample(samples)
        self._written = False
        self._file = Unfinished(path)
        try:
            with self._file.refusals():
                self._rows = _rows_file(self._file.place, self._empty, schema)
        except pa.ArrowException as error:
            self._file.discard()
            raise _refused(", ".join(str(sample.type.content) for sample in samples.values()), error) from error
        except BaseException:
            self._file.discard()
            raise

    def write(self, rows: Any, tree: str = "servicex") -> None:
        """Append rows as one row group."""
        self._append(self._complete(rows, tree))

    def _append(self, rows: Any) -> None:
        try:
            with self._file.refusals():
                self._rows.write(rows.layout)
        except pa.ArrowException as error:
            raise _refused(str(rows.type.content), error) from error
        self._written = True

    def copy(self, name: str, source: Any) -> None:  # noqa: ARG002
        """Parquet holds no objects: raises UnwritableType."""
        raise UnwritableType(f"Parquet cannot hold the object {name!r}", hint="write ROOT: --format root-file")

    def close(self, record: Mapping[str, Json]) -> None:
        """End the file; without rows it gets one empty row group, for readers that expect one."""
        try:
            if not self._written:
                self._append(self._empty)
            with self._file.refusals():
                self._rows.close({NAME: to_text(record)})
            self._file.finish()
        except BaseException:
            self.abandon()
            raise

    def abandon(self) -> None:
        """Remove the unfinished file."""
        with suppress(OSError):  # a full disk refuses what was buffered
            self._rows.abandon()
        self._file.discard()

    def _one_sample(self, samples: Mapping[str, Any]) -> tuple[Any, Any]:
        """Zero rows of the type that all trees' rows have, and their schema; UnwritableType if there is none."""
        empty = {tree: self._complete(sample, tree) for tree, sample in samples.items()}
        schemas = {tree: _table(rows).schema for tree, rows in empty.items()}
        first = next(iter(empty), None)
        if first is None:
            nothing = ak.Array(ak.contents.RecordArray([], [], 0))
            return nothing, _table(nothing).schema
        for tree, schema in schemas.items():
            if not schema.equals(schemas[first]):
                raise UnwritableType(
                    f"the trees {first!r} ({samples[first].type.content}) and {tree!r} ({samples[tree].type.content}) "
                    "have different columns, and Parquet holds one table",
                    hint="select the same columns of each tree, or use --format root-file",
                )
        return empty[first], schemas[first]

    def _complete(self, rows: Any, tree: str) -> Any:
        """Rows in the one form of their type, with the name of their tree where it is wanted."""
        return in_one_form(ak.with_field(rows, tree, "treename") if self._treenames else rows)


class _AnyRows:
    """A Parquet file in the making that Arrow encodes."""

    def __init__(self, place: Path, schema: Any) -> None:
        self._writer = pq.ParquetWriter(
            str(place), schema, compression="snappy", dictionary_pagesize_limit=_DICTIONARY_BYTES
        )

    def write(self, layout: Any) -> None:
        """Append rows as one row group."""
        table = ak.to_arrow_table(ak.Array(layout))
        self._writer.write_table(table, row_group_size=max(1, table.num_rows))

    def close(self, record: Mapping[str, str]) -> None:
        """End the file, with more keys and values in its footer."""
        self._writer.add_key_value_metadata(record)
        self._writer.close()

    def abandon(self) -> None:
        """Arrow lets go of the file by itself."""


def _rows_file(place: Path, empty: Any, schema: Any) -> NumbersFile | _AnyRows:
    """The file for rows of which `empty` has none; raises pa.ArrowException if Parquet cannot hold them."""
    footer = arrow_footer(schema)
    return NumbersFile(place, footer, empty.layout) if suits(empty.layout, footer) else _AnyRows(place, schema)


def _table(rows: Any) -> Any:
    try:
        return ak.to_arrow_table(rows)
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
