"""Contours of constant profiled 2 Δ log L of two parameters, as MINUIT's MNCONTOUR draws them, each point exact.

Points lie on rays from the best fit, evenly spread in the metric of the covariance; where neighbours are far apart,
rays are added between them. Where a bound cuts the region off, the curve follows the bound, from where the contour
meets it to where it leaves it. The region inside is taken to be seen whole from the best fit (as is the region of a
likelihood with one valley). Heights are those of a chi-squared distribution with two degrees of freedom: 2.30 for
68.27 % and 5.99 for 95 % (PDG, Statistics, table of Δχ²).
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from inference.errors import InferenceError
from inference.fit import fit_likelihood
from inference.intervals.crossings import Crossing, Ray, crossings
from inference.likelihood.specification import Floats
from inference.profiles.fits import Task, minima_of
from inference.profiles.nominal import LowerMinimum, NewMinimum, Nominal, from_lowest
from inference.profiles.places import require_free
from inference.results import FitResult

if TYPE_CHECKING:
    from inference.likelihood.model import Likelihood

ONE_SIGMA = math.erf(1 / math.sqrt(2))


@dataclass(frozen=True, slots=True)
class ContourPoint:
    """``status`` "bound": the bound comes before the contour does, and the region ends there."""

    first: float
    second: float
    status: Literal["crossing", "bound"]


@dataclass(frozen=True, slots=True)
class Contour:
    """A closed curve, the first point again at its end.

    Attributes:
        confidence: of the region inside, in the asymptotic limit.
        twice_rise: 2 Δ log L on it.
        points: counter-clockwise in the metric of the covariance.
        failures: reasons of the rays that gave no point.
    """

    confidence: float
    twice_rise: float
    points: tuple[ContourPoint, ...]
    failures: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Contours:
    """Of two parameters; ``minimum`` is a lower minimum than the nominal fit's, where one was found."""

    parameters: tuple[str, str]
    bestfit: tuple[float, float]
    contours: tuple[Contour, ...]
    twice_nll: float
    minimum: NewMinimum | None


def contours(
    likelihood: "Likelihood",
    *,
    parameters: tuple[str, str],
    confidence: Sequence[float] = (ONE_SIGMA, 0.95),
    points: int = 64,
    fit: FitResult | None = None,
    fixed: Mapping[str, float] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Contours:
    """Trace the contours of two parameters, sqrt(2 Δ log L) exact to 1e-8 at each point.

    Args:
        parameters: two labels.
        confidence: of the regions, each between 0 and 1.
        points: of each contour.
        fit: the nominal fit, which says itself what it holds; made here with ``fixed`` held if None.
        progress: called with the number of contours done and of all.

    Raises:
        UnknownParameter: a label.
        InferenceError: the same parameter twice, or one that is held, or a confidence that is none.
        FitFailed: the nominal fit.
    """
    if not all(0 < each < 1 for each in confidence):
        raise InferenceError(f"confidence levels are between 0 and 1, such as 0.95, not {list(confidence)}")
    if points < 8:
        raise InferenceError(f"a contour needs at least 8 points, not {points}")
    one, other = (likelihood.index(label) for label in parameters)
    if one == other:
        raise InferenceError(f"a contour needs two parameters, not {parameters[0]} twice")
    nominal = Nominal.of(fit or fit_likelihood(likelihood, fixed))
    require_free(likelihood, nominal.free, one, other)

    def trace_all(start: Nominal) -> list[Contour] | LowerMinimum:
        traced: list[Contour] = []
        for level in confidence:
            found = _trace(likelihood, start, (one, other), level, points)
            if isinstance(found, LowerMinimum):
                return found
            traced.append(found)
            if progress is not None:
                progress(len(traced), len(confidence))
        return traced

    nominal, new, traced = from_lowest(likelihood, nominal, trace_all)
    bestfit = (float(nominal.parameters[one]), float(nominal.parameters[other]))
    return Contours((parameters[0], parameters[1]), bestfit, tuple(traced), 2 * nominal.nll, new)


def _trace(
    likelihood: "Likelihood", nominal: Nominal, places: tuple[int, int], confidence: float, points: int
) -> Contour | LowerMinimum:
    rise = -2 * math.log1p(-confidence)  # chi-squared quantile, two degrees of freedom
    metric, centre = _metric(likelihood, nominal, places), nominal.parameters[list(places)]
    metric_inverse = np.asarray(np.linalg.inv(metric))
    traced: dict[float, Crossing] = {}
    angles = np.linspace(0, 2 * np.pi, points - 2 * (points // 4), endpoint=False).tolist()
    for _ in range(3):
        rays = [Ray(places, metric @ (math.cos(angle), math.sin(angle))) for angle in angles]
        found = crossings(likelihood, nominal, rays, math.sqrt(rise))
        if isinstance(found, LowerMinimum):
            return found
        traced |= dict(zip(angles, found, strict=True))
        angles = _between(traced, metric_inverse, points // 4)
    for held, bound in _cutting(likelihood, places, traced.values()):
        ends = _ends_on_bound(likelihood, nominal, places, held, bound, math.sqrt(rise))
        if isinstance(ends, LowerMinimum):
            return ends
        steps = [(end, metric_inverse @ (end.values - centre)) for end in ends if end.values is not None]
        traced |= {math.atan2(step[1], step[0]) % (2 * np.pi): end for end, step in steps}
    return _contour(confidence, rise, traced)


def _cutting(likelihood: "Likelihood", places: tuple[int, int], found: Iterable[Crossing]) -> list[tuple[int, float]]:
    """Bounds that rays ended on: which of the two parameters, and its value there."""
    ended = [each.values for each in found if each.status == "bound" and each.values is not None]
    limits = [
        (held, float(bound))
        for held, place in enumerate(places)
        for bound in (likelihood.lower[place], likelihood.upper[place])
    ]
    return [(held, bound) for held, bound in limits if any(values[held] == bound for values in ended)]


def _ends_on_bound(
    likelihood: "Likelihood", nominal: Nominal, places: tuple[int, int], held: int, bound: float, height: float
) -> list[Crossing] | LowerMinimum:
    """Where the contour meets a bound of one parameter: from the minimum there along the other, both ways."""
    start = nominal.parameters.copy()
    start[places[held]] = bound
    [lowest] = minima_of(likelihood, likelihood.observed, [Task.holding((places[held],), start, nominal.free)])
    if not lowest.certificate.converged:
        return []
    along = np.eye(2)[1 - held] * nominal.unit(likelihood, places[1 - held])
    there = replace(nominal, parameters=lowest.parameters)
    return crossings(likelihood, there, [Ray(places, along), Ray(places, -along)], height)


def _contour(confidence: float, rise: float, traced: Mapping[float, Crossing]) -> Contour:
    good: list[ContourPoint] = []
    failures: list[str] = []
    for angle, each in sorted(traced.items()):
        if each.values is None or each.status == "failed":
            failures.append(f"at {math.degrees(angle):.0f}°: {each.reason}")
        else:
            good.append(ContourPoint(float(each.values[0]), float(each.values[1]), each.status))
    return Contour(confidence, rise, (*good, *good[:1]), tuple(failures))


def _metric(likelihood: "Likelihood", nominal: Nominal, places: tuple[int, int]) -> Floats:
    """From directions on the unit circle to steps of one standard deviation, (2, 2)."""
    try:
        return np.asarray(np.linalg.cholesky(nominal.covariance[np.ix_(places, places)]))
    except np.linalg.LinAlgError:  # one of them is on a bound and has no uncertainty there
        return np.diag([nominal.unit(likelihood, place) for place in places])


def _between(traced: Mapping[float, Crossing], inverse: Floats, count: int) -> list[float]:
    """Angles halfway between the neighbours that are farthest apart."""
    known = [(angle, inverse @ each.values) for angle, each in sorted(traced.items()) if each.values is not None]
    pairs = zip(known, [*known[1:], (known[0][0] + 2 * np.pi, known[0][1])], strict=True) if known else ()
    gaps = sorted(((float(np.linalg.norm(q - p)), 0.5 * (a + b)) for (a, p), (b, q) in pairs), reverse=True)
    return sorted(middle % (2 * np.pi) for _, middle in gaps[:count])
