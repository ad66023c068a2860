"""Maximum-likelihood fit with pyhf, checked.

Minuit can stop early, call a good minimum invalid, or force a covariance positive definite, all of which changes
the uncertainties by up to a factor of three (docs/inference.md has the figures). So its own flags are read after each
try, and settings are tried along a ladder until they are clean:

1. the settings asked for (by default strategy 1, tolerance 0.1, from the model's initial values);
2. strategy 2;
3. tolerance 0.01, strategy 2;
4. strategy 2 from where SciPy's SLSQP ends;
5. Newton's method on the exact Hessian from the best point so far, judged by its gradient and Hessian alone.

Whatever step succeeds, Newton's method then finishes the minimum, and the uncertainties are those of the exact Hessian
there: they do not depend on the step that led to it.
"""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference import newton
from inference.derivatives import Floats, Indices
from inference.errors import FitFailed, InferenceError, UnknownParameter
from inference.likelihood import Likelihood
from inference.results import Attempt, FitResult, MinimiserFlags
from inference.workspace import load_workspace

Flags = NDArray[np.bool_]
# Likelihood, starting point and fixed parameters in; point, flags and complaint (empty when all is well) out.
Try = Callable[[Likelihood, Floats, Flags], tuple[Floats | None, MinimiserFlags | None, str]]


@dataclass(frozen=True, slots=True)
class FitSettings:
    """What may be chosen of a fit: measurement by name, Minuit's first strategy and tolerance, fixed parameters."""

    measurement: str | None = None
    strategy: int = 1
    tolerance: float = 0.1
    fixed: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what Minuit would not understand; raises ``InferenceError``."""
        if self.strategy not in {0, 1, 2} or not self.tolerance > 0:
            raise InferenceError(
                f"strategy {self.strategy}, tolerance {self.tolerance}: the strategy is 0, 1 or 2, "
                "the tolerance positive"
            )


def fit(workspace: Mapping[str, Any] | Path | str, settings: FitSettings | None = None) -> FitResult:
    """Fit a pyhf workspace to its observed data.

    Args:
        workspace: decoded pyhf workspace or the path of one.
        settings: see ``FitSettings``.

    Raises:
        InvalidWorkspace, UnknownParameter: what was asked makes no sense.
        FitFailed: no step of the ladder reached a minimum; the message lists what each one said.
    """
    settings = settings or FitSettings()
    likelihood = Likelihood(load_workspace(workspace), settings.measurement)
    return fit_likelihood(likelihood, settings)


def fit_likelihood(likelihood: Likelihood, settings: FitSettings | None = None) -> FitResult:
    """Fit a likelihood already built; as ``fit``."""
    settings = settings or FitSettings()
    start, fixed = likelihood.init.copy(), likelihood.constant.copy()
    for label, held_at in settings.fixed.items():
        index = likelihood.index(label)
        low, high = likelihood.lower[index], likelihood.upper[index]
        if not low <= held_at <= high:
            raise UnknownParameter(f"{label} cannot be held at {held_at:g}: its bounds are {low:g} and {high:g}")
        start[index], fixed[index] = held_at, True
    free = np.flatnonzero(~fixed)
    attempts: list[Attempt] = []
    best = start
    for name, step in ladder(settings):
        point, flags, reason = step(likelihood, best if step is _newton else start, fixed)
        value = None if point is None else _finite(2.0 * likelihood.nll(point))
        if point is not None and likelihood.nll(point) < likelihood.nll(best):
            best = point
        minimum, covariance = None, None
        if point is not None and not reason:
            minimum, covariance, reason = _finish(likelihood, point, free)
        attempts.append(Attempt(name, not reason, reason, value, flags))
        if minimum is not None and covariance is not None:
            return _result(likelihood, minimum, covariance, free, attempts)
    said = "".join(f"\n  {attempt.step}: {attempt.reason}" for attempt in attempts)
    raise FitFailed(
        f"no step of the ladder found a minimum:{said}\n"
        "check for empty or negative templates, or for parameters that the data do not constrain and fix them"
    )


def ladder(settings: FitSettings) -> tuple[tuple[str, Try], ...]:
    """Names and functions of the steps, in the order they are tried."""
    strategy, tolerance = settings.strategy, settings.tolerance
    return (
        (f"minuit, strategy {strategy}, tolerance {tolerance:g}", _minuit(strategy, tolerance)),
        ("minuit, strategy 2, tolerance 0.1", _minuit(2, 0.1)),
        ("minuit, strategy 2, tolerance 0.01", _minuit(2, 0.01)),
        ("scipy SLSQP, then minuit, strategy 2, tolerance 0.1", _minuit(2, 0.1, scipy_first=True)),
        ("newton", _newton),
    )


def _minuit(strategy: int, tolerance: float, *, scipy_first: bool = False) -> Try:
    """A step of the ladder: pyhf's fit with its Minuit optimiser."""

    def attempt(
        likelihood: Likelihood, start: Floats, fixed: Flags
    ) -> tuple[Floats | None, MinimiserFlags | None, str]:
        import pyhf

        if scipy_first:
            try:
                found = _pyhf_fit(likelihood, start, fixed, pyhf.optimize.scipy_optimizer())
            except pyhf.exceptions.FailedMinimization as error:
                return None, None, f"scipy: {error}"
            start = np.asarray(found.x, dtype=float)
        optimiser = pyhf.optimize.minuit_optimizer(strategy=strategy, tolerance=tolerance)
        try:
            found = _pyhf_fit(likelihood, start, fixed, optimiser)
        except pyhf.exceptions.FailedMinimization as error:
            # pyhf also raises when HESSE alone fails after a good minimum; its message then says "successfully".
            found = error.result
        flags = _flags(found.minuit)
        return np.asarray(found.minuit.values, dtype=float), flags, flags.complaint

    return attempt


def _pyhf_fit(likelihood: Likelihood, start: Floats, fixed: Flags, optimiser: Any) -> Any:
    import logging

    import pyhf

    pyhf.set_backend("numpy", custom_optimizer=optimiser)
    # pyhf logs a traceback for each failed minimisation; here it is read from the result instead.
    log = logging.getLogger("pyhf.optimize.mixins")
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        return pyhf.infer.mle.fit(
            likelihood.data,
            likelihood.model,
            init_pars=start.tolist(),
            fixed_params=fixed.tolist(),
            return_result_obj=True,
        )[1]
    finally:
        log.setLevel(level)
        pyhf.set_backend("numpy")


def _flags(minuit: Any) -> MinimiserFlags:
    state = minuit.fmin
    return MinimiserFlags(
        valid=bool(minuit.valid),
        accurate_covariance=bool(state.has_accurate_covar),
        made_positive_definite=bool(state.has_made_posdef_covar),
        above_max_edm=bool(state.is_above_max_edm),
        call_limit=bool(state.has_reached_call_limit),
        at_limit=bool(state.has_parameters_at_limit),
        edm=_finite(float(state.edm)),
        calls=int(minuit.nfcn),
    )


def _newton(likelihood: Likelihood, start: Floats, fixed: Flags) -> tuple[Floats | None, MinimiserFlags | None, str]:
    """The last step: no flags but its own convergence."""
    try:
        minimum = newton.minimise(likelihood, start, np.flatnonzero(~fixed), iterations=200)
    except FitFailed as error:
        return None, None, str(error)
    reason = (
        ""
        if minimum.converged
        else f"distance to the minimum still {minimum.edm:.2g} after {minimum.iterations} iterations"
    )
    return minimum.point, None, reason


def _finish(likelihood: Likelihood, point: Floats, free: Indices) -> tuple[newton.Minimum | None, Floats | None, str]:
    """The exact minimum near ``point``, its covariance (free parameters), and why there is none."""
    try:
        minimum = newton.minimise(likelihood, point, free)
    except FitFailed as error:
        return None, None, str(error)
    if not minimum.converged:
        return None, None, f"no minimum near: distance {minimum.edm:.2g} after {minimum.iterations} Newton iterations"
    covariance = likelihood.covariance(minimum.point, free)
    if covariance is None:
        return None, None, "the exact Hessian is not positive definite there"
    slope = likelihood.gradient(minimum.point, free)
    slope[np.isin(free, minimum.at_bound)] = 0.0
    edm = float(0.5 * slope @ covariance @ slope)
    return dataclasses.replace(minimum, edm=edm), covariance, ""


def _result(
    likelihood: Likelihood, minimum: newton.Minimum, covariance: Floats, free: Indices, attempts: list[Attempt]
) -> FitResult:
    full = np.zeros((len(likelihood.labels), len(likelihood.labels)))
    full[np.ix_(free, free)] = covariance
    fixed = np.ones(len(likelihood.labels), dtype=bool)
    fixed[free] = False
    twice_nll = 2.0 * minimum.nll
    unconstrained = int(np.isnan(likelihood.prefit[free]).sum())
    degrees = likelihood.bins - unconstrained
    return FitResult(
        labels=likelihood.labels,
        bestfit=tuple(minimum.point.tolist()),
        uncertainties=tuple(np.sqrt(np.diag(full)).tolist()),
        covariance=tuple(tuple(row) for row in full.tolist()),
        fixed=tuple(fixed.tolist()),
        at_bound=tuple(likelihood.labels[index] for index in minimum.at_bound),
        nominal=tuple(likelihood.init.tolist()),
        prefit=tuple(None if np.isnan(width) else width for width in likelihood.prefit.tolist()),
        poi=likelihood.poi,
        twice_nll=twice_nll,
        edm=minimum.edm,
        goodness_of_fit=_p_value(twice_nll - 2.0 * likelihood.saturated_nll(), degrees),
        degrees_of_freedom=degrees,
        uncertainty="hessian",
        step=attempts[-1].step,
        attempts=tuple(attempts),
    )


def _finite(value: float) -> float | None:
    """JSON knows no infinity."""
    return value if np.isfinite(value) else None


def _p_value(rise: float, degrees: int) -> float | None:
    """Chi-squared p-value of twice the log-likelihood ratio to the saturated model."""
    from scipy.stats import chi2

    return float(chi2.sf(max(rise, 0.0), degrees)) if degrees > 0 else None
