"""Parquet's column chunks of numbers and of lists of numbers, each encoded in a few passes over the whole column.

Arrow encodes any column, value by value; that took a fifth of a transform. Columns of one collection have equal lists,
so their levels (Parquet's form of offsets) are made once. The format: https://parquet.apache.org/docs/file-format/
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from delivery.engine.values import Array, Offsets
from delivery.engine.writers.thrift import Kind, Struct, binary, encode, i32, i64, many, struct, varint

_KINDS = {"b1": 0, "i1": 1, "i2": 1, "i4": 1, "u1": 1, "u2": 1, "u4": 1, "i8": 2, "u8": 2, "f4": 4, "f8": 5}
_PLAIN, _RLE, _BYTE_STREAM_SPLIT = 0, 3, 9
_SNAPPY = 1
_DATA_PAGE = 0


@dataclass(frozen=True, slots=True)
class Leaf:
    """A column of numbers of Parquet's type `kind`; ``offsets`` cut them into one list per row."""

    kind: int
    numbers: Array
    offsets: Offsets | None


@dataclass(frozen=True, slots=True)
class Levels:
    """How many values and empty lists a column has, and the bytes that say where lists begin and which are empty."""

    count: int
    encoded: bytes


@dataclass(frozen=True, slots=True)
class Chunk:
    """A column chunk: its one page, and its metadata but for its place in the file."""

    content: tuple[bytes, Any]  # the page's header, its compressed bytes
    metadata: Struct
    plain_size: int


def leaves_of(layout: Any) -> list[Leaf] | None:
    """The columns of numbers in a layout in its one form, in its order; None if it has anything else.

    Numbers, lists of numbers, and both in records at any place are what Parquet holds without missing values.
    """
    return _leaves(layout, None)


def _leaves(layout: Any, offsets: Offsets | None) -> list[Leaf] | None:
    if layout.is_record and layout.contents:
        found: list[Leaf] = []
        for content in layout.contents:
            inner = _leaves(content, offsets)
            if inner is None:
                return None
            found += inner
        return found
    if layout.is_list and not layout.is_regular and offsets is None and layout.parameter("__array__") is None:
        return _leaves(layout.content, np.asarray(layout.offsets.data))
    if layout.is_numpy and layout.parameter("__array__") is None and layout.data.dtype.str[1:] in _KINDS:
        return [Leaf(_KINDS[layout.data.dtype.str[1:]], layout.data, offsets)]
    return None


class LevelsOfLists:
    """The levels of lists, made once for columns with equal ones."""

    def __init__(self) -> None:
        self._known: list[tuple[Offsets, Levels]] = []

    def of(self, offsets: Offsets) -> Levels:
        """The levels of lists with these offsets."""
        for known, levels in self._known:
            if known is offsets or np.array_equal(known, offsets):
                return levels
        self._known.append((offsets, _levels(offsets)))
        return self._known[-1][1]


def _levels(offsets: Offsets) -> Levels:
    """Repetition levels (0 where a row begins), then definition levels (0 for an empty list)."""
    empty = offsets[1:] == offsets[:-1]
    begins = offsets[:-1] + (np.cumsum(empty) - empty)
    count = int(offsets[-1]) + int(np.count_nonzero(empty))
    repeated, there = np.ones(count, np.bool_), np.ones(count, np.bool_)
    repeated[begins] = False
    there[begins[empty]] = False
    return Levels(count, _bits(repeated) + _bits(there))


def _bits(flags: Array) -> bytes:
    """Levels of one bit with their length before them: one run of equal ones, or one run of single bits."""
    if flags.all():
        run = varint(len(flags) << 1) + b"\1" if len(flags) else b""
    else:
        packed = np.packbits(flags, bitorder="little").tobytes()
        run = varint(len(packed) << 1 | 1) + packed
    return len(run).to_bytes(4, "little") + run


def chunk(leaf: Leaf, path: Sequence[bytes], levels: LevelsOfLists, codec: Any) -> Chunk:
    """A column as a column chunk of one page."""
    numbers = leaf.numbers
    own = Levels(len(numbers), b"") if leaf.offsets is None else levels.of(leaf.offsets)
    encoding, values = _encoded(numbers)
    plain = np.concatenate([np.frombuffer(own.encoded, np.uint8), values])
    packed = codec.compress(plain)
    page: Struct = {1: i32(own.count), 2: i32(encoding), 3: i32(_RLE), 4: i32(_RLE)}
    header = encode({1: i32(_DATA_PAGE), 2: i32(len(plain)), 3: i32(len(packed)), 5: struct(page)})
    metadata: Struct = {
        1: i32(leaf.kind),
        2: many(Kind.I32, [encoding, _RLE]),
        3: many(Kind.BINARY, path),
        4: i32(_SNAPPY),
        5: i64(own.count),
        6: i64(len(header) + len(plain)),
        7: i64(len(header) + len(packed)),
        12: struct(_statistics(numbers, own.count - len(numbers))),
    }
    return Chunk((header, packed), metadata, len(header) + len(plain))


def _encoded(numbers: Array) -> tuple[int, Array]:
    """The encoding of numbers, and their bytes.

    Of floats all first bytes, then all second ones and so on: signs and exponents, which are much alike, compress well
    by themselves. Such columns become smaller than with a dictionary, and are compressed in half the time.
    """
    if numbers.dtype.kind == "b":
        return _PLAIN, np.packbits(numbers, bitorder="little")
    own = np.ascontiguousarray(_widened(numbers))
    if own.dtype.kind == "f":
        return _BYTE_STREAM_SPLIT, own.view(np.uint8).reshape(len(own), own.itemsize).T.reshape(-1)
    return _PLAIN, own.view(np.uint8)


def _widened(numbers: Array) -> Array:
    """Little-endian numbers of a size that Parquet has."""
    if numbers.dtype.kind in "iu" and numbers.itemsize < 4:
        return numbers.astype("<i4")
    return numbers.astype(numbers.dtype.newbyteorder("<"), copy=False)


def _statistics(numbers: Array, empty: int) -> Struct:
    """The least and the greatest number (neither is NaN, and a zero has the sign that is safe), and the empty lists."""
    found: Struct = {3: i64(empty)}
    if not len(numbers):
        return found
    least, greatest = np.fmin.reduce(numbers), np.fmax.reduce(numbers)
    if numbers.dtype.kind == "f":
        if np.isnan(least):
            return found
        least, greatest = least or -np.abs(least), greatest or np.abs(greatest)
    ends = [np.array([end], numbers.dtype) for end in (greatest, least)]
    largest, smallest = (binary((end if end.dtype.kind == "b" else _widened(end)).tobytes()) for end in ends)
    return found | {5: largest, 6: smallest}
