"""−log L of some data along the parameter of interest, everything else profiled.

Each point is fitted once and kept. A fit begins where the tangent of the nearest point says, so that a few iterations
end it, and it gives the exact slope: at a profiled minimum the derivative of −log L along the parameter of interest is
its partial derivative (envelope theorem).
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from inference.errors import FitFailed, UnknownParameter
from inference.hypotheses.roots import crossing
from inference.likelihood.specification import Floats

if TYPE_CHECKING:
    from inference.likelihood.model import Likelihood, Minimum, Observation

# −log L below the best fit by more than this is another minimum, not rounding.
LOWER = 1e-8
WIDEST = 1e6
# −log L higher than promised by more than this, absolute and relative, may be another minimum.
MISSED = 0.1
STEPS = 24
RESTARTS = 5
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

    @property
    def converged(self) -> bool:
        """Whether the fit is certified."""
        return self.minimum.certificate.converged

    def promised(self, mu: float) -> float:
        """−log L at another value by its Taylor series here, and what such a series may be wrong by."""
        step = mu - self.mu
        rise = self.slope * step + 0.5 * self.curvature * step * step
        return self.nll + rise + MISSED * (1 + abs(rise)) if np.isfinite(rise) else np.inf


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
        """Fit the best fit; ``poi`` by its place.

        Args:
            start: all parameters; if None, the lowest of several starts counts.

        Raises:
            UnknownParameter: a label of ``fixed``.
            FitFailed: no certified minimum.
        """
        self.likelihood, self.seen, self.poi = likelihood, seen, poi
        self.begin, self.free = likelihood.init.copy(), ~likelihood.constant
        for label, value in (fixed or {}).items():
            self.begin[likelihood.index(label)], self.free[likelihood.index(label)] = value, False
        begin = self.begin if start is None else np.where(self.free, start, self.begin)
        self.points: dict[float, Point] = {}
        self._settled: set[float] = set()
        self.notes: list[str] = []
        self.best = self._best(begin, search=start is None)

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
            self._take(self._held(mu))
        return self.points[mu]

    def settle(self, mu: float) -> bool:
        """Look for a lower minimum near ``mu`` on the far side of shapes that bend much; whether there was one.

        If so, it takes the place of the nearest point, and points that were not settled are forgotten, since they may
        belong to the higher minimum.

        Raises:
            FitFailed: as of ``at``.
        """
        point = self.at(mu) if not self.points else self._nearest_held(mu)
        if point.mu in self._settled:
            return False
        self._settled.add(point.mu)
        lowest = self._lowest(point, self._mask(held=True))
        lower = lowest.nll < point.nll - LOWER
        if lower:
            self.points = {at: each for at, each in self.points.items() if at in self._settled}
        self._take(lowest)
        return lower

    def _take(self, point: Point) -> None:
        """Keep a held point; one below the best fit shows that the best fit was not the lowest minimum."""
        self.points[point.mu] = point
        if point.nll < self.best.nll - LOWER and self._within(point.mu):
            self.best = self._best(point.minimum.parameters)
            self.notes.append(f"a lower minimum was found on the way: {self.label} = {self.best.mu:.6g}")

    def _lowest(self, point: Point, free: Any) -> Point:
        """The lowest of the minima around, whose certificate tells how many starts there were."""
        from inference.likelihood.search import reflections

        lowest, starts = point, reflections(self.likelihood, point.minimum, free)
        for start in starts:
            again = self._fit(start, free)
            if again.converged and (again.nll < lowest.nll - LOWER or not lowest.converged):
                lowest = again
        certificate = replace(lowest.minimum.certificate, starts=1 + len(starts))
        return replace(lowest, minimum=replace(lowest.minimum, certificate=certificate))

    def _mask(self, *, held: bool) -> Any:
        free = self.free.copy()
        free[self.poi] = not held
        return free

    def _nearest_held(self, mu: float) -> Point:
        return min(self.points.values(), key=lambda point: abs(point.mu - mu))

    def _within(self, mu: float) -> bool:
        return bool(self.likelihood.lower[self.poi] <= mu <= self.likelihood.upper[self.poi])

    def _best(self, start: Floats, *, search: bool = False) -> Point:
        """Where the upper bound of the parameter of interest holds the fit, the bound is widened."""
        point = self._fit(start, self.free)
        if search:
            point = self._lowest(point, self.free)
        while self.label in point.minimum.certificate.at_bound and point.mu > self.likelihood.lower[self.poi]:
            if point.mu > WIDEST:
                raise FitFailed(f"the best fit of {self.label} lies beyond {WIDEST:g}")
            upper = 10 * abs(point.mu) or 1.0
            self.notes.append(f"the best fit of {self.label} was at its bound {point.mu:g}, widened to {upper:g}")
            self.likelihood = with_bounds(self.likelihood, self.poi, self.likelihood.lower[self.poi], upper)
            point = self._fit(point.minimum.parameters, self.free)
        if not point.converged:
            raise FitFailed(f"best fit of {self.label}: {point.minimum.certificate.reason}")
        return point

    def _held(self, mu: float) -> Point:
        """Begun where the nearest fit's tangent leads; if that fails, by smaller steps from there."""
        share, reason = 1.0, ""
        for _ in range(STEPS):
            begin = self._nearest(mu).mu
            point = self._from_nearest(mu if share == 1.0 else begin + share * (mu - begin))
            if not point.converged:
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
        """Begun where the nearest fit's tangent leads; elsewhere too if that ends higher than its curvature promised.

        What ends higher may be a minimum, but not the lowest one.
        """
        free = self._mask(held=True)
        nearest, best = self._nearest(mu), None
        along = nearest.minimum.parameters + (mu - nearest.mu) * nearest.tangent
        for start in (along, nearest.minimum.parameters, self.begin):
            begin = np.where(free, np.clip(start, self.likelihood.lower, self.likelihood.upper), self.begin)
            begin[self.poi] = mu
            point = self._fit(begin, free)
            if best is None or (point.converged, -point.nll) > (best.converged, -best.nll):
                best = point
            if best.converged and best.nll <= nearest.promised(mu):
                break
        assert best is not None  # noqa: S101 (there are three starts)
        return best

    def _fit(self, begin: Floats, free: Any) -> Point:
        from inference.likelihood import compiled

        likelihood = self.likelihood
        ended = compiled.fit(*likelihood.task(self.seen, begin, free), likelihood.arrays, likelihood.layout)
        minimum = likelihood.judged(ended, self.seen, begin, free)
        reduced = likelihood.places.reduced
        row = int(np.flatnonzero(reduced == self.poi)[0])
        curvature, gradient = np.asarray(ended.curvature), np.asarray(ended.gradient)
        moving = free[reduced] & ~np.asarray(ended.held)
        moving[row] = False
        tangent, bend = _along(curvature, moving, row)
        full = np.zeros(len(likelihood.labels))
        full[reduced] = tangent
        return Point(float(minimum.parameters[self.poi]), minimum, float(gradient[row]), bend, full)


def settled(
    function: Callable[[float], tuple[float, float]], low: float, guess: float, profiles: Sequence[Profile]
) -> float:
    """The crossing of a function of some profiles, after which none of them has a lower minimum there.

    Raises:
        NoCrossing, FitFailed.
    """
    for _ in range(RESTARTS):
        found = crossing(function, low, guess)
        if not any(profile.settle(found) for profile in profiles):
            break
        guess = found
    return found


def _along(curvature: Floats, moving: Any, row: int) -> tuple[Floats, float]:
    """Derivative of the minimum's parameters along parameter ``row``, and the profile's second derivative.

    Without one, the other parameters stay, and the second derivative is NaN.
    """
    alone = np.zeros(len(curvature))
    alone[row] = 1.0
    tangent = alone.copy()
    with np.errstate(over="ignore", invalid="ignore"):
        try:
            tangent[moving] = -np.linalg.solve(curvature[np.ix_(moving, moving)], curvature[moving, row])
        except np.linalg.LinAlgError:
            return alone, np.nan
        bend = float(curvature[row] @ tangent)
    return (tangent, bend) if np.isfinite(tangent).all() and np.isfinite(bend) else (alone, np.nan)


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
