"""Literals of uproot-raw expressions: combined among themselves, and held against the columns that they meet."""

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from delivery.engine.operators import COMPARISONS

_MAX_BITS = 1024  # of an integer that literals are folded into
_FOLDED: Final[Mapping[str, Callable[..., Any]]] = {
    "add": operator.add,
    "subtract": operator.sub,
    "multiply": operator.mul,
    "true_divide": operator.truediv,
    "floor_divide": operator.floordiv,
    "remainder": operator.mod,
    "power": operator.pow,
    "bitwise_and": operator.and_,
    "bitwise_or": operator.or_,
    "bitwise_xor": operator.xor,
    "left_shift": operator.lshift,
    "right_shift": operator.rshift,
    **COMPARISONS,
    "negative": operator.neg,
    "positive": operator.pos,
    "invert": operator.invert,
}


def folded(ufunc: str, values: Sequence[Any]) -> Any:
    """The operation on literals alone, as Python does it.

    Raises ArithmeticError, TypeError or ValueError where it has no value, or one too big to compute.
    """
    if any(isinstance(value, str) for value in values) or _too_big(ufunc, values):
        raise TypeError("not numbers, or numbers too big")
    with np.errstate(all="ignore"):
        return _FOLDED[ufunc](*values) if ufunc in _FOLDED else getattr(np, ufunc)(*values)


def out_of_range(ufunc: str, kinds: Sequence[np.dtype[Any]], values: Sequence[Any]) -> str | None:
    """What is wrong if a comparison holds an integer column against an integer that it cannot be; as in awkward."""
    if ufunc not in COMPARISONS or len(kinds) != 1 or kinds[0].kind not in "iu":
        return None
    limits: Any = np.iinfo(kinds[0])
    for literal in values:
        if type(literal) is int and not limits.min <= literal <= limits.max:
            return f"{literal} is out of the range of {kinds[0]} ({limits.min} to {limits.max})"
    return None


def _too_big(ufunc: str, values: Sequence[Any]) -> bool:
    """Whether Python would need a long time, or much memory, for this operation on integers."""
    if not all(isinstance(value, int) for value in values):
        return False
    bits = [int(value).bit_length() for value in values]
    if ufunc == "power":
        return bool(abs(values[1]) > _MAX_BITS or bits[0] * abs(values[1]) > _MAX_BITS)
    if ufunc == "left_shift":
        return bool(bits[0] + abs(values[1]) > _MAX_BITS)
    return sum(bits) > _MAX_BITS
