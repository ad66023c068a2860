"""Work on lists faster than by awkward's own functions: combinations of items, sums, the item that an order puts first.

Lists are given as in `values.Lists`: row i holds ``content[offsets[i]:offsets[i + 1]]``. Every function gives, bit for
bit, what the awkward function named beside it gives; tests/delivery/test_kernels.py holds them to it.
"""

from functools import lru_cache
from typing import TypeAlias

import awkward as ak
import numpy as np

from delivery.engine.values import Array, Lists, Offsets, offsets_of, to_awkward

Indices: TypeAlias = Offsets

_MAX_KEPT = 32  # items of the longest list whose table of combinations is kept
_NONE = np.empty(0, np.int64)


def rows_of_items(offsets: Offsets) -> Indices:
    """Row of each item (``np.repeat`` of the row numbers, in less time)."""
    marks = np.bincount(offsets[1:-1], minlength=int(offsets[-1]))[: offsets[-1]]
    return np.cumsum(marks) if len(offsets) > 1 else marks


def choose(offsets: Offsets, n: int) -> tuple[Offsets, tuple[Indices, ...]]:
    """Combinations of `n` different items of each list, in the order of ``ak.combinations``.

    Returns the offsets of the lists of combinations, and for each of the n places in a combination the position of its
    item in the content. `n` is at least 1.
    """
    counts = offsets[1:] - offsets[:-1]
    lengths, kind = _lengths(counts)
    tables = [_table(length, n) for length in lengths or [0]]
    begins = offsets_of(np.array([len(table[0]) for table in tables], np.int64))
    results = offsets_of((begins[1:] - begins[:-1])[kind])
    row = rows_of_items(results)
    entry = np.arange(results[-1]) + (begins[:-1][kind] - results[:-1])[row]  # of each combination, in all tables
    first = offsets[:-1][row]
    return results, tuple(np.concatenate([_NONE, *column])[entry] + first for column in zip(*tables, strict=True))


def _lengths(counts: Offsets) -> tuple[list[int], Indices]:
    """The lengths that occur, and which of them each list has; as ``np.unique``, without sorting."""
    occurs = np.bincount(counts) > 0
    return [int(length) for length in np.flatnonzero(occurs)], (np.cumsum(occurs) - 1)[counts]


def _table(length: int, n: int) -> tuple[Indices, ...]:
    """Combinations of the numbers below `length`: the first number of each, the second, …"""
    return _kept_table(length, n) if length <= _MAX_KEPT else _make_table(length, n)


@lru_cache(256)
def _kept_table(length: int, n: int) -> tuple[Indices, ...]:
    return _make_table(length, n)


def _make_table(length: int, n: int) -> tuple[Indices, ...]:
    if n == 1:
        return (np.arange(length),)
    shorter = _table(length, n - 1)
    more = length - 1 - shorter[-1]  # numbers that can follow
    begin = np.cumsum(more) - more
    following = np.arange(more.sum()) + np.repeat(shorter[-1] + 1 - begin, more)
    return *(np.repeat(place, more) for place in shorter), following


def nested_pairs(left: Offsets, right: Offsets) -> tuple[Offsets, Indices, Indices]:
    """Each item of the left lists with every item of the same row's right list, as ``ak.cartesian(…, nested=True)``.

    Returns the offsets of the pairs of each left item, and the positions of the left and right items of each pair.
    """
    row = rows_of_items(left)
    others = (right[1:] - right[:-1])[row]
    offsets = offsets_of(others)
    first = np.repeat(np.arange(len(row)), others)
    return offsets, first, np.arange(offsets[-1]) + (right[:-1][row] - offsets[:-1])[first]


def sums(offsets: Offsets, content: Array) -> Array:
    """``ak.sum``: from left to right in the content's own float type; in 64 bits for integers and flags."""
    kind = {"b": np.dtype(np.int64), "i": np.dtype(np.int64), "u": np.dtype(np.uint64)}
    total = np.zeros(len(offsets) - 1, kind.get(content.dtype.kind, content.dtype))
    np.add.at(total, rows_of_items(offsets), content.astype(total.dtype, copy=False))
    return total


def first_in_order(offsets: Offsets, keys: Array, ascending: bool = True) -> Indices:
    """Position of the item that a stable ``ak.argsort`` of each list would put first; no list may be empty.

    As awkward sorts, NaN comes before every number, both ways.
    """
    if keys.dtype.kind == "f" and np.isnan(keys).any():
        return _first_sorted(offsets, keys, ascending)
    extreme = ak.argmin if ascending else ak.argmax  # of equal keys the first, as a stable sort
    local: Indices = np.asarray(extreme(to_awkward(Lists(offsets, keys)), axis=1, mask_identity=False))
    return offsets[:-1] + local


def _first_sorted(offsets: Offsets, keys: Array, ascending: bool) -> Indices:
    order = ak.argsort(to_awkward(Lists(offsets, keys)), axis=1, ascending=ascending, stable=True)
    local: Indices = np.asarray(order[:, 0])
    return offsets[:-1] + local
