"""Shifts of all parameters when one is held elsewhere: every refit of every parameter, in one call.

A refit gives the shifts of all parameters, so one set of refits serves every parameter of interest. Each begins where
the covariance of the nominal fit predicts its minimum. Far from the best fit this predicts little, and a shape that
bends much may be better on its other side (`inference.likelihood.search`): there the fit begins on both, and the lowest
minimum counts. A refit that fails is recorded with its reason and spoils no other.
"""

from collections.abc import Sequence
from functools import reduce
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from inference.likelihood.specification import Floats
from inference.profiles.valleys import lower_of
from inference.results import FitResult

if TYPE_CHECKING:
    from inference.likelihood.model import Likelihood

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
    for place in places:
        if not fit.uncertainties[place]:
            found[place, "postfit_up"] = (
                f"{likelihood.labels[place]} has no uncertainty: a bound holds it, or the fit did"
            )
    free, bestfit, covariance = ~np.asarray(fit.fixed), np.asarray(fit.bestfit), np.asarray(fit.covariance)
    mirrored = _mirrored(likelihood, fit, free)
    starts: dict[tuple[int, str], list[Floats]] = {}
    for (place, side), at in inside.items():
        slope = covariance[:, place] / covariance[place, place] if covariance[place, place] > 0 else 0.0
        begin = bestfit + slope * (at - bestfit[place])
        begin = np.where(free, np.clip(begin, likelihood.lower, likelihood.upper), bestfit)
        begin[place] = at
        far = abs(at - bestfit[place]) > FAR * fit.uncertainties[place]
        starts[place, side] = [begin, *(_replaced(begin, *other) for other in mirrored if far and other[0] != place)]
    tasks = [
        (likelihood.observed, begin, free & (np.arange(len(free)) != key[0]))
        for key, several in starts.items()
        for begin in several
    ]
    ended = iter(likelihood.minima(tasks))
    for key, several in starts.items():
        best = reduce(lower_of, [next(ended) for _ in several])
        converged = best.certificate.converged
        found[key] = best.parameters - bestfit if converged else best.certificate.reason
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


def _replaced(point: Floats, place: int, value: float) -> Floats:
    other = point.copy()
    other[place] = value
    return other
