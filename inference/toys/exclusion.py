"""Tests of values of a parameter of interest by toys: CLs, CLsb and CLb with their errors.

As pyhf's toy calculator and RooStats' HybridNew ("LHC-style"): toys of signal plus background are thrown at μ, toys of
the background at 0, both with the nuisances where the data want them there; auxiliary measurements are thrown too.
CLsb and CLb are the parts of them whose test statistic is at least that of the data (A. L. Read, J. Phys. G 28 (2002)
2693; ATLAS and CMS, ATL-PHYS-PUB-2011-011). The expected band are the values for background toys at the quantiles
Φ(−2) … Φ(2) of the test statistic.

Hybrid toys ("prior", as LEP and Tevatron had them) draw the constrained nuisances from their constraints instead, and
leave the auxiliary measurements.

Errors are those of fractions of toys; what the background's toys leave open in the quantiles comes from bootstraps,
that is from toys drawn again from those that were thrown.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from artifacts.store import Store
from inference.errors import FitFailed
from inference.hypotheses.asymptotic import Asymptotic
from inference.hypotheses.statistic import BAND, Statistic, upper
from inference.likelihood.specification import Floats
from inference.profiles.places import with_bounds
from inference.toys.ensembles import Ensembles
from inference.toys.errors import InvalidToys
from inference.toys.fractions import TIE, Fraction, Histogram, histogram
from inference.toys.generate import Method as Ensemble

if TYPE_CHECKING:
    from inference.likelihood.model import Likelihood
    from inference.results import FitResult
    from inference.toys.fits import ToyFits

Counts = NDArray[np.int64]
BOOTSTRAPS = 100
# Streams of random numbers: those of the background, of bootstraps, and of the values that are tested, from this on.
BACKGROUND, BOOTSTRAP, SIGNAL = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number and its error from the finite number of toys."""

    value: float
    error: float


@dataclass(frozen=True, slots=True)
class ToyTest:
    """Test of one value of a parameter of interest against 0, by toys.

    Attributes:
        poi, mu: the parameter and the value that is tested.
        statistic: "qtilde" or "q" (arXiv:1007.1727).
        q: test statistic of the data.
        clsb, clb: p-values.
        cls: their ratio; None where no toy of the background lies beyond the data.
        expected: CLs for data at −2, −1, 0, 1, 2 σ of the background.
        signal, background: test statistic of the toys.
    """

    poi: str
    mu: float
    statistic: Statistic
    q: float
    clsb: Fraction
    clb: Fraction
    cls: Estimate | None
    expected: tuple[Estimate | None, ...]
    signal: Histogram
    background: Histogram


@dataclass(frozen=True, slots=True)
class ToyTests:
    """Tests of several values.

    Attributes:
        poi: parameter of interest.
        bestfit: of the data, at 0 or above for "qtilde".
        tests: by growing value.
        toys: thrown in all.
        failures: what could not be had, and why.
        notes: what was done that was not asked for.
    """

    poi: str
    bestfit: float
    tests: tuple[ToyTest, ...]
    toys: int
    failures: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Thrown:
    """Test statistics at one value in the order of the toys, NaN where a fit failed."""

    mu: float
    q: float
    signal: Floats
    background: Floats

    @property
    def usable(self) -> tuple[int, int]:
        """Toys of signal plus background, and of background, whose fits did not fail."""
        return int(np.isfinite(self.signal).sum()), int(np.isfinite(self.background).sum())

    def beyond(self) -> Counts:
        """Those beyond the data, then beyond each point of ``BAND``; shape (2, 6), signal plus background first."""
        from scipy.stats import norm

        signal, background = (np.sort(each[np.isfinite(each)]) for each in (self.signal, self.background))
        # few events, so a large test statistic, come first
        quantiles = np.quantile(background, norm.cdf([-point for point in BAND]), method="inverted_cdf")
        q = np.append(self.q, quantiles)
        least = q - TIE * (1 + np.abs(q))
        return np.asarray([len(values) - np.searchsorted(values, least) for values in (signal, background)])


class Exclusion:
    """Toys of one parameter of interest against the hypothesis that it is 0; those of the background thrown once."""

    def __init__(self, shared: Asymptotic, ensembles: Ensembles, toys: int) -> None:
        self.shared, self.ensembles, self.toys = shared, ensembles, toys
        self.thrown: dict[float, Thrown] = {}
        self.failures: list[str] = []

    def throw(self, values: Iterable[float]) -> None:
        """Toys for values that have none yet; one that cannot be had is written down."""
        wanted, new = [], sorted(set(values) - set(self.thrown))
        self.shared.settle(new)  # toys look for other minima too
        for mu in new:
            try:
                self.shared.q(mu)
                wanted.append(mu)
            except FitFailed as error:
                self.failures.append(str(error))
        if not wanted:
            return
        self._make_room(max(wanted))
        held = {f"held {number}": mu for number, mu in enumerate(wanted)}
        zero = self.shared.data.at(0.0).minimum.parameters
        background = self.ensembles.fits(zero, held, stream=BACKGROUND, count=self.toys)
        for name, mu in held.items():
            at = self.shared.data.at(mu).minimum.parameters
            stream = SIGNAL + len(self.thrown)
            signal = self.ensembles.fits(at, {"held": mu}, stream=stream, count=self.toys)
            thrown = Thrown(
                mu,
                self.shared.q(mu)[0],
                self._statistic(mu, signal["held"], signal["free"]),
                self._statistic(mu, background[name], background["free"]),
            )
            if all(thrown.usable):
                self.thrown[mu] = thrown
            else:
                self.failures.append(f"{self.shared.poi} = {mu:.6g}: no toy could be fitted")
        # a fit on the way may have found a lower minimum of the data
        self.thrown = {mu: replace(thrown, q=self.shared.q(mu)[0]) for mu, thrown in self.thrown.items()}

    def _make_room(self, highest: float) -> None:
        """Upper bound of the parameter of interest well above what is tested, so that fits of toys find their best."""
        place, likelihood = self.shared.data.poi, self.ensembles.likelihood
        if 2 * highest > likelihood.upper[place]:
            self.ensembles.likelihood = with_bounds(likelihood, place, likelihood.lower[place], 4 * highest)

    def _statistic(self, mu: float, held: "ToyFits", free: "ToyFits") -> Floats:
        values = upper(mu, held.nll, free.of(self.shared.poi), free.nll)
        return np.where(held.converged & free.converged, values, np.nan)

    def test(self, mu: float) -> ToyTest:
        """All numbers of one value that toys were thrown for."""
        thrown = self.thrown[mu]
        fractions = [
            tuple(Fraction.of(int(count), toys) for count, toys in zip(pair, thrown.usable, strict=True))
            for pair in thrown.beyond().T
        ]
        (clsb, clb), *band = fractions
        replicas = [replica[mu].beyond()[:, 1:] for replica in bootstraps(self.thrown, self.ensembles.seed, [mu])]
        spreads = np.std([signal / background for signal, background in replicas], axis=0) / thrown.usable[0]
        expected = [
            _wider(ratio(*pair), float(spread) * thrown.usable[1]) for pair, spread in zip(band, spreads, strict=True)
        ]
        highest = float(np.nanmax([np.nanmax(thrown.signal), np.nanmax(thrown.background), thrown.q]))
        return ToyTest(
            self.shared.poi,
            mu,
            self.shared.statistic,
            thrown.q,
            clsb,
            clb,
            ratio(clsb, clb),
            tuple(expected),
            histogram(thrown.signal, highest=highest),
            histogram(thrown.background, highest=highest),
        )


def _wider(estimate: Estimate | None, error: float) -> Estimate | None:
    """With another error that does not depend on its own."""
    return estimate and Estimate(estimate.value, float(np.hypot(estimate.error, error)))


def ratio(clsb: Fraction, clb: Fraction) -> Estimate | None:
    """CLs, with the errors of both propagated; None without a toy of the background."""
    if clb.count == 0:
        return None
    value = clsb.value / clb.value
    return Estimate(value, float(np.hypot(clsb.error, value * clb.error) / clb.value))


def hypothesis_tests_by_toys(
    likelihood: "Likelihood",
    *,
    mu: Sequence[float] = (1.0,),
    poi: str | None = None,
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
) -> ToyTests:
    """CLs, CLsb and CLb of given values by toys, observed and expected.

    Args:
        mu: values of the parameter of interest, above 0.
        poi: its label; the workspace's if None.
        statistic: "qtilde" (best fit at 0 or above) or "q".
        toys: of signal plus background at each value, and as many of the background.
        fit: the nominal fit, if there is one, to start from.
        ensemble, seed, fixed, search, store, workers, progress: as of `Ensembles`.

    Raises:
        UnknownParameter: no such parameter, or it is held.
        FitFailed: the fits that all values need did not end in certified minima.
        InvalidToys: there is nothing to throw.
    """
    check_toys(toys)
    for value in mu:
        if not (value > 0 and np.isfinite(value)):
            raise InvalidToys(f"{value:g} cannot be tested against 0: give values above 0")
    shared = Asymptotic(likelihood, poi=poi, statistic=statistic, fixed=fixed, fit=fit)
    model = shared.data.likelihood
    ensembles = Ensembles(model, shared.poi, seed, store, workers, progress, fixed or {}, search, ensemble)
    exclusion = Exclusion(shared, ensembles, toys)
    exclusion.throw(float(value) for value in mu)
    return ToyTests(
        shared.poi,
        shared.data.best.mu,
        tuple(exclusion.test(value) for value in sorted(exclusion.thrown)),
        ensembles.thrown,
        (*exclusion.failures, *ensembles.failures),
        (*shared.notes, *ensembles.notes),
    )


def check_toys(toys: int) -> None:
    """Raises ``InvalidToys`` if there are too few."""
    if toys < 10:
        raise InvalidToys(f"{toys} toys tell nothing: throw 10 at least, better 1000")


def bootstraps(thrown: Mapping[float, Thrown], seed: int, values: Sequence[float]) -> Iterator[dict[float, Thrown]]:
    """Replicas of the background's toys, the same toys at all of ``values``, as they were thrown."""
    stream = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(BOOTSTRAP,)))
    toys = len(thrown[values[0]].background)
    for _ in range(BOOTSTRAPS):
        chosen = stream.integers(toys, size=toys)
        yield {mu: replace(thrown[mu], background=thrown[mu].background[chosen]) for mu in values}
