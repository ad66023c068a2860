"""A query over a file, range by range, in memory bounded by the range and not by the file."""

from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import awkward as ak
import numpy as np

from delivery.engine.expressions import Expression, UnequalLists
from delivery.engine.plan import Plan, Record, Shape, leaves
from delivery.engine.rows import Piece, run_range
from delivery.engine.source import Source
from delivery.engine.values import Column, Lists, as_lists
from delivery.errors import LengthMismatch

MIN_RANGE = 1000  # entries; shorter ranges cost more to begin than to read


def ranges(source: Source, columns: tuple[str, ...], chunk_bytes: int, threads: int) -> list[tuple[int, int]]:
    """Ranges of entries whose columns take about `chunk_bytes` together for all threads, cut where baskets begin.

    Where no basket border is near, a range ends inside baskets (their rest is kept for the next range).
    """
    if source.entries == 0:
        return []
    plain = sum(source.size(name)[1] for name in columns)
    wanted = max(MIN_RANGE, int(chunk_bytes / threads * source.entries / max(plain, 1)))
    borders = source.boundaries(columns)
    cut, found = 0, []
    while cut < source.entries:
        goal = min(cut + wanted, source.entries)
        near = borders[int(np.searchsorted(borders, goal, "right")) - 1]
        if near <= cut:
            after = borders[int(np.searchsorted(borders, cut, "right"))]
            near = after if after <= cut + 2 * wanted else goal
        found.append((cut, near))
        cut = near
    return found


def pieces(plan: Plan, source: Source, text: str, chunk_bytes: int, threads: int) -> Iterator[Piece]:
    """The pieces of a query's result in the order of the entries, computed by `threads` threads.

    Raises LengthMismatch and UnreadableFile.
    """
    todo = ranges(source, plan.columns, chunk_bytes, threads)

    def run(start: int, stop: int) -> Piece:
        try:
            return run_range(plan, source, start, stop)
        except UnequalLists as error:
            where = f"{error.reason}, within entries {start} to {stop}"
            raise LengthMismatch(source.file, where, text, error.span) from error

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


def assemble(shape: Shape, values: Mapping[Expression, Column], rows: int) -> Any:
    """The awkward array of a piece: the output's shape filled with values."""
    return ak.Array(_layout(shape, values, rows))


def empty(shape: Shape) -> Any:
    """The awkward array of a result without rows; its type is that of every result."""
    return assemble(shape, {expression: expression.sample for expression in leaves(shape)}, 0)


def _layout(shape: Shape, values: Mapping[Expression, Column], rows: int) -> Any:
    if isinstance(shape, Expression):
        value = values[shape]
        if not isinstance(value, Lists):
            return ak.contents.NumpyArray(np.ascontiguousarray(value))
        return _listed(value, ak.contents.NumpyArray(np.ascontiguousarray(value.content)))
    if not shape.zipped:
        inner = [_layout(field, values, rows) for field in shape.fields.values()]
        return _record(shape, inner, rows)
    lists = as_lists(values[next(leaves(shape))])
    return _listed(lists, _items(shape, values, len(lists.content)))


def _items(shape: Shape, values: Mapping[Expression, Column], count: int) -> Any:
    """Contents of a list of records, as records of contents."""
    if isinstance(shape, Expression):
        return ak.contents.NumpyArray(np.ascontiguousarray(as_lists(values[shape]).content))
    return _record(shape, [_items(field, values, count) for field in shape.fields.values()], count)


def _record(shape: Record, inner: list[Any], length: int) -> Any:
    return ak.contents.RecordArray(inner, None if shape.is_tuple else list(shape.fields), length)


def _listed(value: Lists, content: Any) -> Any:
    return ak.contents.ListOffsetArray(ak.index.Index64(value.offsets), content)
