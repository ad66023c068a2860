"""Profiled intervals (Minos): where the profiled −2 log L has risen by z² on either side of the best fit.

James and Roos, Comput. Phys. Commun. 10 (1975) 343, doi:10.1016/0010-4655(75)90039-9; Rolke, López and Conrad, NIM A
551 (2005) 493, doi:10.1016/j.nima.2005.05.068. Minos itself stops at a tolerance; here the crossings are exact.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from inference.errors import InferenceError
from inference.fit import fit_likelihood
from inference.intervals.crossings import Crossing, Ray, crossings
from inference.profiles.nominal import LowerMinimum, NewMinimum, Nominal, from_lowest
from inference.profiles.places import of_interest, require_free
from inference.results import FitResult

if TYPE_CHECKING:
    from inference.likelihood.model import Likelihood


# Parameters whose both sides are searched side by side, so that compiled calls are full.
TOGETHER = 32


@dataclass(frozen=True, slots=True)
class Side:
    """One end of an interval.

    Attributes:
        status: "crossing": the end is there; "bound": the parameter's bound comes first and is the end; "failed".
        value: of the parameter at the end, None if failed.
        twice_rise: 2 Δ log L there: z² at a crossing, less on a bound; None if failed.
        reason: why it failed, else empty.
        fits: conditional fits that it took.
    """

    status: Literal["crossing", "bound", "failed"]
    value: float | None
    twice_rise: float | None
    reason: str
    fits: int


@dataclass(frozen=True, slots=True)
class Interval:
    """Of one parameter; ``uncertainty`` is that of the Hessian, to compare with."""

    parameter: str
    bestfit: float
    uncertainty: float
    lower: Side
    upper: Side

    @property
    def errors(self) -> tuple[float | None, float | None]:
        """Distances of both ends from the best fit, the lower one negative; None where failed."""
        ends = (self.lower.value, self.upper.value)
        down, up = (None if value is None else value - self.bestfit for value in ends)
        return down, up


@dataclass(frozen=True, slots=True)
class Intervals:
    """Profiled intervals of some parameters.

    Attributes:
        sigma: z, the level in standard deviations; the ends are where 2 Δ log L = z².
        confidence: the level as a probability, in the asymptotic limit (Wilks).
        twice_nll: −2 log L at the minimum that they count from.
        minimum: a lower minimum that was found on the way, else None.
    """

    sigma: float
    confidence: float
    twice_nll: float
    intervals: tuple[Interval, ...]
    minimum: NewMinimum | None

    def interval(self, parameter: str) -> Interval:
        """Of one parameter; raises ``KeyError``."""
        return next(each for each in self.intervals if each.parameter == parameter)


def intervals(
    likelihood: "Likelihood",
    *,
    parameters: Sequence[str] | None = None,
    sigma: float = 1.0,
    confidence: float | None = None,
    fit: FitResult | None = None,
    fixed: Mapping[str, float] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Intervals:
    """Both ends of the profiled interval of each parameter, sqrt(2 Δ log L) exact to 1e-8.

    Args:
        parameters: labels; the parameter of interest if None.
        sigma: level in standard deviations.
        confidence: level as a probability between 0 and 1, instead of ``sigma``.
        fit: the nominal fit, which says itself what it holds; made here with ``fixed`` held if None.
        progress: called with the number of parameters done and of all.

    Raises:
        UnknownParameter: a label.
        InferenceError: a level that is none, or a parameter that is held.
        FitFailed: the nominal fit.
    """
    height = level(sigma, confidence)
    nominal = Nominal.of(fit or fit_likelihood(likelihood, fixed))
    places = [likelihood.index(label) for label in parameters or [of_interest(likelihood)]]
    require_free(likelihood, nominal.free, *places)
    nominal, new, found = from_lowest(
        likelihood, nominal, lambda start: _all_sides(likelihood, start, places, height, progress)
    )
    made = [_interval(likelihood, nominal, place, *sides) for place, sides in zip(places, found, strict=True)]
    return Intervals(height, math.erf(height / math.sqrt(2)), 2 * nominal.nll, tuple(made), new)


def level(sigma: float, confidence: float | None) -> float:
    """z of a level; raises ``InferenceError`` for what is none."""
    from scipy.stats import norm

    if confidence is not None:
        if not 0 < confidence < 1:
            raise InferenceError(f"a confidence level is between 0 and 1, such as 0.95, not {confidence:g}")
        return float(norm.isf((1 - confidence) / 2))
    if not 0 < sigma < 1e3:
        raise InferenceError(f"a level in standard deviations is greater than 0, such as 1, not {sigma:g}")
    return sigma


def _all_sides(
    likelihood: "Likelihood",
    nominal: Nominal,
    places: Sequence[int],
    height: float,
    progress: Callable[[int, int], None] | None,
) -> list[tuple[Crossing, Crossing]] | LowerMinimum:
    """Of some parameters at a time."""
    sides: list[tuple[Crossing, Crossing]] = []
    for begin in range(0, len(places), TOGETHER):
        some = places[begin : begin + TOGETHER]
        steps = [nominal.unit(likelihood, place) for place in some]
        rays = [
            Ray((place,), np.asarray([sign * step]))
            for place, step in zip(some, steps, strict=True)
            for sign in (-1, 1)
        ]
        found = crossings(likelihood, nominal, rays, height)
        if isinstance(found, LowerMinimum):
            return found
        sides += zip(found[::2], found[1::2], strict=True)
        if progress is not None:
            progress(len(sides), len(places))
    return sides


def _interval(likelihood: "Likelihood", nominal: Nominal, place: int, lower: Crossing, upper: Crossing) -> Interval:
    uncertainty = math.sqrt(nominal.covariance[place, place])
    value = float(nominal.parameters[place])
    return Interval(likelihood.labels[place], value, uncertainty, _side(lower), _side(upper))


def _side(found: Crossing) -> Side:
    value = None if found.values is None else float(found.values[0])
    return Side(found.status, value, None if value is None else found.rise, found.reason, found.fits)
