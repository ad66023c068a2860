"""How much to regularise: the L-curve, as TUnfold scans it (arXiv:1205.6201, section 6; P. C. Hansen 2000).

The curve has x = log₁₀ of what the fit pays for the data (2 · −log L above the saturated model's, without the
regularisation) and y = log₁₀ |L (x − bias)|². At its corner, where its curvature is largest, more smoothness begins to
cost the data.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from inference.errors import FitFailed
from inference.extensions.errors import InvalidExtension
from inference.extensions.regularised import Spectrum, fit, spectrum, whitened_response
from inference.likelihood.specification import Floats

if TYPE_CHECKING:
    from inference.likelihood.model import Likelihood

# A χ² or |L (x − bias)|² below this is rounding: the curve ends there.
NOTHING = 1e-8
POINTS = 60


@dataclass(frozen=True, slots=True)
class LCurve:
    """Scan of τ.

    Attributes:
        taus: rising; fits that failed are left out, and those where χ² or |L (x − bias)|² is 0 to rounding.
        x, y: of the curve, one for each τ.
        curvature: of the spline through (x, y) along log₁₀ τ.
        tau: where the curvature is largest.
        failures: τ and reason, of the fits that failed.
    """

    taus: tuple[float, ...]
    x: tuple[float, ...]
    y: tuple[float, ...]
    curvature: tuple[float, ...]
    tau: float
    failures: tuple[str, ...]


def l_curve(
    likelihood: "Likelihood",
    *,
    extension: str | None = None,
    taus: Sequence[float] | None = None,
    points: int = POINTS,
    fixed: Mapping[str, float] | None = None,
) -> LCurve:
    """Fit for many τ, and find the corner.

    Args:
        extension: name of the unfolding; the only one if None.
        taus: where to fit; if None, ``points`` values around those at which the regularisation begins to act on the
            spectrum's best and worst determined directions.
        fixed: parameters to hold, label → value.

    Raises:
        InvalidExtension: nothing is regularised, or fewer than 5 values of τ.
        FitFailed: fewer than 5 fits converged.
    """
    found = spectrum(likelihood, extension, fixed)
    if found.tau is None:
        raise InvalidExtension(f"the unfolding {found.document.name!r} regularises nothing: there is no τ to choose")
    chosen = np.unique(np.asarray(_range(likelihood, found, points) if taus is None else taus, dtype=float))
    if len(chosen) < 5 or chosen[0] <= 0:
        raise InvalidExtension("an L-curve needs 5 values of τ or more, all above 0")
    good, rows, failures = [], [], []
    saturated = likelihood.saturated()
    for tau in chosen.tolist():
        minimum = fit(likelihood, found, tau)
        if not minimum.certificate.converged:
            failures.append(f"τ = {tau:.4g}: {minimum.certificate.reason}")
            continue
        penalty = found.penalty(minimum.parameters)
        data = 2 * (minimum.nll - saturated) - tau**2 * penalty
        if min(data, penalty) > NOTHING:
            good.append(tau)
            rows.append((np.log10(data), np.log10(penalty)))
    if len(good) < 5:
        first = f", the first: {failures[0]}" if failures else ""
        raise FitFailed(
            f"no L-curve: of {len(chosen)} fits {len(failures)} failed{first}, and {len(good)} are left where both "
            "data and spectrum say something; give other values of τ"
        )
    x, y = np.asarray(rows).T
    curvature, tau = _corner(np.log10(good), x, y)
    return LCurve(tuple(good), tuple(x.tolist()), tuple(y.tolist()), tuple(curvature.tolist()), tau, tuple(failures))


def _range(likelihood: "Likelihood", found: Spectrum, points: int) -> Floats:
    """From a tenth of where τ L weighs as much as the worst determined direction to ten times the best."""
    response = np.linalg.svd(whitened_response(likelihood, found)[0], compute_uv=False)
    weights = np.linalg.svd(found.document.conditions(), compute_uv=False)
    response, weights = response[response > 1e-6 * response[0]], weights[weights > 1e-6 * weights[0]]
    return np.geomspace(0.1 * response[-1] / weights[0], 10 * response[0] / weights[-1], points)


def _corner(t: Floats, x: Floats, y: Floats) -> tuple[Floats, float]:
    """Curvature of the curve at ``t``, and τ where that of its spline is largest between the ends."""
    from scipy.interpolate import CubicSpline

    across, along = CubicSpline(t, x), CubicSpline(t, y)

    def curvature(at: Floats) -> Floats:
        dx, dy, ddx, ddy = across(at, 1), along(at, 1), across(at, 2), along(at, 2)
        return np.asarray((dx * ddy - dy * ddx) / np.maximum(dx * dx + dy * dy, 1e-300) ** 1.5)

    fine = np.linspace(t[1], t[-2], 50 * len(t))
    return curvature(t), float(10 ** fine[np.argmax(curvature(fine))])
