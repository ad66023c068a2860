"""What happens when a profile falls below the nominal minimum: that was not the lowest, and all begins anew."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from inference.errors import FitFailed
from inference.intervals.crossings import LowerMinimum
from inference.intervals.profile import Nominal

if TYPE_CHECKING:
    from inference.likelihood.model import Likelihood

RESTARTS = 5
T = TypeVar("T")


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
