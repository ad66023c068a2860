"""The functions of codegen uproot-raw, and how a call of one is kept in a plan.

The table is ServiceX's: the functions of uproot's own language (NumPy's, number by number) and awkward's, with
awkward's `where` in the place of NumPy's. `MORE` are functions of awkward that ServiceX does not have. A function is
refused where its answer would depend on which events are read together: its axis must lie inside an event.
"""

import inspect
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import awkward as ak
import numpy as np
from uproot.language.python import PythonLanguage

from delivery.engine.combining import check_room
from delivery.engine.values import Column, Lists, from_awkward, to_awkward

_ITEM_BYTES: Final = 24  # of one item that a call makes: a number, and where it lies

PER_EVENT: Final = frozenset(
    (
        *("concatenate", "count", "count_nonzero", "sum", "nansum", "prod", "nanprod", "any", "all", "min", "nanmin"),
        *("max", "nanmax", "argmin", "nanargmin", "argmax", "nanargmax", "moment", "mean", "nanmean", "var", "nanvar"),
        *("std", "nanstd", "softmax", "ptp", "covar", "corr", "linear_fit"),
    )
)
"""Functions whose axis is 1 (inside each event) unless the call or `use_standard_awkward_axis` says otherwise."""

AWKWARD: Final = (
    *("concatenate", "where", "flatten", "num", "count", "count_nonzero", "sum", "nansum", "prod", "nanprod", "any"),
    *("all", "min", "nanmin", "max", "nanmax", "argmin", "nanargmin", "argmax", "nanargmax", "moment", "mean"),
    *("nanmean", "var", "nanvar", "std", "nanstd", "softmax", "sort", "argsort", "mask", "is_none", "drop_none"),
    *("pad_none", "fill_none", "firsts", "singletons", "broadcast_arrays", "broadcast_fields", "cartesian"),
    *("argcartesian", "combinations", "argcombinations", "isclose", "almost_equal"),
)
MORE: Final = (
    *("ptp", "covar", "corr", "linear_fit", "local_index", "run_lengths", "zip", "values_astype", "nan_to_num"),
    *("zeros_like", "ones_like", "full_like"),
)

UFUNC: Final = "numpy."  # before the name of a NumPy function in a `RawCall`
GETITEM: Final = "[]"  # the name of a subscript among the functions
FUNCTIONS: Final[Mapping[str, Callable[..., Any]]] = MappingProxyType(
    {
        **PythonLanguage().functions,
        **{name: getattr(ak, name) for name in (*AWKWARD, *MORE)},
        GETITEM: operator.getitem,
    }
)
SIGNATURES: Final[Mapping[str, inspect.Signature]] = MappingProxyType(
    {name: inspect.signature(FUNCTIONS[name]) for name in (*AWKWARD, *MORE)}
)
SEVERAL: Final = frozenset(["broadcast_arrays", "broadcast_fields"])
"""Functions that give one array for each of their arguments."""

TOTAL: Final = frozenset(
    (
        *PER_EVENT - {"concatenate", "softmax", "moment", "covar", "corr", "linear_fit"},
        *("num", "sort", "argsort", "is_none", "drop_none", "fill_none", "pad_none", "firsts", "singletons"),
        *("local_index", "values_astype", "nan_to_num", "zeros_like", "ones_like", "full_like", "round", "where"),
    )
)
"""Functions that fail on no event once their types fit."""

_ANY_AXIS = frozenset(["is_none", "singletons", "fill_none"])  # these work value by value along any axis
_REDUCERS = PER_EVENT - {"concatenate"}
_INTERNAL = frozenset(["highlevel", "behavior", "attrs", "parameters", "with_name"])


class CrossesEvents(ValueError):
    """The call works across events, so that its answer would depend on which events are read together."""


@dataclass(frozen=True, slots=True)
class Slot:
    """Stands for one of the values that a call gets."""

    number: int


@dataclass(frozen=True, slots=True)
class Constant:
    """A literal. Two are equal if they are written alike: 1, 1.0 and True are three."""

    written: str
    value: Any = field(compare=False)

    @classmethod
    def of(cls, value: Any) -> "Constant":
        """The literal with this value."""
        return cls(f"{type(value).__name__} {value!r}", value)


@dataclass(frozen=True, slots=True)
class Items:
    """A list, tuple, dict or slice; ``names`` are a dict's keys."""

    kind: str
    items: tuple["Pattern", ...]
    names: tuple[str, ...] = ()


Pattern: TypeAlias = Slot | Constant | Items


@dataclass(frozen=True, slots=True)
class RawCall:
    """A function's name and its arguments; ``pick`` takes one of several results."""

    function: str
    arguments: tuple[Pattern, ...]
    keywords: tuple[tuple[str, Pattern], ...] = ()
    pick: int | None = None


def raw_call(call: RawCall, *values: Any) -> Column:
    """The operation ``raw`` of plans: a call with its slots filled by columns.

    Raises what awkward raises, ValueError in place of its TypeError, and TooMany for a call that would make more than
    memory should hold.
    """
    arrays = [to_awkward(value) if isinstance(value, np.ndarray | Lists) else value for value in values]
    arguments = [_filled(pattern, arrays) for pattern in call.arguments]
    keywords = {name: _filled(pattern, arrays) for name, pattern in call.keywords}
    _check_size(call.function, arguments, keywords)
    try:
        result = _function(call.function)(*arguments, **keywords)
    except TypeError as error:  # awkward finds some only when it meets values
        raise ValueError(str(error)) from error
    if call.pick is not None:
        result = result[call.pick]
    return from_awkward(result) if isinstance(result, ak.Array) else result


def _function(name: str) -> Callable[..., Any]:
    return getattr(np, name.removeprefix(UFUNC)) if name.startswith(UFUNC) else FUNCTIONS[name]


def _filled(pattern: Pattern, arrays: Sequence[Any]) -> Any:
    if isinstance(pattern, Slot):
        return arrays[pattern.number]
    if isinstance(pattern, Constant):
        return pattern.value
    items = [_filled(item, arrays) for item in pattern.items]
    if pattern.kind == "dict":
        return dict(zip(pattern.names, items, strict=True))
    if pattern.kind == "slice":
        return slice(*items)
    return tuple(items) if pattern.kind == "tuple" else items


def arguments_of(name: str, positional: Sequence[Any], keywords: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a call by name; raises TypeError if they do not fit the function."""
    internal = _INTERNAL.intersection(keywords)
    if internal:
        raise TypeError(f"{min(internal)} is no argument that a query may give")
    bound = SIGNATURES[name].bind(*positional, **keywords)
    if _INTERNAL.intersection(bound.arguments):
        raise TypeError("too many positional arguments")
    return dict(bound.arguments)


def axis_of(name: str, arguments: Mapping[str, Any], standard: bool, depth: int, missing_rows: bool) -> int | None:
    """The axis of a call, None for functions that have none; argsort's is counted from the outside.

    ``depth`` is that of the array, ``missing_rows`` whether whole rows of it can be None. Raises CrossesEvents where
    the function would work across events, TypeError if the axis is no integer.
    """
    if "axis" not in SIGNATURES[name].parameters:
        _check_no_axis(name, depth)
        return None
    axis = arguments["axis"] if "axis" in arguments else default_axis(name, standard)
    if axis is None and name in ("drop_none", "fill_none"):
        if name == "drop_none" and missing_rows:
            raise CrossesEvents(f"{name} drops events; put is_none into the cut, or give an axis of at least 1")
        return None
    if axis is None:
        raise CrossesEvents(f"{name} without an axis works on all events together; give axis=1")
    if type(axis) is not int:
        raise TypeError("axis must be an integer")
    inside = axis if axis >= 0 else axis + depth
    if name in _REDUCERS and "axis" not in arguments and inside >= depth == 1:
        raise CrossesEvents(f"{name} needs a list in each event, and this is one value per event")
    lowest = 2 if name == "flatten" else 1
    if inside < lowest and name not in _ANY_AXIS:
        what = "does not keep one row per event" if name == "flatten" else "works across events"
        raise CrossesEvents(f"{name} with axis={axis} {what}; give an axis of at least {lowest}")
    return inside if name == "argsort" else axis


def default_axis(name: str, standard: bool) -> int | None:
    """The axis of a call that gives none: ServiceX's choice, or awkward's own."""
    if not standard and name in PER_EVENT:
        return 1
    if not standard and name == "flatten":
        return 2
    default = SIGNATURES[name].parameters["axis"].default
    return None if default is None else int(default)


def _check_no_axis(name: str, depth: int) -> None:
    if name == "almost_equal":
        raise CrossesEvents("almost_equal compares whole columns; use isclose to compare value by value")
    if name == "run_lengths" and depth < 2:
        raise CrossesEvents("run_lengths of one value per event works across events")


def _check_size(name: str, arguments: Sequence[Any], keywords: Mapping[str, Any]) -> None:
    """Refuses calls that would make far more items than there are."""
    if name not in ("combinations", "argcombinations", "cartesian", "argcartesian", "pad_none"):
        return
    given = arguments_of(name, arguments, keywords)
    axis = given.get("axis", 1)
    if name == "pad_none":
        total = float(given["target"]) * max(len(given["array"]), 1)
    elif name in ("combinations", "argcombinations"):
        counts = _counts(given["array"], axis)
        n = given["n"]
        if not isinstance(n, int) or n < 1:
            raise ValueError(f"{name} needs a positive number of items, not {n!r}")
        total = n * float(np.sum(_choose(counts, n + 1 if given.get("replacement") else n)))
    else:
        arrays = given["arrays"]
        arrays = list(arrays.values()) if isinstance(arrays, dict) else list(arrays)
        products = np.ones(1)
        for array in arrays:
            counts = _counts(array, axis)
            products = (
                products * counts if 1 in (len(products), len(counts)) or len(products) == len(counts) else counts
            )
        total = len(arrays) * float(np.sum(products))
    check_room(_ITEM_BYTES * total, name)


def _counts(array: Any, axis: int) -> Any:
    """Lengths of the lists at this axis, one after the other; a value where a list would be counts for one."""
    if not isinstance(array, ak.Array) or array.ndim <= axis:
        return np.ones(1)
    counts = ak.num(array, axis=axis)
    return np.asarray(ak.fill_none(ak.ravel(counts), 0), np.float64) if isinstance(counts, ak.Array) else np.ones(1)


def _choose(counts: Any, n: int) -> Any:
    """Number of ways to choose `n` of each count, as floats."""
    ways = np.ones_like(counts)
    for i in range(min(n, 64)):
        ways *= np.maximum(counts - i, 0) / (i + 1)
    return ways
