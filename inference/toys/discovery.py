"""Significance of a discovery by toys: how often the background alone gives data like these.

Toys of the background are thrown at 0, with the nuisances where the data want them there; the p-value is the part of
them whose q0 (arXiv:1007.1727, eq. 12) is at least that of the data. Expected values are for toys with a signal, at the
quantiles of their q0. A significance of Z needs many more than 1/Φ(−Z) toys: some 10⁸ for 5 σ.
"""

from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from artifacts.store import Store
from inference.errors import FitFailed
from inference.hypotheses.statistic import BAND, discovery
from inference.likelihood.specification import Floats
from inference.profiles.places import place_of
from inference.profiles.profile import Profile
from inference.toys.ensembles import Ensembles
from inference.toys.exclusion import check_toys
from inference.toys.fractions import Fraction, Histogram, beyond, histogram

if TYPE_CHECKING:
    from inference.likelihood.model import Likelihood
    from inference.results import FitResult

BACKGROUND, SIGNAL = 0, 1


@dataclass(frozen=True, slots=True)
class Strength:
    """A p-value of the background, and the same in standard deviations (one-sided).

    Attributes:
        z: None where no toy, or each toy, lies beyond.
        z_low, z_high: of the ends of the p-value's interval; ``z_high`` is None where no toy lies beyond, ``z_low``
            where each does.
    """

    p_value: Fraction
    z: float | None
    z_low: float | None
    z_high: float | None

    @classmethod
    def of(cls, p_value: Fraction) -> "Strength":
        """Of a fraction of toys."""
        from scipy.stats import norm

        z, high, low = (
            float(norm.isf(value)) if 0 < value < 1 else None for value in (p_value.value, p_value.low, p_value.high)
        )
        return cls(p_value, z, low, high)


@dataclass(frozen=True, slots=True)
class ToySignificance:
    """Significance of a discovery by toys.

    Attributes:
        poi: parameter of interest.
        bestfit: of the data.
        q0: test statistic of the data.
        observed: None where the data could not be fitted.
        signal: value that the expected ones assume, with all other parameters as the data want them there.
        expected: for data at −2, −1, 0, 1, 2 σ of such a signal; None where they could not be had.
        toys: thrown in all.
        background_q0, signal_q0: test statistic of the toys.
        failures: what could not be had, and why.
        notes: what was done that was not asked for.
    """

    poi: str
    bestfit: float | None
    q0: float | None
    observed: Strength | None
    signal: float
    expected: tuple[Strength, ...] | None
    toys: int
    background_q0: Histogram | None
    signal_q0: Histogram | None
    failures: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def significance_by_toys(
    likelihood: "Likelihood",
    *,
    poi: str | None = None,
    signal: float = 1.0,
    toys: int = 1000,
    signal_toys: int | None = None,
    seed: int = 0,
    fixed: Mapping[str, float] | None = None,
    fit: "FitResult | None" = None,
    search: bool = True,
    store: Store | None = None,
    workers: int | Executor = 1,
    progress: Callable[[int, int], None] | None = None,
) -> ToySignificance:
    """Discovery significance of a positive signal by toys, observed and expected.

    Args:
        poi: label of the parameter of interest; the workspace's if None.
        signal: its value in the toys that the expected significance is of.
        toys: of the background.
        signal_toys: with the signal; as many if None, none if 0.
        fit: the nominal fit, if there is one, to start from.
        seed, fixed, search, store, workers, progress: as of `Ensembles`.

    Raises:
        UnknownParameter: no such parameter, or it is held.
        InvalidWorkspace: no observations.
        InvalidToys: too few toys, or a rate is negative where they are to be thrown.
    """
    check_toys(toys)
    place = place_of(likelihood, poi, fixed)
    label, start = likelihood.labels[place], None if fit is None else np.asarray(fit.bestfit)
    try:
        profile = Profile(likelihood, likelihood.observed, place, fixed=fixed, start=start)
        profile.at(0.0)
        profile.settle(0.0)
        zero = profile.at(0.0)
    except FitFailed as error:
        return ToySignificance(label, None, None, None, signal, None, 0, None, None, (str(error),))
    ensembles = Ensembles(profile.likelihood, label, seed, store, workers, progress, fixed=fixed or {}, search=search)
    q0 = float(discovery(zero.nll, profile.best.mu, profile.best.nll))
    background = _q0(ensembles, zero.minimum.parameters, BACKGROUND, toys)
    failures: list[str] = []
    with_signal = np.empty(0)
    count = toys if signal_toys is None else signal_toys
    if count:
        try:
            at = profile.at(signal).minimum.parameters
            with_signal = _q0(ensembles, at, SIGNAL, count)
        except FitFailed as error:
            failures.append(f"expected significance: {error}")
    highest = float(np.concatenate([[q0], background, with_signal]).max())
    return ToySignificance(
        label,
        profile.best.mu,
        q0,
        Strength.of(beyond(background, q0)) if len(background) else None,
        signal,
        _expected(with_signal, background) if len(with_signal) and len(background) else None,
        ensembles.thrown,
        histogram(background, highest=highest) if len(background) else None,
        histogram(with_signal, highest=highest) if len(with_signal) else None,
        (*failures, *ensembles.failures),
        tuple(profile.notes),
    )


def _q0(ensembles: Ensembles, parameters: Floats, stream: int, count: int) -> Floats:
    """Of the toys whose fits did not fail."""
    fits = ensembles.fits(parameters, {"zero": 0.0}, stream=stream, count=count)
    free, zero = fits["free"], fits["zero"]
    good = free.converged & zero.converged
    return np.asarray(discovery(zero.nll[good], free.of(ensembles.poi)[good], free.nll[good]))


def _expected(with_signal: Floats, background: Floats) -> tuple[Strength, ...]:
    from scipy.stats import norm

    quantiles = np.quantile(with_signal, norm.cdf(BAND), method="inverted_cdf")
    return tuple(Strength.of(beyond(background, float(quantile))) for quantile in quantiles)
