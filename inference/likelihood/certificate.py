"""How far a minimum may be trusted: every fit carries it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from inference.likelihood.minimise import Ended

# Expected distance to the minimum in −log L: 1e-10 is 1.4e-5 standard deviations.
EDM_ENOUGH = 1e-10
# Events by which a rate is negative beyond rounding.
NEGATIVE = 1e-9


@dataclass(frozen=True, slots=True)
class Certificate:
    """Evidence that a point is a minimum.

    Attributes:
        converged: all of the below is as it must be.
        reason: what is not, in words; empty if converged.
        edm: ½ gᵀ H⁻¹ g over the parameters that are free and not held by a bound, exact g and H; None where that is
            no number.
        gradient: largest absolute component of g over the same parameters.
        positive_definite: H over the same parameters is.
        at_bound: labels of the parameters that a bound holds.
        iterations: evaluations of value, gradient and Hessian.
        starts: from how many points the minimum was looked for.
        negative: bins without events that expect fewer than 0 there, in words: −log L, which falls with their rate, has
            been continued where there is no such Poisson distribution.
    """

    converged: bool
    reason: str
    edm: float | None
    gradient: float | None
    positive_definite: bool
    at_bound: tuple[str, ...]
    iterations: int
    starts: int = 1
    negative: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """In words."""
        if self.reason:
            return f"no minimum: {self.reason}"
        bound = f", {', '.join(self.at_bound)} at a bound" if self.at_bound else ""
        starts = f" the lowest found from {self.starts} starts," if self.starts > 1 else ""
        negative = f"; beware: {'; '.join(self.negative)}" if self.negative else ""
        return f"minimum after {self.iterations} iterations,{starts} distance {self.edm or 0.0:.1e}{bound}{negative}"


def certify(ended: "Ended", free: np.ndarray, labels: tuple[str, ...], impossible: Sequence[str] = ()) -> Certificate:
    """Judge where the minimiser ended; ``free`` and ``labels`` of its parameters, and ``impossible`` bins in words."""
    held = np.asarray(ended.held)
    moving = free & ~held
    slope = np.abs(np.where(moving, np.asarray(ended.gradient), 0.0))
    positive, edm = bool(ended.positive), float(ended.edm)
    iterations = int(ended.iterations)
    reason = ""
    if not bool(ended.feasible):
        reason = f"the model has no density at the start: {'; '.join(impossible) or 'a value is not finite'}"
    elif not positive:
        reason = f"the data do not determine {_flattest(np.asarray(ended.curvature), moving, labels)}"
    elif not edm < EDM_ENOUGH:
        reason = f"expected distance to the minimum still {edm:.2g} after {iterations} iterations"
    return Certificate(
        not reason,
        reason,
        _number(edm),
        _number(slope.max(initial=0.0)),
        positive,
        tuple(label for label, at in zip(labels, held, strict=True) if at),
        iterations,
    )


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _flattest(curvature: np.ndarray, moving: np.ndarray, labels: tuple[str, ...]) -> str:
    """Names of the parameters that make up the direction of least curvature."""
    if curvature.ndim != 2:
        return "all parameters"
    inside = np.flatnonzero(moving)
    if not np.isfinite(curvature).all() or not len(inside):
        return "all parameters"
    values, vectors = np.linalg.eigh(curvature[np.ix_(inside, inside)])
    shares = vectors[:, 0] ** 2
    names = [labels[inside[index]] for index in np.argsort(-shares) if shares[index] > 0.05]
    return f"{', '.join(names[:5])} (curvature {values[0]:.2g})"
