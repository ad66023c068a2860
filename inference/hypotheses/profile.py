"""−log L of some data along the parameter of interest, everything else profiled.

Each point is fitted once and kept. A fit begins where the tangent of the nearest point says, so that a few iterations
end it, and it gives the exact slope: at a profiled minimum the derivative of −log L along the parameter of interest is
its partial derivative (envelope theorem).
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from inference.errors import FitFailed, UnknownParameter
from inference.likelihood.specification import Floats

if TYPE_CHECKING:
    from inference.likelihood.model import Likelihood, Minimum, Observation

# −log L below the best fit by more than this is another minimum, not rounding.
LOWER = 1e-8
WIDEST = 1e6
STEPS = 24
SHORTEST = 1e-2


@dataclass(frozen=True, slots=True)
class Point:
    """A fit on the profile.

    Attributes:
        mu: parameter of interest.
        minimum: the fit, with its certificate.
        slope, curvature: first and second derivative of the profile there; NaN where the second is not known.
        tangent: derivative of all parameters along the parameter of interest, shape (parameters,).
    """

    mu: float
    minimum: "Minimum"
    slope: float
    curvature: float
    tangent: Floats

    @property
    def nll(self) -> float:
        """−log L."""
        return self.minimum.nll


class Profile:
    """Fits of one observation along one parameter.

    Attributes:
        best: fit with the parameter of interest free within its bounds.
        points: all other fits, by the value they were made at.
        notes: what was done that was not asked for.
    """

    def __init__(
        self,
        likelihood: "Likelihood",
        seen: "Observation",
        poi: int,
        *,
        fixed: Mapping[str, float] | None = None,
        start: Floats | None = None,
    ) -> None:
        """Fit the best fit; ``poi`` by its place, ``start`` all parameters.

        Raises:
            UnknownParameter: a label of ``fixed``.
            FitFailed: no certified minimum.
        """
        self.likelihood, self.seen, self.poi = likelihood, seen, poi
        self.begin, self.free = likelihood.init.copy(), ~likelihood.constant
        for label, value in (fixed or {}).items():
            self.begin[likelihood.index(label)], self.free[likelihood.index(label)] = value, False
        start = self.begin if start is None else np.where(self.free, start, self.begin)
        self.points: dict[float, Point] = {}
        self.notes: list[str] = []
        self.best = self._best(start)

    @property
    def label(self) -> str:
        """Of the parameter of interest."""
        return self.likelihood.labels[self.poi]

    def at(self, mu: float) -> Point:
        """The fit with the parameter of interest held at ``mu``, which may lie beyond its bounds.

        Raises:
            FitFailed: no certified minimum; the message says at which value and why.
        """
        mu = float(mu)
        if mu not in self.points:
            point = self._held(mu)
            self.points[mu] = point
            if point.nll < self.best.nll - LOWER and self._within(mu):
                self.best = self._best(point.minimum.parameters)
                self.notes.append(f"a lower minimum was found on the way: {self.label} = {self.best.mu:.6g}")
        return self.points[mu]

    def _within(self, mu: float) -> bool:
        return bool(self.likelihood.lower[self.poi] <= mu <= self.likelihood.upper[self.poi])

    def _best(self, start: Floats) -> Point:
        """Where the upper bound of the parameter of interest holds the fit, the bound is widened."""
        point = self._fit(start, self.free)
        while self.label in point.minimum.certificate.at_bound and point.mu > self.likelihood.lower[self.poi]:
            if point.mu > WIDEST:
                raise FitFailed(f"the best fit of {self.label} lies beyond {WIDEST:g}")
            upper = 10 * abs(point.mu) or 1.0
            self.notes.append(f"the best fit of {self.label} was at its bound {point.mu:g}, widened to {upper:g}")
            self.likelihood = with_bounds(self.likelihood, self.poi, self.likelihood.lower[self.poi], upper)
            point = self._fit(point.minimum.parameters, self.free)
        if not point.minimum.certificate.converged:
            raise FitFailed(f"best fit of {self.label}: {point.minimum.certificate.reason}")
        return point

    def _held(self, mu: float) -> Point:
        """Begun where the nearest fit's tangent leads; if that fails, by smaller steps from there."""
        share, reason = 1.0, ""
        for _ in range(STEPS):
            begin = self._nearest(mu).mu
            point = self._from_nearest(mu if share == 1.0 else begin + share * (mu - begin))
            if not point.minimum.certificate.converged:
                share, reason = 0.25 * share, point.minimum.certificate.reason
                if share < SHORTEST:
                    break
            elif share == 1.0:
                return point
            else:
                self.points[point.mu] = point
                share = 1.0
        raise FitFailed(f"fit with {self.label} = {mu:.6g}: {reason}")

    def _nearest(self, mu: float) -> Point:
        return min((self.best, *self.points.values()), key=lambda point: abs(point.mu - mu))

    def _from_nearest(self, mu: float) -> Point:
        free = self.free.copy()
        free[self.poi] = False
        nearest = self._nearest(mu)
        predicted = nearest.minimum.parameters + (mu - nearest.mu) * nearest.tangent
        for start in (predicted, nearest.minimum.parameters, self.begin):
            begin = np.where(free, np.clip(start, self.likelihood.lower, self.likelihood.upper), self.begin)
            begin[self.poi] = mu
            point = self._fit(begin, free)
            if point.minimum.certificate.converged:
                break
        return point

    def _fit(self, begin: Floats, free: Any) -> Point:
        from inference.likelihood import compiled

        likelihood = self.likelihood
        ended = compiled.fit(*likelihood._task(self.seen, begin, free), likelihood.arrays, likelihood.layout)
        minimum = likelihood._minimum(ended, self.seen, begin, free)
        reduced = likelihood.places.reduced
        row = int(np.flatnonzero(reduced == self.poi)[0])
        curvature, gradient = np.asarray(ended.curvature), np.asarray(ended.gradient)
        moving = free[reduced] & ~np.asarray(ended.held)
        moving[row] = False
        tangent, bend = _along(curvature, moving, row)
        full = np.zeros(len(likelihood.labels))
        full[reduced] = tangent
        return Point(float(minimum.parameters[self.poi]), minimum, float(gradient[row]), bend, full)


def _along(curvature: Floats, moving: Any, row: int) -> tuple[Floats, float]:
    """Derivative of the minimum's parameters along parameter ``row``, and the profile's second derivative."""
    tangent = np.zeros(len(curvature))
    tangent[row] = 1.0
    try:
        tangent[moving] = -np.linalg.solve(curvature[np.ix_(moving, moving)], curvature[moving, row])
    except np.linalg.LinAlgError:
        return tangent, np.nan
    if not np.isfinite(tangent).all():
        return np.where(np.arange(len(tangent)) == row, 1.0, 0.0), np.nan
    return tangent, float(curvature[row] @ tangent)


def with_bounds(likelihood: "Likelihood", place: int, lower: float, upper: float) -> "Likelihood":
    """The same likelihood with other bounds of one parameter."""
    changed = copy.copy(likelihood)
    changed.lower, changed.upper = likelihood.lower.copy(), likelihood.upper.copy()
    changed.lower[place], changed.upper[place] = lower, upper
    return changed


def place_of(likelihood: "Likelihood", poi: str | None, fixed: Mapping[str, float] | None = None) -> int:
    """Place of the parameter of interest, the workspace's if None.

    Raises:
        UnknownParameter: there is none of that name, it is held, or it belongs to a single bin.
    """
    name = poi or likelihood.poi
    if name is None:
        raise UnknownParameter("the workspace names no parameter of interest: give one")
    place = likelihood.index(name)
    if likelihood.constant[place] or name in (fixed or {}):
        raise UnknownParameter(f"{name} is held constant, so that there is nothing to infer of it")
    if place in likelihood.profiled:
        raise UnknownParameter(f"{name} is the gamma of a single bin and profiled: build Likelihood(profile=False)")
    return place
