"""Which parameters a profile is of: by their place, and what may be asked of them."""

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from inference.errors import InferenceError, UnknownParameter
from inference.likelihood.specification import Floats

if TYPE_CHECKING:
    from inference.likelihood.model import Likelihood

NAMED = 5  # parameters in a message


def of_interest(likelihood: "Likelihood", name: str | None = None) -> str:
    """The parameter that is named, the workspace's parameter of interest if None.

    Raises:
        UnknownParameter: the workspace has none either; the message names those that could be.
    """
    label = name or likelihood.poi
    if label is None:
        free = [made.labels for made in likelihood.specification.parameters if made.constraint == "free"]
        could = [label for labels in free for label in labels if not likelihood.constant[likelihood.index(label)]]
        such = f" (such as {', '.join(could[:NAMED])})" if could else ""
        raise UnknownParameter(f"the workspace names no parameter of interest: give one{such}")
    return label


def place_of(likelihood: "Likelihood", poi: str | None, fixed: Mapping[str, float] | None = None) -> int:
    """Place of the parameter of interest, the workspace's if None.

    Raises:
        UnknownParameter: there is none of that name, it is held, or it belongs to a single bin.
    """
    name = of_interest(likelihood, poi)
    place = likelihood.index(name)
    if likelihood.constant[place] or name in (fixed or {}):
        raise UnknownParameter(f"{name} is held constant, so that there is nothing to infer of it")
    if place in likelihood.profiled:
        raise UnknownParameter(f"{name} is the gamma of a single bin and profiled: build Likelihood(profile=False)")
    return place


def require_free(likelihood: "Likelihood", free: NDArray[np.bool_], *places: int) -> None:
    """Raise ``InferenceError`` for a parameter that the nominal fit holds."""
    for place in places:
        if not free[place]:
            raise InferenceError(f"{likelihood.labels[place]} is held in the fit: its profile is not defined")


def starting(likelihood: "Likelihood", fixed: Mapping[str, float] | None) -> tuple[Floats, NDArray[np.bool_]]:
    """Where fits begin, with parameters held by label, and which ones move; raises ``UnknownParameter``."""
    begin, free = likelihood.init.copy(), ~likelihood.constant
    for label, value in (fixed or {}).items():
        begin[likelihood.index(label)], free[likelihood.index(label)] = value, False
    return begin, free


def with_bounds(likelihood: "Likelihood", place: int, lower: float, upper: float) -> "Likelihood":
    """The same likelihood with other bounds of one parameter."""
    changed = copy.copy(likelihood)
    changed.lower, changed.upper = likelihood.lower.copy(), likelihood.upper.copy()
    changed.lower[place], changed.upper[place] = lower, upper
    return changed
