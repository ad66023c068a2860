"""Maximum-likelihood fit of a workspace, certified.

The minimiser has the exact gradient and Hessian of the likelihood and ends with a certificate
(``inference.likelihood``); uncertainties are those of the same Hessian.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from inference.errors import FitFailed, UnknownParameter
from inference.likelihood.specification import Floats
from inference.results import FitResult
from inference.workspace import load_workspace

if TYPE_CHECKING:
    from inference.likelihood.model import Likelihood, Minimum


@dataclass(frozen=True, slots=True)
class FitSettings:
    """What may be chosen of a fit: measurement by name, and parameters to hold, label → value."""

    measurement: str | None = None
    fixed: Mapping[str, float] = field(default_factory=dict)


def fit(workspace: Mapping[str, Any] | Path | str, settings: FitSettings | None = None) -> FitResult:
    """Fit a pyhf workspace to its observed data.

    Args:
        workspace: decoded pyhf workspace or the path of one.
        settings: see ``FitSettings``.

    Raises:
        InvalidWorkspace, UnknownParameter: what was asked makes no sense.
        FitFailed: there is no minimum that can be certified; the message says why.
    """
    from inference.likelihood.model import Likelihood

    settings = settings or FitSettings()
    return fit_likelihood(Likelihood(load_workspace(workspace), settings.measurement), settings.fixed)


def fit_likelihood(likelihood: "Likelihood", fixed: Mapping[str, float] | None = None) -> FitResult:
    """Fit a likelihood already built; as ``fit``."""
    fixed = fixed or {}
    free = ~likelihood.constant
    for label, held_at in fixed.items():
        index = likelihood.index(label)
        low, high = likelihood.lower[index], likelihood.upper[index]
        if not low <= held_at <= high:
            raise UnknownParameter(f"{label} cannot be held at {held_at:g}: its bounds are {low:g} and {high:g}")
        free[index] = False
    minimum = likelihood.fit(fixed=fixed, search=True)
    if not minimum.certificate.converged:
        raise FitFailed(
            f"no minimum: {minimum.certificate.reason}; "
            "look for empty or negative templates, or hold parameters that the data do not constrain"
        )
    return _result(likelihood, minimum, likelihood.covariance(minimum, free=free), free)


def _result(likelihood: "Likelihood", minimum: "Minimum", covariance: Floats, free: Any) -> FitResult:
    from inference.impacts.pulls import centres

    twice_nll = 2.0 * minimum.nll
    unconstrained = int(np.isnan(likelihood.widths[free]).sum())
    counting = likelihood.observed.mask > 0  # but not bins that nothing fills: they cannot differ
    counting &= (likelihood.observed.main > 0) | (likelihood.expected(minimum.parameters) > 0)
    degrees = int(counting.sum()) - unconstrained
    return FitResult(
        labels=likelihood.labels,
        bestfit=tuple(minimum.parameters.tolist()),
        uncertainties=tuple(np.sqrt(np.diag(covariance)).tolist()),
        covariance=tuple(tuple(row) for row in covariance.tolist()),
        fixed=tuple((~free).tolist()),
        nominal=tuple(likelihood.init.tolist()),
        prefit=tuple(None if np.isnan(width) else width for width in likelihood.widths.tolist()),
        measured=tuple(None if np.isnan(centre) else centre for centre in centres(likelihood).tolist()),
        poi=likelihood.poi,
        twice_nll=twice_nll,
        goodness_of_fit=_p_value(twice_nll - 2.0 * likelihood.saturated(), degrees),
        degrees_of_freedom=degrees,
        uncertainty="hessian",
        certificate=minimum.certificate,
    )


def _p_value(rise: float, degrees: int) -> float | None:
    """Chi-squared p-value of twice the log-likelihood ratio to the saturated model."""
    from scipy.stats import chi2

    return float(chi2.sf(max(rise, 0.0), degrees)) if degrees > 0 else None
