"""Operations item by item: arithmetic, broadcasting, one of two values by a condition, constants."""

from typing import Any

import awkward as ak
import numpy as np

from delivery.engine.forms import flat_like, general, is_flat, normal
from delivery.engine.values import Array, Column, Lists


def apply(name: str, *arguments: Any) -> Column:
    """The NumPy function of this name of the arguments; UnequalLists where lists of different lengths meet."""
    ufunc = getattr(np, name)
    if not all(is_flat(argument) for argument in arguments):
        return normal(ufunc(*(general(argument) for argument in arguments)))
    shape = next((a for a in arguments if isinstance(a, Lists)), None)
    if shape is None:
        return np.asarray(ufunc(*arguments))
    flat = [flat_like(shape, argument) for argument in arguments]
    return Lists(shape.offsets, ufunc(*flat))


def broadcast(_: str, value: Column, shape: Column) -> Column:
    """The value repeated for each item of the row's list in `shape`."""
    if isinstance(shape, Lists) and is_flat(value):
        return Lists(shape.offsets, flat_like(shape, value))
    return normal(ak.broadcast_arrays(general(value), general(shape), depth_limit=2)[0])


def where(_: str, test: Column, yes: Any, no: Any) -> Column:
    """Item by item `yes` where `test` is True, else `no`; missing where the condition is."""
    columns: tuple[Any, ...] = (test, yes, no)
    if all(isinstance(column, np.ndarray) for column in columns):
        return np.where(*columns)
    if isinstance(test, Lists) and all(isinstance(column, Lists) for column in columns):
        return Lists(test.offsets, np.where(*(flat_like(test, column) for column in columns)))
    arrays = [general(value) for value in columns]
    if not any(isinstance(array, ak.Array) and _rows_missing(array) for array in arrays):
        return normal(ak.where(*arrays))
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


def full_like(parameter: tuple[float | bool, str], shape: Column) -> Column:
    """A literal (with its dtype) for each item of `shape`."""
    value, kind = parameter
    if isinstance(shape, np.ndarray):
        return np.full(len(shape), value, dtype=kind)
    if isinstance(shape, Lists):
        return Lists(shape.offsets, np.full(len(shape.content), value, dtype=kind))
    return normal(ak.full_like(shape, value, dtype=kind))


def fill_none(value: bool, array: Column) -> Column:
    """The value in the place of what is missing, at any depth."""
    return array if is_flat(array) else normal(ak.fill_none(general(array), value, axis=None))
