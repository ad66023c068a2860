"""Goodness of fit of the best fit to the observed data, by five statistics.

- ``saturated``: −2 log of the likelihood ratio to the model that predicts every bin as observed and meets every
  auxiliary measurement (Baker and Cousins, NIM 221 (1984) 437, doi:10.1016/0167-5087(84)90016-4), as cabinetry and
  Combine have it.
- ``pearson``, ``neyman``: Σ (n − ν̂)² / ν̂, or / n, plus the same of the auxiliary measurements. At a maximum of the
  likelihood Pearson's sum is exactly (n − ν̂)ᵀ V⁻¹ (n − ν̂) with V = diag(ν̂) − J F⁻¹ Jᵀ, the covariance of the residuals
  after the fit: fitting has *taken away* the part that parameters followed (F the expected information with the
  constraints, J = ∂ν/∂θ). Of the channels only the bins' part is given.
- ``ks``, ``ad``: Kolmogorov-Smirnov and Anderson-Darling of each channel, summed over the channels, as Combine's
  GoodnessOfFit defines them (L. Demortier, CDF/ANAL/JET/CDFR/3419, for the binned ``ad``). They see shapes, not yields,
  and have no asymptotic distribution after a fit: their p-values are those of toys.

The chi-squared distribution has as many degrees of freedom as there are bins, less the unconstrained free parameters.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from artifacts.store import Store
from inference.errors import InferenceError, nearest
from inference.fit import fit_likelihood
from inference.goodness import statistics as formulas
from inference.likelihood.specification import Floats
from inference.results import FitResult
from inference.toys.fractions import Fraction, beyond

if TYPE_CHECKING:
    from inference.likelihood.model import Likelihood
    from inference.toys.fits import ToyFits
    from inference.toys.generate import Toys

Name = Literal["saturated", "pearson", "neyman", "ks", "ad"]
NAMES: tuple[Name, ...] = get_args(Name)
CHI_SQUARED: tuple[Name, ...] = ("saturated", "pearson", "neyman")


@dataclass(frozen=True, slots=True)
class ChannelStatistic:
    """A statistic of one channel, and the fraction of toys in which it is as large or larger (None without toys)."""

    channel: str
    value: float
    p_toys: Fraction | None


@dataclass(frozen=True, slots=True)
class Statistic:
    """A statistic of all channels together.

    Attributes:
        name: "saturated", "pearson", "neyman", "ks" or "ad".
        value: observed.
        degrees_of_freedom, p_asymptotic: of the chi-squared distribution; None where the statistic has none.
        p_toys: fraction of toys with a value as large or larger; None without toys.
        channels: in the order of their names; none for "saturated".
        toys: value of each toy whose fit has a certificate.
    """

    name: Name
    value: float
    degrees_of_freedom: int | None
    p_asymptotic: float | None
    p_toys: Fraction | None
    channels: tuple[ChannelStatistic, ...]
    toys: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Goodness:
    """Goodness of fit.

    Attributes:
        statistics: as asked for.
        twice_nll: −2 log L at the minimum.
        toys, seed: how many were thrown at the best fit, and from which seed; the auxiliary measurements too.
        failures: reasons of the toys whose fit has no certificate, with the toy's number; they count nowhere.
    """

    statistics: tuple[Statistic, ...]
    twice_nll: float
    toys: int
    seed: int
    failures: tuple[str, ...]

    def statistic(self, name: str) -> Statistic:
        """By name; raises ``KeyError``."""
        return {each.name: each for each in self.statistics}[name]  # type: ignore[index]


@dataclass(frozen=True, slots=True)
class _Values:
    """A statistic of many observations: (N,), and of each channel (channels, N)."""

    total: Floats
    channels: Sequence[Floats]


def goodness(
    likelihood: "Likelihood",
    *,
    statistics: Sequence[str] = NAMES,
    toys: int = 0,
    seed: int = 0,
    fit: FitResult | None = None,
    fixed: Mapping[str, float] | None = None,
    store: Store | None = None,
    workers: int | Executor = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Goodness:
    """Goodness of fit to the observed data.

    Args:
        statistics: names, see the module.
        toys: how many to throw at the best fit and to fit again.
        seed: of the toys.
        fit: the nominal fit, which says itself what it holds; made here with ``fixed`` held if None.
        store, workers: of the toys, as of ``inference.toys.campaign.carry_out``.
        progress: called with toys done and all toys.

    Raises:
        InferenceError: a statistic that is none of them.
        FitFailed: the nominal fit.
        InvalidToys: the best fit predicts what cannot be thrown.
    """
    names = _checked(statistics)
    fit = fit or fit_likelihood(likelihood, fixed)
    observed = _observed(likelihood, fit)
    thrown: dict[Name, _Values] = {}
    failures: tuple[str, ...] = ()
    if toys:
        thrown, failures = _thrown(likelihood, fit, toys, seed, store, workers, progress)
    channels = [channel.name for channel in likelihood.specification.channels]
    made = tuple(_statistic(name, channels, observed[name], thrown.get(name), fit) for name in names)
    return Goodness(made, fit.twice_nll, toys, seed, failures)


def _checked(names: Sequence[str]) -> list[Name]:
    for name in names:
        if name not in NAMES:
            raise InferenceError(f"no goodness-of-fit statistic {name!r}; {nearest(name, NAMES)}")
    return [name for name in NAMES if name in names]


def _observed(likelihood: "Likelihood", fit: FitResult) -> dict[Name, _Values]:
    from inference.toys.generate import Toys

    seen, parameters = likelihood.observed, np.asarray(fit.bestfit)
    alone = Toys(seen.main[None], seen.auxiliary[None], np.asarray(seen.mask), parameters[None])
    rise = np.asarray([fit.twice_nll - 2 * likelihood.saturated(seen)])
    return _values(likelihood, alone, parameters[None], rise)


def _thrown(
    likelihood: "Likelihood",
    fit: FitResult,
    count: int,
    seed: int,
    store: Store | None,
    workers: int | Executor,
    progress: Callable[[int, int], None] | None,
) -> tuple[dict[Name, _Values], tuple[str, ...]]:
    """Values of the toys whose fits have a certificate, and why the others have none."""
    from inference.toys.campaign import Campaign, carry_out

    bestfit = np.asarray(fit.bestfit)
    held = {label: bestfit[at] for at, label in enumerate(fit.labels) if fit.fixed[at] and not likelihood.constant[at]}
    variants = {"fit": {label: float(value) for label, value in held.items()}}
    campaign = Campaign(bestfit, count, seed, variants=variants, search=True)
    fits: ToyFits = carry_out(likelihood, campaign, store=store, workers=workers, progress=progress)["fit"]
    good = np.flatnonzero(fits.converged)
    toys = campaign.throw(likelihood, 0, count).part(good)  # the same ones: each has its own stream
    rise = 2 * (fits.nll[good] - likelihood.saturated(toys.seen))
    failures = tuple(f"toy {number}: {fits.reasons[number]}" for number in np.flatnonzero(~fits.converged).tolist())
    return _values(likelihood, toys, fits.parameters[good], rise), failures


def _values(likelihood: "Likelihood", toys: "Toys", parameters: Floats, rise: Floats) -> dict[Name, _Values]:
    """All statistics of observations (N) fitted at ``parameters`` (N, parameters), ``rise`` above the saturated."""
    from inference.toys.batches import expected

    sizes = [channel.bins for channel in likelihood.specification.channels]
    rates = expected(likelihood, parameters)
    pearson, neyman = formulas.constraint_terms(likelihood, toys.auxiliary, parameters)
    seen = formulas.per_channel(sizes, toys.main * toys.mask)
    model = formulas.per_channel(sizes, rates * toys.mask)

    def summed(terms: Floats, constraints: Floats) -> _Values:
        parts = [part.sum(axis=-1) for part in formulas.per_channel(sizes, terms)]
        return _Values(np.sum(parts, axis=0) + constraints, parts)

    def shapes(formula: Callable[[Floats, Floats], Floats]) -> _Values:
        parts = [formula(data, prediction) for data, prediction in zip(seen, model, strict=True)]
        return _Values(np.sum(parts, axis=0), parts)

    return {
        "saturated": _Values(np.maximum(rise, 0.0), ()),
        "pearson": summed(formulas.pearson(toys.main, rates, toys.mask), pearson),
        "neyman": summed(formulas.neyman(toys.main, rates, toys.mask), neyman),
        "ks": shapes(formulas.kolmogorov_smirnov),
        "ad": shapes(formulas.anderson_darling),
    }


def _statistic(
    name: Name, channels: Sequence[str], observed: _Values, toys: _Values | None, fit: FitResult
) -> Statistic:
    from scipy.stats import chi2

    degrees = fit.degrees_of_freedom if name in CHI_SQUARED and fit.degrees_of_freedom > 0 else None
    value = float(observed.total[0])
    parts = [
        ChannelStatistic(channel, float(each[0]), None if toys is None else beyond(toys.channels[at], float(each[0])))
        for at, (channel, each) in enumerate(zip(channels, observed.channels, strict=bool(observed.channels)))
    ]
    return Statistic(
        name,
        value,
        degrees,
        None if degrees is None else float(chi2.sf(value, degrees)),
        None if toys is None else beyond(toys.total, value),
        tuple(parts),
        () if toys is None else tuple(toys.total.tolist()),
    )
