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
_ZERO = np.zeros(1, np.int64)


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
    if isinstance(column, Lists):
        content = ak.contents.NumpyArray(np.ascontiguousarray(column.content))
        return ak.Array(ak.contents.ListOffsetArray(ak.index.Index64(column.offsets), content))
    return ak.Array(column) if isinstance(column, np.ndarray) else column


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


def as_lists(column: Column) -> Lists:
    """The column, known to be one of lists; TypeError if it is not."""
    if isinstance(column, Lists):
        return column
    raise TypeError("a column of lists was expected")


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
    return left is right or np.array_equal(left, right)


class Choice:
    """Rows to keep, of any number of columns: for those with equally long lists their items are looked up once."""

    def __init__(self, keep: Mask) -> None:
        self.keep = keep
        self._rows = np.flatnonzero(keep)
        self._known: list[tuple[Offsets, Offsets, Offsets]] = []  # lists' offsets before and after, items kept

    def of(self, column: Column) -> Column:
        """The rows that are kept of one column, in memory of their own."""
        if isinstance(column, np.ndarray):
            return column.take(self._rows)
        if not isinstance(column, Lists):
            return column[self.keep]
        for offsets, kept, items in self._known:
            if equal_offsets(offsets, column.offsets):
                return Lists(kept, column.content.take(items))
        starts = column.offsets[self._rows]
        kept = offsets_of(column.offsets[self._rows + 1] - starts)
        # Item i of the result comes from i plus the shift of its row: the cost is that of the items kept, not of all.
        items = np.repeat(starts - kept[:-1], kept[1:] - kept[:-1])
        items += np.arange(kept[-1])
        self._known.append((column.offsets, kept, items))
        return Lists(kept, column.content.take(items))


def keep_rows(column: Column, keep: Mask) -> Column:
    """The rows where `keep` is True."""
    return Choice(keep).of(column)


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


def concatenate(parts: list[Column]) -> Column:
    """Columns one after the other; at least one, all of one kind."""
    first = parts[0]
    if len(parts) == 1:
        return first
    if isinstance(first, ak.Array):
        return ak.concatenate(parts)
    if not isinstance(first, Lists):
        return np.concatenate(parts)  # type: ignore[arg-type]
    return join([as_lists(part) for part in parts])


def join(parts: list[Lists], offsets: Offsets | None = None) -> Lists:
    """Lists one after the other; `offsets` of the whole where they are known."""
    if offsets is None:
        begins = offsets_of(np.array([len(part.content) for part in parts]))
        ends = [part.offsets[1:] + begin for part, begin in zip(parts, begins[:-1], strict=True)]
        offsets = np.concatenate([_ZERO, *ends])
    return Lists(offsets, np.concatenate([part.content for part in parts]))


def native(column: Column) -> Column:
    """The column with contents in this machine's byte order."""
    if isinstance(column, Lists):
        return Lists(column.offsets, column.content.astype(column.content.dtype.newbyteorder("="), copy=False))
    if isinstance(column, ak.Array):
        return column
    return column.astype(column.dtype.newbyteorder("="), copy=False)
