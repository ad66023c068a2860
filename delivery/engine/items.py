"""Items out of lists: by a mask, by number, in an order; and lists taken away from around them."""

from typing import Any

import awkward as ak
import numpy as np

from delivery.engine import kernels
from delivery.engine.forms import flat_like, general, lists_of, normal, plain_lists
from delivery.engine.row_errors import EmptyLists, UnequalLists
from delivery.engine.values import Array, Column, Lists, count_true, keep_items, offsets_of


def index(_: str, source: Column, index: Column) -> Column:
    """Items by a mask or by positions, list by list; UnequalLists where these are not as many as the items."""
    if isinstance(source, Lists) and isinstance(index, Lists) and index.content.dtype == np.bool_:
        return keep_items(source, flat_like(source, index))
    array = general(source)
    if isinstance(index, Lists) and index.content.dtype == np.bool_:
        plain = plain_lists(array)
        if plain is not None and np.array_equal(plain.offsets.data, index.offsets):
            counts = count_true(index.offsets, index.content)
            return lists_of(offsets_of(counts), plain.content, np.flatnonzero(index.content), array.behavior)
    place = general(index)
    if place.layout.minmax_depth[0] > 1:
        array, place = _with_lists(array), _with_lists(place)
        _check_index(array, place)
    return normal(array[place])


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


def at(parameter: tuple[int, int], lists: Column) -> Column:
    """The item of this number of each list, `parameter` being axis and number; EmptyLists where one is too short."""
    axis, number = parameter
    needed = number + 1 if number >= 0 else -number
    if isinstance(lists, Lists) and axis == 1:
        if len(lists) and lists.counts.min() < needed:
            raise _too_short(lists.counts, needed)
        return lists.content[(lists.offsets[:-1] if number >= 0 else lists.offsets[1:]) + number]
    array = general(lists)
    outer = plain_lists(array) if axis == 2 else None
    inner = None if outer is None else plain_lists(ak.Array(outer.content))
    if outer is not None and inner is not None:
        starts, stops = inner.offsets.data[:-1], inner.offsets.data[1:]
        if len(starts) and (stops - starts).min() < needed:
            raise EmptyLists("a list has too few items")
        return lists_of(outer.offsets.data, inner.content, (starts if number >= 0 else stops) + number, array.behavior)
    try:
        return normal(array[(slice(None),) * axis + (number,)])
    except IndexError as error:
        if axis == 1:
            raise _too_short(ak.to_numpy(ak.fill_none(ak.num(array), 0)), needed) from error
        raise EmptyLists("a list has too few items") from error


def at_or_none(parameter: tuple[int, int], lists: Column) -> Column:
    """As `at`, but missing where the list is too short."""
    axis, number = parameter
    places = (slice(None),) * axis
    found = general(lists)[(*places, slice(number, number + 1 or None))]  # lists of one item or of none
    return normal(ak.pad_none(found, 1, axis=axis)[(*places, 0)])


def _too_short(counts: Array, needed: int) -> EmptyLists:
    """The error of the first list that has fewer items than are needed."""
    reason = "a list is empty" if needed == 1 else f"a list has fewer than {needed} items"
    return EmptyLists(reason, row=int(np.argmax(counts < needed)))


def sliced(bounds: tuple[int | None, int | None, int | None], lists: Column) -> Column:
    """Each row's list from start to stop by step."""
    return normal(general(lists)[:, slice(*bounds)])


def flatten(axis: int, lists: Column) -> Column:
    """The items without the lists at this axis around them."""
    if isinstance(lists, Lists) and axis == 1:
        return lists.content
    return normal(ak.flatten(general(lists), axis=axis))


def argsort(parameter: tuple[int, bool], keys: Column) -> Column:
    """Positions that sort each list (`parameter`: axis, ascending), equal keys in their order."""
    axis, ascending = parameter
    return normal(ak.argsort(general(keys), axis=axis, ascending=ascending, stable=True))


def first_in_order(ascending: bool, lists: Column, keys: Column) -> Column:
    """The item of each list that a stable sort by its key puts first."""
    plain = plain_lists(general(lists))
    if plain is None or not isinstance(keys, Lists):
        order = argsort((1, ascending), keys)
        return at((1, 0), index("", lists, order))
    if not np.array_equal(np.asarray(plain.offsets.data), keys.offsets):
        raise UnequalLists("the keys are not as many as the items")
    if len(keys) and keys.counts.min() == 0:
        raise _too_short(keys.counts, 1)
    place = kernels.first_in_order(keys.offsets, keys.content, ascending)
    behavior = general(lists).behavior
    return normal(ak.Array(plain.content._carry(ak.index.Index64(place), False), behavior=behavior))
