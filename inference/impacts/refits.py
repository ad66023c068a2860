"""Shifts of all parameters when one is held elsewhere: every refit of every parameter, in one call.

A refit gives the shifts of all parameters, so one set of refits serves every parameter of interest. Each begins where
the covariance of the nominal fit predicts its minimum. Far from the best fit this predicts little, and a shape that
bends much may be better on its other side (`inference.likelihood.search`): there the fit begins on both, and the lowest
minimum counts. A refit that fails is recorded with its reason and spoils no other.
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

# Uncertainties from the best fit beyond which a refit begins on several sides, and of how many shapes.
FAR, SIDES = 3.0, 2


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
    mirrored = _mirrored(likelihood, fit, free)
    starts = {key: _starts(likelihood, fit, free, key[0], at, mirrored) for key, at in inside.items()}
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


def _mirrored(likelihood: "Likelihood", fit: FitResult, free: NDArray[np.bool_]) -> list[tuple[int, float]]:
    """The most bent shapes, and where each has the other side of its best fit."""
    from inference.likelihood.model import Minimum
    from inference.likelihood.search import reflections

    bestfit = np.asarray(fit.bestfit)
    others = reflections(likelihood, Minimum(bestfit, fit.twice_nll / 2, fit.certificate), free)
    moved = [np.flatnonzero(other != bestfit) for other in others]
    return [
        (int(places[0]), float(other[places[0]])) for places, other in zip(moved, others, strict=True) if len(places)
    ][:SIDES]


def _starts(
    likelihood: "Likelihood",
    fit: FitResult,
    free: NDArray[np.bool_],
    place: int,
    at: float,
    mirrored: Sequence[tuple[int, float]],
) -> list[Floats]:
    bestfit, covariance = np.asarray(fit.bestfit), np.asarray(fit.covariance)
    distance = at - bestfit[place]
    begin = bestfit + covariance[:, place] / covariance[place, place] * distance
    begin = np.clip(begin, likelihood.lower, likelihood.upper)
    begin[~free], begin[place] = bestfit[~free], at
    starts = [begin]
    for other, side in mirrored if abs(distance) > FAR * fit.uncertainties[place] else ():
        if other != place:
            starts.append(begin.copy())
            starts[-1][other] = side
    return starts


def _lowest(minima: "Sequence[Minimum]") -> "Minimum":
    """The first, unless another one is lower by more than rounding, or the first has failed."""
    best = minima[0]
    for other in minima[1:]:
        usable = other.certificate.converged >= best.certificate.converged
        if usable and (other.nll < best.nll - 1e-9 or not best.certificate.converged):
            best = other
    return best
