"""Feldman-Cousins intervals of one parameter, nuisances profiled.

At each value μ of the parameter of interest toys are thrown with the nuisances where the data want them at that μ
(profiled construction, or "plug-in": K. Cranmer, PhyStat 2005, arXiv:physics/0511028; the method of NOvA,
arXiv:2207.14353). They are ordered by the likelihood ratio t = 2 (−log L(μ) + log L(μ̂)), μ̂ within its bounds
(G. J. Feldman, R. D. Cousins, Phys. Rev. D 57 (1998) 3873, arXiv:physics/9711021). μ is in the interval if more than
1 − level of them have a t that is at least that of the data.

Each end is bracketed by values that are clearly in and clearly out (these take a quarter of the toys), and the bracket
narrowed until the toys do not tell any more. The end is read from a straight line through the normal deviates of the
p-values in the bracket, which gives its error too. Where the data are so few events that the p-value goes in steps, the
end is the middle of the bracket and its error half of it.
"""

from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy.special import ndtri

from artifacts.store import Store
from inference.errors import FitFailed
from inference.likelihood.certificate import Certificate
from inference.profiles.places import place_of
from inference.profiles.profile import Profile
from inference.toys.curves import line
from inference.toys.ensembles import Ensembles, rise
from inference.toys.errors import InvalidToys
from inference.toys.fractions import TIE, Fraction, beyond

if TYPE_CHECKING:
    from inference.likelihood.model import Likelihood
    from inference.likelihood.specification import Floats
    from inference.results import FitResult

# Width of the bracket, in uncertainties of the parameter, at which an end is a step of the p-value.
RESOLUTION = 0.01
# A p-value so many errors from 1 − level is clearly on one side.
CLEAR = 3.0
# So many points between those that are clear make out an end.
UNCLEAR = 5
TRIALS = 30
RESTARTS = 3


@dataclass(frozen=True, slots=True)
class BeltPoint:
    """Toys at one value of the parameter of interest.

    Attributes:
        mu: the value.
        t: test statistic of the data there.
        critical: t below which the interval's share of the toys lies.
        p_value: toys with at least the data's t.
        inside: the value is in the interval.
    """

    mu: float
    t: float
    critical: float
    p_value: Fraction
    inside: bool


@dataclass(frozen=True, slots=True)
class End:
    """One end of an interval: where the p-value crosses 1 − level, or the parameter's bound, or neither.

    Attributes:
        value: None if failed.
        error: of the finite number of toys; 0 on a bound, None if failed.
        reason: why it failed, else empty.
    """

    status: Literal["crossing", "bound", "failed"]
    value: float | None
    error: float | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class FeldmanCousins:
    """Interval of a parameter by the construction of Feldman and Cousins.

    Attributes:
        poi, level: parameter and confidence level.
        bestfit: of the data, within the parameter's bounds; None if it failed.
        lower, upper: ends.
        points: all values that toys were thrown at, in their order.
        toys: thrown in all.
        certificate: of the best fit.
        failures: what could not be had, and why.
        notes: what was done that was not asked for.
    """

    poi: str
    level: float
    bestfit: float | None
    lower: End
    upper: End
    points: tuple[BeltPoint, ...]
    toys: int
    certificate: Certificate | None
    failures: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def feldman_cousins(
    likelihood: "Likelihood",
    *,
    poi: str | None = None,
    level: float = 0.9,
    toys: int = 2000,
    seed: int = 0,
    points: int = 0,
    fixed: Mapping[str, float] | None = None,
    fit: "FitResult | None" = None,
    search: bool = True,
    store: Store | None = None,
    workers: int | Executor = 1,
    progress: Callable[[int, int], None] | None = None,
) -> FeldmanCousins:
    """Interval of one parameter at a confidence level.

    Args:
        poi: its label; the workspace's if None.
        level: between 0 and 1.
        toys: at each value that is not clearly in or out; at least 100.
        points: number of evenly spaced values to throw toys at besides, for a figure of the belt.
        fit: the nominal fit, if there is one, to start from.
        seed, fixed, search, store, workers, progress: as of `Ensembles`.

    Raises:
        UnknownParameter: no such parameter, or it is held.
        InvalidToys: a level that is none, or too few toys.
    """
    if not 0 < level < 1:
        raise InvalidToys(f"the confidence level {level:g} is not between 0 and 1, such as 0.9")
    if toys < 100:
        raise InvalidToys(f"{toys} toys cannot tell a confidence level: throw 100 at least, better 2000")
    place = place_of(likelihood, poi, fixed)
    label = likelihood.labels[place]
    start = None if fit is None else np.asarray(fit.bestfit)
    try:
        profile = Profile(likelihood, likelihood.observed, place, fixed=fixed, start=start)
    except FitFailed as error:
        none = End("failed", None, None, str(error))
        return FeldmanCousins(label, level, None, none, none, (), 0, None, (str(error),))
    ensembles = Ensembles(profile.likelihood, label, seed, store, workers, progress, fixed=fixed or {}, search=search)
    for _ in range(RESTARTS):
        belt = _Belt(profile, ensembles, level, toys)
        lower, upper = belt.end(-1), belt.end(1)
        belt.fill(points, lower.value, upper.value)
        if profile.best is belt.best:
            break
    failures = [f"{side} end: {end.reason}" for side, end in (("lower", lower), ("upper", upper)) if end.reason]
    return FeldmanCousins(
        label,
        level,
        profile.best.mu,
        lower,
        upper,
        tuple(belt.points[mu] for mu in sorted(belt.points)),
        ensembles.thrown,
        profile.best.minimum.certificate,
        (*failures, *belt.failures, *ensembles.failures),
        (*profile.notes, *belt.gaps(lower.value, upper.value)),
    )


class _Belt:
    """Points of the confidence belt, each thrown once."""

    def __init__(self, profile: Profile, ensembles: Ensembles, level: float, toys: int) -> None:
        self.profile, self.ensembles, self.level, self.toys = profile, ensembles, level, toys
        # a fit on the way may find a lower minimum, and all that counts from this one is to be done again
        self.best = profile.best
        self.points: dict[float, BeltPoint] = {}
        self.failures: list[str] = []
        # whether the test statistic has few values, so that p-values go in steps along the parameter
        self.steps = False
        curvature = self.best.curvature
        self.sigma = curvature**-0.5 if np.isfinite(curvature) and curvature > 0 else max(abs(self.best.mu), 1.0)
        self.low = float(profile.likelihood.lower[profile.poi])
        self.high = float(profile.likelihood.upper[profile.poi])

    def at(self, mu: float) -> BeltPoint:
        """Toys at a value; more of them where its side is not clear.

        Raises:
            FitFailed: the data's own fit there.
            InvalidToys: no toys can be thrown there.
        """
        if mu not in self.points:
            self.profile.at(mu)
            self.profile.settle(mu)  # toys look for other minima too
            held = self.profile.at(mu)
            t = max(2 * (held.nll - self.best.nll), 0.0)
            values = self._thrown(mu, held.minimum.parameters, 0, max(self.toys // 4, 100))
            if not _clear(beyond(values, t), self.level):
                more = self._thrown(mu, held.minimum.parameters, len(values), self.toys - len(values))
                values = np.concatenate([values, more])
            good = values[np.isfinite(values)]
            if not len(good):
                raise FitFailed(f"no toy could be fitted at {self.ensembles.poi} = {mu:.6g}")
            self.steps = self.steps or _tied(good)
            critical = float(np.quantile(good, self.level, method="inverted_cdf"))
            p_value = beyond(good, t)
            self.points[mu] = BeltPoint(mu, t, critical, p_value, p_value.value > 1 - self.level)
        return self.points[mu]

    def _thrown(self, mu: float, parameters: "Floats", first: int, count: int) -> "Floats":
        if count < 1:
            return np.empty(0)
        # A point's stream is named by its place in the order, which the seed decides too.
        found = self.ensembles.fits(parameters, {"held": mu}, stream=len(self.points), count=count, first=first)
        return rise(found["held"], found["free"])

    def end(self, side: Literal[-1, 1]) -> End:
        """Bracket and narrow one end."""
        try:
            bracket = self._bracket(side)
            if bracket is None:
                return End("bound", self.low if side < 0 else self.high, 0.0)
            return self._narrowed(*bracket)
        except (FitFailed, InvalidToys) as error:
            return End("failed", None, None, str(error))

    def _bracket(self, side: int) -> tuple[float, float] | None:
        """A value inside and one outside, or None where the bound is inside."""
        inside, distance = self.best.mu, self._asymptotic()
        for _ in range(TRIALS):
            trial = float(np.clip(self.best.mu + side * distance, self.low, self.high))
            if trial == inside:
                return None
            point, at_bound = self.at(trial), trial in (self.low, self.high)
            clear = _clear(point.p_value, self.level)
            if not point.inside and (clear or at_bound):
                return inside, trial
            if at_bound:
                return None
            inside, distance = trial if clear else inside, 1.25 * distance
        raise FitFailed(f"still inside at {self.ensembles.poi} = {inside:.6g}")

    def _asymptotic(self) -> float:
        """Distance of an end from the best fit for a normal likelihood."""
        from scipy.stats import norm

        return float(self.sigma * norm.isf((1 - self.level) / 2))

    def _narrowed(self, inside: float, outside: float) -> End:
        """Points that are clearly in or out move the bracket; some that are neither, between them, mark the end."""
        for _ in range(TRIALS):
            between = self._between(inside, outside)
            gaps = [(inside, outside)] if not between else [(inside, between[0]), (between[-1], outside)]
            wide = [gap for gap in gaps if abs(gap[1] - gap[0]) > RESOLUTION * self.sigma]
            if not wide or len(between) >= UNCLEAR:
                break
            low, high = max(wide, key=lambda gap: abs(gap[1] - gap[0]))
            trial = 0.5 * (low + high)
            point = self.at(trial)
            if not _clear(point.p_value, self.level):
                continue
            if point.inside:
                inside = trial
            else:
                outside = trial
        return self._read(inside, outside)

    def _between(self, inside: float, outside: float) -> list[float]:
        """Points within the bracket, from its inner side."""
        low, high = sorted((inside, outside))
        return sorted((mu for mu in self.points if low < mu < high), reverse=outside < inside)

    def _read(self, inside: float, outside: float) -> End:
        """Where a line through the points of a bracket crosses; of p-values that go in steps the middle of it."""
        low, high = sorted((inside, outside))
        near = [point for mu, point in self.points.items() if low <= mu <= high]
        if len(near) > 1 and not self.steps:
            tried = np.asarray([point.mu for point in near])
            counts = np.asarray([(point.p_value.count, point.p_value.toys) for point in near])
            place, error = line(tried, counts[:, 0], counts[:, 1]).reaches(float(ndtri(1 - self.level)))
            if low <= place <= high:
                return End("crossing", place, error)
        return End("crossing", 0.5 * (inside + outside), 0.5 * abs(outside - inside))

    def fill(self, count: int, lower: float | None, upper: float | None) -> None:
        """Evenly spaced points from half the interval's width below it to half above."""
        if count < 2 or lower is None or upper is None:
            return
        reach = 0.5 * (upper - lower)
        for mu in np.linspace(max(lower - reach, self.low), min(upper + reach, self.high), count).tolist():
            try:
                self.at(mu)
            except (FitFailed, InvalidToys) as error:
                self.failures.append(str(error))

    def gaps(self, lower: float | None, upper: float | None) -> tuple[str, ...]:
        """Points that are clearly on the other side than the interval says."""
        if lower is None or upper is None:
            return ()
        found = []
        for mu, point in sorted(self.points.items()):
            clear = _clear(point.p_value, self.level)
            within = lower - RESOLUTION * self.sigma <= mu <= upper + RESOLUTION * self.sigma
            if clear and point.inside and not within:
                found.append(f"{self.ensembles.poi} = {mu:.6g} is accepted too, beyond the interval")
            elif clear and not point.inside and lower < mu < upper:
                found.append(f"{self.ensembles.poi} = {mu:.6g} within the interval is not accepted")
        return tuple(found)


def _clear(p_value: Fraction, level: float) -> bool:
    """Whether the toys tell on which side of 1 − level it is."""
    return abs(p_value.value - (1 - level)) > CLEAR * p_value.error


def _tied(values: "Floats") -> bool:
    """Whether most of the values that are not 0 are there more than once."""
    some = values[values > TIE]
    return len(np.unique(np.round(some, 6))) < 0.5 * len(some)
