"""Scans: the profiled 2 Δ log L of one parameter on points, or of two on a grid.

Every point is fitted from where the nominal fit's covariance predicts its minimum, from the minima of its neighbours
and from the other side of the shapes that bend most; the lowest counts, and what was lowered is offered to its
neighbours again. So a profile with several valleys is followed in the lowest one everywhere. A point that cannot be
fitted stays empty, with its reason.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from inference.errors import InferenceError
from inference.fit import fit_likelihood
from inference.likelihood.specification import Floats
from inference.profiles.nominal import LowerMinimum, NewMinimum, Nominal, restart
from inference.profiles.places import of_interest, require_free
from inference.profiles.valleys import LOWER, lowest_minima
from inference.results import FitResult

if TYPE_CHECKING:
    from inference.likelihood.model import Likelihood, Minimum

# Uncertainties to either side of the best fit, unless the range is given.
REACH = 3.0


@dataclass(frozen=True, slots=True)
class Scan:
    """Profiled likelihood of one parameter.

    Attributes:
        parameter: its label.
        bestfit: where the minimum is.
        uncertainty: there, of the Hessian.
        values: the points, ascending.
        twice_rises: 2 Δ log L at each of them, None where the fit failed.
        failures: reasons, with the point.
        twice_nll: −2 log L at the minimum that they count from.
        minimum: a lower minimum than the nominal fit's, where one was found.
    """

    parameter: str
    bestfit: float
    uncertainty: float
    values: tuple[float, ...]
    twice_rises: tuple[float | None, ...]
    failures: tuple[str, ...]
    twice_nll: float
    minimum: NewMinimum | None


@dataclass(frozen=True, slots=True)
class PlaneScan:
    """Profiled likelihood of two parameters; as ``Scan``, with ``twice_rises[i][j]`` at ``first[i], second[j]``."""

    parameters: tuple[str, str]
    bestfit: tuple[float, float]
    uncertainties: tuple[float, float]
    first: tuple[float, ...]
    second: tuple[float, ...]
    twice_rises: tuple[tuple[float | None, ...], ...]
    failures: tuple[str, ...]
    twice_nll: float
    minimum: NewMinimum | None


def scan(
    likelihood: "Likelihood",
    *,
    parameter: str | None = None,
    values: Sequence[float] | None = None,
    points: int = 41,
    limits: tuple[float, float] | None = None,
    fit: FitResult | None = None,
    fixed: Mapping[str, float] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Scan:
    """Scan one parameter.

    Args:
        parameter: label; the parameter of interest if None.
        values: where to fit; if None, ``points`` values within ``limits``.
        points: how many.
        limits: first and last value; 3 uncertainties around the best fit, within the bounds, if None.
        fit: the nominal fit, which says itself what it holds; made here with ``fixed`` held if None.
        progress: called with the number of fits done and of those known to be needed.

    Raises:
        UnknownParameter: the label.
        InferenceError: points outside the bounds, or a parameter that is held.
        FitFailed: the nominal fit.
    """
    nominal = Nominal.of(fit or fit_likelihood(likelihood, fixed))
    label = parameter or of_interest(likelihood)
    place = likelihood.index(label)
    axis = _axis(likelihood, nominal, place, values, points, limits)
    neighbours = [[near for near in (at - 1, at + 1) if 0 <= near < len(axis)] for at in range(len(axis))]
    fitted = _fitted(likelihood, nominal, (place,), axis[:, None], neighbours, progress)
    nominal, new = _lowest(likelihood, nominal, fitted, (label,))
    rises, failures = _rises(nominal, fitted, [f"{label} = {value:.5g}" for value in axis])
    uncertainty = float(np.sqrt(nominal.covariance[place, place]))
    bestfit = float(nominal.parameters[place])
    return Scan(label, bestfit, uncertainty, tuple(axis.tolist()), rises, failures, 2 * nominal.nll, new)


def scan_plane(
    likelihood: "Likelihood",
    *,
    parameters: tuple[str, str],
    values: tuple[Sequence[float], Sequence[float]] | None = None,
    points: tuple[int, int] = (21, 21),
    limits: tuple[tuple[float, float] | None, tuple[float, float] | None] = (None, None),
    fit: FitResult | None = None,
    fixed: Mapping[str, float] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> PlaneScan:
    """Scan two parameters on a grid; arguments as of ``scan``, one for each parameter."""
    nominal = Nominal.of(fit or fit_likelihood(likelihood, fixed))
    one, other = (likelihood.index(label) for label in parameters)
    if one == other:
        raise InferenceError(f"a plane needs two parameters, not {parameters[0]} twice")
    given = values or (None, None)
    first = _axis(likelihood, nominal, one, given[0], points[0], limits[0])
    second = _axis(likelihood, nominal, other, given[1], points[1], limits[1])
    shape = (len(first), len(second))
    at = [(i, j) for i in range(shape[0]) for j in range(shape[1])]
    grid = np.asarray([(first[i], second[j]) for i, j in at])
    fitted = _fitted(likelihood, nominal, (one, other), grid, [_around(i, j, shape) for i, j in at], progress)
    nominal, new = _lowest(likelihood, nominal, fitted, parameters)
    where = [f"{parameters[0]} = {a:.5g}, {parameters[1]} = {b:.5g}" for a, b in grid]
    rises, failures = _rises(nominal, fitted, where)
    rows = tuple(rises[i * shape[1] : (i + 1) * shape[1]] for i in range(shape[0]))
    return PlaneScan(
        (parameters[0], parameters[1]),
        (float(nominal.parameters[one]), float(nominal.parameters[other])),
        (float(np.sqrt(nominal.covariance[one, one])), float(np.sqrt(nominal.covariance[other, other]))),
        tuple(first.tolist()),
        tuple(second.tolist()),
        rows,
        failures,
        2 * nominal.nll,
        new,
    )


def _axis(
    likelihood: "Likelihood",
    nominal: Nominal,
    place: int,
    values: Sequence[float] | None,
    points: int,
    limits: tuple[float, float] | None,
) -> Floats:
    """Where to fit, checked."""
    require_free(likelihood, nominal.free, place)
    lower, upper = float(likelihood.lower[place]), float(likelihood.upper[place])
    if values is None:
        if points < 2:
            raise InferenceError(f"a scan needs at least 2 points, not {points}")
        reach = REACH * nominal.unit(likelihood, place)
        centre = float(nominal.parameters[place])
        low, high = limits or (max(lower, centre - reach), min(upper, centre + reach))
        axis = np.linspace(low, high, points)
    else:
        axis = np.sort(np.asarray(values, dtype=float))
    if not len(axis) or axis[0] < lower or axis[-1] > upper or (np.diff(axis) <= 0).any():
        raise InferenceError(
            f"{likelihood.labels[place]} can be scanned at different values between {lower:g} and {upper:g}, its bounds"
        )
    return axis


def _around(i: int, j: int, shape: tuple[int, int]) -> list[int]:
    """Places of the neighbours of a point in a flat grid."""
    near = ((i - 1, j), (i + 1, j), (i, j - 1), (i, j + 1))
    return [a * shape[1] + b for a, b in near if 0 <= a < shape[0] and 0 <= b < shape[1]]


def _fitted(
    likelihood: "Likelihood",
    nominal: Nominal,
    held: tuple[int, ...],
    points: Floats,
    neighbours: Sequence[Sequence[int]],
    progress: Callable[[int, int], None] | None,
) -> "list[Minimum]":
    """The lowest minimum found at each point."""
    covariance = nominal.covariance
    follow = covariance[:, held] @ np.linalg.pinv(covariance[np.ix_(held, held)])
    begins = [[nominal.parameters]] * len(points)
    return lowest_minima(
        likelihood,
        likelihood.observed,
        nominal.free,
        held,
        points,
        begins,
        neighbours=neighbours,
        follow=follow,
        progress=progress,
    )


def _lowest(
    likelihood: "Likelihood", nominal: Nominal, fitted: "Sequence[Minimum]", labels: tuple[str, ...]
) -> tuple[Nominal, NewMinimum | None]:
    """The nominal minimum, or what the lowest point leads to where that is lower."""
    lowest = min((each for each in fitted if each.certificate.converged), key=lambda each: each.nll, default=None)
    if lowest is None or lowest.nll >= nominal.nll - LOWER:
        return nominal, None
    return restart(likelihood, nominal, LowerMinimum(lowest, labels))


def _rises(
    nominal: Nominal, fitted: "Sequence[Minimum]", where: Sequence[str]
) -> tuple[tuple[float | None, ...], tuple[str, ...]]:
    rises = tuple(max(2 * (each.nll - nominal.nll), 0.0) if each.certificate.converged else None for each in fitted)
    failures = tuple(
        f"{place}: {each.certificate.reason}"
        for place, each in zip(where, fitted, strict=True)
        if not each.certificate.converged
    )
    return rises, failures
