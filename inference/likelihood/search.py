"""Other minima: where a shape bends so much that both its sides may describe the data.

A histosys adds α·(up − down)/2 + f(α)·(up + down − 2·nominal)/2 to the rates. Where the second part is large beside the
statistical errors, two values of α can predict nearly the same, and −log L may have a minimum at each. So a fit that
has ended is begun again on the other side of every such α, and the lowest minimum is taken. Likewise for parameters
that an extension squares, with the other sign.
"""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from inference.likelihood.specification import Floats

if TYPE_CHECKING:
    from inference.likelihood.model import Likelihood, Minimum, Observation

# Σ even² / rate over all bins above which a shape counts as bent: half a standard deviation of the data.
BENT = 0.25
MOST = 16
# How often the reflections of a lower minimum are looked at in turn.
ROUNDS = 4
# Share of its range by which a parameter is moved off its bounds to find a start that is possible.
INSIDE = 0.1


def lowest(likelihood: "Likelihood", seen: "Observation", begin: Floats, free: Any) -> "Minimum":
    """The lowest minimum found from ``begin`` and from its reflections; its certificate tells the number of starts.

    A minimum reached from ``begin`` counts as left only for one that is lower by more than rounding; the reflections of
    that one are looked at next.
    """
    best = possible(likelihood, seen, begin, free)
    starts = best.certificate.starts
    for _ in range(ROUNDS):
        before = best
        others = likelihood.minima([(seen, start, free) for start in reflections(likelihood, best, free)])
        starts += len(others)
        for other in others:
            usable = other.certificate.converged >= best.certificate.converged
            if usable and (other.nll < best.nll - 1e-9 or not best.certificate.converged):
                best = other
        if best is before:
            break
    return _from(best, starts)


def possible(likelihood: "Likelihood", seen: "Observation", begin: Floats, free: Any) -> "Minimum":
    """The minimum reached from ``begin``, or from off the bounds where the model has no density there.

    A signal that starts at 0 in a bin where nothing else is expected is the common case.
    """
    found = likelihood.minimum(seen, begin, free)
    if np.isfinite(found.nll):
        return found
    low, high = likelihood.lower, likelihood.upper
    inside = low + np.clip(begin - low, INSIDE * (high - low), (1 - INSIDE) * (high - low))
    other = likelihood.minimum(seen, np.where(free & np.isfinite(inside), inside, begin), free)
    return _from(other if np.isfinite(other.nll) else found, 2)


def _from(found: "Minimum", starts: int) -> "Minimum":
    return replace(found, certificate=replace(found.certificate, starts=starts))


def reflections(likelihood: "Likelihood", at: "Minimum", free: Any) -> list[Floats]:
    """Starting points on the other side of each bent shape, the most bent first, at most ``MOST``."""
    starts: list[Floats] = []
    for place in bent_shapes(likelihood):
        if free[place] and len(starts) < MOST:
            start = at.parameters.copy()
            start[place] = -np.copysign(max(abs(start[place]), 1.0), start[place])
            starts.append(np.clip(start, likelihood.lower, likelihood.upper))
    for place in squared(likelihood):
        if free[place] and len(starts) < MOST:
            start = at.parameters.copy()
            # where the sign says nothing, off the point of symmetry
            start[place] = -start[place] or 0.25 * likelihood.upper[place]
            starts.append(np.clip(start, likelihood.lower, likelihood.upper))
    return starts


def squared(likelihood: "Likelihood") -> list[int]:
    """Places of parameters that extensions square."""
    labels = dict.fromkeys(label for each in likelihood.specification.extensions for label in each.squared)
    return [likelihood.index(label) for label in labels]


def bent_shapes(likelihood: "Likelihood") -> list[int]:
    """Places of the bent shapes among all parameters."""
    arrays = jax.tree.map(np.asarray, likelihood.arrays)
    even, rate = arrays.shape_even.sum(axis=1), np.maximum(arrays.nominal.sum(axis=1), 1.0)
    size = np.zeros(len(arrays.shapes) + 1)
    np.add.at(size, arrays.shape_par, (even**2 / rate[..., None]).sum(axis=1))
    order = np.argsort(-size[:-1], kind="stable")
    own = arrays.shapes < likelihood.places.shared  # the others are set by extensions
    return [int(likelihood.places.reduced[arrays.shapes[k]]) for k in order if size[k] > BENT and own[k]]
