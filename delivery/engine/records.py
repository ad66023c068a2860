"""Records: columns put side by side, and fields taken out of them."""

from typing import Any

import awkward as ak
import numpy as np

from delivery.engine import four_vectors
from delivery.engine.forms import general, normal
from delivery.engine.row_errors import TooMany
from delivery.engine.values import Column, Lists, layout_of, same_lengths

MAX_LEAVES = 20_000  # columns in a record, those of the records in it included; a file has at most some thousand


def zip_columns(parameter: tuple[tuple[str, ...] | None, int | None], *values: Any) -> Column:
    """Values side by side as records at the depth where awkward.zip puts them."""
    names, depth_limit = parameter
    flat = len(values) <= MAX_LEAVES and all(isinstance(value, Lists | np.ndarray) for value in values)
    if flat and depth_limit == 1 and len({len(value) for value in values}) == 1:
        return ak.Array(_record(names, [layout_of(value) for value in values], len(values[0])))
    arrays = [general(value) for value in values]
    if (leaves := sum(_leaves(array.layout) for array in arrays if isinstance(array, ak.Array))) > MAX_LEAVES:
        raise TooMany(f"the record would have {leaves} columns in all")
    if depth_limit == 1 and len({len(array) for array in arrays}) == 1:
        record = _record(names, [array.layout for array in arrays], len(arrays[0]))
        return ak.Array(record, behavior=four_vectors.behavior_of(arrays))
    if depth_limit != 1 and all(isinstance(value, Lists) for value in values):
        first = values[0]
        if all(same_lengths(first, value) for value in values[1:]):
            contents = [ak.contents.NumpyArray(np.ascontiguousarray(value.content)) for value in values]
            items = _record(names, contents, len(first.content))
            return ak.Array(ak.contents.ListOffsetArray(ak.index.Index64(first.offsets), items))
    whole = tuple(arrays) if names is None else dict(zip(names, arrays, strict=True))
    return ak.zip(whole, depth_limit=depth_limit)


def _record(names: tuple[str, ...] | None, layouts: list[Any], length: int) -> Any:
    return ak.contents.RecordArray(layouts, None if names is None else list(names), length)


def _leaves(layout: Any) -> int:
    """How many columns of numbers there are."""
    if layout.is_record or layout.is_union:
        return sum(_leaves(content) for content in layout.contents)
    return _leaves(layout.content) if layout.is_list or layout.is_indexed or layout.is_option else 1


def field(name: str, array: Any) -> Column:
    """The field of this name."""
    return normal(array[name])


def fields(names: tuple[str, ...], array: Any) -> Column:
    """Records of these fields only."""
    return normal(general(array)[list(names)])
