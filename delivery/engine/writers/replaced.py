"""Results to files, as ServiceX's transformers write them, appended in groups of a fixed number of rows.

The groups depend on the rows alone, so neither the ranges in which a file was read nor the number of threads shows in
the output's bytes; nor does the time: a ROOT file's dates and identifiers come from the request.
"""

import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import awkward as ak

from delivery.engine.values import Column, concatenate, row_range
from delivery.errors import UnwritableType

if TYPE_CHECKING:
    from delivery.engine.expressions import Expression
    from delivery.engine.rows import Piece

TREE = "servicex"
_DATE = (5 << 26) | (1 << 22) | (1 << 17)  # 2000-01-01 00:00:00 as ROOT packs it
_DATES = threading.Lock()


class Writer(Protocol):
    """Takes a result group by group."""

    def write(self, group: Any) -> None:
        """Append rows."""

    def close(self) -> None:
        """End the file."""


class Rebuffered:
    """Passes rows on to a writer in groups of exactly `rows` rows (the last one shorter)."""

    def __init__(self, writer: Writer, shape: Any, rows: int) -> None:
        self._writer, self._shape, self._rows = writer, shape, rows
        self._waiting: list[dict[Expression, Column]] = []
        self._count = 0

    def add(self, piece: "Piece") -> None:
        """Append the piece's rows."""
        start = 0
        while start < piece.rows:
            stop = min(piece.rows, start + self._rows - self._count)
            self._waiting.append({e: row_range(column, start, stop) for e, column in piece.values.items()})
            self._count += stop - start
            start = stop
            if self._count == self._rows:
                self.end()

    def end(self) -> None:
        """Write what is left."""
        from delivery.engine.stream import assemble

        if self._waiting:
            parts, count = self._waiting, self._count
            self._waiting, self._count = [], 0
            whole = {e: concatenate([part[e] for part in parts]) for e in parts[0]}
            self._writer.write(assemble(self._shape, whole, count))


class ParquetWriter:
    """Parquet with the schema that awkward gives (large lists, not nullable), SNAPPY."""

    def __init__(self, path: Path, empty: Any) -> None:
        import pyarrow.parquet as pq

        self._nothing = ak.to_arrow_table(empty)
        self._writer = pq.ParquetWriter(path, self._nothing.schema, compression="snappy")
        self._written = False

    def write(self, group: Any) -> None:
        """Append rows as one row group."""
        self._writer.write_table(ak.to_arrow_table(group), row_group_size=len(group))
        self._written = True

    def close(self) -> None:
        """End the file; without rows it gets one empty row group, for readers that expect one."""
        if not self._written:
            self._writer.write_table(self._nothing)
        self._writer.close()


class RootWriter:
    """A TTree `servicex`: counters ``n<field>`` of lists, records flattened to ``<field>_<sub>``."""

    def __init__(self, path: Path, empty: Any, identity: bytes) -> None:
        import uproot

        if not empty.fields:
            raise UnwritableType("a column without a name cannot be written to ROOT; select a dict of columns")
        identifier = uuid.UUID(bytes=identity[:16], version=4)
        types = {field: empty[field].type.content for field in empty.fields}
        self._stream = path.open("wb+")  # a file without a path: uproot would write its name into it
        try:
            with _fixed_dates():
                self._file = uproot.recreate(self._stream, uuid_function=lambda: identifier)
                self._tree = self._file.mktree(TREE, types)
        except (TypeError, ValueError) as error:
            self._stream.close()
            reason = str(error).splitlines()[0]
            raise UnwritableType(f"the result cannot be written to ROOT: {reason}") from error

    def write(self, group: Any) -> None:
        """Append rows as one basket per branch."""
        with _fixed_dates():
            self._tree.extend({field: group[field] for field in group.fields})

    def close(self) -> None:
        """End the file."""
        with _fixed_dates():
            self._file.close()
        self._stream.close()


@contextmanager
def _fixed_dates() -> Iterator[None]:
    """uproot stamps the time of writing into every key and has no option for it: here every time is the same."""
    import uproot._util

    with _DATES:
        kept, uproot._util.datetime_to_code = uproot._util.datetime_to_code, lambda _: _DATE
        try:
            yield
        finally:
            uproot._util.datetime_to_code = kept
