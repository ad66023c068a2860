"""Where a profiled likelihood has risen by a given amount along rays from its minimum.

On a ray v(r) = v̂ + r·d the signed root s(r) = sqrt(2 Δ log L) is nearly straight, so its crossing with z is found by
Halley's method with the exact first and second derivative of the profile, within a bracket: never beyond a bound, never
beyond a point where the fit has no certificate or no density, and with bisection where the step leaves the bracket.
Each crossing is then fitted again from the workspace's own starting values, from the nominal minimum, and from beyond
the shapes that bend most; if another valley is lower there, the search goes on in it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

from inference.likelihood.specification import Floats
from inference.profiles.fits import Fitted, Task, fit_many, minima_of
from inference.profiles.nominal import LowerMinimum, Nominal
from inference.profiles.valleys import LOWER, other_sides

if TYPE_CHECKING:
    from inference.likelihood.model import Likelihood, Minimum

# |sqrt(2 Δ log L) − z| at which a crossing is found, and that which is good enough where rounding allows no better.
EXACT = 1e-9
GOOD = 1e-8
FITS = 60
STARTS = 4
# Relative width of the bracket at which it is closed: by rounding, or before a point that no fit gets beyond.
ROUNDING = 1e-14
WALL = 1e-5
# In uncertainties, beyond which no crossing is looked for.
FAR = 1e4
VALLEYS = 3


@dataclass(frozen=True, slots=True)
class Ray:
    """Parameters to hold, by place, and their step per unit of r; one unit is about one standard deviation."""

    held: tuple[int, ...]
    direction: Floats


@dataclass(frozen=True, slots=True)
class Crossing:
    """Where a search ended: at the crossing, on a bound before it, or nowhere (``reason`` says why).

    ``values`` are those of the held parameters, ``rise`` is 2 Δ log L there; None and 0 where nothing was found.
    """

    status: Literal["crossing", "bound", "failed"]
    values: Floats | None
    rise: float
    reason: str
    fits: int


def crossings(
    likelihood: "Likelihood", nominal: Nominal, rays: Sequence[Ray], height: float
) -> list[Crossing] | LowerMinimum:
    """Follow all rays until sqrt(2 Δ log L) is ``height``; the first lower minimum that is met ends it."""
    searches = [_Search(likelihood, nominal, ray, height) for ray in rays]
    lower = _run(likelihood, nominal, searches)
    for _ in range(VALLEYS):
        if lower is not None or not _other_valleys(likelihood, nominal, searches):
            break
        lower = _run(likelihood, nominal, searches)
    return lower or [search.crossing() for search in searches]


def _run(likelihood: "Likelihood", nominal: Nominal, searches: "Sequence[_Search]") -> LowerMinimum | None:
    """Fit the trials of all searches until each has ended."""
    while True:
        for search in searches:
            if search.lower is not None:
                return LowerMinimum(search.lower, tuple(likelihood.labels[place] for place in search.ray.held))
        running = [search for search in searches if search.ended is None]
        if not running:
            return None
        tasks = [Task.holding(search.ray.held, search.start(), nominal.free) for search in running]
        for search, found in zip(running, fit_many(likelihood, likelihood.observed, tasks), strict=True):
            search.take(found)


def _other_valleys(likelihood: "Likelihood", nominal: Nominal, searches: "Sequence[_Search]") -> bool:
    """Fit at each crossing from other starts; resume where that is lower."""
    tasks: list[tuple[_Search, Task]] = []
    for search in searches:
        if search.ended == "crossing":
            starts = _other_starts(likelihood, nominal, search)
            tasks += [(search, Task.holding(search.ray.held, start, nominal.free)) for start in starts]
    found = minima_of(likelihood, likelihood.observed, [task for _, task in tasks])
    lowest: dict[int, Minimum] = {}
    for (search, _), each in zip(tasks, found, strict=True):
        best = lowest.get(id(search), search.last.minimum if search.last is not None else each)
        if each.certificate.converged and each.nll < best.nll - LOWER:
            lowest[id(search)] = each
    resumed = [search for search in searches if id(search) in lowest]
    again = [Task.holding(search.ray.held, lowest[id(search)].parameters, nominal.free) for search in resumed]
    for search, fitted in zip(resumed, fit_many(likelihood, likelihood.observed, again), strict=True):
        search.resume(fitted)
    return bool(resumed)


def _other_starts(likelihood: "Likelihood", nominal: Nominal, search: "_Search") -> list[Floats]:
    assert search.last is not None  # noqa: S101 (it ended at a crossing)
    held = list(search.ray.held)
    others = nominal.free & ~np.isin(np.arange(len(nominal.free)), held)
    starts = [np.where(nominal.free, likelihood.init, nominal.parameters), nominal.parameters.copy()]
    for start in starts:
        start[held] = search.values(search.trial)
    return [*starts, *other_sides(likelihood, search.last.minimum, others)]


@dataclass(slots=True)
class _Search:
    """One ray: the bracket (inside, outside) of r around the crossing, and the next trial."""

    likelihood: "Likelihood"
    nominal: Nominal
    ray: Ray
    height: float
    reach: float = field(init=False)
    inside: float = 0.0
    outside: float = math.inf
    trial: float = field(init=False)
    attempt: int = 0
    wall: bool = False  # outside is where no start led to a certified fit
    doubted: bool = False  # outside was fitted again
    base: Fitted | None = None  # at inside, if that is not the nominal minimum
    last_at: float = 0.0
    last: Fitted | None = None
    rise: float = 0.0
    fits: int = 0
    ended: Literal["crossing", "bound", "failed"] | None = None
    reason: str = ""
    lower: "Minimum | None" = None

    def __post_init__(self) -> None:
        held, direction = list(self.ray.held), self.ray.direction
        limits = np.where(direction > 0, self.likelihood.upper[held], self.likelihood.lower[held])
        room = (limits - self.nominal.parameters[held])[direction != 0] / direction[direction != 0]
        self.reach = max(float(room.min()), 0.0)
        self.trial = min(self.height, self.reach)
        if self.reach == 0.0:
            self.ended = "bound"

    def values(self, distance: float) -> Floats:
        """Of the held parameters, on the bound itself where the ray ends there."""
        held = list(self.ray.held)
        values = self.nominal.parameters[held] + distance * self.ray.direction
        return np.clip(values, self.likelihood.lower[held], self.likelihood.upper[held])

    def start(self) -> Floats:
        """Where the fit at the trial begins.

        First where the tangent at the inner end of the bracket points to, or the nominal fit's covariance; then at that
        end's minimum itself, at the nominal one, and at the workspace's initial values.
        """
        held = list(self.ray.held)
        cold = np.where(self.nominal.free, self.likelihood.init, self.nominal.parameters)
        inner = self.nominal.parameters if self.base is None else self.base.minimum.parameters
        begin = (self._predicted(), inner, self.nominal.parameters, cold)[self.attempt].copy()
        begin[held] = self.values(self.trial)
        return np.asarray(begin)

    def _predicted(self) -> Floats:
        held, nominal, likelihood = list(self.ray.held), self.nominal, self.likelihood
        if self.base is not None and self.base.tangent is not None:
            begin = self.base.minimum.parameters + (self.trial - self.inside) * self.base.tangent @ self.ray.direction
        else:
            follow = np.linalg.pinv(nominal.covariance[np.ix_(held, held)]) @ self.ray.direction
            begin = nominal.parameters + self.trial * nominal.covariance[:, held] @ follow
        return np.where(nominal.free, np.clip(begin, likelihood.lower, likelihood.upper), nominal.parameters)

    def take(self, found: Fitted) -> None:
        """Learn from the fit at the trial, and choose the next one or end."""
        self.fits += 1
        if found.converged:
            self.attempt = 0
            self._learn(found)
        elif self.attempt < STARTS - 1:
            self.attempt += 1
        else:
            self.attempt, self.reason = 0, found.minimum.certificate.reason
            self.outside, self.wall = self.trial, True
            self._go(math.nan)

    def _learn(self, found: Fitted) -> None:
        fall = self.nominal.nll - found.minimum.nll
        if fall > LOWER:
            self.lower = found.minimum
            return
        self.last, self.last_at, self.rise = found, self.trial, max(-2 * fall, 0.0)
        missing = math.sqrt(self.rise) - self.height
        if abs(missing) < EXACT:
            self.ended = "crossing"
        elif missing < 0 and self.trial >= self.reach:
            self.ended = "bound"
        elif missing < 0:
            self.inside, self.base = self.trial, found
            if self.trial >= self.outside:  # a fit from farther inside was in a higher valley there
                self.outside, self.wall = math.inf, False
            self.doubted = self.doubted and self.wall
            self._go(self._newton(found, missing))
        else:
            self.outside, self.wall = self.trial, False
            self._go(self._newton(found, missing))

    def _newton(self, found: Fitted, missing: float) -> float:
        """Halley's step on sqrt(2 Δ log L) − z; not a number where the root does not rise."""
        assert found.slope is not None and found.curvature is not None  # noqa: PT018, S101 (it converged)
        root, along = math.sqrt(self.rise), self.ray.direction
        if root == 0.0:
            return math.nan
        first = float(found.slope @ along) / root
        second = (float(along @ found.curvature @ along) - first**2) / root
        bend = 2 * first**2 - missing * second
        if first <= 0:
            return math.nan
        return self.trial - (2 * missing * first / bend if bend > first**2 else missing / first)

    def _go(self, wanted: float) -> None:
        """The next trial: as wanted if that is inside the bracket and not far, else halfway or twice as far.

        Where the outer end is nearer than wanted, it is doubted first: fitted again, from the inner end.
        """
        if math.isinf(self.outside):
            here = max(self.trial, self.height)
            wanted = min(wanted, 3 * here, self.reach) if wanted > self.inside else min(2 * here, self.reach)
        elif wanted >= self.outside and not self.doubted:
            wanted, self.doubted = self.outside, True
        elif not self.inside < wanted < self.outside:
            wanted = 0.5 * (self.inside + self.outside)
        narrow = WALL if self.wall else ROUNDING
        closed = math.isfinite(self.outside) and self.outside - self.inside <= narrow * self.outside
        if self.fits >= FITS or closed or self.inside > FAR * self.height:
            self._give_up()
        else:
            self.trial = wanted

    def _give_up(self) -> None:
        if self.last is not None and abs(math.sqrt(self.rise) - self.height) < GOOD:
            self.trial, self.ended = self.last_at, "crossing"
            return
        self.ended = "failed"
        if self.inside > FAR * self.height:
            self.reason = f"2 Δ log L rises to {self.rise:.3g} only, {self.inside:.0f} uncertainties away"
        elif not self.reason:
            self.reason = f"not found in {self.fits} fits"

    def resume(self, found: Fitted) -> None:
        """Go on in a lower valley that was found at the crossing."""
        self.ended, self.outside, self.wall = None, math.inf, False
        self._learn(found)

    def crossing(self) -> Crossing:
        """What came of it."""
        assert self.ended is not None  # noqa: S101 (called when all have ended)
        values = None if self.ended == "failed" else self.values(self.reach if self.ended == "bound" else self.trial)
        return Crossing(self.ended, values, self.rise, self.reason if self.ended == "failed" else "", self.fits)
