"""Many fits of one model in one compiled call: one by one on a processor, side by side on an accelerator.

A processor gains nothing from fits side by side: all would wait for the slowest. An accelerator has room for hundreds
of them; there a fit that has ended hands its place on to the next one that waits, so that no place stays idle while
there is work. Each fit makes the same steps either way.
"""

from typing import Any

import jax
import jax.numpy as jnp

from inference.likelihood.arrays import Arrays, Layout
from inference.likelihood.evaluate import point
from inference.likelihood.minimise import Ended, Task, begin, ended, going, minimise, step


def one_by_one(count: Any, tasks: Task, arrays: Arrays, layout: Layout) -> Ended:
    """The first ``count`` of ``tasks`` (N, …); the other rows found mean nothing, and no Hessians come back."""

    def one(row: Any, found: Any) -> Any:
        made = minimise(*_row(tasks, row), arrays, layout)._replace(curvature=jnp.zeros(()))
        return jax.tree.map(lambda all_, mine: all_.at[row].set(mine), found, made)

    found: Ended = jax.lax.fori_loop(0, count, one, _nothing(tasks))
    return found


def side_by_side(count: Any, tasks: Task, arrays: Arrays, layout: Layout, places: int) -> Ended:
    """As `one_by_one`, ``places`` fits at a time."""
    rows = len(tasks.start)
    found = _nothing(tasks)
    first = jnp.arange(places)
    started = jax.vmap(begin)(_row(tasks, jnp.minimum(first, rows - 1)))

    def busy(carried: Any) -> Any:
        return jnp.any(carried[0] < count)

    def all_step(carried: Any) -> Any:
        row, waiting, state, theta, reached, iterations = carried
        here = _row(tasks, jnp.minimum(row, rows - 1))
        state = jax.vmap(lambda one, task: step(one, task, arrays, layout))(state, here)
        over = (row < count) & ~going(state)
        written = jnp.where(over, row, rows)  # beyond the last one, which is dropped
        theta = theta.at[written].set(state.theta, mode="drop")
        reached = reached.at[written].set(jnp.isfinite(state.here.value), mode="drop")
        iterations = iterations.at[written].set(state.iterations, mode="drop")
        # places of fits that are over go to those that wait, in order
        row = jnp.where(over, waiting + jnp.cumsum(over) - 1, row)
        fresh = jax.vmap(begin)(_row(tasks, jnp.minimum(row, rows - 1)))
        state = jax.tree.map(lambda new, old: _where(over, new, old), fresh, state)
        return row, waiting + jnp.sum(over), state, theta, reached, iterations

    nothing = (found.theta, found.feasible, found.iterations)
    carried = jax.lax.while_loop(busy, all_step, (first, jnp.asarray(places), started, *nothing))
    return _judged(*carried[3:], tasks, arrays, layout, places)


def _judged(
    theta: Any, reached: Any, iterations: Any, tasks: Task, arrays: Arrays, layout: Layout, places: int
) -> Ended:
    """Certificates' numbers of all rows where they ended: a step's own are not kept while others go on."""

    def one(row: Any) -> Ended:
        task = _row(tasks, row)
        nowhere = begin(task).here
        here = point(theta[row], arrays, layout, task.data)
        here = jax.tree.map(lambda known, none: jnp.where(reached[row], known, none), here, nowhere)
        return ended(theta[row], here, iterations[row], task)._replace(curvature=jnp.zeros(()))

    judged: Ended = jax.lax.map(one, jnp.arange(len(theta)), batch_size=places)
    return judged


def _nothing(tasks: Task) -> Ended:
    """Room for what will be found."""
    rows = len(tasks.start)
    each, no = jnp.zeros(rows), jnp.zeros(rows, dtype=bool)
    vector = jnp.zeros_like(tasks.start)
    held = jnp.zeros_like(tasks.free)
    return Ended(vector, jnp.zeros_like(tasks.data.gamma), each, vector, each, each, held, no, jnp.zeros(rows, int), no)


def _row(tasks: Task, row: Any) -> Task:
    task: Task = jax.tree.map(lambda leaf: leaf[row], tasks)
    return task


def _where(chosen: Any, new: Any, old: Any) -> Any:
    return jnp.where(chosen.reshape(-1, *(1,) * (new.ndim - 1)), new, old)
