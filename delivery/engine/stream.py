"""A query over a file, range by range, in memory bounded by the range and not by the file."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from delivery.engine.allocation import keep_freed_memory
from delivery.engine.plan import Plan
from delivery.engine.row_errors import EmptyLists, TooMany, UnequalLists, Unsupported
from delivery.engine.rows import Piece, run_range
from delivery.engine.source import Source
from delivery.engine.writers import Grouped
from delivery.errors import EmptyList, LengthMismatch, ResultTooLarge, UnsupportedNode

_FAULTS = {UnequalLists: LengthMismatch, EmptyLists: EmptyList, TooMany: ResultTooLarge}

MIN_RANGE = 1000  # entries; shorter ranges cost more to begin than to read


def ranges(source: Source, columns: tuple[str, ...], chunk_bytes: int, threads: int) -> list[tuple[int, int]]:
    """Ranges of entries whose columns take about `chunk_bytes` together for all threads, cut where baskets begin.

    Where no basket border is near, a range ends inside baskets (their rest is kept for the next range).
    """
    if source.entries == 0:
        return []
    plain = sum(source.size(name)[1] for name in columns)
    rounds = -(-max(plain, 1) // chunk_bytes)  # every thread has one range in each, so that they end together
    wanted = max(MIN_RANGE, -(-source.entries // (rounds * threads)))
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
    plan: Plan, source: Source, text: str, chunk_bytes: int, threads: int, *, weigh: bool = False
) -> Iterator[Piece]:
    """The pieces of a query's result in the order of the entries, computed by `threads` threads.

    With ``weigh``, the weights of all events are added up too. Raises LengthMismatch, EmptyList and UnreadableFile.
    """
    keep_freed_memory()
    todo = ranges(source, plan.columns, chunk_bytes, threads)

    def run(start: int, stop: int) -> Piece:
        try:
            return run_range(plan, source, start, stop, weigh=weigh)
        except Unsupported as error:
            raise UnsupportedNode(error.reason, text, error.span) from error
        except UnequalLists as error:
            where = error.reason if error.entry is not None else f"{error.reason}, within entries {start} to {stop}"
            raise _FAULTS[type(error)](source.file, where, text, error.span, error.entry) from error

    if threads == 1 or len(todo) < 2:
        for start, stop in todo:
            yield run(start, stop)
        return
    with ThreadPoolExecutor(threads, "skim") as pool:
        waiting: deque[Future[Piece]] = deque()
        try:
            for start, stop in todo:
                waiting.append(pool.submit(run, start, stop))
                if len(waiting) > threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


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
