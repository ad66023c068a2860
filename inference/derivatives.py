"""Gradient and Hessian of a smooth function by well-conditioned central differences.

Steps are measured in each parameter's own curvature scale (the distance over which the function rises by 1/2 when
only that parameter moves), so that a likelihood of rounding error e gets a gradient good to about e/1e-3 in units of
that scale: 1e-8 for the 1e-11 of a Poisson likelihood with 1e5 events.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]
Function = Callable[[Floats], float]

GRADIENT_STEP = 1e-3
# Rough second derivatives, good enough to step by.
HESSIAN_STEP = 0.1
# Exact ones: in the round axes, where weak directions have larger higher derivatives, a shorter step and Richardson.
ROUND_STEP = 0.02


def curvature_scales(function: Function, point: Floats, guess: Floats) -> Floats:
    """Curvature scale of each parameter, 1/sqrt of its second derivative; ``guess`` where that is not positive.

    Two rounds: the first with steps of a hundredth of ``guess``, the second with steps of the scale found.
    """
    scales, centre = guess.copy(), function(point)
    for fraction in (0.01, 0.1):
        for index in range(len(point)):
            step = _along(len(point), index, fraction * scales[index])
            rise = function(point + step) + function(point - step) - 2.0 * centre
            if np.isfinite(rise) and rise > 0:
                scales[index] = abs(fraction * scales[index]) / np.sqrt(rise)
    return scales


def gradient(function: Function, point: Floats, scales: Floats, free: Indices) -> Floats:
    """First derivatives with respect to the ``free`` parameters, shape (len(free),)."""
    result = np.empty(len(free))
    for row, index in enumerate(free):
        step = _along(len(point), index, GRADIENT_STEP * scales[index])
        result[row] = (function(point + step) - function(point - step)) / (2.0 * step[index])
    return result


def hessian(function: Function, point: Floats, axes: Floats) -> Floats:
    """Second derivatives along the columns of ``axes``, Aᵀ H A, shape (axes, axes), good to about 1e-5.

    The columns (shape (parameters, axes)) set the steps too, so each should be about one curvature scale long.
    """
    return _second_differences(function, point, axes, HESSIAN_STEP)


def covariance(function: Function, minimum: Floats, scales: Floats, free: Indices) -> Floats | None:
    """Inverse of the exact Hessian at a minimum, in the ``free`` parameters; None where H is not finite
    and positive definite.

    Two rounds. The Hessian along the parameters gives axes in which the function is round, A = H^(-1/2); there it
    is evaluated again and H⁻¹ = A (Aᵀ H A)⁻¹ Aᵀ. Strong correlations (condition 1e4 in the AGC's fit) would blow up
    the differences' error by the condition number; in the round axes it stays what it is. The error of one step size
    h is c·h² + O(h⁴), so that (4 D(h/2) − D(h))/3 has O(h⁴). Uncertainties come out good to some 1e-6 relative.
    """
    along_parameters = np.zeros((len(minimum), len(free)))
    along_parameters[free, np.arange(len(free))] = scales[free]
    rough = hessian(function, minimum, along_parameters)
    if not np.isfinite(rough).all():
        return None
    curvatures, directions = np.linalg.eigh(rough)
    if curvatures.min() <= 0:
        return None
    axes = along_parameters @ (directions / np.sqrt(curvatures))
    coarse = _second_differences(function, minimum, axes, ROUND_STEP)
    fine = _second_differences(function, minimum, axes, 0.5 * ROUND_STEP)
    round_hessian = (4.0 * fine - coarse) / 3.0
    if not np.isfinite(round_hessian).all() or np.linalg.eigvalsh(round_hessian).min() <= 0:
        return None
    result = axes[free] @ np.linalg.inv(round_hessian) @ axes[free].T
    return np.asarray(0.5 * (result + result.T))


def _second_differences(function: Function, point: Floats, axes: Floats, step: float) -> Floats:
    """Second differences with one pair of evaluations per matrix element, error even in the step.

    f(x+a+b) + f(x−a−b) − f(x+a) − f(x−a) − f(x+b) − f(x−b) + 2 f(x) = 2 aᵀ H b + O(4th order).
    """
    moves, centre = step * axes.T, function(point)
    sums = np.array([function(point + move) + function(point - move) for move in moves])
    result = np.diag(sums - 2.0 * centre)
    for row in range(len(moves)):
        for column in range(row):
            both = moves[row] + moves[column]
            mixed = function(point + both) + function(point - both) - sums[row] - sums[column] + 2.0 * centre
            result[row, column] = result[column, row] = 0.5 * mixed
    return np.asarray(result / step**2)


def _along(size: int, index: int, length: float) -> Floats:
    step = np.zeros(size)
    step[index] = length
    return step
