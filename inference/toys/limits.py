"""Upper limits by toys, observed and expected, with their errors.

Toys are thrown where the asymptotic formulae see the limits, and farther out until every limit lies between two
values. A limit is where a curve through the CLsb of the values around it reaches α CLb; its error is that of the curve,
and of bootstraps of the background's toys.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from artifacts.store import Store
from inference.errors import FitFailed
from inference.hypotheses.asymptotic import Asymptotic
from inference.hypotheses.limits import upper_limit
from inference.hypotheses.results import UpperLimit
from inference.hypotheses.statistic import BAND, Method, Statistic
from inference.likelihood.specification import Floats
from inference.profiles.places import place_of
from inference.toys.curves import crossing
from inference.toys.ensembles import Ensembles
from inference.toys.exclusion import Estimate, Exclusion, Thrown, ToyTest, bootstraps, check_toys
from inference.toys.generate import Method as Ensemble

if TYPE_CHECKING:
    from inference.likelihood.model import Likelihood
    from inference.results import FitResult

# Toys beyond at a limit, below which that is noted.
FEW = 5.0
# The next value to try where a limit is not yet between two, as a factor of the last one.
FARTHER = 1.3
ROUNDS = 8


@dataclass(frozen=True, slots=True)
class ToyLimit:
    """Upper limit on a parameter of interest by toys.

    Attributes:
        poi: parameter of interest.
        level: confidence level, such as 0.95.
        method: "CLs" or "CLsb".
        statistic: "qtilde" or "q" (arXiv:1007.1727).
        observed: the limit; None where there is none, and ``failures`` say why.
        expected: limits for data at −2, −1, 0, 1, 2 σ of the background, None likewise.
        asymptotic, asymptotic_expected: the same by the asymptotic formulae.
        bestfit: of the data, at 0 or above for "qtilde".
        tests: at all values that toys were thrown for.
        toys: thrown in all.
        failures: what could not be had, and why.
        notes: what was done that was not asked for.
    """

    poi: str
    level: float
    method: Method
    statistic: Statistic
    observed: Estimate | None
    expected: tuple[Estimate | None, ...]
    asymptotic: float | None
    asymptotic_expected: tuple[float | None, ...]
    bestfit: float | None
    tests: tuple[ToyTest, ...]
    toys: int
    failures: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def upper_limit_by_toys(
    likelihood: "Likelihood",
    *,
    poi: str | None = None,
    level: float = 0.95,
    method: Method = "CLs",
    statistic: Statistic = "qtilde",
    ensemble: Ensemble = "frequentist",
    toys: int = 1000,
    seed: int = 0,
    fixed: Mapping[str, float] | None = None,
    fit: "FitResult | None" = None,
    search: bool = True,
    store: Store | None = None,
    workers: int | Executor = 1,
    progress: Callable[[int, int], None] | None = None,
) -> ToyLimit:
    """Upper limit at a confidence level by toys, observed and for data at −2 … +2 σ of the background.

    Args:
        poi: label of the parameter of interest; the workspace's if None.
        level: between 0 and 1.
        method: "CLs", or "CLsb" for a limit without protection against downward fluctuations.
        statistic: "qtilde" (best fit at 0 or above) or "q".
        toys: of signal plus background at each value that is tried (some ten), and of the background once.
        fit: the nominal fit, if there is one, to start from.
        ensemble, seed, fixed, search, store, workers, progress: as of `Ensembles`.

    Raises:
        UnknownParameter: no such parameter, or it is held.
        InvalidWorkspace: no observations, or a level outside 0 to 1.
        InvalidToys: too few toys.
    """
    check_toys(toys)
    guide = upper_limit(likelihood, poi=poi, level=level, method=method, statistic=statistic, fixed=fixed, fit=fit)
    label = likelihood.labels[place_of(likelihood, poi, fixed)]
    try:
        shared = Asymptotic(likelihood, poi=label, statistic=statistic, fixed=fixed, fit=fit)
    except FitFailed as error:
        return _none(guide, str(error))
    model = shared.data.likelihood
    ensembles = Ensembles(model, label, seed, store, workers, progress, fixed or {}, search, ensemble)
    there = [limit is not None for limit in (guide.observed, *guide.expected)]
    limits = _Limits(Exclusion(shared, ensembles, toys), 1 - level, method)
    limits.throw(_first(guide, shared), there if any(there) else [True] * len(there))
    found = limits.found()
    return ToyLimit(
        label,
        level,
        method,
        statistic,
        found[0],
        tuple(found[1:]),
        guide.observed,
        guide.expected,
        shared.data.best.mu,
        tuple(limits.exclusion.test(mu) for mu in sorted(limits.exclusion.thrown)),
        ensembles.thrown,
        (*limits.failures, *limits.exclusion.failures, *ensembles.failures),
        (*shared.notes, *ensembles.notes, *limits.notes),
    )


def _none(guide: UpperLimit, reason: str) -> ToyLimit:
    asked = guide.poi, guide.level, guide.method, guide.statistic
    return ToyLimit(*asked, None, (None,) * 5, None, (None,) * 5, None, (), 0, (reason,))


def _first(guide: UpperLimit, shared: Asymptotic) -> list[float]:
    """Values to begin with: the asymptotic limits and some around them; no two nearer than a twentieth."""
    expected = [limit for limit in guide.expected if limit is not None]
    found = [0.8 * expected[0], *expected, 1.2 * expected[-1]] if expected else []
    if guide.observed is not None:
        best = max(shared.data.best.mu, 0.0)
        found += [best + (guide.observed - best) * share for share in (0.8, 1.0, 1.2)]
    width = shared.width() or 1.0
    ordered = sorted(found) or [max(shared.data.best.mu, 0.0) + width * step for step in (1.0, 2.0, 3.0)]
    apart = ordered[:1]
    for value in ordered[1:]:
        if value > 1.05 * apart[-1]:
            apart.append(value)
    return apart


class _Limits:
    """Curves of log p along the parameter: of the data, then of each point of the band."""

    def __init__(self, exclusion: Exclusion, alpha: float, method: Method) -> None:
        self.exclusion, self.alpha = exclusion, alpha
        self.method = method
        self.failures: list[str] = []
        self.notes: list[str] = []

    def throw(self, values: Sequence[float], there: Sequence[bool]) -> None:
        """Toys at these values, and farther until each curve that is ``there`` has one on both sides of α."""
        self.exclusion.throw(values)
        for _ in range(ROUNDS):
            thrown = self.exclusion.thrown
            if not thrown:
                return
            excluded = np.asarray([self._p(mu) < self.alpha for mu in sorted(thrown)])[:, np.asarray(there)]
            farther = []
            if not excluded.any(axis=0).all():
                farther.append(max(thrown) * FARTHER)
            if excluded.all(axis=0).any():
                farther.append(min(thrown) / FARTHER)
            if not farther:
                return
            self.exclusion.throw(farther)

    def _p(self, mu: float) -> Floats:
        thrown = self.exclusion.thrown[mu]
        beyond, toys = thrown.beyond(), thrown.usable
        return np.asarray(beyond[0] / toys[0] / self._background(beyond[1], toys[1]))

    def _background(self, beyond: Floats, toys: int) -> Floats:
        """What CLsb is divided by; without a toy of the background beyond, the value is taken for excluded by half."""
        return np.ones(len(beyond)) if self.method == "CLsb" else np.maximum(beyond, 0.5) / toys

    def found(self) -> list[Estimate | None]:
        """Of the data and of each point of the band; errors of signal toys by the fit, of background by bootstraps."""
        thrown = self.exclusion.thrown
        values = sorted(thrown)
        if len(values) < 2:
            self.failures.append("no limit: toys could be thrown at fewer than two values")
            return [None] * (1 + len(BAND))
        found = self._crossings(thrown)
        replicas = [self._crossings(replica) for replica in bootstraps(thrown, self.exclusion.ensembles.seed, values)]
        limits: list[Estimate | None] = []
        for curve, what in enumerate(("observed limit", *(f"expected limit at {point:+d} σ" for point in BAND))):
            place = found[curve]
            if place is None:
                self.failures.append(f"{what}: p = {self.alpha:g} is not between the values that were tried")
                limits.append(None)
                continue
            self._rests_on(what, place[0], curve)
            others = [other[0] for replica in replicas if (other := replica[curve]) is not None]
            limits.append(Estimate(place[0], float(np.hypot(place[1], np.std(others) if others else 0.0))))
        return limits

    def _rests_on(self, what: str, place: float, curve: int) -> None:
        """Note a limit that few toys decide."""
        nearest = min(self.exclusion.thrown.values(), key=lambda thrown: abs(thrown.mu - place))
        (signal, background), beyond = nearest.usable, nearest.beyond()
        expected = self.alpha * float(self._background(beyond[1], background)[curve]) * signal
        if expected < FEW:
            toys = math.ceil(10 / expected * signal / 1000) * 1000
            self.notes.append(f"{what}: only {expected:.1f} toys decide it; throw {toys} for ten")

    def _crossings(self, thrown: Mapping[float, Thrown]) -> list[tuple[float, float] | None]:
        values = np.asarray(sorted(thrown))
        beyond = np.asarray([thrown[mu].beyond() for mu in values])  # (values, 2, curves)
        toys = np.asarray([thrown[mu].usable for mu in values])  # (values, 2)
        background = np.asarray(
            [self._background(each[1], count) for each, count in zip(beyond, toys[:, 1], strict=True)]
        )
        return [
            crossing(values, beyond[:, 0, curve], toys[:, 0], self.alpha * background[:, curve])
            for curve in range(beyond.shape[2])
        ]
