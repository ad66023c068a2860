"""Columns of a file come in units: the baskets of a TTree's branch, the clusters of an RNTuple.

A unit is read and decompressed as a whole or not at all; a range of entries may begin and end within one.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from delivery.engine.values import Choice, Column, Lists, Mask, concatenate, equal_offsets, join, native, row_range


class Counter:
    """A sum, by any thread."""

    def __init__(self) -> None:
        self.total, self._lock = 0, threading.Lock()

    def add(self, count: int) -> None:
        """Add to the sum."""
        with self._lock:
            self.total += count


@dataclass(frozen=True, slots=True)
class Part:
    """Entries `begin` to `end` of unit `number`, which holds `low` to `high`; `keep` says which of them, None all."""

    number: int
    low: int
    high: int
    begin: int
    end: int
    keep: Mask | None


def parts_of(borders: Sequence[int], start: int, stop: int, keep: Mask | None) -> Iterator[Part]:
    """The units with a wanted entry from `start` to `stop`; unit i has the entries from `borders[i]` to the next."""
    first = max(int(np.searchsorted(borders, start, "right")) - 1, 0)
    for number in range(first, len(borders) - 1):
        low, high = int(borders[number]), int(borders[number + 1])
        if low >= stop:
            return
        begin, end = max(low, start), min(high, stop)
        wanted = None if keep is None else keep[begin - start : end - start]
        if begin < end and (wanted is None or wanted.any()):
            yield Part(number, low, high, begin, end, wanted)


class Units:
    """Reads ranges of entries from units; one that the next range will begin in stays decoded until then."""

    def __init__(self) -> None:
        self._kept: dict[str, dict[int, Column]] = {}
        self._lock = threading.Lock()
        self._last = threading.local()

    def read(self, name: str, parts: Iterator[Part], stop: int, decode: Callable[[Part], Column]) -> Column | None:
        """The wanted entries of all parts, None if there is no part; `stop` is where the range of entries ends."""
        found: list[Column] = []
        for part in parts:
            unit = self._unit(name, part, part.high > stop, decode)
            rows = row_range(unit, part.begin - part.low, part.end - part.low)
            # Chosen before the parts are put together and turned into this machine's byte order: less to do both to.
            found.append(rows if part.keep is None else self._choice(part, part.keep, first=not found).of(rows))
        return native(self._joined(found)) if found else None

    def _joined(self, found: list[Column]) -> Column:
        """The parts one after the other; columns of one range whose lists are equally long share the offsets."""
        lists = [part for part in found if isinstance(part, Lists)]
        if len(lists) < len(found) or len(found) == 1:
            return concatenate(found)
        parts, known = getattr(self._last, "joined", ([], None))
        same = len(parts) == len(lists) and all(equal_offsets(a, b.offsets) for a, b in zip(parts, lists, strict=True))
        whole = join(lists, known if same else None)
        self._last.joined = ([part.offsets for part in lists], whole.offsets)
        return whole

    def _choice(self, part: Part, keep: Mask, *, first: bool) -> Choice:
        """The choice of a part's entries; the columns of one range share it while their units end at one place."""
        choices: dict[tuple[int, int], Choice] = self._last.__dict__.setdefault("choices", {})
        if first:  # the parts of earlier ranges are done with
            for place in [place for place in choices if place[1] <= part.begin]:
                del choices[place]
        place = (part.begin, part.end)
        if place not in choices or not np.array_equal(choices[place].keep, keep):
            choices[place] = Choice(keep)
        return choices[place]

    def _unit(self, name: str, part: Part, again: bool, decode: Callable[[Part], Column]) -> Column:
        with self._lock:
            kept = self._kept.setdefault(name, {})
            column = kept.get(part.number)
            if column is not None and not again:
                del kept[part.number]
        if column is None:
            column = decode(part)
            if again:
                with self._lock:
                    for old in [number for number in kept if number < part.number - 1]:
                        del kept[old]
                    kept[part.number] = column
        return column
