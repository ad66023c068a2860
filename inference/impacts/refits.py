"""Shifts of all parameters when one is held elsewhere: every refit of every parameter, in one call.

A refit gives the shifts of all parameters, so one set of refits serves every parameter of interest. Each begins where
the covariance of the nominal fit predicts its minimum, and beyond every shape that bends much (as the nominal fit did,
`inference.likelihood.search`); the lowest minimum counts. One that fails is recorded with its reason and spoils no
other.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from inference.likelihood.specification import Floats
from inference.results import FitResult

if TYPE_CHECKING:
    from inference.likelihood.model import Likelihood, Minimum

# (place of the parameter, side) → shift of all parameters, or why there is none.
Shifts = dict[tuple[int, str], Floats | str]


def refit_shifts(likelihood: "Likelihood", fit: FitResult, places: Sequence[int]) -> Shifts:
    """Shifts with each parameter held at its best fit ± its uncertainty, and ± its pre-fit width where it has one."""
    held = _held(fit, places)
    inside = {key: at for key, at in held.items() if likelihood.lower[key[0]] <= at <= likelihood.upper[key[0]]}
    found: Shifts = {
        key: f"{likelihood.labels[key[0]]} = {at:.4g} is outside its bounds"
        for key, at in held.items()
        if key not in inside
    }
    free = ~np.asarray(fit.fixed)
    starts = {key: _starts(likelihood, fit, free, key[0], at) for key, at in inside.items()}
    tasks = [
        (likelihood.observed, begin, free & (np.arange(len(free)) != key[0]))
        for key, several in starts.items()
        for begin in several
    ]
    ended = iter(likelihood.minima(tasks))
    for key, several in starts.items():
        best = _lowest([next(ended) for _ in several])
        converged = best.certificate.converged
        found[key] = best.parameters - np.asarray(fit.bestfit) if converged else best.certificate.reason
    return found


def _held(fit: FitResult, places: Sequence[int]) -> dict[tuple[int, str], float]:
    held = {}
    for place in places:
        for stage, distance in (("postfit", fit.uncertainties[place]), ("prefit", fit.prefit[place])):
            if distance is not None and distance > 0:
                held[place, f"{stage}_up"] = fit.bestfit[place] + distance
                held[place, f"{stage}_down"] = fit.bestfit[place] - distance
    return held


def _starts(likelihood: "Likelihood", fit: FitResult, free: NDArray[np.bool_], place: int, at: float) -> list[Floats]:
    from inference.likelihood.model import Minimum
    from inference.likelihood.search import reflections

    bestfit, covariance = np.asarray(fit.bestfit), np.asarray(fit.covariance)
    begin = bestfit + covariance[:, place] / covariance[place, place] * (at - bestfit[place])
    begin = np.clip(begin, likelihood.lower, likelihood.upper)
    begin[~free], begin[place] = bestfit[~free], at
    others = free & (np.arange(len(free)) != place)
    return [begin, *reflections(likelihood, Minimum(begin, fit.twice_nll / 2, fit.certificate), others)]


def _lowest(minima: "Sequence[Minimum]") -> "Minimum":
    """The first, unless another one is lower by more than rounding, or the first has failed."""
    best = minima[0]
    for other in minima[1:]:
        usable = other.certificate.converged >= best.certificate.converged
        if usable and (other.nll < best.nll - 1e-9 or not best.certificate.converged):
            best = other
    return best
