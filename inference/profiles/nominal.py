"""The minimum that profiles are measured from, and what happens when one falls below it: all begins anew."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from inference.errors import FitFailed
from inference.likelihood.specification import Floats
from inference.results import FitResult

if TYPE_CHECKING:
    from inference.likelihood.model import Likelihood, Minimum

RESTARTS = 5
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Nominal:
    """The minimum that a profile is measured from.

    Attributes:
        parameters: shape (parameters,).
        nll: −log L there.
        covariance: shape (parameters, parameters).
        free: which parameters were free, shape (parameters,).
    """

    parameters: Floats
    nll: float
    covariance: Floats
    free: NDArray[np.bool_]

    @classmethod
    def of(cls, fit: FitResult) -> "Nominal":
        """A fit."""
        return cls(np.asarray(fit.bestfit), fit.twice_nll / 2, np.asarray(fit.covariance), ~np.asarray(fit.fixed))

    def unit(self, likelihood: "Likelihood", place: int) -> float:
        """Length to measure a parameter in: its uncertainty, or its constraint's width, or 1 where there is neither."""
        uncertainty, width = math.sqrt(self.covariance[place, place]), likelihood.widths[place]
        return uncertainty or (1.0 if np.isnan(width) else float(width))


@dataclass(frozen=True, slots=True)
class LowerMinimum:
    """A minimum below the nominal one, met while parameters were held, by label."""

    at: "Minimum"
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NewMinimum:
    """A minimum lower than the nominal fit's, met on the way; the result counts from it.

    Attributes:
        fall: of −2 log L below the nominal fit.
        while_holding: the parameters that were held when it was met.
        bestfit: all parameters there, in the order of the likelihood's labels.
    """

    fall: float
    while_holding: tuple[str, ...]
    bestfit: tuple[float, ...]


def from_lowest(
    likelihood: "Likelihood", nominal: Nominal, search: Callable[[Nominal], T | LowerMinimum]
) -> tuple[Nominal, NewMinimum | None, T]:
    """Search from the nominal minimum, and again from each lower one that is met.

    Raises:
        FitFailed: a lower one cannot be certified, or there is no end of them.
    """
    new: NewMinimum | None = None
    for _ in range(RESTARTS):
        found = search(nominal)
        if not isinstance(found, LowerMinimum):
            return nominal, new, found
        nominal, new = restart(likelihood, nominal, found, new)
    raise FitFailed(f"the fit fell into {RESTARTS} lower minima one after the other: the likelihood has no lowest one")


def restart(
    likelihood: "Likelihood", nominal: Nominal, met: LowerMinimum, before: NewMinimum | None = None
) -> tuple[Nominal, NewMinimum]:
    """Fit with nothing held from where a lower minimum was met.

    Raises:
        FitFailed: there is none that can be certified.
    """
    at = likelihood.minimum(likelihood.observed, met.at.parameters, nominal.free)
    if not at.certificate.converged:
        raise FitFailed(f"lower than the best fit while holding {', '.join(met.labels)}: {at.certificate.reason}")
    fall = 2 * (nominal.nll - at.nll) + (before.fall if before else 0.0)
    covariance = likelihood.covariance(at, free=nominal.free)
    new = Nominal(at.parameters, at.nll, covariance, nominal.free)
    return new, NewMinimum(fall, met.labels, tuple(at.parameters.tolist()))
