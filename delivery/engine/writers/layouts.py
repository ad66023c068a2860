"""One form for each type.

awkward holds values of one type in several ways: masks or indices for missing values, offsets or starts and stops for
lists. What files say of their columns depends on these, so results are brought to one of them before they are written:
lists as 64-bit offsets, missing values as a 64-bit index, no other indirection, nothing that no row refers to.
"""

from functools import singledispatch
from typing import Any

import awkward as ak
import numpy as np
from awkward.contents import (
    BitMaskedArray,
    ByteMaskedArray,
    EmptyArray,
    IndexedArray,
    IndexedOptionArray,
    ListArray,
    ListOffsetArray,
    NumpyArray,
    RecordArray,
    RegularArray,
    UnionArray,
    UnmaskedArray,
)
from awkward.index import Index8, Index64


def in_one_form(array: Any) -> Any:
    """The ``ak.Array`` with its layout in the one form of its type."""
    return ak.Array(normal(ak.to_layout(array)))


@singledispatch
def normal(layout: Any) -> Any:
    """The layout in the one form of its type; copies only what is not in it yet."""
    raise TypeError(f"no array of columns: {type(layout).__name__}")


@normal.register(EmptyArray)
def _(layout: Any) -> Any:
    return layout


@normal.register(NumpyArray)
def _(layout: Any) -> Any:
    if layout.data.ndim > 1:
        return normal(layout.to_RegularArray())
    if layout.data.flags.c_contiguous:
        return layout
    return NumpyArray(np.ascontiguousarray(layout.data), parameters=layout.parameters)


@normal.register(IndexedArray)
def _(layout: Any) -> Any:
    return normal(layout.project())


@normal.register(ListArray)
@normal.register(ListOffsetArray)
def _(layout: Any) -> Any:
    lists = layout if _from_zero(layout) else layout.to_ListOffsetArray64(True)
    used = int(lists.offsets.data[-1])
    content = normal(lists.content if lists.content.length == used else lists.content[:used])
    return lists if content is lists.content else ListOffsetArray(lists.offsets, content, parameters=layout.parameters)


def _from_zero(layout: Any) -> bool:
    """Whether lists have 64-bit offsets that begin at zero."""
    return isinstance(layout, ListOffsetArray) and layout.offsets.data.dtype == np.int64 and not layout.offsets.data[0]


@normal.register(RegularArray)
def _(layout: Any) -> Any:
    content = normal(layout.content[: layout.length * layout.size])
    return RegularArray(content, layout.size, layout.length, parameters=layout.parameters)


@normal.register(RecordArray)
def _(layout: Any) -> Any:
    return _record(layout, [normal(content[: layout.length]) for content in layout.contents], layout.length)


@normal.register(IndexedOptionArray)
@normal.register(ByteMaskedArray)
@normal.register(BitMaskedArray)
@normal.register(UnmaskedArray)
def _(layout: Any) -> Any:
    there = np.asarray(layout.mask_as_bool(valid_when=True))
    index = np.where(there, np.cumsum(there) - 1, -1).astype(np.int64)
    content = layout.project()
    if layout.length and not content.length and not content.is_unknown:
        # Nothing refers to this value: awkward looks for one when it makes Arrow's array, and fails if there is none.
        content = content.form.length_one_array(highlevel=False)
    return IndexedOptionArray(Index64(index), normal(content), parameters=layout.parameters)


@normal.register(UnionArray)
def _(layout: Any) -> Any:
    tags = np.asarray(layout.tags.data)
    index = np.zeros(len(tags), np.int64)
    for tag in range(len(layout.contents)):
        index[tags == tag] = np.arange(np.count_nonzero(tags == tag))
    contents = [normal(layout.project(tag)) for tag in range(len(layout.contents))]
    return UnionArray(Index8(tags), Index64(index), contents, parameters=layout.parameters)


@singledispatch
def size_of(layout: Any, start: int, stop: int) -> int:  # noqa: ARG001
    """Bytes of rows ``start`` to ``stop`` of a layout in its one form; a sum over rows, however they are cut."""
    raise TypeError(f"no array of columns: {type(layout).__name__}")


@size_of.register(EmptyArray)
def _(layout: Any, start: int, stop: int) -> int:  # noqa: ARG001
    return 0


@size_of.register(NumpyArray)
def _(layout: Any, start: int, stop: int) -> int:
    return int(layout.data.itemsize) * (stop - start)


@size_of.register(RecordArray)
def _(layout: Any, start: int, stop: int) -> int:
    return sum(size_of(content, start, stop) for content in layout.contents)


@size_of.register(RegularArray)
def _(layout: Any, start: int, stop: int) -> int:
    return int(size_of(layout.content, start * layout.size, stop * layout.size))


@size_of.register(ListOffsetArray)
def _(layout: Any, start: int, stop: int) -> int:
    first, last = layout.offsets.data[[start, stop]].tolist()
    return 8 * (stop - start) + int(size_of(layout.content, first, last))


@size_of.register(IndexedOptionArray)
def _(layout: Any, start: int, stop: int) -> int:
    return 8 * (stop - start) + _size_of_range(layout.content, np.asarray(layout.index.data)[start:stop])


@size_of.register(UnionArray)
def _(layout: Any, start: int, stop: int) -> int:
    tags, index = np.asarray(layout.tags.data)[start:stop], np.asarray(layout.index.data)[start:stop]
    parts = (_size_of_range(content, index[tags == tag]) for tag, content in enumerate(layout.contents))
    return 9 * (stop - start) + sum(parts)


def _size_of_range(content: Any, index: Any) -> int:
    """Bytes of what an index refers to: in the one form that is a range, in order."""
    there = index[index >= 0]
    return int(size_of(content, int(there[0]), int(there[-1]) + 1)) if len(there) else 0


def joined(parts: list[Any]) -> Any:
    """Layouts of one type in its one form, one after the other.

    ``ak.concatenate`` takes any forms and goes through starts and stops, which costs as much as compressing the result.
    """
    parts = [part for part in parts if part.length] or parts[:1]
    return parts[0] if len(parts) == 1 else _joined(parts[0], parts)


@singledispatch
def _joined(first: Any, parts: list[Any]) -> Any:  # noqa: ARG001
    """Parts one after the other; ``first`` is the first of them."""
    return normal(ak.concatenate([ak.Array(part) for part in parts], highlevel=False))


@_joined.register(NumpyArray)
def _(first: Any, parts: list[Any]) -> Any:
    return NumpyArray(np.concatenate([part.data for part in parts]), parameters=first.parameters)


@_joined.register(RecordArray)
def _(first: Any, parts: list[Any]) -> Any:
    columns = [joined([part.contents[i] for part in parts]) for i in range(len(first.contents))]
    return _record(first, columns, sum(part.length for part in parts))


@_joined.register(RegularArray)
def _(first: Any, parts: list[Any]) -> Any:
    content = joined([part.content for part in parts])
    return RegularArray(content, first.size, sum(part.length for part in parts), parameters=first.parameters)


@_joined.register(ListOffsetArray)
def _(first: Any, parts: list[Any]) -> Any:
    offsets = [part.offsets.data[1:] + start for part, start in zip(parts, _starts(parts), strict=True)]
    content = joined([part.content for part in parts])
    return ListOffsetArray(Index64(np.concatenate([[0], *offsets])), content, parameters=first.parameters)


@_joined.register(IndexedOptionArray)
def _(first: Any, parts: list[Any]) -> Any:
    numbers = [np.asarray(part.index.data) for part in parts]
    index = [np.where(own < 0, -1, own + start) for own, start in zip(numbers, _starts(parts), strict=True)]
    content = joined([part.content for part in parts])
    return IndexedOptionArray(Index64(np.concatenate(index)), content, parameters=first.parameters)


def _starts(parts: list[Any]) -> list[int]:
    """Where each part's content begins in the joined one."""
    starts = [0]
    for part in parts[:-1]:
        starts.append(starts[-1] + part.content.length)
    return starts


def _record(like: Any, columns: list[Any], length: int) -> Any:
    return RecordArray(columns, None if like.is_tuple else like.fields, length, parameters=like.parameters)
