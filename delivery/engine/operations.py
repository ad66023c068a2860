"""The table of operations: what the expressions of a plan compute, by name.

An operation gets its parameter and the values of its arguments (columns or literals) and gives a column. Most have two
forms with the same result: a short one in NumPy for numbers and lists of numbers, which is where the time goes, and
awkward's own function for whatever else there is. func_adl_uproot is defined by the latter.
"""

from collections.abc import Callable, Mapping
from typing import Any

from delivery.engine import combining, elementwise, four_vectors, items, records, reductions
from delivery.engine.values import Column


def _raw(call: Any, *values: Any) -> Column:
    """A function of uproot-raw's expressions."""
    from delivery.engine.raw.functions import raw_call

    return raw_call(call, *values)


OPERATIONS: Mapping[str, Callable[..., Column]] = {
    "elementwise": elementwise.apply,
    "broadcast": elementwise.broadcast,
    "where": elementwise.where,
    "full_like": elementwise.full_like,
    "fill_none": elementwise.fill_none,
    "count": reductions.count,
    "count_true": reductions.count_of_true,
    "any": reductions.any_true,
    "all": reductions.all_true,
    "sum": reductions.total,
    "min": reductions.reduction("min"),
    "max": reductions.reduction("max"),
    "mean": reductions.reduction("mean"),
    "index": items.index,
    "at": items.at,
    "at_or_none": items.at_or_none,
    "slice": items.sliced,
    "flatten": items.flatten,
    "argsort": items.argsort,
    "first_in_order": items.first_in_order,
    "zip": records.zip_columns,
    "field": records.field,
    "fields": records.fields,
    "four_vectors": four_vectors.named,
    "attribute": four_vectors.attribute,
    "method": four_vectors.method,
    "cartesian": combining.cartesian,
    "cross": combining.cross,
    "combinations": combining.combinations,
    "concatenate": combining.concatenate,
    "ranges": combining.ranges,
    "raw": _raw,
}
