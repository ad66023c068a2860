"""Curves through fractions of toys: where a p-value that depends on a parameter reaches a given one.

The normal deviate of a p-value is nearly a straight line in the parameter of interest (exactly so in the asymptotic
limit). The line is fitted to the values near the crossing by maximum likelihood of the binomial counts (probit
regression), in which values without a single toy have their say too.
"""

from typing import NamedTuple

import numpy as np
from scipy.special import ndtr, ndtri

from inference.likelihood.specification import Floats

STEPS = 25
# Deviates beyond which the line is not followed.
FARTHEST = 6.0
# Values that take part in a line: not more of them, and not farther from the goal in standard deviations.
MOST, WINDOW = 5, 1.3


class Line(NamedTuple):
    """Deviate = offset + slope · (value − centre), and the covariance of offset and slope."""

    centre: float
    offset: float
    slope: float
    covariance: Floats

    def reaches(self, deviate: float) -> tuple[float, float]:
        """Where it has that deviate, and the error of the place; infinite where the line is level."""
        if self.slope == 0:
            return np.inf, np.inf
        place = self.centre + (deviate - self.offset) / self.slope
        arm = np.asarray([1.0, place - self.centre])
        return place, float(np.sqrt(arm @ self.covariance @ arm)) / abs(self.slope)


def line(values: Floats, counts: Floats, toys: Floats) -> Line:
    """Fit the deviates of ``counts`` of ``toys``, all of shape (values,)."""
    centre, scale = float(values.mean()), float(np.ptp(values)) or 1.0
    rows = np.stack([np.ones(len(values)), (values - centre) / scale], axis=1)
    found = np.linalg.lstsq(rows, _deviates(counts, toys), rcond=None)[0]
    for _ in range(STEPS):
        at = np.clip(rows @ found, -FARTHEST, FARTHEST)
        p, density = ndtr(at), np.exp(-0.5 * at * at) / np.sqrt(2 * np.pi)
        weights = toys * density**2 / (p * ndtr(-at))
        information = (rows * weights[:, None]).T @ rows + 1e-9 * np.eye(2)
        step = np.linalg.solve(information, rows.T @ (weights * (counts / toys - p) / density))
        found = found + np.clip(step, -1.0, 1.0)
        if np.abs(step).max() < 1e-9:
            break
    unit = np.diag([1.0, 1 / scale])
    return Line(centre, float(found[0]), float(found[1] / scale), unit @ np.linalg.inv(information) @ unit)


def crossing(values: Floats, counts: Floats, toys: Floats, goals: Floats) -> tuple[float, float] | None:
    """Where the p-value falls through a goal, and what the toys leave open of it.

    Args:
        values: rising, shape (values,).
        counts, toys: beyond, and all of them, shape (values,).
        goals: p-value to be reached; may vary along the values, shape (values,).

    Returns:
        None where it is not reached between the first and the last value.
    """
    above = np.flatnonzero(counts >= goals * toys)
    if not len(above) or above[-1] == len(values) - 1:
        return None
    left, right = int(above[-1]), int(above[-1]) + 1
    # where all toys lie beyond, the test statistic is 0 and says nothing
    far = np.where(counts < toys, np.abs(_deviates(counts, toys) - ndtri(goals)), np.inf)
    far[[left, right]] = 0.0
    near = np.sort([row for row in np.argsort(far, kind="stable")[:MOST] if far[row] < WINDOW])
    found = line(values[near], counts[near], toys[near])
    if found.slope >= 0:
        found = line(values[[left, right]], counts[[left, right]], toys[[left, right]])
    if found.slope >= 0:
        return 0.5 * float(values[left] + values[right]), 0.5 * float(values[right] - values[left])
    place = 0.5 * float(values[near[0]] + values[near[-1]])
    for _ in range(STEPS):
        place, error = found.reaches(float(ndtri(np.interp(place, values, goals))))
    return float(np.clip(place, values[near[0]], values[near[-1]])), error


def _deviates(counts: Floats, toys: Floats) -> Floats:
    return np.asarray(ndtri((counts + 0.5) / (toys + 1)))
