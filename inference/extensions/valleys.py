"""Minima and profiles where −log L has several valleys, as it has in coefficients that enter as squares.

Fits begin at several points; a profile begins each of its fits in every valley that is known, and beside its
neighbours, and the lowest is taken. So intervals may be several pieces.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from inference.likelihood.specification import Floats
from inference.profiles.places import starting
from inference.profiles.valleys import lowest_minima

if TYPE_CHECKING:
    from inference.likelihood.model import Likelihood, Minimum

VALLEYS = 6  # at most that profiles begin in
SAME = 0.05  # minima nearer than this in standard deviations are one
CLOSE = 1e-9  # of a crossing, relative to the scanned range


@dataclass(frozen=True, slots=True)
class Piece:
    """Part of an interval; None where it goes on beyond the scanned range."""

    lower: float | None
    upper: float | None


@dataclass(frozen=True, slots=True)
class Problem:
    """What is fitted: the likelihood with its data, which parameters move, and where those that are held stand."""

    likelihood: "Likelihood"
    free: np.ndarray  # (parameters,)
    begin: Floats  # (parameters,)

    @classmethod
    def of(cls, likelihood: "Likelihood", fixed: Mapping[str, float] | None) -> "Problem":
        """With parameters held by label; raises ``UnknownParameter``."""
        begin, free = starting(likelihood, fixed)
        return cls(likelihood, free, begin)

    def fits(self, starts: Sequence[Floats]) -> "list[Minimum]":
        """A fit from each start."""
        return self.likelihood.minima([(self.likelihood.observed, start, self.free) for start in starts])

    def lowest(
        self, place: int, values: Floats, starts: Sequence[Sequence[Floats]], neighbours: Sequence[Sequence[int]] = ()
    ) -> "list[Minimum]":
        """The lowest minimum at each value of one parameter, as `lowest_minima`."""
        likelihood, points = self.likelihood, np.asarray(values)[:, None]
        return lowest_minima(
            likelihood, likelihood.observed, self.free, (place,), points, starts, neighbours=neighbours
        )


def valleys(problem: Problem, places: Sequence[int], starts: int) -> "list[Minimum]":
    """Distinct minima, the lowest first; those that failed only if all did.

    Begins at the parameters' start, at ``starts`` points spread over the bounds of ``places``, and at each found
    minimum with the sign of one of ``places`` turned.
    """
    from scipy.stats.qmc import Halton

    likelihood = problem.likelihood
    low, high = likelihood.lower[places], likelihood.upper[places]
    begins = [problem.begin]
    for share in Halton(len(places), scramble=False).random(starts):
        begins.append(problem.begin.copy())
        begins[-1][places] = low + share * (high - low)
    found = _distinct(problem, places, problem.fits(begins))
    mirrored = []
    for minimum in found:
        for place in places:
            mirrored.append(minimum.parameters.copy())
            mirrored[-1][place] = np.clip(-mirrored[-1][place], likelihood.lower[place], likelihood.upper[place])
    return _distinct(problem, places, [*found, *problem.fits(mirrored)])


def _distinct(problem: Problem, places: Sequence[int], found: "Sequence[Minimum]") -> "list[Minimum]":
    converged = [each for each in found if each.certificate.converged]
    if not converged:
        return [min(found, key=lambda each: each.nll)]
    kept: list[Minimum] = []
    for each in sorted(converged, key=lambda each: each.nll):
        scale = np.sqrt(np.diag(problem.likelihood.covariance(each, free=problem.free)))[places]
        scale = np.where(scale > 0, scale, 1.0)
        steps = [np.abs(each.parameters[places] - other.parameters[places]) / scale for other in kept]
        if all(step.max() > SAME for step in steps):
            kept.append(each)
    return kept


@dataclass(frozen=True, slots=True)
class Profile:
    """Lowest −log L for values of one parameter.

    Attributes:
        values: scanned, rising.
        lowest: minimum at each value, None where all fits failed.
        failures: value and reason, where all fits failed.
    """

    place: int
    values: Floats
    lowest: "tuple[Minimum | None, ...]"
    failures: tuple[str, ...]


def profile(problem: Problem, place: int, values: Floats, known: "Sequence[Minimum]") -> Profile:
    """Fit at each value, from every known valley, from both neighbours' minima and with other signs of squares."""
    starts = [[each.parameters for each in known[:VALLEYS]] for _ in values]
    neighbours = [[near for near in (at - 1, at + 1) if 0 <= near < len(values)] for at in range(len(values))]
    found = problem.lowest(place, values, starts, neighbours)
    failures = tuple(
        f"{problem.likelihood.labels[place]} = {value:.4g}: {each.certificate.reason}"
        for value, each in zip(values, found, strict=True)
        if not each.certificate.converged
    )
    return Profile(place, values, tuple(each if each.certificate.converged else None for each in found), failures)


def pieces(problem: Problem, found: Profile, least: float, rise: float) -> tuple[Piece, ...]:
    """Where −log L is less than ``rise`` above ``least``: crossings to 1e-9 of the scanned range."""
    good = [at for at, each in enumerate(found.lowest) if each is not None]
    height = {at: each.nll - least - rise for at, each in enumerate(found.lowest) if each is not None}
    changes = [(a, b) for a, b in itertools.pairwise(good) if (height[a] < 0) != (height[b] < 0)]
    roots = iter(_roots(problem, found, least + rise, changes))
    ends: list[tuple[float | None, float | None]] = []
    start: float | None = None
    inside = bool(good) and height[good[0]] < 0
    for a, b in itertools.pairwise(good):
        if (a, b) not in changes:
            continue
        root = next(roots)
        if height[b] < 0:
            start, inside = root, True
        else:
            ends.append((start, root))
            start, inside = None, False
    if inside:
        ends.append((start, None))
    return tuple(Piece(*each) for each in ends)


def _roots(problem: Problem, found: Profile, level: float, brackets: Sequence[tuple[int, int]]) -> list[float]:
    """Of all brackets at once (Chandrupatla's method)."""
    if not brackets:
        return []
    from scipy.optimize.elementwise import find_root

    ends = [[each for each in (found.lowest[a], found.lowest[b]) if each is not None] for a, b in brackets]
    low, high = (np.asarray([found.values[bracket[side]] for bracket in brackets]) for side in (0, 1))

    def height(values: Floats, which: Floats) -> Floats:
        starts = [[end.parameters for end in ends[int(index)]] for index in which]
        return np.asarray([each.nll - level for each in problem.lowest(found.place, values, starts)])

    close = CLOSE * float(found.values[-1] - found.values[0])
    root = find_root(height, (low, high), args=(np.arange(len(brackets), dtype=float),), tolerances={"xatol": close})
    return [float(each) for each in root.x]
