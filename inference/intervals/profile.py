"""The profiled −log L of held parameters, with exact derivatives.

p(v) = min over the others of −log L with the held parameters at v. With H the exact Hessian at that minimum, h the held
and m the moving parameters (free, not held by a bound):

    dp/dv   = ∂(−log L)/∂v                          (envelope theorem)
    d²p/dv² = H_hh − H_hm H_mm⁻¹ H_mh               (Schur complement)
    dm/dv   = −H_mm⁻¹ H_mh                          (implicit function theorem: where the next fit begins)

So crossings are found by Newton's method in a handful of fits, each begun where the last one points to.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from inference.errors import InferenceError
from inference.likelihood.specification import Floats
from inference.results import FitResult

if TYPE_CHECKING:
    from inference.likelihood.model import Likelihood, Minimum

# Fits in one compiled call: always as many, so that nothing compiles anew.
ROWS = 16
# Of the shapes that bend most, so many have their other side looked at.
BENT = 4


@dataclass(frozen=True, slots=True)
class Nominal:
    """The minimum that a profile is measured from.

    Attributes:
        parameters: shape (parameters,).
        nll: −log L there.
        covariance: shape (parameters, parameters).
        free: which parameters were free, shape (parameters,).
    """

    parameters: Floats
    nll: float
    covariance: Floats
    free: NDArray[np.bool_]


def nominal_of(fit: FitResult) -> Nominal:
    """Of a fit."""
    return Nominal(np.asarray(fit.bestfit), fit.twice_nll / 2, np.asarray(fit.covariance), ~np.asarray(fit.fixed))


def of_interest(likelihood: "Likelihood") -> str:
    """The workspace's parameter of interest; raises ``InferenceError`` where it names none."""
    if likelihood.poi is None:
        raise InferenceError("the workspace names no parameter of interest: name the parameters")
    return likelihood.poi


def require_free(likelihood: "Likelihood", nominal: Nominal, places: Sequence[int]) -> None:
    """Raise ``InferenceError`` for a parameter that the nominal fit holds."""
    for place in places:
        if not nominal.free[place]:
            raise InferenceError(f"{likelihood.labels[place]} is held in the fit: its profile is not defined")


def unit(likelihood: "Likelihood", nominal: Nominal, place: int) -> float:
    """Length to measure a parameter in: its uncertainty, or its constraint's width, or 1 where there is neither."""
    uncertainty, width = math.sqrt(nominal.covariance[place, place]), likelihood.widths[place]
    return uncertainty or (1.0 if np.isnan(width) else float(width))


@dataclass(frozen=True, slots=True)
class Task:
    """A conditional fit: places of the parameters to hold, and where all begin (the held ones at their values)."""

    held: tuple[int, ...]
    start: Floats


@dataclass(frozen=True, slots=True)
class Conditional:
    """A minimum with parameters held, and the derivatives of the profiled −log L; None where it has no certificate.

    Attributes:
        slope: shape (held,).
        curvature: shape (held, held).
        tangent: of all parameters, shape (parameters, held); 0 for those that do not move or are solved for anyway.
    """

    minimum: "Minimum"
    slope: Floats | None
    curvature: Floats | None
    tangent: Floats | None

    @property
    def converged(self) -> bool:
        """Certified, so that the derivatives are there."""
        return self.slope is not None


def other_sides(likelihood: "Likelihood", at: "Minimum", free: NDArray[np.bool_]) -> list[Floats]:
    """Starts for other valleys: beyond the shapes that bend most, and beyond parameters that an extension squares."""
    from inference.likelihood.search import reflections

    shapes = likelihood.places.reduced[likelihood.arrays.shapes[likelihood.arrays.shapes < likelihood.places.shared]]
    starts = reflections(likelihood, at, free)
    bent = [np.isin(np.flatnonzero(start != at.parameters), shapes).all() for start in starts]
    most = [start for start, is_shape in zip(starts, bent, strict=True) if is_shape][:BENT]
    return most + [start for start, is_shape in zip(starts, bent, strict=True) if not is_shape]


def conditional_minima(
    likelihood: "Likelihood", tasks: Sequence[Task], free: NDArray[np.bool_], *, derivatives: bool = True
) -> list[Conditional]:
    """Conditional minima for the workspace's observed data; ``free`` are the nominal fit's free parameters.

    Full rows of ``ROWS`` go into one compiled call; what is left over is fitted one by one, as the nominal fit is.
    """
    masks = [free & ~np.isin(np.arange(len(free)), task.held) for task in tasks]
    rows = [_row(likelihood, task.start, mask) for task, mask in zip(tasks, masks, strict=True)]
    ended = _ended(likelihood, rows)
    return [
        _conditional(likelihood, task, mask, each, derivatives)
        for task, mask, each in zip(tasks, masks, ended, strict=True)
    ]


def _ended(likelihood: "Likelihood", rows: Sequence[Any]) -> Iterator[Any]:
    """Where the walk from each row ended, as ``minimise.Ended`` of NumPy arrays."""
    import jax

    from inference.intervals.compiled import walks
    from inference.likelihood.compiled import fit

    full = len(rows) - len(rows) % ROWS
    for begin in range(0, full, ROWS):
        stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *rows[begin : begin + ROWS])
        together = jax.tree.map(np.asarray, walks(*stacked, likelihood.arrays, likelihood.layout))
        yield from (jax.tree.map(lambda leaf, at=at: leaf[at], together) for at in range(ROWS))
    for row in rows[full:]:
        yield jax.tree.map(np.asarray, fit(*row, likelihood.arrays, likelihood.layout))


def _row(likelihood: "Likelihood", start: Floats, free: NDArray[np.bool_]) -> tuple[Any, ...]:
    """What the compiled walk takes of one fit."""
    reduced = likelihood.places.reduced
    lower, upper = np.where(free, likelihood.lower, start)[reduced], np.where(free, likelihood.upper, start)[reduced]
    return start[reduced], free[reduced], lower, upper, likelihood.data(likelihood.observed, start, free)


def _conditional(
    likelihood: "Likelihood", task: Task, free: NDArray[np.bool_], ended: Any, derivatives: bool
) -> Conditional:
    from inference.likelihood.certificate import certify
    from inference.likelihood.model import Minimum

    reduced, gamma = likelihood.places.reduced, likelihood.places.gamma
    parameters = task.start.copy()
    parameters[reduced] = ended.theta
    parameters[likelihood.profiled] = ended.gamma[gamma >= 0]
    certificate = certify(ended, free[reduced], tuple(likelihood.labels[place] for place in reduced))
    minimum = Minimum(parameters, float(ended.value) + likelihood.saturated(), certificate)
    if not (derivatives and certificate.converged):
        return Conditional(minimum, *((np.zeros(0),) * 3 if certificate.converged else (None,) * 3))
    return Conditional(minimum, *_derivatives(likelihood, task.held, minimum, free, ended))


def _derivatives(
    likelihood: "Likelihood", held: tuple[int, ...], minimum: "Minimum", free: NDArray[np.bool_], ended: Any
) -> tuple[Floats, Floats, Floats]:
    places = likelihood.places
    gradient, curvature = np.asarray(ended.gradient), np.asarray(ended.curvature)
    where = {int(parameter): at for at, parameter in enumerate(places.reduced)}
    gammas = [parameter for parameter in held if parameter not in where]
    if gammas:
        gradient, curvature = _with_gammas(likelihood, gammas, minimum, free, gradient, curvature)
        where |= {parameter: len(where) + at for at, parameter in enumerate(gammas)}
    rows = np.asarray([where[parameter] for parameter in held])
    moving = np.flatnonzero(free[places.reduced] & ~np.asarray(ended.held))
    across = curvature[np.ix_(moving, rows)]
    follow = -np.linalg.solve(curvature[np.ix_(moving, moving)], across)
    tangent = np.zeros((len(free), len(held)))
    tangent[places.reduced[moving]] = follow
    tangent[list(held), range(len(held))] = 1.0
    return gradient[rows], curvature[np.ix_(rows, rows)] + across.T @ follow, tangent


def _with_gammas(
    likelihood: "Likelihood",
    gammas: Sequence[int],
    minimum: "Minimum",
    free: NDArray[np.bool_],
    gradient: Floats,
    curvature: Floats,
) -> tuple[Floats, Floats]:
    """Gradient and Hessian with rows for gammas that are held, which the likelihood itself solves for."""
    from inference.likelihood import compiled

    arrays, layout, places = likelihood.arrays, likelihood.layout, likelihood.places
    data = likelihood.data(likelihood.observed, minimum.parameters, free)
    theta = minimum.parameters[places.reduced]
    rates = compiled.rates(theta, arrays, layout, data)
    mixed = np.asarray(compiled.mixed(theta, arrays, layout, data)[0])
    flat = places.gamma.reshape(-1)
    bins = [int(np.flatnonzero(flat == parameter)[0]) for parameter in gammas]

    def at(values: Any) -> Floats:
        return np.asarray(values, dtype=float).reshape(-1)[bins]

    value, scaled, total, seen = at(rates.gamma), at(rates.scaled), at(rates.total), at(data.observed)
    weight, counted, factor = at(arrays.gamma_weight), at(arrays.gamma_poisson), at(arrays.gamma_factor)
    ratio = np.where(seen > 0, seen / np.where(total > 0, total, 1.0), 0.0)
    slope = at(data.mask) * (1 - ratio) * scaled + weight * (value - at(data.gamma))
    slope = slope + counted * (factor - at(data.gamma) / value)
    own = at(data.mask) * ratio / np.where(total > 0, total, 1.0) * scaled**2 + weight
    own = own + counted * at(data.gamma) / value**2
    across = mixed[bins]
    return np.append(gradient, slope), np.block([[curvature, across.T], [across, np.diag(own)]])
