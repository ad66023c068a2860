"""What expressions compute: every operation on columns, flat ones by NumPy and all others by awkward.

An operation gets its parameter and the values of its arguments (columns or literals) and gives a column. Most have two
forms with the same result: a short one in NumPy for numbers and lists of numbers, which is where the time goes, and
awkward's own function for whatever else there is. func_adl_uproot is defined by the latter.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import awkward as ak
import numpy as np

from delivery.engine import four_vectors, kernels
from delivery.engine.values import (
    Array,
    Column,
    Lists,
    count_true,
    from_awkward,
    keep_items,
    offsets_of,
    same_lengths,
    to_awkward,
)

MAX_COMBINATIONS = 200_000_000  # items of all combinations in one range of entries; more is a mistake, not a query
MAX_BYTES = 1 << 30  # of what pairing makes, likewise
MAX_CONCATENATED = 1 << 28  # bytes put behind each other, which takes awkward many times as much
MAX_LEAVES = 20_000  # columns in a record, those of the records in it included; a file has at most some thousand

Span = tuple[int, int]


class UnequalLists(Exception):
    """Lists that are combined differ in length, in the row of this number where it is known."""

    def __init__(self, reason: str, span: Span | None = None, row: int | None = None) -> None:
        super().__init__(reason, span, row)
        self.reason, self.span, self.row = reason, span, row
        self.entry: int | None = None  # of the tree, found by whoever knows which entries the rows are


class EmptyLists(UnequalLists):
    """A list has no item where one is asked for."""


class Unsupported(UnequalLists):
    """awkward has no way to do it with numbers of this type."""


class TooMany(UnequalLists):
    """An operation would make more than memory should hold."""


def is_flat(value: Any) -> bool:
    """Whether a value is a literal, a NumPy column or lists of numbers."""
    return not isinstance(value, ak.Array)


def general(value: Any) -> Any:
    """The value for awkward's functions: columns as awkward arrays, literals as they are."""
    return to_awkward(value) if isinstance(value, Lists | np.ndarray) else value


def _normal(value: Any) -> Any:
    return from_awkward(value) if isinstance(value, ak.Array) else value


def _elementwise(name: str, *arguments: Any) -> Column:
    ufunc = getattr(np, name)
    if not all(is_flat(argument) for argument in arguments):
        return _normal(ufunc(*(general(argument) for argument in arguments)))
    shape = next((a for a in arguments if isinstance(a, Lists)), None)
    if shape is None:
        return np.asarray(ufunc(*arguments))
    flat = [_flat_like(shape, argument) for argument in arguments]
    return Lists(shape.offsets, ufunc(*flat))


def _flat_like(shape: Lists, argument: Any) -> Any:
    """Contents of an argument laid out like those of `shape`; literals stay literals."""
    if isinstance(argument, Lists):
        if not same_lengths(shape, argument):
            raise _first_difference(shape, argument)
        return argument.content
    if isinstance(argument, np.ndarray):
        return np.repeat(argument, shape.counts)
    return argument


def _first_difference(left: Lists, right: Lists) -> UnequalLists:
    row = int(np.argmax(left.counts != right.counts))
    counts = f"{left.counts[row]} and {right.counts[row]} items"
    return UnequalLists(f"lists of different lengths meet ({counts} in one row)", row=row)


def _too_short(counts: Array, needed: int) -> EmptyLists:
    """The error of the first list that has fewer items than are needed."""
    reason = "a list is empty" if needed == 1 else f"a list has fewer than {needed} items"
    return EmptyLists(reason, row=int(np.argmax(counts < needed)))


def _broadcast(_: str, value: Column, shape: Column) -> Column:
    if isinstance(shape, Lists) and is_flat(value):
        return Lists(shape.offsets, _flat_like(shape, value))
    return _normal(ak.broadcast_arrays(general(value), general(shape), depth_limit=2)[0])


def _index(_: str, source: Column, index: Column) -> Column:
    if isinstance(source, Lists) and isinstance(index, Lists) and index.content.dtype == np.bool_:
        return keep_items(source, _flat_like(source, index))
    array = general(source)
    if isinstance(index, Lists) and index.content.dtype == np.bool_:
        plain = _plain_lists(array)
        if plain is not None and np.array_equal(plain.offsets.data, index.offsets):
            counts = count_true(index.offsets, index.content)
            return _lists_of(offsets_of(counts), plain.content, np.flatnonzero(index.content), array.behavior)
    place = general(index)
    if place.layout.minmax_depth[0] > 1:
        array, place = _with_lists(array), _with_lists(place)
        _check_index(array, place)
    return _normal(array[place])


def _check_index(array: Any, index: Any) -> None:
    """A mask or an order says something of every item: awkward itself takes any that points at no item too many."""
    if array.fields and array.layout.purelist_depth == 1:  # columns side by side
        for name in array.fields:
            _check_index(array[name], index)
    elif array.layout.minmax_depth[0] > 1:
        differs = ak.to_numpy(ak.fill_none(ak.num(array, axis=1) != ak.num(index, axis=1), False))
        if differs.any():
            raise UnequalLists("lists of different lengths meet", row=int(np.argmax(differs)))


def _with_lists(array: Any) -> Any:
    """Lists of one length as lists of any: a mask would else make one long row of them all."""
    layout = array.layout
    regular = layout.is_regular or (layout.is_numpy and layout.data.ndim > 1)
    return ak.from_regular(array, axis=1) if regular else array


def _count_true(_: str, mask: Lists) -> Column:
    return count_true(mask.offsets, mask.content)


def _count(axis: int, lists: Column) -> Any:
    if axis == 0:
        return np.int64(len(lists))
    return lists.counts if isinstance(lists, Lists) and axis == 1 else _normal(ak.num(general(lists), axis=axis))


def _any(axis: int, mask: Column) -> Column:
    if isinstance(mask, Lists) and axis == 1:
        found: Column = count_true(mask.offsets, mask.content.astype(np.bool_, copy=False)) > 0
        return found
    return _normal(ak.any(general(mask), axis=axis))


def _all(axis: int, mask: Column) -> Column:
    if isinstance(mask, Lists) and axis == 1:
        held: Column = count_true(mask.offsets, ~mask.content.astype(np.bool_, copy=False)) == 0
        return held
    return _normal(ak.all(general(mask), axis=axis))


def _sum(axis: int, lists: Column) -> Column:
    if isinstance(lists, Lists) and axis == 1:
        return kernels.sums(lists.offsets, lists.content)
    return _normal(ak.sum(general(lists), axis=axis))


def _reduction(name: str) -> Callable[[int, Column], Column]:
    function = getattr(ak, name)
    return lambda axis, lists: _normal(function(general(lists), axis=axis))


def _at(parameter: tuple[int, int], lists: Column) -> Column:
    axis, number = parameter
    needed = number + 1 if number >= 0 else -number
    if isinstance(lists, Lists) and axis == 1:
        if len(lists) and lists.counts.min() < needed:
            raise _too_short(lists.counts, needed)
        return lists.content[(lists.offsets[:-1] if number >= 0 else lists.offsets[1:]) + number]
    array = general(lists)
    outer = _plain_lists(array) if axis == 2 else None
    inner = None if outer is None else _plain_lists(ak.Array(outer.content))
    if outer is not None and inner is not None:
        starts, stops = inner.offsets.data[:-1], inner.offsets.data[1:]
        if len(starts) and (stops - starts).min() < needed:
            raise EmptyLists("a list has too few items")
        return _lists_of(outer.offsets.data, inner.content, (starts if number >= 0 else stops) + number, array.behavior)
    try:
        return _normal(array[(slice(None),) * axis + (number,)])
    except IndexError as error:
        if axis == 1:
            raise _too_short(ak.to_numpy(ak.fill_none(ak.num(array), 0)), needed) from error
        raise EmptyLists("a list has too few items") from error


def _at_or_none(parameter: tuple[int, int], lists: Column) -> Column:
    """As `_at`, but missing where the list is too short."""
    axis, number = parameter
    places = (slice(None),) * axis
    found = general(lists)[(*places, slice(number, number + 1 or None))]  # lists of one item or of none
    return _normal(ak.pad_none(found, 1, axis=axis)[(*places, 0)])


def _zip(parameter: tuple[tuple[str, ...] | None, int | None], *values: Any) -> Column:
    """Values side by side as records at the depth where awkward.zip puts them."""
    names, depth_limit = parameter
    arrays = [general(value) for value in values]
    if (leaves := sum(_leaves(array.layout) for array in arrays if isinstance(array, ak.Array))) > MAX_LEAVES:
        raise TooMany(f"the record would have {leaves} columns in all")
    if depth_limit == 1 and len({len(array) for array in arrays}) == 1:
        layouts = [array.layout for array in arrays]
        record = ak.contents.RecordArray(layouts, None if names is None else list(names), len(arrays[0]))
        return ak.Array(record, behavior=four_vectors.behavior_of(arrays))
    if depth_limit != 1 and all(isinstance(value, Lists) for value in values):
        first = values[0]
        if all(same_lengths(first, value) for value in values[1:]):
            contents = [ak.contents.NumpyArray(np.ascontiguousarray(value.content)) for value in values]
            items = ak.contents.RecordArray(contents, None if names is None else list(names), len(first.content))
            return ak.Array(ak.contents.ListOffsetArray(ak.index.Index64(first.offsets), items))
    whole = tuple(arrays) if names is None else dict(zip(names, arrays, strict=True))
    return ak.zip(whole, depth_limit=depth_limit)


def _leaves(layout: Any) -> int:
    """How many columns of numbers there are."""
    if layout.is_record or layout.is_union:
        return sum(_leaves(content) for content in layout.contents)
    return _leaves(layout.content) if layout.is_list or layout.is_indexed or layout.is_option else 1


def _field(name: str, array: Any) -> Column:
    return _normal(array[name])


def _fields(names: tuple[str, ...], array: Any) -> Column:
    return _normal(general(array)[list(names)])


def _flatten(axis: int, lists: Column) -> Column:
    if isinstance(lists, Lists) and axis == 1:
        return lists.content
    return _normal(ak.flatten(general(lists), axis=axis))


def _argsort(parameter: tuple[int, bool], keys: Column) -> Column:
    axis, ascending = parameter
    return _normal(ak.argsort(general(keys), axis=axis, ascending=ascending, stable=True))


def _first_in_order(ascending: bool, lists: Column, keys: Column) -> Column:
    """The item of each list that a stable sort by its key puts first."""
    plain = _plain_lists(general(lists))
    if plain is None or not isinstance(keys, Lists):
        order = _argsort((1, ascending), keys)
        return _at((1, 0), _index("", lists, order))
    if not np.array_equal(np.asarray(plain.offsets.data), keys.offsets):
        raise UnequalLists("the keys are not as many as the items")
    if len(keys) and keys.counts.min() == 0:
        raise _too_short(keys.counts, 1)
    place = kernels.first_in_order(keys.offsets, keys.content, ascending)
    behavior = general(lists).behavior
    return _normal(ak.Array(plain.content._carry(ak.index.Index64(place), False), behavior=behavior))


def _cartesian(axis: int, left: Column, right: Column) -> Column:
    """All pairs of items of the left and the right lists, those of each left item in a list of their own."""
    sides = [_plain_lists(general(side)) for side in (left, right)]
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


def _lengths(array: Any, axis: int) -> Any:
    """Lengths of the lists at an axis; a value without lists there counts as a list of one, as in awkward's pairs."""
    depth = array.layout.minmax_depth[0]
    return ak.num(array, axis=axis) if depth > axis else ak.ones_like(ak.local_index(array, axis=depth - 1))


def _plain_lists(array: Any) -> Any:
    """The layout of lists, starting at 0; None if it is none of those, or all have one length by their type."""
    layout = array.layout
    while layout.is_indexed and not layout.is_option:
        layout = layout.project()
    if not layout.is_list or layout.is_regular or layout.parameters:
        return None
    return layout.to_ListOffsetArray64(True)


def _lists_of(offsets: Array, content: Any, places: Array, behavior: Any) -> Column:
    """Lists of the items at these places of a content."""
    items = content._carry(ak.index.Index64(places), True)  # records are gathered when a field is asked for
    return _normal(ak.Array(ak.contents.ListOffsetArray(ak.index.Index64(offsets), items), behavior=behavior))


def _cross(parameter: tuple[int, int], items: Column, lists: Column) -> Column:
    """For each item (at depth `parameter[1]`) the lists of its row, which lie at depth `parameter[0]`."""
    low, high = parameter
    structure = ak.local_index(general(items), axis=high - 1)
    counts = _lengths(general(lists), low)
    _check_pairs(ak.sum(counts * _items_below(structure, low, high), axis=None), (lists, counts))
    spread = general(lists)[(slice(None),) * low + (np.newaxis,) * (high - low)]
    return _normal(ak.broadcast_arrays(structure, spread, depth_limit=high)[1])


def _check_pairs(pairs: float, *sides: tuple[Column, Any]) -> None:
    """Whether so many pairs of items of these lists (each with its counts) can be held."""
    width = sum(16 + general(lists).nbytes / max(1, np.sum(counts)) for lists, counts in sides)
    if pairs * width > MAX_BYTES:
        raise TooMany(f"pairing all items with all would make {float(pairs):.1e} pairs of {width:.0f} bytes")


def _items_below(structure: Any, low: int, high: int) -> Any:
    """How many items at depth `high` lie in each list at depth `low`."""
    counts = ak.num(structure, axis=high - 1)
    for axis in reversed(range(low, high - 1)):
        counts = ak.sum(counts, axis=axis)
    return counts


def _combinations(parameter: tuple[int, int], lists: Column) -> Column:
    """All choices of `n` items of each list, every one a list of `n`."""
    n, axis = parameter
    array = general(lists)
    plain = _plain_lists(array) if axis == 1 else None
    if plain is None or plain.content.is_option:  # missing items are left out of the combinations
        chosen = ak.unzip(ak.combinations(array, n, axis=axis))
        return _normal(ak.concatenate([ak.singletons(part, axis=axis) for part in chosen], axis=axis + 1))
    offsets = np.asarray(plain.offsets.data)
    _check_combinations(np.diff(offsets), n)
    combined, places = kernels.choose(offsets, n)
    content = plain.content._carry(ak.index.Index64(np.stack(places, axis=1).reshape(-1)), False)
    inner = ak.contents.ListOffsetArray(ak.index.Index64(n * np.arange(combined[-1] + 1)), content)
    return ak.Array(ak.contents.ListOffsetArray(ak.index.Index64(combined), inner), behavior=array.behavior)


def _check_combinations(counts: Array, n: int) -> None:
    lengths, rows = np.unique(counts, return_counts=True)
    total = sum(math.comb(int(length), n) * int(times) * n for length, times in zip(lengths, rows, strict=True))
    if total > MAX_COMBINATIONS:
        raise TooMany(f"Choose({n}) would make {total:.1e} items; cut the lists down before")


def _concatenate(axis: int, *parts: Any) -> Column:
    size = sum(general(part).nbytes for part in parts)
    if size > MAX_CONCATENATED:
        raise TooMany(f"Concat would put {size / 1e6:.0f} MB of items behind each other")
    return _normal(ak.concatenate([general(part) for part in parts], axis=axis))


def _where(_: str, test: Column, yes: Any, no: Any) -> Column:
    columns: tuple[Any, ...] = (test, yes, no)
    if all(isinstance(column, np.ndarray) for column in columns):
        return np.where(*columns)
    if isinstance(test, Lists) and all(isinstance(column, Lists) for column in columns):
        return Lists(test.offsets, np.where(*(_flat_like(test, column) for column in columns)))
    arrays = [general(value) for value in columns]
    if not any(isinstance(array, ak.Array) and _rows_missing(array) for array in arrays):
        return _normal(ak.where(*arrays))
    # Lists that can be missing: awkward would give a missing row a list as long as some other row's.
    if arrays[0].layout.minmax_depth[1] == 1:
        return _rows_of_either(*arrays)
    there = ~np.logical_or.reduce([ak.to_numpy(ak.is_none(a)) for a in arrays if isinstance(a, ak.Array)])
    return _put_back(ak.where(*(_rows_there(array, there) for array in arrays)), there)


def _rows_of_either(test: Any, yes: Any, no: Any) -> Column:
    """Whole rows of one side or the other; missing where the condition is."""
    known = ~ak.to_numpy(ak.is_none(test))
    truth = ak.to_numpy(ak.fill_none(test, False)).astype(np.bool_)
    rows = np.arange(len(test))
    sides = [side if isinstance(side, ak.Array) else ak.Array(np.full(len(test), side)) for side in (yes, no)]
    return _put_back(ak.concatenate(sides)[np.where(truth, rows, len(test) + rows)[known]], known)


def _put_back(array: Any, there: Array) -> Any:
    """Rows with the missing ones between them."""
    place = ak.index.Index64(np.where(there, np.cumsum(there) - 1, -1))
    return ak.Array(ak.contents.IndexedOptionArray.simplified(place, array.layout), behavior=array.behavior)


def _rows_missing(array: Any) -> bool:
    """Whether rows of lists can be missing."""
    return bool(array.layout.is_option and array.layout.minmax_depth[0] > 1)


def _rows_there(value: Any, there: Array) -> Any:
    """The rows marked, none of them missing; a literal as it is."""
    if not isinstance(value, ak.Array):
        return value
    return ak.drop_none(value[there], axis=0) if value.layout.is_option else value[there]


def _full_like(parameter: tuple[float | bool, str], shape: Column) -> Column:
    value, kind = parameter
    if isinstance(shape, np.ndarray):
        return np.full(len(shape), value, dtype=kind)
    if isinstance(shape, Lists):
        return Lists(shape.offsets, np.full(len(shape.content), value, dtype=kind))
    return _normal(ak.full_like(shape, value, dtype=kind))


def _fill_none(value: bool, array: Column) -> Column:
    return array if is_flat(array) else _normal(ak.fill_none(general(array), value, axis=None))


def _slice(bounds: tuple[int | None, int | None, int | None], lists: Column) -> Column:
    return _normal(general(lists)[:, slice(*bounds)])


def _ranges(_: str, start: Array, stop: Array) -> Column:
    """Lists of the integers from `start` to before `stop`, one list per row."""
    start = start.astype(np.int64)
    counts = np.maximum(stop.astype(np.int64) - start, 0)
    if counts.sum() > MAX_COMBINATIONS:
        raise TooMany(f"Range would make {counts.sum():.1e} items")
    offsets = offsets_of(counts)
    return Lists(offsets, np.arange(offsets[-1]) + np.repeat(start - offsets[:-1], counts))


def _single(axis: int, array: Column) -> Column:
    """Each value as a list of itself (no item where it is missing)."""
    return _normal(ak.singletons(general(array), axis=axis))


def _raw(call: Any, *values: Any) -> Column:
    """A function of uproot-raw's expressions."""
    from delivery.engine.raw.functions import raw_call

    return raw_call(call, *values)


OPERATIONS: Mapping[str, Callable[..., Column]] = {
    "elementwise": _elementwise,
    "broadcast": _broadcast,
    "index": _index,
    "count": _count,
    "count_true": _count_true,
    "any": _any,
    "all": _all,
    "sum": _sum,
    "min": _reduction("min"),
    "max": _reduction("max"),
    "mean": _reduction("mean"),
    "at": _at,
    "at_or_none": _at_or_none,
    "zip": _zip,
    "field": _field,
    "fields": _fields,
    "flatten": _flatten,
    "argsort": _argsort,
    "first_in_order": _first_in_order,
    "cartesian": _cartesian,
    "cross": _cross,
    "combinations": _combinations,
    "concatenate": _concatenate,
    "where": _where,
    "full_like": _full_like,
    "fill_none": _fill_none,
    "slice": _slice,
    "ranges": _ranges,
    "four_vectors": four_vectors.named,
    "attribute": four_vectors.attribute,
    "method": four_vectors.method,
    "raw": _raw,
}
