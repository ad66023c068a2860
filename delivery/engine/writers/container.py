"""A Parquet file of numbers and lists of numbers: Arrow says what its schema is, `pages` encodes the columns."""

from collections.abc import Iterator, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from delivery.engine.writers.layouts import normal
from delivery.engine.writers.pages import LevelsOfLists, chunk, leaves_of
from delivery.engine.writers.thrift import Kind, Struct, binary, decode, encode, i64, many, struct

_MAGIC = b"PAR1"
_TAIL = 8  # bytes behind the footer: its length and the magic bytes
_OPTIONAL, _REPEATED = 1, 2
_SCHEMA, _ROWS, _GROUPS, _KEY_VALUES = 2, 3, 4, 5  # fields of the footer
_LARGEST_CHUNK = 1 << 28  # bytes of numbers; a page's size, levels and all, has to fit into 31 bits


class _Column(NamedTuple):
    """A column in the schema: where it is, Parquet's type, how many of the things it is in can be missing or repeat."""

    path: tuple[bytes, ...]
    kind: int
    defined: int
    repeated: int


def arrow_footer(schema: pa.Schema) -> Struct:
    """The footer that Arrow writes to an empty file of this schema; raises pa.ArrowException if it can write none."""
    file = BytesIO()
    pq.ParquetWriter(file, schema).close()
    content = file.getvalue()
    length = int.from_bytes(content[-_TAIL:-4], "little")
    return decode(content[-_TAIL - length : -_TAIL])


def suits(layout: Any, footer: Struct) -> bool:
    """Whether `NumbersFile` writes rows of this form, in the one form of their type, as Arrow's schema has them."""
    leaves = leaves_of(layout)
    if leaves is None:
        return False
    depths = [0 if leaf.offsets is None else 1 for leaf in leaves]
    ours = [(leaf.kind, depth, depth) for leaf, depth in zip(leaves, depths, strict=True)]
    return ours == [column[1:] for column in _columns(footer)]


def _columns(footer: Struct) -> list[_Column]:
    """The columns of numbers in a footer's schema, which is a tree written in depth-first order."""
    elements = iter(footer[_SCHEMA][1][1])

    def below(count: int, path: tuple[bytes, ...], defined: int, repeated: int) -> Iterator[_Column]:
        for _ in range(count):
            element = next(elements)
            (_, repetition), (_, name), (_, children) = element[3], element[4], element.get(5, (Kind.I32, 0))
            own = (*path, name)
            depths = defined + (repetition in (_OPTIONAL, _REPEATED)), repeated + (repetition == _REPEATED)
            if children:
                yield from below(children, own, *depths)
            else:
                yield _Column(own, element[1][1], *depths)

    _, count = next(elements)[5]
    return list(below(count, (), 0, 0))


class NumbersFile:
    """A Parquet file in the making, of rows that it `suits`; ``sample`` has none of them."""

    def __init__(self, place: Path, footer: Struct, sample: Any) -> None:
        self._footer, self._form = footer, sample.form
        self._paths = [column.path for column in _columns(footer)]
        self._codec = pa.Codec("snappy")
        self._groups: list[Struct] = []
        self._rows = 0
        self._stream = place.open("wb")
        self._stream.write(_MAGIC)

    def write(self, layout: Any) -> None:
        """Append rows as one row group, or as several where a column has very many bytes."""
        leaves = leaves_of(layout)
        if leaves is None or layout.form != self._form:
            raise ValueError(f"rows of the form {layout.form.type} in a file of {self._form.type}")
        if layout.length > 1 and max(leaf.numbers.nbytes for leaf in leaves) > _LARGEST_CHUNK:
            half = layout.length // 2
            self.write(normal(layout[:half]))
            self.write(normal(layout[half:]))
            return
        begin, levels = self._stream.tell(), LevelsOfLists()
        columns, plain = [], 0
        for path, leaf in zip(self._paths, leaves, strict=True):
            place = self._stream.tell()
            made = chunk(leaf, path, levels, self._codec)
            self._stream.writelines(made.content)
            columns.append({2: i64(0), 3: struct(made.metadata | {9: i64(place)})})
            plain += made.plain_size
        group = {1: many(Kind.STRUCT, columns), 2: i64(plain), 3: i64(layout.length)}
        self._groups.append(group | {5: i64(begin), 6: i64(self._stream.tell() - begin)})
        self._rows += layout.length

    def close(self, record: Mapping[str, str]) -> None:
        """End the file, with more keys and values in its footer."""
        kind, pairs = self._footer[_KEY_VALUES][1]
        pairs = [*pairs, *({1: binary(key.encode()), 2: binary(value.encode())} for key, value in record.items())]
        added = {_ROWS: i64(self._rows), _GROUPS: many(Kind.STRUCT, self._groups), _KEY_VALUES: many(kind, pairs)}
        footer = encode(self._footer | added)
        self._stream.write(footer + len(footer).to_bytes(4, "little") + _MAGIC)
        self._stream.close()

    def abandon(self) -> None:
        """Let go of the file."""
        self._stream.close()
