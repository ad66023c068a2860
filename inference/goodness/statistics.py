"""Test statistics between data and a fitted model, for one observation or many at once.

Arrays of bins have the bins in their last axis; results have the axes before it.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from inference.likelihood.specification import Floats

if TYPE_CHECKING:
    from inference.likelihood.model import Likelihood

NO_EVENTS = -1.0  # what Combine gives for a channel without events, where the distance is not defined


def pearson(seen: Floats, expected: Floats, mask: Floats) -> Floats:
    """Σ (n − ν)² / ν of each bin; 0 where nothing is expected nor seen, infinite where something is seen.

    Less than nothing expected counts as nothing.
    """
    expected = np.maximum(expected, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = (seen - expected) ** 2 / expected
    return np.asarray(np.where((mask > 0) & (seen != expected), terms, 0.0))


def neyman(seen: Floats, expected: Floats, mask: Floats) -> Floats:
    """Σ (n − ν)² / n of each bin, with the variance 1 where no event was seen."""
    return np.asarray(np.where(mask > 0, (seen - expected) ** 2 / np.maximum(seen, 1.0), 0.0))


def constraint_terms(likelihood: "Likelihood", auxiliary: Floats, parameters: Floats) -> tuple[Floats, Floats]:
    """The same of all auxiliary measurements, for Pearson and for Neyman: arrays (…, parameters) to (…)."""
    from inference.toys.generate import Constraints

    constraints = Constraints.of(likelihood)
    centres = constraints.centres(parameters)
    normal = np.where(constraints.normal, (auxiliary - centres) / constraints.scale, 0.0)
    correlated = np.zeros(parameters.shape[:-1])
    if likelihood.layout.extended:
        places = likelihood.places.reduced[likelihood.arrays.normal_par]
        apart = (auxiliary - centres)[..., places]
        correlated = np.einsum("...i,ij,...j", apart, likelihood.arrays.composition.precision, apart)
        normal[..., places] = 0.0
    counted, rate = np.where(constraints.poisson, auxiliary, 0.0), np.where(constraints.poisson, centres, 0.0)
    one, quadratic = constraints.poisson.astype(float), (normal**2).sum(axis=-1) + correlated
    return (
        np.asarray(quadratic + pearson(counted, rate, one).sum(axis=-1)),
        np.asarray(quadratic + neyman(counted, rate, one).sum(axis=-1)),
    )


def kolmogorov_smirnov(seen: Floats, expected: Floats) -> Floats:
    """Largest distance between the cumulative fractions of data and model at the upper edges of a channel's bins."""
    data, model = _cumulative(seen), _cumulative(expected)
    return _defined(seen, np.abs(data - model).max(axis=-1))


def anderson_darling(seen: Floats, expected: Floats) -> Floats:
    """N Σ p_b (F_data − F_model)² / (F_model (1 − F_model)) over the upper edges of a channel's bins.

    p_b is the model's fraction in the bin; edges where F_model is 0 or 1 do not count.
    """
    data, model = _cumulative(seen), _cumulative(expected)
    inside = (model > 0) & (model < 1 - 1e-12)
    variance = np.where(inside, model * (1 - model), 1.0)
    fraction = np.diff(model, axis=-1, prepend=0.0)
    terms = np.where(inside, fraction * (data - model) ** 2 / variance, 0.0)
    return _defined(seen, seen.sum(axis=-1) * terms.sum(axis=-1))


def per_channel(sizes: Sequence[int], values: Floats) -> list[Floats]:
    """Arrays of bins cut into channels."""
    return np.split(values, np.cumsum(sizes)[:-1], axis=-1)


def _cumulative(values: Floats) -> Floats:
    sums = np.cumsum(values, axis=-1)
    total = sums[..., -1:]
    return np.asarray(sums / np.where(total > 0, total, 1.0))


def _defined(seen: Floats, value: Floats) -> Floats:
    return np.asarray(np.where(seen.sum(axis=-1) > 0, value, NO_EVENTS))
