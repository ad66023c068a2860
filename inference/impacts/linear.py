"""Impacts from the covariance of the fit: no refit, exact where the likelihood is quadratic.

*Traditional*: the shift of a parameter when another is moved by its uncertainty is cov / σ. *Global* (Pinto et al.,
arXiv:2307.04007): a parameter's auxiliary measurement is one of the data, and its impact is the shift of the fit when
it fluctuates by its own standard deviation. Such shifts, and those under the fluctuation of each bin's count, are
independent: their squares add up to the variance, which those of traditional impacts do not.

The shift of the fit with any datum d follows from g(θ̂, d) = 0: dθ̂/dd = −C ∂g/∂d, C the covariance.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from inference.impacts.groups import of_single_bins
from inference.impacts.results import GroupImpact, Method, Split
from inference.likelihood.specification import Floats
from inference.results import FitResult

if TYPE_CHECKING:
    from inference.impacts.refits import Shifts
    from inference.likelihood.model import Likelihood


def covariance_shifts(fit: FitResult, places: Sequence[int]) -> "Shifts":
    """Shifts of all parameters, as the covariance predicts them, when one is held off its best fit."""
    covariance = np.asarray(fit.covariance)
    found: Shifts = {}
    for place in places:
        sigma, width = fit.uncertainties[place], fit.prefit[place]
        if sigma > 0:
            slope = covariance[:, place] / sigma**2
            for stage, distance in (("postfit", sigma), ("prefit", width)):
                if distance:
                    found[place, f"{stage}_up"], found[place, f"{stage}_down"] = distance * slope, -distance * slope
    return found


def observable_shifts(likelihood: "Likelihood", fit: FitResult, places: Sequence[int]) -> "Shifts":
    """Shifts of all parameters under ±1σ of the auxiliary measurement of each of ``places``."""
    slopes = observable_slopes(likelihood, np.asarray(fit.bestfit), np.asarray(fit.covariance))
    covariance = observable_covariance(likelihood)
    found: Shifts = {}
    for place in places:
        if fit.prefit[place] is None:
            found[place, "postfit_up"] = f"{fit.labels[place]} has no auxiliary measurement"
        else:
            shift = slopes[:, place] * np.sqrt(covariance[place, place])
            found[place, "postfit_up"], found[place, "postfit_down"] = shift, -shift
    return found


def group_impacts(
    likelihood: "Likelihood", fit: FitResult, target: int, groups: Mapping[str, Sequence[int]], method: Method
) -> tuple[GroupImpact, ...]:
    """See `GroupImpact`; ``groups`` are places by name."""
    bestfit, covariance = np.asarray(fit.bestfit), np.asarray(fit.covariance)
    found = []
    for name, places in groups.items():
        remaining = conditional_variance(covariance, target, places)
        if method == "global":
            square = float(from_observables(likelihood, bestfit, covariance, [target], places)[0, 0])
        else:
            square = max(float(covariance[target, target]) - remaining, 0.0)
        labels = tuple(fit.labels[place] for place in places)
        found.append(GroupImpact(name, labels, float(np.sqrt(square)), float(np.sqrt(remaining))))
    return tuple(found)


def split(likelihood: "Likelihood", fit: FitResult, target: int, method: Method) -> Split:
    """See `Split`."""
    constrained = {place for place, width in enumerate(fit.prefit) if width is not None and not fit.fixed[place]}
    gammas = of_single_bins(likelihood) & constrained
    bestfit, covariance = np.asarray(fit.bestfit), np.asarray(fit.covariance)
    if method == "global":
        parts = (sorted(gammas), sorted(constrained - gammas))
        shares = (from_observables(likelihood, bestfit, covariance, [target], part) for part in parts)
        variances = [float(share[0, 0]) for share in (from_data(likelihood, bestfit, covariance, [target]), *shares)]
    else:
        total = float(covariance[target, target])
        data, no_gammas = (conditional_variance(covariance, target, held) for held in (constrained, gammas))
        variances = [data, total - no_gammas, no_gammas - data]
    return Split(*(float(np.sqrt(max(variance, 0.0))) for variance in variances))


def conditional_variance(covariance: Floats, target: int, held: Iterable[int]) -> float:
    """Variance of a parameter with others held where they are.

    A fit repeated with parameters held at their best fit ends at the same point, and its covariance is the inverse of
    the remaining block of the Hessian: this number (Schur's complement), without the fit.
    """
    places = [place for place in sorted(set(held)) if covariance[place, place] > 0 and place != target]
    if not places:
        return float(covariance[target, target])
    scale = np.sqrt(np.diag(covariance)[places])
    across = covariance[target, places] / scale
    among = covariance[np.ix_(places, places)] / np.outer(scale, scale)
    return max(float(covariance[target, target] - across @ np.linalg.solve(among, across)), 0.0)


def observable_slopes(likelihood: "Likelihood", bestfit: Floats, covariance: Floats) -> Floats:
    """Derivative of every parameter's best fit with every auxiliary measurement, shape (parameters, parameters).

    Column k belongs to the auxiliary measurement of parameter k; 0 for parameters without one, or held.
    """
    # −log L has ½ (θ − a)ᵀ V⁻¹ (θ − a), or f θ − a log θ of a count: the mixed derivatives are −V⁻¹ and −1/θ.
    poisson = counted(likelihood)
    mixed = np.where(poisson, 1 / np.where(poisson, bestfit, 1.0), np.nan_to_num(likelihood.widths**-2.0))
    matrix = np.diag(mixed)
    if likelihood.layout.extended:
        correlated = likelihood.places.reduced[likelihood.arrays.normal_par]
        matrix[np.ix_(correlated, correlated)] = likelihood.arrays.composition.precision
    return np.asarray(covariance @ matrix)


def observable_covariance(likelihood: "Likelihood") -> Floats:
    """Of the auxiliary measurements themselves, shape (parameters, parameters): V, or the counts."""
    counts = np.nan_to_num(likelihood.observed.auxiliary)
    matrix = np.diag(np.where(counted(likelihood), counts, np.nan_to_num(likelihood.widths**2)))
    if likelihood.layout.extended:
        correlated = likelihood.places.reduced[likelihood.arrays.normal_par]
        matrix[np.ix_(correlated, correlated)] = np.linalg.inv(likelihood.arrays.composition.precision)
    return matrix


def from_observables(
    likelihood: "Likelihood", bestfit: Floats, covariance: Floats, targets: Sequence[int], places: Sequence[int]
) -> Floats:
    """Covariance of parameters from the fluctuation of the auxiliary measurements of ``places``, (targets, targets)."""
    slopes = observable_slopes(likelihood, bestfit, covariance)[np.ix_(targets, places)]
    return np.asarray(slopes @ observable_covariance(likelihood)[np.ix_(places, places)] @ slopes.T)


def counted(likelihood: "Likelihood") -> NDArray[np.bool_]:
    """Which parameters have a Poisson constraint, shape (parameters,)."""
    made = likelihood.specification.parameters
    return np.asarray([each.constraint == "poisson" for each in made for _ in each.init])


def from_data(likelihood: "Likelihood", bestfit: Floats, covariance: Floats, targets: Sequence[int]) -> Floats:
    """Covariance of parameters from the Poisson fluctuation of every bin that counts, shape (targets, targets)."""
    from inference.propagation import along

    seen = likelihood.observed
    slopes = along(likelihood, bestfit, covariance[list(targets)])
    rates = likelihood.expected(bestfit)
    usable = (seen.mask > 0) & (seen.main > 0) & (rates > 0)
    shifts = slopes[:, usable] * np.sqrt(seen.main[usable]) / rates[usable]
    return np.asarray(shifts @ shifts.T)
