"""The two forms of a value: NumPy's, where the time goes, and awkward's, for whatever else there is."""

from typing import Any

import awkward as ak
import numpy as np

from delivery.engine.row_errors import UnequalLists
from delivery.engine.values import Array, Column, Lists, from_awkward, same_lengths, to_awkward


def is_flat(value: Any) -> bool:
    """Whether a value is a literal, a NumPy column or lists of numbers."""
    return not isinstance(value, ak.Array)


def general(value: Any) -> Any:
    """The value for awkward's functions: columns as awkward arrays, literals as they are."""
    return to_awkward(value) if isinstance(value, Lists | np.ndarray) else value


def normal(value: Any) -> Any:
    """A result in its simplest form: an awkward array as NumPy or `Lists` where these can hold it."""
    return from_awkward(value) if isinstance(value, ak.Array) else value


def flat_like(shape: Lists, argument: Any) -> Any:
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


def plain_lists(array: Any) -> Any:
    """The layout of lists, starting at 0; None if it is none of those, or all have one length by their type."""
    layout = array.layout
    while layout.is_indexed and not layout.is_option:
        layout = layout.project()
    if not layout.is_list or layout.is_regular or layout.parameters:
        return None
    return layout.to_ListOffsetArray64(True)


def lists_of(offsets: Array, content: Any, places: Array, behavior: Any) -> Column:
    """Lists of the items at these places of a content."""
    items = content._carry(ak.index.Index64(places), True)  # records are gathered when a field is asked for
    return normal(ak.Array(ak.contents.ListOffsetArray(ak.index.Index64(offsets), items), behavior=behavior))
