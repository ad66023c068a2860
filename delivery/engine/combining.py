"""Lists out of several lists: pairs, combinations, one behind the other, counting.

All of these can make much out of little: each works out how much it would make, and raises `TooMany` before it does.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import awkward as ak
import numpy as np

from delivery.engine import four_vectors, kernels
from delivery.engine.forms import general, normal, plain_lists
from delivery.engine.row_errors import TooMany
from delivery.engine.values import Array, Column, Lists, offsets_of

MOST_BYTES = 1 << 28  # that one operation may make of one event; more is a mistake, not a query
_room: ContextVar[int] = ContextVar("bytes that one operation may make", default=MOST_BYTES)


@contextmanager
def at_most(size: int) -> Iterator[None]:
    """In this block an operation here raises `TooMany` rather than make more than `size` bytes (else `MOST_BYTES`)."""
    token = _room.set(size)
    try:
        yield
    finally:
        _room.reset(token)


def check_room(size: float, what: str) -> None:
    """`TooMany` if so many bytes are more than may be made."""
    if size > _room.get():
        error = TooMany(f"{what} would take {size / 1e6:,.0f} MB of memory, {_room.get() / 1e6:,.0f} MB are allowed")
        error.times = size / _room.get()
        raise error


def cartesian(axis: int, left: Column, right: Column) -> Column:
    """All pairs of items of the left and the right lists, those of each left item in a list of their own."""
    sides = [plain_lists(general(side)) for side in (left, right)]
    if axis != 1 or None in sides:
        counts = [_lengths(general(side), axis) for side in (left, right)]
        _check_pairs(ak.sum(counts[0] * counts[1], axis=None), *zip((left, right), counts, strict=True))
        pairs: Column = ak.cartesian((general(left), general(right)), axis=axis, nested=True)
        return pairs
    first, second = sides
    counts = [np.diff(np.asarray(side.offsets.data)) for side in sides]
    _check_pairs(np.dot(*counts), *zip((left, right), counts, strict=True))
    lengths, *places = kernels.nested_pairs(np.asarray(first.offsets.data), np.asarray(second.offsets.data))
    contents = [side.content._carry(ak.index.Index64(place), False) for side, place in zip(sides, places, strict=True)]
    inner = ak.contents.ListOffsetArray(ak.index.Index64(lengths), ak.contents.RecordArray(contents, None))
    behavior = four_vectors.behavior_of([side for side in (left, right) if isinstance(side, ak.Array)])
    return ak.Array(ak.contents.ListOffsetArray(first.offsets, inner), behavior=behavior)


def cross(parameter: tuple[int, int], items: Column, lists: Column) -> Column:
    """For each item (at depth `parameter[1]`) the lists of its row, which lie at depth `parameter[0]`."""
    low, high = parameter
    structure = ak.local_index(general(items), axis=high - 1)
    counts = _lengths(general(lists), low)
    _check_pairs(ak.sum(counts * _items_below(structure, low, high), axis=None), (lists, counts))
    spread = general(lists)[(slice(None),) * low + (np.newaxis,) * (high - low)]
    return normal(ak.broadcast_arrays(structure, spread, depth_limit=high)[1])


def combinations(parameter: tuple[int, int], lists: Column) -> Column:
    """All choices of `n` items of each list, every one a list of `n`."""
    n, axis = parameter
    array = general(lists)
    plain = plain_lists(array) if axis == 1 else None
    counts = ak.num(array, axis=axis) if plain is None else np.diff(np.asarray(plain.offsets.data))
    _check_combinations(ak.to_numpy(ak.drop_none(ak.flatten(counts, axis=None))), n, array)
    if plain is None or plain.content.is_option:  # missing items are left out of the combinations
        chosen = ak.unzip(ak.combinations(array, n, axis=axis))
        return normal(ak.concatenate([ak.singletons(part, axis=axis) for part in chosen], axis=axis + 1))
    offsets = np.asarray(plain.offsets.data)
    combined, places = kernels.choose(offsets, n)
    content = plain.content._carry(ak.index.Index64(np.stack(places, axis=1).reshape(-1)), False)
    inner = ak.contents.ListOffsetArray(ak.index.Index64(n * np.arange(combined[-1] + 1)), content)
    return ak.Array(ak.contents.ListOffsetArray(ak.index.Index64(combined), inner), behavior=array.behavior)


def _check_pairs(pairs: float, *sides: tuple[Column, Any]) -> None:
    """Whether so many pairs of items of these lists (each with its counts) can be held."""
    width = sum(16 + general(lists).nbytes / max(1, np.sum(counts)) for lists, counts in sides)
    check_room(float(pairs) * width, "pairing all items with all")


def _check_combinations(counts: Array, n: int, lists: Any) -> None:
    """Whether all choices of `n` items can be held: of each the item itself and two numbers of where it lies."""
    lengths, rows = np.unique(counts, return_counts=True)
    total = sum(math.comb(int(length), n) * int(times) * n for length, times in zip(lengths, rows, strict=True))
    width = 16 + lists.nbytes / max(1, int(counts.sum()))
    check_room(float(total) * width, f"Choose({n})")


def _lengths(array: Any, axis: int) -> Any:
    """Lengths of the lists at an axis; a value without lists there counts as a list of one, as in awkward's pairs."""
    depth = array.layout.minmax_depth[0]
    return ak.num(array, axis=axis) if depth > axis else ak.ones_like(ak.local_index(array, axis=depth - 1))


def _items_below(structure: Any, low: int, high: int) -> Any:
    """How many items at depth `high` lie in each list at depth `low`."""
    counts = ak.num(structure, axis=high - 1)
    for axis in reversed(range(low, high - 1)):
        counts = ak.sum(counts, axis=axis)
    return counts


def concatenate(axis: int, *parts: Any) -> Column:
    """Lists (at axis 0: rows) one behind the other."""
    check_room(sum(general(part).nbytes for part in parts), "Concat")
    return normal(ak.concatenate([general(part) for part in parts], axis=axis))


def ranges(_: str, start: Array, stop: Array) -> Column:
    """Lists of the integers from `start` to before `stop`, one list per row."""
    start = start.astype(np.int64)
    counts = np.maximum(stop.astype(np.int64) - start, 0)
    check_room(24 * float(counts.sum(dtype=np.float64)), "Range")  # the numbers, and twice as much on the way to them
    offsets = offsets_of(counts)
    return Lists(offsets, np.arange(offsets[-1]) + np.repeat(start - offsets[:-1], counts))
