"""Lists of numbers as a file's units hold them, put together for a range of entries.

A basket's offsets are bytes of another origin and byte order in each branch. They are turned into offsets in items for
all baskets of a range at once, and the columns of one collection, which have equal ones, share the result.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import numpy as np

from delivery.engine.compression import Damaged
from delivery.engine.values import Array, Column, Lists, Offsets, equal_offsets, picked_items, to_awkward

_INT32 = np.iinfo(np.int32).max
_REMEMBERED = 8  # collections, by thread: the columns of one are mostly asked for one after the other


@dataclass(frozen=True, slots=True)
class Run:
    """Lists of numbers, each with its place in bytes among the ``content``; of either byte order.

    List i begins ``starts[i] - origin`` bytes after the content does and ends where the next one begins.
    """

    content: Array
    starts: Array
    origin: int


def run_of(column: Lists) -> Run:
    """Lists as a run."""
    return Run(column.content, column.offsets[:-1] * column.content.itemsize, 0)


def lists_of(run: Run) -> Lists:
    """One run as lists, of the byte order that it has. Raises `Damaged`."""
    return Lists(in_items(byte_starts([run]), run.content.itemsize), run.content)


def byte_starts(runs: Sequence[Run]) -> Array:
    """Where each list begins, in bytes after the first run's beginning, the runs being one after the other; the end.

    Raises `Damaged` if a run's first list does not begin where the run does.
    """
    begins = list(accumulate((run.content.nbytes for run in runs), initial=0))
    starts = np.empty(sum(len(run.starts) for run in runs) + 1, np.int32 if begins[-1] <= _INT32 else np.int64)
    place = 0
    for run, begin in zip(runs, begins, strict=False):
        here = starts[place : place + len(run.starts)]
        np.add(run.starts, starts.dtype.type(begin - run.origin), out=here, casting="same_kind")
        if here[0] != begin:
            raise Damaged("its offsets are damaged")
        place += len(here)
    starts[place] = begins[-1]
    return starts


def in_items(starts: Array, size: int, header: int = 0) -> Offsets:
    """Offsets in items of `size` bytes from those in bytes, each list having a `header`. Raises `Damaged`."""
    plain = starts - header * np.arange(len(starts)) if header else starts
    if (plain[1:] < plain[:-1]).any():
        raise Damaged("its offsets are damaged")
    if size > 1 and np.bitwise_or.reduce(plain) % size:
        raise Damaged("a list's bytes are no whole number of items")
    items: Offsets = (plain >> (size.bit_length() - 1)).astype(np.int64)  # sizes are powers of two
    return items


class Collections:
    """The offsets of the lists met last, which columns of one collection share."""

    def __init__(self) -> None:
        self._known: deque[tuple[int, Array, Offsets]] = deque(maxlen=_REMEMBERED)

    def offsets(self, runs: Sequence[Run]) -> Offsets:
        """Offsets in items of all runs together. Raises `Damaged`."""
        size, starts = runs[0].content.itemsize, byte_starts(runs)
        for known_size, known, offsets in self._known:
            if known_size == size and known[-1] == starts[-1] and np.array_equal(known, starts):
                return offsets
        offsets = in_items(starts, size)
        for _, _, known in self._known:
            if known[-1] == offsets[-1] and np.array_equal(known, offsets):
                offsets = known
        self._known.appendleft((size, starts, offsets))
        return offsets


class Picked:
    """Rows that are kept of the runs of any number of columns, all of which begin and end at the same entries.

    ``places`` has the numbers of the rows kept of each run.
    """

    def __init__(self, places: list[Array], lengths: Sequence[int]) -> None:
        self._places = places
        begins = accumulate(lengths, initial=0)
        self._rows = np.concatenate([place + begin for place, begin in zip(places, begins, strict=False)])
        self._borders = list(accumulate(map(len, places), initial=0))
        self._known: list[tuple[Offsets, Offsets, list[Array]]] = []  # offsets before and after, items kept by run

    def of(self, parts: Sequence[Column]) -> list[Column]:
        """The rows kept of each part of a column that has no runs."""
        return [
            part.take(places) if isinstance(part, np.ndarray) else to_awkward(part)[places]
            for part, places in zip(parts, self._places, strict=True)
        ]

    def lists(self, runs: Sequence[Run], offsets: Offsets) -> Lists:
        """The rows kept of lists that have these offsets together."""
        kept, items = self._items(runs, offsets)
        return Lists(kept, joined([run.content.take(own) for run, own in zip(runs, items, strict=True)]))

    def _items(self, runs: Sequence[Run], offsets: Offsets) -> tuple[Offsets, list[Array]]:
        for known, kept, items in self._known:
            if equal_offsets(known, offsets):
                return kept, items
        kept, whole = picked_items(offsets, self._rows)
        ends = kept[self._borders]
        items = [whole[first:last] for first, last in pairwise(ends)]
        for own, begin in zip(items, accumulate((len(run.content) for run in runs), initial=0), strict=False):
            np.subtract(own, begin, out=own)
        self._known.append((offsets, kept, items))
        return kept, items


def joined(parts: Sequence[Array]) -> Array:
    """Numbers one after the other, in this machine's byte order: both in one pass."""
    native = parts[0].dtype.newbyteorder("=")
    return parts[0].astype(native, copy=False) if len(parts) == 1 else np.concatenate(parts, dtype=native)
