"""Fits on a profile of −log L, with the exact derivatives of the profile where they end.

p(v) = min over the others of −log L with some parameters at v. With H the exact Hessian at that minimum, h those that
the profile runs along and m the moving ones (free, not held by a bound, not among h):

    dp/dv   = ∂(−log L)/∂v                          (envelope theorem)
    d²p/dv² = H_hh − H_hm H_mm⁻¹ H_mh               (Schur complement)
    dm/dv   = −H_mm⁻¹ H_mh                          (implicit function theorem: where the next fit begins)

So crossings are found by Newton's method in a handful of fits, each begun where the last one points to.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from inference.likelihood.specification import Floats

if TYPE_CHECKING:
    from inference.likelihood.model import Likelihood, Minimum, Observation

# Fits in one compiled call: always as many, so that nothing compiles anew.
ROWS = 16


@dataclass(frozen=True, slots=True)
class Task:
    """A fit.

    Attributes:
        start: where all parameters begin, those that do not move at their values, shape (parameters,).
        free: which ones move, shape (parameters,).
        along: places of those that the profile runs along; a best fit has them free.
    """

    start: Floats
    free: NDArray[np.bool_]
    along: tuple[int, ...]

    @classmethod
    def holding(cls, along: Sequence[int], start: Floats, free: NDArray[np.bool_]) -> "Task":
        """With the parameters ``along`` held where they start, of those that are ``free`` otherwise."""
        moves = free.copy()
        moves[list(along)] = False
        return cls(start, moves, tuple(along))


@dataclass(frozen=True, slots=True)
class Fitted:
    """Where a fit ended, and the derivatives of the profile there; None where it has no certificate.

    Attributes:
        slope: of −log L, shape (along,).
        curvature: shape (along, along).
        tangent: of all parameters, shape (parameters, along); 0 for those that do not move or are solved for anyway.
    """

    minimum: "Minimum"
    slope: Floats | None = None
    curvature: Floats | None = None
    tangent: Floats | None = None

    @property
    def converged(self) -> bool:
        """Whether the fit is certified."""
        return self.minimum.certificate.converged


def fit_one(likelihood: "Likelihood", seen: "Observation", task: Task) -> Fitted:
    """A fit with its derivatives."""
    from inference.likelihood import compiled

    started = likelihood.task(seen, task.start, task.free)
    return _fitted(likelihood, seen, task, compiled.fit(*started, likelihood.arrays, likelihood.layout))


def fit_many(likelihood: "Likelihood", seen: "Observation", tasks: Sequence[Task]) -> list[Fitted]:
    """As `fit_one`; full rows of ``ROWS`` go into one compiled call, what is left over is fitted one by one."""
    full = len(tasks) - len(tasks) % ROWS
    found: list[Fitted] = []
    for first in range(0, full, ROWS):
        row = tasks[first : first + ROWS]
        ended = _together(likelihood, [likelihood.task(seen, task.start, task.free) for task in row])
        found += [_fitted(likelihood, seen, task, each) for task, each in zip(row, ended, strict=True)]
    return found + [fit_one(likelihood, seen, task) for task in tasks[full:]]


def minima_of(likelihood: "Likelihood", seen: "Observation", tasks: Sequence[Task]) -> "list[Minimum]":
    """Where fits end, without derivatives."""
    return likelihood.minima([(seen, task.start, task.free) for task in tasks])


def _together(likelihood: "Likelihood", rows: Sequence[Any]) -> Iterator[Any]:
    """Where the walk from each row ended, as ``minimise.Ended`` of NumPy arrays."""
    import jax

    from inference.profiles.compiled import walks

    stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *rows)
    ended = jax.tree.map(np.asarray, walks(*stacked, likelihood.arrays, likelihood.layout))
    return (jax.tree.map(lambda leaf, at=at: leaf[at], ended) for at in range(len(rows)))


def _fitted(likelihood: "Likelihood", seen: "Observation", task: Task, ended: Any) -> Fitted:
    minimum = likelihood.judged(ended, seen, task.start, task.free)
    if not minimum.certificate.converged:
        return Fitted(minimum)
    places = likelihood.places
    gradient, curvature = np.asarray(ended.gradient), np.asarray(ended.curvature)
    where = {int(parameter): at for at, parameter in enumerate(places.reduced)}
    gammas = [parameter for parameter in task.along if parameter not in where]
    if gammas:
        gradient, curvature = _with_gammas(likelihood, seen, gammas, minimum, task.free, gradient, curvature)
        where |= {parameter: len(where) + at for at, parameter in enumerate(gammas)}
    rows = np.asarray([where[parameter] for parameter in task.along])
    moves = task.free[places.reduced] & ~np.asarray(ended.held)
    moving = np.flatnonzero(moves & ~np.isin(places.reduced, task.along))
    across = curvature[np.ix_(moving, rows)]
    follow = -np.linalg.solve(curvature[np.ix_(moving, moving)], across)
    tangent = np.zeros((len(task.free), len(task.along)))
    tangent[places.reduced[moving]] = follow
    tangent[list(task.along), range(len(task.along))] = 1.0
    return Fitted(minimum, gradient[rows], curvature[np.ix_(rows, rows)] + across.T @ follow, tangent)


def _with_gammas(
    likelihood: "Likelihood",
    seen: "Observation",
    gammas: Sequence[int],
    minimum: "Minimum",
    free: NDArray[np.bool_],
    gradient: Floats,
    curvature: Floats,
) -> tuple[Floats, Floats]:
    """Gradient and Hessian with rows for gammas that are held, which the likelihood itself solves for."""
    from inference.likelihood import compiled

    arrays, layout, places = likelihood.arrays, likelihood.layout, likelihood.places
    data = likelihood.data(seen, minimum.parameters, free)
    theta = minimum.parameters[places.reduced]
    rates = compiled.rates(theta, arrays, layout, data)
    mixed = np.asarray(compiled.mixed(theta, arrays, layout, data)[0])
    flat = places.gamma.reshape(-1)
    bins = [int(np.flatnonzero(flat == parameter)[0]) for parameter in gammas]

    def at(values: Any) -> Floats:
        return np.asarray(values, dtype=float).reshape(-1)[bins]

    value, scaled, total, observed = at(rates.gamma), at(rates.scaled), at(rates.total), at(data.observed)
    weight, counted, factor = at(arrays.gamma_weight), at(arrays.gamma_poisson), at(arrays.gamma_factor)
    ratio = np.where(observed > 0, observed / np.where(total > 0, total, 1.0), 0.0)
    slope = at(data.mask) * (1 - ratio) * scaled + weight * (value - at(data.gamma))
    slope = slope + counted * (factor - at(data.gamma) / value)
    own = at(data.mask) * ratio / np.where(total > 0, total, 1.0) * scaled**2 + weight
    own = own + counted * at(data.gamma) / value**2
    across = mixed[bins]
    return np.append(gradient, slope), np.block([[curvature, across.T], [across, np.diag(own)]])
