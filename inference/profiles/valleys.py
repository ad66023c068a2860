"""Other valleys of −log L: where fits begin to find them, and the lowest minimum on the points of a profile."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from inference.likelihood.specification import Floats
from inference.profiles.fits import Task, minima_of

if TYPE_CHECKING:
    from inference.likelihood.model import Likelihood, Minimum, Observation

# Of the shapes that bend most, so many have their other side looked at where there are many points.
BENT = 4
# Fall of −log L to another valley that is not rounding.
LOWER = 1e-7
# Widths of its constraint by which a parameter is pulled far.
PULLED = 1.0
PASSES = 20


def other_sides(likelihood: "Likelihood", at: "Minimum", free: NDArray[np.bool_]) -> list[Floats]:
    """Starts for other valleys: beyond the shapes that bend most, and beyond parameters that an extension squares."""
    from inference.likelihood.search import reflections

    shapes = likelihood.places.reduced[likelihood.arrays.shapes[likelihood.arrays.shapes < likelihood.places.shared]]
    starts = reflections(likelihood, at, free)
    bent = [np.isin(np.flatnonzero(start != at.parameters), shapes).all() for start in starts]
    most = [start for start, is_shape in zip(starts, bent, strict=True) if is_shape][:BENT]
    return most + [start for start, is_shape in zip(starts, bent, strict=True) if not is_shape]


def across(likelihood: "Likelihood", seen: "Observation", at: "Minimum", free: NDArray[np.bool_]) -> "list[Minimum]":
    """Minima beyond the centre of each constraint that a parameter is pulled far from, all others having followed it.

    What pulls it may be a bend that is no shape's alone: a norm that both its variations raise, or several together.
    """
    shared = np.isin(np.arange(len(free)), likelihood.places.reduced) & free & ~np.isnan(likelihood.widths)
    pulls = (at.parameters - likelihood.init)[shared] / likelihood.widths[shared]
    tasks = []
    for place in np.flatnonzero(shared)[np.abs(pulls) > PULLED]:
        start = at.parameters.copy()
        start[place] = 2 * likelihood.init[place] - start[place]
        tasks.append(Task.holding((int(place),), np.clip(start, likelihood.lower, likelihood.upper), free))
    followed = minima_of(likelihood, seen, tasks)
    return minima_of(likelihood, seen, [Task(each.parameters, free, ()) for each in followed])


def lower_of(one: "Minimum", other: "Minimum", rounding: float = LOWER) -> "Minimum":
    """The certified one, and of two such the first, unless the other one is lower by more than rounding."""
    if one.certificate.converged != other.certificate.converged:
        return one if one.certificate.converged else other
    return other if other.nll < one.nll - rounding else one


def lowest_minima(
    likelihood: "Likelihood",
    seen: "Observation",
    free: NDArray[np.bool_],
    held: tuple[int, ...],
    points: Floats,
    begins: Sequence[Sequence[Floats]],
    *,
    neighbours: Sequence[Sequence[int]] = (),
    follow: Floats | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> "list[Minimum]":
    """The lowest minimum found at each point: from the given starts, from its neighbours' minima, from other sides.

    What is lowered is offered to its neighbours, and its other sides are looked at, until nothing falls any more. So a
    profile with several valleys is followed in the lowest one everywhere.

    Args:
        free: which parameters move where nothing is held.
        held: places of the parameters that each point holds.
        points: their values, shape (points, held).
        begins: for each point, parameters to begin from.
        neighbours: for each point, places of others; if there are none, the given starts are all.
        follow: how all parameters follow the held ones from one point to another, shape (parameters, held).
        progress: called with the number of fits done and of those known to be needed.
    """

    def task(at: int, parameters: Floats) -> Task:
        start = parameters.copy()
        if follow is not None:
            shifted = np.clip(start + follow @ (points[at] - start[list(held)]), likelihood.lower, likelihood.upper)
            start = np.where(free, shifted, start)
        start[list(held)] = points[at]
        return Task.holding(held, start, free)

    others = free & ~np.isin(np.arange(len(free)), held)
    lowest: dict[int, Minimum] = {}
    wanted = [(at, start) for at, starts in enumerate(begins) for start in starts]
    done, known = 0, len(wanted) + sum(map(len, neighbours))  # and those that the search adds
    for _ in range(PASSES):
        found = minima_of(likelihood, seen, [task(*each) for each in wanted])
        lowered = {at for (at, _), each in zip(wanted, found, strict=True) if _lowers(lowest, at, each)}
        done += len(wanted)
        if progress is not None:
            progress(done, max(done, known))
        if not neighbours or not lowered:
            break
        wanted = [(near, lowest[at].parameters) for at in sorted(lowered) for near in neighbours[at]]
        wanted += [(at, start) for at in sorted(lowered) for start in other_sides(likelihood, lowest[at], others)]
    return [lowest[at] for at in range(len(points))]


def _lowers(lowest: "dict[int, Minimum]", at: int, found: "Minimum") -> bool:
    """Keep the lower one (what has no certificate only for want of a better one)."""
    before = lowest.setdefault(at, found)
    lowest[at] = lower_of(before, found)
    return found.certificate.converged and (before is found or lowest[at] is not before)
