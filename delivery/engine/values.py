"""Columns in memory: flat contents and, for lists, the offsets that cut them into rows.

A column is a NumPy array with one number per row, a `Lists` (one list of numbers per row), or, for everything else
(records, options, deeper lists, strings), an awkward array. The first two are what nearly all of a query's work is done
on, without awkward's cost per operation; `to_awkward` and `from_awkward` go from one form to the other without copying.
"""

from dataclasses import dataclass
from typing import Any, TypeAlias

import awkward as ak
import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]
Mask: TypeAlias = npt.NDArray[np.bool_]
Offsets: TypeAlias = npt.NDArray[np.int64]


_INT32 = np.iinfo(np.int32).max


@dataclass(frozen=True, slots=True, eq=False)
class Lists:
    """Row i holds ``content[offsets[i]:offsets[i + 1]]``; offsets begin at 0 and end at len(content)."""

    offsets: Offsets
    content: Array

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def counts(self) -> Offsets:
        """Length of each row's list."""
        return self.offsets[1:] - self.offsets[:-1]


Column: TypeAlias = Array | Lists | ak.Array

ROWS = "#rows"  # a column that no file has: one number per row


def no_rows() -> Array:
    """The column `ROWS` of no rows."""
    return np.empty(0, np.int8)


def to_awkward(column: Column) -> Any:
    """The column as an awkward array."""
    return column if isinstance(column, ak.Array) else ak.Array(layout_of(column))


def layout_of(column: Column) -> Any:
    """The column as an awkward layout, without the cost of an array around it."""
    if isinstance(column, Lists):
        content = ak.contents.NumpyArray(np.ascontiguousarray(column.content))
        return ak.contents.ListOffsetArray(ak.index.Index64(column.offsets), content)
    return ak.contents.NumpyArray(column) if isinstance(column, np.ndarray) else column.layout


def from_awkward(array: Any) -> Column:
    """The awkward array in its simplest form: NumPy or `Lists` where these can hold it."""
    layout = array.layout
    while layout.is_indexed and not layout.is_option:
        layout = layout.project()
    if layout.parameters or layout.is_option or layout.is_union or layout.is_record or layout.is_unknown:
        return array
    if layout.is_numpy:
        return layout.data if layout.data.ndim == 1 else array
    if layout.is_regular:  # its type says that all lists have one length
        return array
    content = layout.content
    while content.is_indexed and not content.is_option:
        content = content.project()
    if not content.is_numpy or content.parameters or content.data.ndim != 1:
        return array
    lists = layout.to_ListOffsetArray64(True)
    content = lists.content
    while content.is_indexed:
        content = content.project()
    offsets = np.asarray(lists.offsets.data)
    return Lists(offsets, np.asarray(content.data)[: offsets[-1]])


def offsets_of(counts: Offsets) -> Offsets:
    """Offsets of lists of these lengths."""
    offsets = np.zeros(len(counts) + 1, np.int64)
    np.cumsum(counts, out=offsets[1:])
    return offsets


def same_lengths(left: Lists, right: Lists) -> bool:
    """Whether two columns have lists of equal lengths in every row."""
    return equal_offsets(left.offsets, right.offsets)


def equal_offsets(left: Offsets, right: Offsets) -> bool:
    """Whether offsets are equal; those that columns share are known to be without a look."""
    return left is right or (bool(left[-1] == right[-1]) and np.array_equal(left, right))


class Choice:
    """Rows to keep, of any number of columns: for those with equally long lists their items are looked up once.

    ``rows`` has their numbers, in order.
    """

    def __init__(self, rows: Array) -> None:
        self._rows = rows
        self._known: list[tuple[Offsets, Offsets, Offsets]] = []  # lists' offsets before and after, items kept

    def of(self, column: Column) -> Column:
        """The rows that are kept of one column, in memory of their own."""
        if isinstance(column, np.ndarray):
            return column.take(self._rows)
        if not isinstance(column, Lists):
            return column[self._rows]
        for offsets, kept, items in self._known:
            if equal_offsets(offsets, column.offsets):
                return Lists(kept, column.content.take(items))
        kept, items = picked_items(column.offsets, self._rows)
        self._known.append((column.offsets, kept, items))
        return Lists(kept, column.content.take(items))


def picked_items(offsets: Offsets, rows: Array) -> tuple[Offsets, Offsets]:
    """Of lists with these offsets, those of these numbers: the offsets that they get, and the items that are theirs."""
    starts, ends = offsets[rows], offsets[rows + 1]
    kept = offsets_of(ends - starts)
    # It is one step from an item to the next, and where a row begins so many more as lie between it and the row before.
    steps = np.ones(kept[-1] + 1, np.int64)
    steps[:1] = 0
    between = starts.copy()
    between[1:] -= ends[:-1]
    np.add.at(steps, kept[:-1], between)  # rows without items begin where the next one does
    return kept, np.cumsum(steps[:-1])


def keep_rows(column: Column, keep: Mask) -> Column:
    """The rows where `keep` is True."""
    return Choice(np.flatnonzero(keep)).of(column)


def row_range(column: Column, start: int, stop: int) -> Column:
    """Rows `start` to `stop`, without copying the contents."""
    if start == 0 and stop == len(column):
        return column
    if not isinstance(column, Lists):
        return column[start:stop]
    first, last = column.offsets[start], column.offsets[stop]
    offsets = column.offsets[start : stop + 1]
    return Lists(offsets - first if first else offsets, column.content[first:last])


def keep_items(column: Lists, keep: Mask) -> Lists:
    """The items of each list where `keep` (one flag per item) is True."""
    return Lists(offsets_of(count_true(column.offsets, keep)), column.content[keep])


def count_true(offsets: Offsets, flags: Mask) -> Offsets:
    """How many of each list's flags are True."""
    running = np.zeros(len(flags) + 1, np.int64 if len(flags) > _INT32 else np.int32)  # half the bytes, half the time
    np.cumsum(flags.view(np.int8), out=running[1:], dtype=running.dtype)
    ends = running[offsets]
    counts: Offsets = np.subtract(ends[1:], ends[:-1], dtype=np.int64)
    return counts
