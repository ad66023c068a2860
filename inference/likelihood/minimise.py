"""Newton's method with bounds on the exact Hessian, compiled as one loop.

Each iteration solves for the step in the parameters that are free and not held by a bound (a parameter on its bound
with the gradient pushing outwards is held: projected Newton, Bertsekas 1982, doi:10.1137/0320018). Where the Hessian
is not positive definite, its Fisher part is taken, which always is; where the step does not go down, the diagonal is
raised (Levenberg, Marquardt). So far away it walks as Gauss-Newton does, and near the minimum it converges
quadratically.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from inference.likelihood.arrays import Arrays, Layout
from inference.likelihood.evaluate import Data, Point, point

# Expected distance to the minimum in −log L at which the next step would change nothing that can be seen.
GOAL = 1e-13
# The same at which the step itself would change nothing: it is not made.
THERE = 1e-20
# Rise that is rounding: the terms of −log L are summed to about this.
NOISE = 1e-13
# Share of a parameter's curvature below which it counts as none.
FLAT = 1e-13
MOST_DAMPING = 1e12
ITERATIONS = 200


class Task(NamedTuple):
    """One fit, in the R reduced parameters."""

    start: Any  # (R,)
    free: Any  # (R,); the others stay at ``start``
    lower: Any  # (R,)
    upper: Any  # (R,)
    data: Data


class Ended(NamedTuple):
    """Where the loop ended; ``edm`` is ½ gᵀ H⁻¹ g over the parameters that no bound holds."""

    theta: Any  # (R,)
    gamma: Any  # (C, W) the profiled gammas
    value: Any
    gradient: Any  # (R,)
    curvature: Any  # (R, R)
    edm: Any
    held: Any  # (R,) on a bound, gradient outwards
    positive: Any  # Hessian of the others positive definite
    iterations: Any
    feasible: Any  # −log L is finite


class State(NamedTuple):
    """Between two steps."""

    here: Point  # the lowest point so far, and where
    theta: Any
    trial: Any  # the next point to look at
    edm: Any  # expected fall of the step to it
    damping: Any  # that the step was made with
    iterations: Any
    done: Any


def minimise(start: Any, free: Any, lower: Any, upper: Any, data: Data, arrays: Arrays, layout: Layout) -> Ended:
    """Walk down from ``start`` (R,) in the ``free`` (R,) parameters within ``lower`` and ``upper`` (R,)."""
    task = Task(start, free, lower, upper, data)

    def walk(state: State) -> State:
        return step(state, task, arrays, layout)

    last = jax.lax.while_loop(going, walk, begin(task))
    return ended(last.theta, last.here, last.iterations, task)


def begin(task: Task) -> State:
    """Before the first step: nothing is known of any point."""
    start = jnp.clip(task.start, task.lower, task.upper)
    size = start.shape[0]
    nowhere = Point(jnp.asarray(jnp.inf), jnp.zeros(size), jnp.eye(size), jnp.eye(size), jnp.ones_like(task.data.gamma))
    return State(nowhere, start, start, jnp.asarray(jnp.inf), jnp.zeros(()), jnp.zeros((), int), jnp.asarray(False))


def going(state: State) -> Any:
    """Whether there is a step left to make."""
    return ~state.done & (state.iterations < ITERATIONS)


def step(state: State, task: Task, arrays: Arrays, layout: Layout) -> State:
    """Look at the next point, take it if it is lower, and choose the one after it."""
    there = point(state.trial, arrays, layout, task.data)
    down = there.value <= state.here.value + NOISE * (1 + jnp.abs(state.here.value))
    good = down & jnp.all(jnp.isfinite(there.gradient))
    here, theta = jax.tree.map(
        lambda new, old: jnp.where(good, new, old), (there, state.trial), (state.here, state.theta)
    )
    damping = jnp.where(
        good, jnp.where(state.damping < 1e-6, 0.0, 0.1 * state.damping), jnp.maximum(10 * state.damping, 1e-3)
    )
    trial, edm = _next(theta, here, damping, task)
    lost = ~jnp.isfinite(here.value) & (edm == 0)  # the start is not possible, and nothing tells where to go
    done = (good & ((state.edm < GOAL) | (edm < THERE))) | (damping > MOST_DAMPING) | lost
    return State(here, theta, trial, edm, damping, state.iterations + 1, done)


def _next(theta: Any, here: Point, damping: Any, task: Task) -> tuple[Any, Any]:
    """Newton's step, or that of the Fisher part where Newton's goes nowhere down; and half of what it promises."""
    moving = task.free & ~_held(theta, here.gradient, task)

    def attempt(state: tuple[Any, Any, Any]) -> tuple[Any, Any, Any]:
        """The exact Hessian's factor at first, the Fisher part's if that is not positive."""
        tried, _, _ = state
        matrix = jnp.where(tried == 0, here.curvature, here.fisher)
        raised = jnp.where(tried == 0, damping, jnp.maximum(damping, 1e-9))
        return tried + 1, *_factor(matrix, here.fisher, moving, raised)

    # As a loop it is compiled once, and side by side the second batch of LAPACK's waits for the first: on few cores two
    # at once wait for each other for ever (JAX 0.10).
    state = (jnp.zeros((), int), jnp.zeros_like(here.curvature), jnp.asarray(False))
    _, factor, _ = jax.lax.while_loop(lambda state: ~state[2] & (state[0] < 2), attempt, state)
    slope = jnp.where(moving, here.gradient, 0.0)
    direction = jax.scipy.linalg.cho_solve((factor, True), slope)
    return jnp.clip(theta - direction, task.lower, task.upper), 0.5 * (slope @ direction)


def _held(theta: Any, gradient: Any, task: Task) -> Any:
    return ((theta <= task.lower) & (gradient > 0)) | ((theta >= task.upper) & (gradient < 0))


def _factor(matrix: Any, fisher: Any, moving: Any, damping: Any) -> tuple[Any, Any]:
    """Cholesky factor over the moving parameters, and whether it could be had.

    A pivot squared over its diagonal is the share of a parameter's curvature that the others do not take away; one
    at the level of rounding belongs to a direction without curvature.
    """
    both = moving[:, None] & moving[None, :]
    scale = jnp.maximum(jnp.diag(fisher), 1e-8)
    inside = jnp.where(both, matrix, 0.0) + jnp.diag(jnp.where(moving, damping * scale, 1.0))
    factor = jnp.linalg.cholesky(inside, symmetrize_input=False)
    pivots = jnp.diag(factor)
    return factor, jnp.all(pivots * pivots > FLAT * jnp.diag(inside))


def ended(theta: Any, here: Point, iterations: Any, task: Task) -> Ended:
    """Judged anew at the last point ``theta`` (R,), without damping."""
    held = task.free & _held(theta, here.gradient, task)
    moving = task.free & ~held
    factor, positive = _factor(here.curvature, here.fisher, moving, jnp.zeros(()))
    slope = jnp.where(moving, here.gradient, 0.0)
    edm = jnp.where(positive, 0.5 * (slope @ jax.scipy.linalg.cho_solve((factor, True), slope)), jnp.inf)
    return Ended(
        theta,
        here.gamma,
        here.value,
        here.gradient,
        here.curvature,
        edm,
        held,
        positive,
        iterations,
        jnp.isfinite(here.value),
    )
