"""Feldman-Cousins intervals of one bin with a known background, exact: sums over counts, no toys.

G. J. Feldman, R. D. Cousins, Phys. Rev. D 57 (1998) 3873, arXiv:physics/9711021. For each signal μ counts are accepted
in the order of P(n | μ + b) / P(n | μ̂ + b) with μ̂ = max(0, n − b), until their probability is at least the confidence
level. Where the accepted signals of a count leave a gap, the interval spans it, as in the paper. Its tables lengthen
some intervals of few events at b > 0 further, so that they never grow with less background; these do not.
"""

from functools import partial

import numpy as np
from scipy.special import gammaln, xlogy

from inference.likelihood.specification import Floats
from inference.toys.errors import InvalidToys

# Ratios that differ by less are equal: only rounding tells such counts apart.
TIE = 1e-12


def accepted(signal: float, background: float, level: float) -> tuple[int, int]:
    """Least and greatest count that the confidence belt holds at a signal."""
    rate = signal + background
    counts = np.arange(int(rate + 12 * np.sqrt(rate) + 30), dtype=float)
    logs, best = _log_probability(counts, rate), np.maximum(counts, background)
    ratios = logs - _log_probability(counts, best)
    order = np.argsort(-ratios, kind="stable")
    summed = np.cumsum(np.exp(logs[order]))
    last = ratios[order[min(int(np.searchsorted(summed, level)), len(order) - 1)]]
    inside = counts[ratios >= last - TIE * (1 + abs(last))]
    return int(inside[0]), int(inside[-1])


def counting_interval(
    observed: int, background: float, level: float = 0.9, *, resolution: float = 1e-4
) -> tuple[float, float]:
    """Interval of the signal for a count, to ``resolution`` events.

    The belt's edges are steps in the signal, which need not rise all along (figure 7 of the paper shows teeth): they
    are looked for on steps of 0.01, then between two steps.

    Raises:
        InvalidToys: a negative count or background, or a level that is no probability.
    """
    if observed < 0 or background < 0 or not 0 < level < 1:
        raise InvalidToys(f"no interval for {observed} events over {background:g} at level {level:g}")
    highest = observed + 6 * np.sqrt(observed + 1) + 12
    grid = np.arange(0, highest, 0.01)
    inside = np.asarray([_holds(signal, observed, background, level) for signal in grid])
    if not inside.any():
        return 0.0, 0.0
    first, last = np.flatnonzero(inside)[[0, -1]]
    edge = partial(_edge, observed=observed, background=background, level=level, resolution=resolution)
    return edge(grid[first - 1], grid[first]) if first else 0.0, edge(grid[last + 1], grid[last])


def _holds(signal: float, observed: int, background: float, level: float) -> bool:
    low, high = accepted(signal, background, level)
    return low <= observed <= high


def _edge(outside: float, inside: float, observed: int, background: float, level: float, resolution: float) -> float:
    while abs(inside - outside) > resolution:
        middle = 0.5 * (inside + outside)
        if _holds(middle, observed, background, level):
            inside = middle
        else:
            outside = middle
    return float(inside)


def _log_probability(counts: Floats, rates: Floats | float) -> Floats:
    return np.asarray(xlogy(counts, rates) - rates - gammaln(counts + 1))
