"""One value for each list: how many, whether any or all, sum, least, greatest, mean.

The parameter of each is the axis: 1 for the lists of the rows, 2 for the lists in those, 0 for all rows together.
"""

from collections.abc import Callable
from typing import Any

import awkward as ak
import numpy as np

from delivery.engine import kernels
from delivery.engine.forms import general, normal
from delivery.engine.values import Column, Lists, count_true


def count(axis: int, lists: Column) -> Any:
    """Lengths of the lists (int64); at axis 0 the number of rows."""
    if axis == 0:
        return np.int64(len(lists))
    return lists.counts if isinstance(lists, Lists) and axis == 1 else normal(ak.num(general(lists), axis=axis))


def count_of_true(_: str, mask: Lists) -> Column:
    """How many of each row's flags are True (int64)."""
    return count_true(mask.offsets, mask.content)


def any_true(axis: int, mask: Column) -> Column:
    """Whether any item is True; False for an empty list."""
    if isinstance(mask, Lists) and axis == 1:
        found: Column = count_true(mask.offsets, mask.content.astype(np.bool_, copy=False)) > 0
        return found
    return normal(ak.any(general(mask), axis=axis))


def all_true(axis: int, mask: Column) -> Column:
    """Whether all items are True; True for an empty list."""
    if isinstance(mask, Lists) and axis == 1:
        held: Column = count_true(mask.offsets, ~mask.content.astype(np.bool_, copy=False)) == 0
        return held
    return normal(ak.all(general(mask), axis=axis))


def total(axis: int, lists: Column) -> Column:
    """Sums, in the order of the items; 0 for an empty list."""
    if isinstance(lists, Lists) and axis == 1:
        return kernels.sums(lists.offsets, lists.content)
    return normal(ak.sum(general(lists), axis=axis))


def reduction(name: str) -> Callable[[int, Column], Column]:
    """The reduction of awkward that has this name."""
    function = getattr(ak, name)
    return lambda axis, lists: normal(function(general(lists), axis=axis))
