"""Wilson coefficients: best fit, other minima, intervals in pieces, and how well the basis determines the morphing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from inference.errors import FitFailed, UnknownParameter, nearest
from inference.extensions.errors import InvalidExtension
from inference.extensions.morphing import Eft, condition
from inference.extensions.valleys import Piece, Problem, Profile, pieces, profile, valleys
from inference.likelihood.certificate import Certificate
from inference.likelihood.specification import Floats

if TYPE_CHECKING:
    from inference.likelihood.model import Likelihood, Minimum

# Half of what 2 · −log L rises by at 68.27 % and 95 % for one parameter.
RISES = {"68.27%": 0.5, "95%": 1.920729410347062}
POINTS = 41
SHOWN = 10.0  # rise of 2 · −log L up to which profiles go


@dataclass(frozen=True, slots=True)
class Coefficient:
    """One Wilson coefficient, all others profiled.

    Attributes:
        label: its name.
        bestfit, uncertainty: with the exact Hessian at the lowest minimum; uncertainty 0 on a bound.
        values, twice_rises: the profile, 2 Δ(−log L) above the lowest minimum; None where no fit converged.
        at_68, at_95: where the profile is less than 1 and 3.84, in pieces.
    """

    label: str
    bestfit: float
    uncertainty: float
    values: tuple[float, ...]
    twice_rises: tuple[float | None, ...]
    at_68: tuple[Piece, ...]
    at_95: tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class Valley:
    """A minimum: values of the coefficients, and 2 Δ(−log L) above the lowest one."""

    values: tuple[float, ...]
    twice_rise: float


@dataclass(frozen=True, slots=True)
class Basis:
    """Condition number of an extension's basis, coefficients counted in their largest value there."""

    extension: str
    condition: float


@dataclass(frozen=True, slots=True)
class EftFit:
    """Fit of the Wilson coefficients.

    Attributes:
        coefficients: in the model's order; ``correlation`` is among them, at the lowest minimum.
        minima: all that were found, the lowest first.
        twice_nll: 2 · −log L at the lowest.
        standard_model: 2 Δ(−log L) of all coefficients 0; None if that fit failed, or 0 is beyond a bound.
        bases: of the extensions.
        failures: value and reason, of the profiles' fits that failed.
        certificate: of the lowest minimum.
    """

    coefficients: tuple[Coefficient, ...]
    correlation: tuple[tuple[float, ...], ...]
    minima: tuple[Valley, ...]
    twice_nll: float
    standard_model: float | None
    bases: tuple[Basis, ...]
    failures: tuple[str, ...]
    certificate: Certificate


def eft(
    likelihood: "Likelihood",
    *,
    coefficients: Sequence[str] | None = None,
    limits: Mapping[str, tuple[float, float]] | None = None,
    points: int = POINTS,
    starts: int | None = None,
    fixed: Mapping[str, float] | None = None,
) -> EftFit:
    """Fit the coefficients, looking for all minima, and profile each.

    Args:
        coefficients: which ones to profile; all that are free if None.
        limits: range of a profile by label; by default what is within 2 Δ(−log L) = 10, looked for within the bounds.
        points: of each profile.
        starts: fits that look for minima; 8 for each coefficient if None.
        fixed: parameters to hold, label → value.

    Raises:
        InvalidExtension: the workspace has no extension with the operator "eft".
        UnknownParameter: a label that is no free coefficient.
        FitFailed: no fit converged.
    """
    documents = [each for each in likelihood.specification.extensions if isinstance(each, Eft)]
    if not documents:
        raise InvalidExtension("the workspace has no extension with the operator 'eft': docs/extensions.md shows one")
    problem = Problem.of(likelihood, fixed)
    names = {made.name: None for document in documents for made in document.parameters}
    labels = [label for label in names if problem.free[likelihood.index(label)]]
    chosen = list(labels if coefficients is None else coefficients)
    for label in (*chosen, *(limits or {})):
        if label not in labels:
            raise UnknownParameter(f"{label!r} is no coefficient that moves; {nearest(label, labels)}")
    if not chosen:
        raise UnknownParameter("no coefficient moves: hold fewer")
    places = [likelihood.index(label) for label in labels]
    found = valleys(problem, places, 8 * len(places) if starts is None else starts)
    if not found[0].certificate.converged:
        raise FitFailed(f"no minimum: {found[0].certificate.reason}; hold a coefficient")
    profiled = [_profiled(problem, label, found, (limits or {}).get(label), points) for label in chosen]
    inside = [likelihood.index(label) for label in chosen]
    covariance = likelihood.covariance(found[0], free=problem.free)[np.ix_(inside, inside)]
    sigma = np.sqrt(np.diag(covariance))
    correlation = covariance / np.outer(*[np.where(sigma > 0, sigma, np.inf)] * 2)
    np.fill_diagonal(correlation, 1.0)
    return EftFit(
        tuple(each for each, _ in profiled),
        tuple(tuple(row) for row in correlation.tolist()),
        tuple(Valley(tuple(each.parameters[inside].tolist()), 2 * (each.nll - found[0].nll)) for each in found),
        2 * found[0].nll,
        _standard_model(problem, places, found[0]),
        tuple(Basis(each.name, condition(np.asarray(each.basis), each.order)) for each in documents),
        tuple(failure for _, failures in profiled for failure in failures),
        found[0].certificate,
    )


def _profiled(
    problem: Problem, label: str, known: "Sequence[Minimum]", limits: tuple[float, float] | None, points: int
) -> tuple[Coefficient, tuple[str, ...]]:
    """A coefficient, and the failures of its profile, whose grid holds each known minimum too."""
    likelihood, best = problem.likelihood, known[0]
    place = likelihood.index(label)
    low, high = limits or (float(likelihood.lower[place]), float(likelihood.upper[place]))
    found = profile(problem, place, _grid(place, low, high, points, known), known)
    if limits is None:
        low, high = _near(found, best.nll)
        found = profile(problem, place, _grid(place, low, high, points, known), known)
    values = found.values
    rises = tuple(None if each is None else max(2 * (each.nll - best.nll), 0.0) for each in found.lowest)
    at_68, at_95 = (pieces(problem, found, best.nll, rise) for rise in RISES.values())
    sigma = float(np.sqrt(likelihood.covariance(best, free=problem.free)[place, place]))
    made = Coefficient(label, float(best.parameters[place]), sigma, tuple(values.tolist()), rises, at_68, at_95)
    return made, found.failures


def _grid(place: int, low: float, high: float, points: int, known: "Sequence[Minimum]") -> Floats:
    at_minima = [each.parameters[place] for each in known if low <= each.parameters[place] <= high]
    return np.unique(np.concatenate([np.linspace(low, high, points), at_minima]))


def _near(found: Profile, least: float) -> tuple[float, float]:
    """First and last value that are within 2 Δ(−log L) = ``SHOWN``, with one more on either side."""
    inside = [at for at, each in enumerate(found.lowest) if each is not None and 2 * (each.nll - least) < SHOWN]
    first, last = max(inside[0] - 1, 0), min(inside[-1] + 1, len(found.values) - 1)
    return float(found.values[first]), float(found.values[last])


def _standard_model(problem: Problem, places: Sequence[int], best: "Minimum") -> float | None:
    likelihood = problem.likelihood
    if np.any(likelihood.lower[places] > 0) or np.any(likelihood.upper[places] < 0):
        return None
    begin, free = best.parameters.copy(), problem.free.copy()
    begin[places], free[places] = 0.0, False
    found = likelihood.minimum(likelihood.observed, begin, free)
    return 2 * (found.nll - best.nll) if found.certificate.converged else None
