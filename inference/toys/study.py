"""A study of the fit itself: toys thrown and fitted, pulls of the parameters, coverage of their intervals.

The pull of a parameter in a toy is (fitted − true value) / uncertainty of that fit by its Hessian. Where the
asymptotic theory holds it is distributed with mean 0 and width 1; toys whose fit ended on a bound of the parameter have
none.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from artifacts.store import Store
from inference.errors import FitFailed
from inference.likelihood.specification import Floats
from inference.toys.campaign import Campaign, carry_out
from inference.toys.ensembles import rise
from inference.toys.errors import InvalidToys
from inference.toys.exclusion import Estimate
from inference.toys.fits import ToyFits
from inference.toys.fractions import Fraction, Histogram, histogram
from inference.toys.generate import Method

if TYPE_CHECKING:
    from inference.likelihood.model import Likelihood
    from inference.results import FitResult

Truth = Literal["fitted", "nominal"]
# Confidence levels of 1 and 2 standard deviations.
LEVELS = (0.6826894921370859, 0.9544997361036416)
# Pulls beyond this are in the last bins.
REACH = 5.0


@dataclass(frozen=True, slots=True)
class Pulls:
    """Pulls of one parameter.

    Attributes:
        parameter: its label.
        truth: value that the toys were thrown at; the mean of them for prior-predictive toys.
        mean, width: of the pulls, with errors; None where fewer than two toys have one.
        bias: mean of fitted minus true value.
        uncertainty: mean uncertainty of the fits.
        toys: that have a pull.
        at_bound: toys whose fit ended on a bound of the parameter.
        pulls: distribution from −5 to 5.
    """

    parameter: str
    truth: float
    mean: Estimate | None
    width: Estimate | None
    bias: Estimate | None
    uncertainty: float | None
    toys: int
    at_bound: int
    pulls: Histogram


@dataclass(frozen=True, slots=True)
class Coverage:
    """Toys whose likelihood-ratio interval (χ² crossing, one degree of freedom) of a parameter holds its true value."""

    parameter: str
    level: float
    inside: Fraction


@dataclass(frozen=True, slots=True)
class ToyStudy:
    """Toys of a likelihood and their fits.

    Attributes:
        method: "frequentist" or "prior", as ``generate.throw``.
        count, seed: of the toys.
        labels, truth: parameters that they were thrown at; prior-predictive toys replace the constrained ones.
        pulls: of the parameters asked for.
        coverage: of the parameter of interest's intervals of 68.3 % and 95.4 %; none for prior-predictive toys.
        converged: fits with a certificate.
        iterations: mean number of iterations of a fit.
        edm: largest expected distance to the minimum in −log L of those that converged.
        failures: reasons and how many fits failed for each.
    """

    method: Method
    count: int
    seed: int
    labels: tuple[str, ...]
    truth: tuple[float, ...]
    pulls: tuple[Pulls, ...]
    coverage: tuple[Coverage, ...]
    converged: Fraction
    iterations: float
    edm: float | None
    failures: tuple[str, ...] = ()


def toy_study(
    likelihood: "Likelihood",
    *,
    toys: int = 1000,
    seed: int = 0,
    at: Mapping[str, float] | None = None,
    truth: Truth = "fitted",
    method: Method = "frequentist",
    parameters: Sequence[str] | None = None,
    bin_gammas: bool = False,
    fixed: Mapping[str, float] | None = None,
    fit: "FitResult | None" = None,
    search: bool = True,
    store: Store | None = None,
    workers: int | Executor = 1,
    progress: Callable[[int, int], None] | None = None,
) -> ToyStudy:
    """Throw toys, fit them, and see how the fits compare with the truth.

    Args:
        toys: how many.
        at: values of parameters to throw them at, label → value; the fits leave these free.
        truth: "fitted": all other parameters where the data want them; "nominal": where the workspace begins.
        method: "frequentist" or "prior", as ``generate.throw``.
        parameters: labels whose pulls are wanted; all free ones if None,
        bin_gammas: with those of single bins too.
        fit: the nominal fit, if there is one; it is where toys are thrown if ``at`` is empty.
        seed, fixed, search, store, workers, progress: as of `ensembles.Ensembles`.

    Raises:
        UnknownParameter: a label.
        InvalidWorkspace: no observations to find the truth with.
        InvalidToys: the model cannot be thrown there.
        FitFailed: the data could not be fitted.
    """
    _check_bounds(likelihood, {label: value for label, value in (at or {}).items() if label not in (fixed or {})})
    point = truth_of(likelihood, at or {}, truth, fixed or {}, fit)
    chosen = tuple(parameters) if parameters is not None else _chosen(likelihood, fixed or {}, bin_gammas)
    poi = _of_interest(likelihood, fixed or {}) if method == "frequentist" else None
    variants = {"free": dict(fixed or {})}
    if poi is not None:
        variants["truth"] = {**variants["free"], poi: float(point[likelihood.index(poi)])}
    campaign = Campaign(
        point, toys, seed, method=method, variants=variants, keep=chosen, uncertainties=True, search=search
    )
    fits = carry_out(likelihood, campaign, store=store, workers=workers, progress=progress)
    thrown = campaign.throw(likelihood, 0, toys).truth if method == "prior" else point
    free = fits["free"]
    best = free.edm[free.converged]
    return ToyStudy(
        method,
        toys,
        seed,
        likelihood.labels,
        tuple(point.tolist()),
        tuple(_pulls(free, label, thrown[..., likelihood.index(label)]) for label in chosen),
        _coverage(poi, fits["truth"], free) if poi is not None else (),
        Fraction.of(int(free.converged.sum()), toys),
        float(free.iterations.mean()),
        float(best.max()) if len(best) else None,
        tuple(
            f"{count} {name} fits: {reason}"
            for name, each in fits.items()
            for reason, count in Counter(_kind(reason) for reason in each.reasons if reason).most_common()
        ),
    )


def _check_bounds(likelihood: "Likelihood", at: Mapping[str, float]) -> None:
    for label, value in at.items():
        lower, upper = (float(bound[likelihood.index(label)]) for bound in (likelihood.lower, likelihood.upper))
        if not lower <= value <= upper:
            bounds = f"from {lower} to {upper}"
            raise InvalidToys(f"{label} = {value} is outside its bounds {bounds}: fits of such toys cannot find it")


def truth_of(
    likelihood: "Likelihood",
    at: Mapping[str, float],
    truth: Truth,
    fixed: Mapping[str, float],
    fit: "FitResult | None" = None,
) -> Floats:
    """All parameters to throw toys at, shape (parameters,); raises as `toy_study`."""
    held = {**fixed, **at}
    places = {likelihood.index(label): value for label, value in held.items()}
    if truth == "nominal":
        point = likelihood.init.copy()
        point[list(places)] = list(places.values())
        return point
    if fit is not None and not at:
        return np.asarray(fit.bestfit)
    minimum = likelihood.fit(fixed=held)
    if not minimum.certificate.converged:
        raise FitFailed(f"no fit to throw toys at: {minimum.certificate.reason}; throw them at the nominal values")
    return minimum.parameters


def _of_interest(likelihood: "Likelihood", fixed: Mapping[str, float]) -> str | None:
    """The parameter of interest, if there is one and it is free."""
    poi = likelihood.poi
    return None if poi is None or poi in fixed or likelihood.constant[likelihood.index(poi)] else poi


def _kind(reason: str) -> str:
    """A reason without its numbers."""
    return reason.partition(" (curvature")[0].partition(" still")[0]


def _chosen(likelihood: "Likelihood", fixed: Mapping[str, float], bin_gammas: bool) -> tuple[str, ...]:
    gammas = {label for made in likelihood.specification.parameters if made.per_bin for label in made.labels}
    chosen = tuple(
        label
        for label, constant in zip(likelihood.labels, likelihood.constant, strict=True)
        if not constant and label not in fixed and (bin_gammas or label not in gammas)
    )
    if not chosen:
        raise InvalidToys("no parameter is free: name parameters, or ask for those of single bins")
    return chosen


def _pulls(fits: ToyFits, label: str, truth: Floats) -> Pulls:
    uncertainty, apart = fits.uncertainty(label), fits.of(label) - truth
    good = fits.converged & np.isfinite(uncertainty)
    moving = good & (uncertainty > 0)
    pulls = apart[moving] / uncertainty[moving]
    count = len(pulls)
    mean = width = bias = None
    if count > 1:
        deviation = float(pulls.std(ddof=1))
        mean = Estimate(float(pulls.mean()), deviation / count**0.5)
        width = Estimate(deviation, _width_error(pulls))
        bias = Estimate(float(apart[moving].mean()), float(apart[moving].std(ddof=1)) / count**0.5)
    return Pulls(
        label,
        float(np.mean(truth)),
        mean,
        width,
        bias,
        float(uncertainty[moving].mean()) if count else None,
        count,
        int(np.sum(good & ~moving)),
        histogram(pulls, lowest=-REACH, highest=REACH, bins=50),
    )


def _width_error(pulls: Floats) -> float:
    """Of a standard deviation, whatever the distribution: by its fourth moment."""
    apart = pulls - pulls.mean()
    variance = float(np.mean(apart**2))
    fourth = float(np.mean(apart**4))
    return float(np.sqrt(max(fourth - variance**2, 0.0) / len(pulls) / max(4 * variance, 1e-300)))


def _coverage(poi: str, held: ToyFits, free: ToyFits) -> tuple[Coverage, ...]:
    from scipy.stats import chi2

    rises = rise(held, free)
    known = rises[np.isfinite(rises)]
    return tuple(
        Coverage(poi, level, Fraction.of(int(np.sum(known <= chi2.ppf(level, 1))), len(known))) for level in LEVELS
    )
