"""Columns of a file come in units: the baskets of a TTree's branch, the clusters of an RNTuple.

A unit is read and decompressed as a whole or not at all; a range of entries may begin and end within one.
"""

import threading
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from itertools import starmap
from typing import NamedTuple, TypeAlias

import awkward as ak
import numpy as np

from delivery.engine.compression import Damaged
from delivery.engine.runs import Collections, Picked, Run, joined, lists_of, run_of
from delivery.engine.values import Array, Column, Lists, Mask, Offsets, row_range, to_awkward

Unit: TypeAlias = Column | Run


class Counter:
    """A sum, by any thread."""

    def __init__(self) -> None:
        self.total, self._lock = 0, threading.Lock()

    def add(self, count: int) -> None:
        """Add to the sum."""
        with self._lock:
            self.total += count


class Part(NamedTuple):
    """Entries `begin` to `end` of unit `number`, which holds `low` to `high`."""

    number: int
    low: int
    high: int
    begin: int
    end: int

    @property
    def whole(self) -> bool:
        """Whether these are all entries of the unit."""
        return self.begin == self.low and self.end == self.high


def parts_of(borders: Sequence[int], start: int, stop: int, kept: Array | None) -> list[Part]:
    """The units with a wanted entry from `start` to `stop`; unit i has the entries from `borders[i]` to the next.

    ``kept`` has the numbers of the wanted entries, in order and counted from `start`; None: all are wanted.
    """
    first = max(bisect_right(borders, start) - 1, 0)
    edges = np.asarray(borders[first : bisect_left(borders, stop, first) + 1])
    cut = np.clip(edges, start, stop)
    before = cut if kept is None else np.searchsorted(kept, cut - start)
    wanted = np.flatnonzero(before[1:] > before[:-1])
    columns = (wanted + first, edges[wanted], edges[wanted + 1], cut[wanted], cut[wanted + 1])
    return list(starmap(Part, zip(*(column.tolist() for column in columns), strict=True)))


class _Range:
    """What the columns share that one thread reads of a range of entries."""

    def __init__(self, start: int, stop: int) -> None:
        self.start, self.stop = start, stop
        self.collections = Collections()
        self._select(None)

    def _select(self, keep: Mask | None) -> None:
        self._keep = keep
        self._kept = None if keep is None else np.flatnonzero(keep)
        self._known: list[tuple[Sequence[int], list[Part], Picked | None]] = []

    def parts(self, borders: Sequence[int], keep: Mask | None) -> tuple[list[Part], Picked | None]:
        """The wanted parts of units with these borders, and their rows where `keep` (a flag per entry) is True."""
        if keep is not self._keep:
            self._select(keep)
        for known, parts, picked in self._known:
            if known == borders:
                return parts, picked
        parts = parts_of(borders, self.start, self.stop, self._kept)
        picked = None if self._kept is None or not parts else self._picked(parts, self._kept)
        self._known.append((borders, parts, picked))
        return parts, picked

    def _picked(self, parts: list[Part], kept: Array) -> Picked:
        begins = np.array([part.begin for part in parts]) - self.start
        ends = np.array([part.end for part in parts]) - self.start
        cuts = zip(np.searchsorted(kept, begins), np.searchsorted(kept, ends), begins, strict=True)
        return Picked([kept[first:last] - begin for first, last, begin in cuts], (ends - begins).tolist())


class Units:
    """Reads ranges of entries from units; one that the next range will begin in stays decoded until then."""

    def __init__(self) -> None:
        self._kept: dict[str, dict[int, Unit]] = {}
        self._lock = threading.Lock()
        self._last = threading.local()

    def read(
        self,
        name: str,
        borders: Sequence[int],
        start: int,
        stop: int,
        keep: Mask | None,
        decode: Callable[[Part], Unit],
    ) -> Column | None:
        """The entries from `start` to `stop` where `keep` is True (None: all), None if no unit has one.

        Unit i has the entries from `borders[i]` to the next. Raises `Damaged` with the unit's number.
        """
        shared = self._shared(start, stop)
        parts, picked = shared.parts(borders, keep)
        found = [self._rows(name, part, part.high > stop, decode) for part in parts]
        if not found:
            return None
        runs = [unit if isinstance(unit, Run) else run_of(unit) for unit in found if isinstance(unit, Run | Lists)]
        if len(runs) == len(found):
            offsets = _offsets(shared.collections, runs, parts)
            if picked is not None:
                return picked.lists(runs, offsets)
            return Lists(offsets, joined([run.content for run in runs]))
        others = [unit for unit in found if not isinstance(unit, Run)]
        return _joined(others if picked is None else picked.of(others))

    def _shared(self, start: int, stop: int) -> _Range:
        """What the columns share that this thread reads of this range."""
        shared: _Range | None = getattr(self._last, "range", None)
        if shared is None or (shared.start, shared.stop) != (start, stop):
            shared = self._last.range = _Range(start, stop)
        return shared

    def _rows(self, name: str, part: Part, again: bool, decode: Callable[[Part], Unit]) -> Unit:
        """The part's entries of its unit, which is kept if it is wanted `again`."""
        with self._lock:
            kept = self._kept.setdefault(name, {})
            unit = kept.get(part.number)
            if unit is not None and not again:
                del kept[part.number]
        if unit is None:
            unit = _whole(part, decode)
            if again:
                with self._lock:
                    for old in [number for number in kept if number < part.number - 1]:
                        del kept[old]
                    kept[part.number] = unit
        return unit if isinstance(unit, Run) else row_range(unit, part.begin - part.low, part.end - part.low)


def _whole(part: Part, decode: Callable[[Part], Unit]) -> Unit:
    """The part's unit; a run only where all of its entries are wanted, since others are to be checked too."""
    try:
        unit = decode(part)
        return lists_of(unit) if isinstance(unit, Run) and not part.whole else unit
    except Damaged as error:
        error.unit = part.number
        raise


def _offsets(collections: Collections, runs: Sequence[Run], parts: Sequence[Part]) -> Offsets:
    """The offsets of all runs together; `Damaged` says which part's are wrong."""
    try:
        return collections.offsets(runs)
    except Damaged as error:
        error.unit = next(part.number for part, run in zip(parts, runs, strict=True) if not _sound(run))
        raise


def _sound(run: Run) -> bool:
    try:
        lists_of(run)
    except Damaged:
        return False
    return True


def _joined(parts: Sequence[Column]) -> Column:
    """Columns one after the other, of this machine's byte order."""
    numbers = [part for part in parts if isinstance(part, np.ndarray)]
    return joined(numbers) if len(numbers) == len(parts) else ak.concatenate([to_awkward(part) for part in parts])
