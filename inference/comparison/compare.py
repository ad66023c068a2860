"""Two models with their fits, or two fits, side by side."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from inference.comparison.nested import likelihood_ratio
from inference.comparison.results import Comparison, LikelihoodRatio, ModelFit, ParameterPair, Side, YieldPair
from inference.comparison.structure import differences
from inference.errors import FitFailed
from inference.fit import fit_likelihood
from inference.results import FitResult
from inference.yields import RegionYield, yields_of

if TYPE_CHECKING:
    from inference.likelihood.model import Likelihood

Names = tuple[str, str]


def compare(
    first: "Likelihood",
    second: "Likelihood",
    *,
    names: Names = ("first", "second"),
    fits: tuple[FitResult, FitResult] | None = None,
    fixed: Mapping[str, float] | None = None,
    fixed_second: Mapping[str, float] | None = None,
) -> Comparison:
    """Fit two models and compare them.

    Args:
        names: what to call them.
        fits: their fits; made if None.
        fixed: parameters to hold in both, label → value.
        fixed_second: parameters to hold in the second one besides; so a model is compared with itself restrained.

    Raises:
        UnknownParameter: a label to hold.
        FitFailed: the message says which of the two.
    """
    if fits is None:
        held = dict(fixed or {})
        fits = _fit(first, held, names[0]), _fit(second, {**held, **(fixed_second or {})}, names[1])
    tested = likelihood_ratio((first, second), fits, names)
    return Comparison(
        _model(names[0], first, fits[0]),
        _model(names[1], second, fits[1]),
        _parameters(fits),
        _yields(yields_of(first, fit=fits[0]).regions, yields_of(second, fit=fits[1]).regions),
        differences(first.specification, second.specification),
        tested if isinstance(tested, LikelihoodRatio) else None,
        tested if isinstance(tested, str) else "",
    )


def compare_fits(first: FitResult, second: FitResult, *, names: Names = ("first", "second")) -> Comparison:
    """Compare two fits whose models are not at hand: parameters alone."""
    return Comparison(
        _model(names[0], None, first),
        _model(names[1], None, second),
        _parameters((first, second)),
        (),
        (),
        None,
        "only the fits are known: give the workspaces",
    )


def _fit(likelihood: "Likelihood", fixed: Mapping[str, float], name: str) -> FitResult:
    try:
        return fit_likelihood(likelihood, fixed)
    except FitFailed as error:
        raise FitFailed(f"{name}: {error}") from error


def _model(name: str, likelihood: "Likelihood | None", fit: FitResult) -> ModelFit:
    free = fit.fixed.count(False)
    deviance = None if likelihood is None else fit.twice_nll - 2 * likelihood.saturated()
    return ModelFit(name, deviance, free, None if deviance is None else deviance + 2 * free, fit.goodness_of_fit)


def _parameters(fits: tuple[FitResult, FitResult]) -> tuple[ParameterPair, ...]:
    labels = dict.fromkeys((*fits[0].labels, *fits[1].labels))
    pairs = []
    for label in labels:
        one, other = _side(fits[0], label), _side(fits[1], label)
        shift = (other.bestfit - one.bestfit) / one.uncertainty if one and other and one.uncertainty else None
        pairs.append(ParameterPair(label, one, other, shift))
    return tuple(pairs)


def _side(fit: FitResult, label: str) -> Side | None:
    if label not in fit.labels:
        return None
    place = fit.index(label)
    bestfit, uncertainty, width = fit.bestfit[place], fit.uncertainties[place], fit.prefit[place]
    centre = fit.measured[place]
    pull = (bestfit - centre) / width if width and centre is not None else None
    return Side(bestfit, uncertainty, pull, uncertainty / width if width else None, fit.fixed[place])


def _yields(first: tuple[RegionYield, ...], second: tuple[RegionYield, ...]) -> tuple[YieldPair, ...]:
    ours, theirs = ({region.region: region for region in regions} for regions in (first, second))
    return tuple(_yield_pair(name, ours.get(name), theirs.get(name)) for name in dict.fromkeys((*ours, *theirs)))


def _yield_pair(name: str, first: RegionYield | None, second: RegionYield | None) -> YieldPair:
    totals = [
        None if one is None else (one.prediction.total, one.prediction.total_uncertainty) for one in (first, second)
    ]
    data = [None if one is None else sum(count for count in one.data if count is not None) for one in (first, second)]
    ratio: tuple[float | None, ...] = ()
    if first is not None and second is not None and len(first.data) == len(second.data):
        below, above = np.asarray(first.prediction.values), np.asarray(second.prediction.values)
        ratio = tuple(float(b / a) if a > 0 else None for a, b in zip(below, above, strict=True))
    return YieldPair(name, totals[0], totals[1], data[0], data[1], ratio)
