"""A query over a file, range by range, in memory bounded by the range and not by the file."""

import math
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import islice, pairwise
from threading import Lock
from typing import TypeAlias

import numpy as np

from delivery.engine.allocation import keep_freed_memory
from delivery.engine.combining import MOST_BYTES, at_most
from delivery.engine.plan import Plan
from delivery.engine.row_errors import EmptyLists, TooMany, UnequalLists, Unsupported
from delivery.engine.rows import Piece, run_range
from delivery.engine.source import Source
from delivery.engine.writers import Grouped
from delivery.errors import EmptyList, LengthMismatch, ResultTooLarge, UnsupportedNode

Progress: TypeAlias = Callable[[int, int], None]
"""Told how many entries are done, and of how many, before each range and at the end. What it raises ends the work."""

_FAULTS = {UnequalLists: LengthMismatch, EmptyLists: EmptyList}

MIN_RANGE = 1000  # entries; shorter ranges cost more to begin than to read …
MIN_BYTES = 1 << 20  # … unless they have this many bytes
SWITCH_SECONDS = 2e-4  # a basket takes about as long; Python's own 5 ms make two threads slower by up to a tenth
SHARES = 2  # operations whose results a thread holds at once, about


def ranges(source: Source, columns: tuple[str, ...], chunk_bytes: int, threads: int) -> list[tuple[int, int]]:
    """Ranges of entries whose columns take about `chunk_bytes` together for all threads, cut where baskets begin.

    Where no basket border is near, a range ends inside baskets (their rest is kept for the next range). None is so
    short that it costs more to begin than to read: each has `MIN_RANGE` entries or `MIN_BYTES` at least.
    """
    if source.entries == 0:
        return []
    plain = sum(source.size(name)[1] for name in columns)
    rounds = -(-max(plain, 1) // chunk_bytes)  # every thread has one range in each, so that they end together
    shortest = min(MIN_RANGE, max(1, MIN_BYTES * source.entries // max(plain, 1)))
    wanted = max(shortest, -(-source.entries // (rounds * threads)))
    borders = source.boundaries(columns)
    cut, found = 0, []
    while cut < source.entries:
        goal = cut + wanted if cut + 1.5 * wanted < source.entries else source.entries  # no short range at the end
        place = int(np.searchsorted(borders, goal))
        near = min(borders[place - 1 : place + 1], key=lambda border: abs(border - goal))
        if not cut < near <= cut + 2 * wanted:
            near = goal
        found.append((cut, near))
        cut = near
    return found


def pieces(
    plan: Plan,
    source: Source,
    text: str,
    chunk_bytes: int,
    threads: int,
    *,
    weigh: bool = False,
    entries: tuple[int, int] | None = None,
    progress: Progress | None = None,
) -> Iterator[Piece]:
    """The pieces of a query's result in the order of the entries, computed by `threads` threads.

    A range of which an operation would make too much is cut, down to single entries. With ``weigh``, the weights of all
    events are added up too. ``entries`` (start, stop) leaves the others out. Raises LengthMismatch, EmptyList,
    ResultTooLarge and UnreadableFile.
    """
    begin, end = entries or (0, source.entries)
    keep_freed_memory()

    def run(start: int, stop: int) -> Piece:
        try:
            with at_most(MOST_BYTES if stop - start == 1 else MOST_BYTES // (SHARES * threads)):
                return run_range(plan, source, start, stop, weigh=weigh)
        except TooMany as error:
            if stop - start > 1:
                raise
            raise ResultTooLarge(source.file, error.reason, text, error.span, start) from error
        except Unsupported as error:
            raise UnsupportedNode(error.reason, text, error.span) from error
        except UnequalLists as error:
            where = error.reason if error.entry is not None else f"{error.reason}, within entries {start} to {stop}"
            raise _FAULTS[type(error)](source.file, where, text, error.span, error.entry) from error

    cut = ranges(source, plan.columns, chunk_bytes, threads)
    todo = deque(_Task(max(start, begin), min(stop, end)) for start, stop in cut if start < end and stop > begin)
    pool: ThreadPoolExecutor | None = None
    with ExitStack() as ending:
        if threads > 1 and len(todo) > 1:
            ending.enter_context(handing_over())
            pool = ending.enter_context(ThreadPoolExecutor(threads, "skim"))
            ending.callback(lambda: [task.future.cancel() for task in todo if task.future])
        while todo:
            if progress is not None:
                progress(todo[0].start - begin, end - begin)
            if pool is not None:
                for task in islice(todo, threads + 1):
                    task.future = task.future or pool.submit(run, task.start, task.stop)
            first = todo.popleft()
            future, first.future = first.future, None  # so that nobody here holds a piece while the next is made
            try:
                yield run(first.start, first.stop) if future is None else future.result()
            except TooMany as error:
                todo.extendleft(reversed(first.parts(error.times)))
    if progress is not None:
        progress(end - begin, end - begin)


@dataclass(slots=True)
class _Haste:
    """How many pools want the interpreter handed over soon, and what it was before."""

    lock: Lock = field(default_factory=Lock)
    pools: int = 0
    before: float = 0.0


_HASTE = _Haste()


@contextmanager
def handing_over() -> Iterator[None]:
    """A thread back from decompression waits for the interpreter: the others give it up sooner meanwhile."""
    with _HASTE.lock:
        if not _HASTE.pools:
            _HASTE.before = sys.getswitchinterval()
            sys.setswitchinterval(SWITCH_SECONDS)
        _HASTE.pools += 1
    try:
        yield
    finally:
        with _HASTE.lock:
            _HASTE.pools -= 1
            if not _HASTE.pools:
                sys.setswitchinterval(_HASTE.before)


@dataclass(slots=True)
class _Task:
    """A range of entries, and its piece once it is being made."""

    start: int
    stop: int
    future: Future[Piece] | None = None

    def parts(self, times: float) -> list["_Task"]:
        """Ranges of one length that make it up, so many that each should do with the memory that is there."""
        length = self.stop - self.start
        count = min(length, math.ceil(times) + 1)
        borders = [self.start + length * number // count for number in range(count + 1)]
        return [_Task(*each) for each in pairwise(borders)]


@dataclass(frozen=True, slots=True)
class Written:
    """Rows written, rows that passed each selection, and the sum of weights (None where there are none)."""

    rows: int
    passed: tuple[int, ...]
    weights: Fraction | None


def write_pieces(found: Iterable[Piece], grouped: Grouped, selections: int) -> Written:
    """All rows of the pieces into one tree of the output."""
    rows, passed, weights = 0, [0] * selections, list[Fraction | None]()
    for piece in found:
        rows += len(piece.rows)
        passed = [total + count for total, count in zip(passed, piece.passed, strict=True)]
        weights.append(piece.weights)
        grouped.add(piece.rows)
    grouped.end()
    return Written(rows, tuple(passed), total_weight(weights))


def total_weight(parts: Sequence[Fraction | None]) -> Fraction | None:
    """The sum; None if a part is not known."""
    known = [part for part in parts if part is not None]
    return sum(known, Fraction(0)) if len(known) == len(parts) else None


def rounded(total: Fraction | None) -> float | None:
    """The nearest float; None if nothing is known, or if it lies beyond all floats."""
    try:
        return None if total is None else float(total)
    except OverflowError:
        return None
