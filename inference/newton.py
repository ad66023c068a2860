"""Newton's method with bounds: the end of every fit and the whole of the warm-started ones."""

from dataclasses import dataclass

import numpy as np

from inference.derivatives import Floats, Indices
from inference.errors import FitFailed
from inference.likelihood import Likelihood

# Expected distance to the minimum, in units of the likelihood: far below what any number shown can feel.
EDM_GOAL = 1e-10
# Where rounding keeps it from getting nearer, this is near enough: 0.0014 standard deviations from the minimum.
EDM_ENOUGH = 1e-6
# Rise of the likelihood that is rounding and no rise.
NOISE = 1e-9


@dataclass(frozen=True)
class Minimum:
    """Where Newton's method ended.

    ``edm`` is ½ gᵀ H⁻¹ g over the free parameters that no bound holds, and ``at_bound`` lists those held.
    """

    point: Floats
    nll: float
    edm: float
    converged: bool
    iterations: int
    at_bound: tuple[int, ...]


def minimise(
    likelihood: Likelihood,
    start: Floats,
    free: Indices,
    hessian: Floats | None = None,
    *,
    goal: float = EDM_GOAL,
    iterations: int = 100,
) -> Minimum:
    """Go downhill from ``start`` in the ``free`` parameters, within the bounds.

    The Hessian is evaluated at the start, or taken from a nearby fit, then kept up to date with the gradients (BFGS);
    it is evaluated anew when a step does not go down. Active set: a parameter on a bound that the gradient pushes
    outwards takes no part in the step.

    Raises:
        FitFailed: the likelihood is not finite on the way.
    """
    lower, upper = likelihood.lower[free], likelihood.upper[free]
    point = start.copy()
    point[free] = np.clip(point[free], lower, upper)
    value, edm, used = likelihood.nll(point), np.inf, 0
    slope = likelihood.gradient(point, free)
    matrix, fresh = (likelihood.hessian(point, free), True) if hessian is None else (hessian, False)
    held = np.zeros(len(free), dtype=bool)
    while used < iterations:
        held = ((point[free] <= lower) & (slope > 0)) | ((point[free] >= upper) & (slope < 0))
        step = np.zeros(len(free))
        step[~held] = -_solve(matrix[np.ix_(~held, ~held)], slope[~held])
        edm = float(-0.5 * slope @ step)
        if edm < goal:
            break
        used += 1
        moved, after = _line_search(likelihood, point, value, free, step)
        if after > value + NOISE:
            if fresh:
                break
            matrix, fresh = likelihood.hessian(point, free), True
            continue
        turned = likelihood.gradient(moved, free)
        matrix, fresh = _updated(matrix, (moved - point)[free], turned - slope), False
        point, value, slope = moved, after, turned
    return Minimum(point, value, edm, edm < max(goal, EDM_ENOUGH), used, tuple(int(index) for index in free[held]))


def _updated(matrix: Floats, step: Floats, turn: Floats) -> Floats:
    """BFGS: the Hessian made to agree with how the gradient turned over the step; it stays positive definite."""
    curvature, along = float(step @ turn), matrix @ step
    if curvature <= 1e-12 * float(np.linalg.norm(step) * np.linalg.norm(turn)):
        return matrix
    return matrix + np.outer(turn, turn) / curvature - np.outer(along, along) / float(step @ along)


def _line_search(
    likelihood: Likelihood, point: Floats, value: float, free: Indices, step: Floats
) -> tuple[Floats, float]:
    """Halve the step until the likelihood does not rise; the last trial and its value."""
    trial, after, fraction = point, np.inf, 1.0
    while fraction > 1e-4:
        trial = point.copy()
        trial[free] = np.clip(point[free] + fraction * step, likelihood.lower[free], likelihood.upper[free])
        after = likelihood.nll(trial)
        if after <= value + NOISE:
            break
        fraction *= 0.5
    return trial, after


def _solve(matrix: Floats, slope: Floats) -> Floats:
    """H⁻¹ g, with the absolute values of the curvatures where H is not positive definite: always downhill."""
    if not (np.isfinite(matrix).all() and np.isfinite(slope).all()):
        raise FitFailed(
            "the likelihood is not finite around a point on the way: "
            "look for bins without prediction or with a negative one"
        )
    try:
        factor = np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        curvatures, directions = np.linalg.eigh(matrix)
        largest = np.abs(curvatures).max()
        if largest == 0:
            return np.zeros_like(slope)
        curvatures = np.maximum(np.abs(curvatures), 1e-8 * largest)
        return np.asarray(directions @ ((directions.T @ slope) / curvatures))
    return np.asarray(np.linalg.solve(factor.T, np.linalg.solve(factor, slope)))
