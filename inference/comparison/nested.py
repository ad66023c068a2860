"""The likelihood-ratio test of a model that is another one with some of its parameters held."""

from typing import TYPE_CHECKING

import numpy as np

from inference.comparison.results import LikelihoodRatio
from inference.comparison.structure import same_data
from inference.impacts.pulls import centres
from inference.likelihood.specification import Floats
from inference.results import FitResult

if TYPE_CHECKING:
    from inference.likelihood.model import Likelihood

# Points at which the smaller model must have the larger one's likelihood, and to how much.
POINTS, TOLERANCE = 5, 1e-8


def likelihood_ratio(
    models: "tuple[Likelihood, Likelihood]", fits: tuple[FitResult, FitResult], names: tuple[str, str]
) -> LikelihoodRatio | str:
    """The test of the smaller model, or why there is none.

    A model is within another if all its free parameters are free there too, and if both have the same likelihood
    wherever the others' parameters are held where the smaller model has them. A constrained parameter that the
    smaller model lacks is held at its auxiliary measurement, an unconstrained one at its initial value.
    """
    if not same_data(models[0].specification, models[1].specification):
        return "the models are of different channels or data"
    free = [{label for label, fixed in zip(fit.labels, fit.fixed, strict=True) if not fixed} for fit in fits]
    small, large = (0, 1) if len(free[0]) <= len(free[1]) else (1, 0)
    alone = sorted(free[small] - free[large])
    if alone:
        return f"{', '.join(alone[:3])} is free in {names[small]} alone"
    extra = [label for label in fits[large].labels if label in free[large] - free[small]]
    if not extra:
        return "both models have the same free parameters"
    held = _held(models[large], fits[large], fits[small])
    if not _same_likelihood(models[small], models[large], fits[small], held):
        return "held at one point, the larger model does not predict what the smaller one does"
    from scipy.stats import chi2

    statistic = 2 * (_deviance(models[small], fits[small]) - _deviance(models[large], fits[large]))
    if statistic < -TOLERANCE:
        return "the larger model's fit ended above the smaller one's: its lowest minimum was not found"
    places = [models[large].index(label) for label in extra]
    lower, upper = models[large].lower, models[large].upper
    at_bound = tuple(
        label for label, place in zip(extra, places, strict=True) if held[place] in (lower[place], upper[place])
    )
    p_value = float(chi2.sf(max(statistic, 0.0), len(extra)))
    return LikelihoodRatio(names[small], names[large], tuple(extra), statistic, p_value, at_bound)


def _held(likelihood: "Likelihood", own: FitResult, other: FitResult) -> Floats:
    """Where each parameter of the larger model stands in the smaller one."""
    centre = centres(likelihood)
    values = np.where(np.isfinite(centre), centre, likelihood.init)
    for place, label in enumerate(own.labels):
        if label in other.labels:
            values[place] = other.bestfit[other.index(label)]
        elif own.fixed[place]:
            values[place] = own.bestfit[place]
    return values


def _same_likelihood(small: "Likelihood", large: "Likelihood", fit: FitResult, held: Floats) -> bool:
    """At the smaller model's best fit, and at points drawn around it."""
    random = np.random.default_rng(1)
    best, sigma = np.asarray(fit.bestfit), np.asarray(fit.uncertainties)
    shared = [(place, large.index(label)) for place, label in enumerate(fit.labels) if label in large.labels]
    for number in range(POINTS):
        point = best + (0.5 * sigma * random.normal(size=len(best)) if number else 0.0)
        point = np.clip(point, small.lower, small.upper)
        there = held.copy()
        for place, other in shared:
            there[other] = point[place]
        one, other_value = small.nll(point) - small.saturated(), large.nll(there) - large.saturated()
        if not abs(one - other_value) <= TOLERANCE * (1 + abs(one)):
            return False
    return True


def _deviance(likelihood: "Likelihood", fit: FitResult) -> float:
    return float(fit.twice_nll / 2 - likelihood.saturated())
