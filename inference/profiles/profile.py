"""−log L of some data along the parameter of interest, everything else profiled.

Each point is fitted once and kept. A fit begins where the tangent of the nearest point says, so that a few iterations
end it, and it gives the exact slope. Where −log L has several valleys, what a fit ends in may depend on where it came
from: so points are looked at again from beyond the shapes that bend much, and from the valleys of all other points.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial, reduce
from typing import TYPE_CHECKING, Any

import numpy as np

from inference.errors import FitFailed
from inference.likelihood.specification import Floats
from inference.profiles.fits import Fitted, Task, fit_one, minima_of
from inference.profiles.places import starting, with_bounds
from inference.profiles.roots import crossing
from inference.profiles.valleys import across, lower_of

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
# A point's parameters farther than this from where another one's tangent leads, in widths of their constraints, may be
# in another valley than its.
APART = 0.5


@dataclass(frozen=True, slots=True)
class Point:
    """A fit on the profile.

    Attributes:
        mu: parameter of interest.
        minimum: the fit, with its certificate.
        slope, curvature: first and second derivative of the profile there; NaN where they are not known.
        tangent: derivative of all parameters along the parameter of interest, shape (parameters,).
    """

    mu: float
    minimum: "Minimum"
    slope: float
    curvature: float
    tangent: Floats

    @classmethod
    def of(cls, fitted: Fitted, poi: int) -> "Point":
        """A fit along the parameter of interest; where its derivatives are no numbers the other parameters stay."""
        minimum = fitted.minimum
        mu, alone = float(minimum.parameters[poi]), np.eye(1, len(minimum.parameters), poi)[0]
        if fitted.slope is None or fitted.curvature is None or fitted.tangent is None:
            return cls(mu, minimum, np.nan, np.nan, alone)
        slope, curvature, tangent = float(fitted.slope[0]), float(fitted.curvature[0, 0]), fitted.tangent[:, 0]
        known = np.isfinite(tangent).all() and np.isfinite(curvature)
        return cls(mu, minimum, slope, curvature if known else np.nan, tangent if known else alone)

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

    def along(self, mu: float) -> Floats:
        """All parameters at another value by the tangent, shape (parameters,)."""
        return np.asarray(self.minimum.parameters + (mu - self.mu) * self.tangent)


class Profile:
    """Fits of one observation along one parameter.

    Attributes:
        best: fit with the parameter of interest free within its bounds.
        points: all other fits, by the value they were made at.
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
        self.begin, self.free = starting(likelihood, fixed)
        begin = self.begin if start is None else np.where(self.free, start, self.begin)
        self.points: dict[float, Point] = {}
        self._settled: set[float] = set()
        self._several = False  # minima were met
        self._notes: list[str] = []
        self.best = self._best(begin, search=start is None)

    @property
    def label(self) -> str:
        """Of the parameter of interest."""
        return self.likelihood.labels[self.poi]

    @property
    def notes(self) -> tuple[str, ...]:
        """What was done that was not asked for."""
        several = f"−log L has several minima along {self.label}: the lowest that were found count"
        return (*self._notes, several) if self._several else tuple(self._notes)

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
        lowest = self._searched(point, self._mask(held=True))
        lower = lowest.nll < point.nll - LOWER
        if lower:
            self._several = True
            self.points = {at: each for at, each in self.points.items() if at in self._settled}
        self._take(lowest)
        return lower

    def agree(self) -> bool:
        """Begin each fit again in its neighbours' valleys until none is lower; whether there was a lower one."""
        lowered = False
        for _ in range(RESTARTS):
            known = sorted((self.best, *self.points.values()), key=lambda point: point.mu)
            tasks = [(at, task) for at in range(len(known)) for task in self._in_other_valleys(known, at)]
            lowest = {at: known[at].minimum for at, _ in tasks}
            ended = minima_of(self.likelihood, self.seen, [task for _, task in tasks])
            for (at, _), found in zip(tasks, ended, strict=True):
                lowest[at] = lower_of(lowest[at], found, LOWER)
            lower = [(known[at], found) for at, found in lowest.items() if found is not known[at].minimum]
            for point, found in lower:
                self._replace(point, found)
            if not lower:
                break
            lowered = True
        self._several |= lowered
        return lowered

    def _replace(self, point: Point, found: "Minimum") -> None:
        """Put a lower minimum in the place of a point, or of the best fit."""
        if point.mu in self.points and self.points[point.mu] is point:
            self._take(self._fit(found.parameters, self._mask(held=True)))
        elif found.nll < self.best.nll - LOWER:
            self._take_best(found.parameters)

    def _in_other_valleys(self, known: Sequence[Point], at: int) -> list[Task]:
        """Fits to make again of one of all points, where a neighbour's valley seems to be another one than its own."""
        point, tasks = known[at], list[Task]()
        free = self._mask(held=point is not self.best)
        for other in (*known[max(at - 1, 0) : at], *known[at + 1 : at + 2]):
            along = self._begin(other.along(point.mu), point.mu, free)
            if self._apart(along, point.minimum.parameters):
                starts = (along, self._begin(other.minimum.parameters, point.mu, free))
                tasks += [Task(start, free, (self.poi,)) for start in starts]
        return tasks

    def _apart(self, one: Floats, other: Floats) -> bool:
        """Whether parameters differ by so much that these may be places in different valleys."""
        return bool(np.max(np.abs(one - other) / self._scale, initial=0.0) > APART)

    @cached_property
    def _scale(self) -> Floats:
        """What valleys differ by: constrained parameters and those that enter squared, no gammas of single bins."""
        from inference.likelihood.search import squared

        likelihood, shared = self.likelihood, np.zeros(len(self.free), dtype=bool)
        shared[likelihood.places.reduced] = True
        scale = np.where(shared & ~np.isnan(likelihood.widths), likelihood.widths, np.inf)
        places = squared(likelihood)
        scale[places] = 0.1 * (likelihood.upper - likelihood.lower)[places]
        return np.asarray(scale)

    def _take(self, point: Point) -> None:
        """Keep a held point; one below the best fit shows that the best fit was not the lowest minimum."""
        self.points[point.mu] = point
        if point.nll < self.best.nll - LOWER and self._within(point.mu):
            self._take_best(point.minimum.parameters)

    def _take_best(self, start: Floats) -> None:
        self.best = self._best(start)
        self._notes.append(f"a lower minimum was found on the way: {self.label} = {self.best.mu:.6g}")

    def _searched(self, point: Point, free: Any) -> Point:
        """The lowest minimum around, whose certificate tells from how many starts it was looked for."""
        found = self.likelihood.search(self.seen, point.minimum.parameters, free)
        others = across(self.likelihood, self.seen, found, free)
        lowest = reduce(partial(lower_of, rounding=LOWER), (found, *others), point.minimum)
        if lowest is not point.minimum:
            point = self._fit(lowest.parameters, free)
        certificate = replace(point.minimum.certificate, starts=found.certificate.starts + len(others))
        return replace(point, minimum=replace(point.minimum, certificate=certificate))

    def _begin(self, start: Floats, mu: float, free: Any) -> Floats:
        """Within bounds, with what is held at its value."""
        begin = np.where(free, np.clip(start, self.likelihood.lower, self.likelihood.upper), self.begin)
        if not free[self.poi]:
            begin[self.poi] = mu
        return np.asarray(begin)

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
            point = self._searched(point, self.free)
        while self.label in point.minimum.certificate.at_bound and point.mu > self.likelihood.lower[self.poi]:
            if point.mu > WIDEST:
                raise FitFailed(f"the best fit of {self.label} lies beyond {WIDEST:g}")
            upper = 10 * abs(point.mu) or 1.0
            self._notes.append(f"the best fit of {self.label} was at its bound {point.mu:g}, widened to {upper:g}")
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
        free, nearest = self._mask(held=True), self._nearest(mu)
        best: Point | None = None
        for start in (nearest.along(mu), nearest.minimum.parameters, self.begin):
            point = self._fit(self._begin(start, mu, free), free)
            if best is None or (point.converged, -point.nll) > (best.converged, -best.nll):
                best = point
            if best.converged and best.nll <= nearest.promised(mu):
                break
        assert best is not None  # noqa: S101 (there are three starts)
        return best

    def _fit(self, begin: Floats, free: Any) -> Point:
        return Point.of(fit_one(self.likelihood, self.seen, Task(begin, free, (self.poi,))), self.poi)


def settled(
    function: Callable[[float], tuple[float, float]],
    low: float,
    guess: float,
    profiles: Sequence[Profile],
    at: Callable[[float], float] = float,
) -> float:
    """The crossing of a function of some profiles, after which none of them has a lower minimum there.

    Args:
        function, low, guess: as of `crossing`.
        at: the parameter of interest for an argument of the function.

    Raises:
        NoCrossing, FitFailed.
    """
    for _ in range(RESTARTS):
        found = crossing(function, low, guess)
        if not any(profile.settle(at(found)) for profile in profiles):
            break
        guess = found
    return found
