"""Test statistics of the profile likelihood and their asymptotic distributions: pure functions of fitted values.

After Cowan, Cranmer, Gross, Vitells, Eur. Phys. J. C 71 (2011) 1554, arXiv:1007.1727 (CCGV); CLs after Read,
J. Phys. G 28 (2002) 2693. All arguments are numbers or arrays that broadcast; ``nll`` is −log L, not twice it.

Which fits make which statistic:

| statistic | at μ | best fit | CCGV |
|---|---|---|---|
| q0 | 0 | with the parameter of interest as free as its bounds let it be | (12) |
| qmu | μ | likewise, below 0 too | (14) |
| qtilde | μ | with the parameter of interest at 0 or above | (16) |

So qmu and qtilde are the same function, ``upper``, of other fits.
"""

import math
from typing import Any, Literal, NamedTuple

import numpy as np
from scipy.special import log_ndtr, ndtr, ndtri

Statistic = Literal["qtilde", "q"]
Method = Literal["CLs", "CLsb"]

# The five points of a band, in standard deviations of the data under the background alone, the lowest limit first.
BAND = (-2, -1, 0, 1, 2)


class PValues(NamedTuple):
    """Of signal plus background (CLsb), of background (CLb), and their ratio."""

    clsb: Any
    clb: Any
    cls: Any


def upper(mu: Any, nll: Any, best: Any, nll_best: Any) -> Any:
    """qμ or q̃μ, by the best fit that is given: twice the rise of −log L from the best fit to μ, 0 below the best fit.

    Args:
        mu: value that is tested.
        nll: least −log L with the parameter of interest held at ``mu``.
        best: parameter of interest of the best fit.
        nll_best: −log L there.
    """
    return np.where(np.asarray(best) > mu, 0.0, _rise(nll, nll_best))


def discovery(nll_zero: Any, best: Any, nll_best: Any) -> Any:
    """q0: twice the rise of −log L from the best fit to 0, 0 where the best fit is not above 0."""
    return np.where(np.asarray(best) > 0, _rise(nll_zero, nll_best), 0.0)


def _rise(nll: Any, nll_best: Any) -> Any:
    return np.maximum(2.0 * (np.asarray(nll) - nll_best), 0.0)


def separation(q: Any, q_asimov: Any, statistic: Statistic = "qtilde") -> Any:
    """Where the data stand below the background's expectation, in standard deviations (normal around 0 under it).

    √q − √q_A, and for q̃ beyond √q_A, that is for a best fit below 0, (q − q_A) / 2√q_A: CCGV (65).

    Args:
        q: of the data.
        q_asimov: of the Asimov data of the background, at the same μ: (μ/σ)².
    """
    root, root_asimov = np.sqrt(q), np.sqrt(q_asimov)
    near = root - root_asimov
    if statistic == "q":
        return near
    beyond = (root > root_asimov) & (root_asimov > 0)
    far = (np.asarray(q) - q_asimov) / (2 * np.where(beyond, root_asimov, 1.0))
    return np.where(beyond, far, near)


def p_values(separation: Any, q_asimov: Any) -> PValues:
    """p-values of data that stand at a ``separation``: an observation's, or minus one point of the band."""
    above = separation + np.sqrt(q_asimov)
    clsb, clb = ndtr(-above), ndtr(-np.asarray(separation))
    # by logarithms, since both may be too small for a ratio
    return PValues(clsb, clb, np.exp(log_ndtr(-above) - log_ndtr(-np.asarray(separation))))


def log_p_value(
    q: float, q_slope: float, q_asimov: float, q_asimov_slope: float, statistic: Statistic, method: Method
) -> tuple[float, float]:
    """log CLs or log CLsb, and its derivative along μ from those of the two test statistics."""
    root, root_asimov = math.sqrt(q), math.sqrt(q_asimov)
    root_slope = q_slope / (2 * root) if root > 0 else 0.0
    asimov_slope = q_asimov_slope / (2 * root_asimov) if root_asimov > 0 else 0.0
    below, below_slope = float(separation(q, q_asimov, statistic)), root_slope - asimov_slope
    if statistic == "qtilde" and root > root_asimov > 0:
        below_slope = (q_slope - q * asimov_slope / root_asimov) / (2 * root_asimov) - 0.5 * asimov_slope
    above, above_slope = below + root_asimov, below_slope + asimov_slope
    value, slope = float(log_ndtr(-above)), -above_slope * _hazard(above)
    if method == "CLs":
        value, slope = value - float(log_ndtr(-below)), slope + below_slope * _hazard(below)
    return value, slope


def _hazard(x: float) -> float:
    """φ(x) / Φ(−x), minus the derivative of log Φ(−x)."""
    return math.exp(-0.5 * x * x - 0.5 * math.log(2 * math.pi) - float(log_ndtr(-x)))


def expected_p_values(q_asimov: Any) -> tuple[PValues, ...]:
    """p-values of data at each point of ``BAND``: −2 σ is fewer events than expected, so the smallest CLs."""
    return tuple(p_values(-float(point), q_asimov) for point in BAND)


def expected_root(point: float, alpha: float, method: Method = "CLs") -> float:
    """√q_A of the value of μ that is just excluded by data at a ``point`` of the band.

    CLs: Φ(n − √q_A) = α Φ(n), CCGV (89). Negative for CLsb where even μ = 0 is excluded by such data.
    """
    return float(point - ndtri(alpha * (ndtr(point) if method == "CLs" else 1.0)))


def discovery_p_value(q0: Any) -> Any:
    """p-value of the background: Φ(−√q0), CCGV (52)."""
    return ndtr(-np.sqrt(q0))
