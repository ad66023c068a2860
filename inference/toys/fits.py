"""Fits of many toys: compact columns, one row for each toy, with a verdict on every fit.

Each fit starts at the parameters that its toy was thrown at. One that ends without a certificate is made once more from
the workspace's initial values; one that fails again is recorded with its reason, and stops nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from inference.errors import UnknownParameter
from inference.likelihood.certificate import EDM_ENOUGH
from inference.likelihood.specification import Floats
from inference.toys.generate import Toys

if TYPE_CHECKING:
    from inference.likelihood.model import Likelihood
    from inference.toys.batches import Ends

# Rise of −log L between two fits of the same minimum.
ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class ToyFits:
    """One fit of each of many toys; arrays have one row per toy.

    Attributes:
        labels: of the parameters that were kept.
        parameters: best fit, shape (toys, labels).
        nll: −log L at the minimum, constants included as pyhf counts.
        converged: the fit has a certificate; where it has none the other numbers mean nothing.
        edm: expected distance to the minimum in −log L.
        iterations: of the minimiser.
        reasons: why a fit failed, in words; empty if it did not.
        uncertainties: of the kept parameters by the Hessian at each minimum, shape (toys, labels), 0 where fixed or
            held by a bound; None if they were not asked for.
    """

    labels: tuple[str, ...]
    parameters: Floats
    nll: Floats
    converged: NDArray[np.bool_]
    edm: Floats
    iterations: NDArray[np.int64]
    reasons: tuple[str, ...]
    uncertainties: Floats | None = None

    def __len__(self) -> int:
        return len(self.nll)

    def of(self, label: str) -> Floats:
        """Best fit of one kept parameter, shape (toys,); raises ``UnknownParameter``."""
        return self.parameters[:, self._column(label)]

    def uncertainty(self, label: str) -> Floats:
        """Of one kept parameter, shape (toys,); raises ``UnknownParameter``, also where they were not asked for."""
        if self.uncertainties is None:
            raise UnknownParameter(f"the uncertainty of {label!r} was not asked for when the toys were fitted")
        return self.uncertainties[:, self._column(label)]

    def _column(self, label: str) -> int:
        if label not in self.labels:
            raise UnknownParameter(f"{label!r} was not kept of the toys' fits; kept: {', '.join(self.labels)}")
        return self.labels.index(label)

    def keep(self, labels: Sequence[str] | None) -> "ToyFits":
        """With some of the parameters only; all if None."""
        if labels is None:
            return self
        columns = [self._column(label) for label in labels]
        uncertainties = None if self.uncertainties is None else self.uncertainties[:, columns]
        return replace(self, labels=tuple(labels), parameters=self.parameters[:, columns], uncertainties=uncertainties)

    def replaced(self, rows: NDArray[np.intp], other: "ToyFits", theirs: NDArray[np.intp]) -> "ToyFits":
        """With ``rows`` taken from those of another."""
        order = np.arange(len(self))
        order[rows] = len(self) + theirs
        return ToyFits.joined([self, other]).rows(order)

    def rows(self, chosen: NDArray[np.intp]) -> "ToyFits":
        """Some of the toys, in that order."""
        return ToyFits(
            self.labels,
            self.parameters[chosen],
            self.nll[chosen],
            self.converged[chosen],
            self.edm[chosen],
            self.iterations[chosen],
            tuple(self.reasons[row] for row in chosen),
            None if self.uncertainties is None else self.uncertainties[chosen],
        )

    @classmethod
    def joined(cls, parts: Sequence["ToyFits"]) -> "ToyFits":
        """All rows of fits that kept the same parameters."""
        known = [part.uncertainties for part in parts if part.uncertainties is not None]
        return cls(
            parts[0].labels,
            np.concatenate([part.parameters for part in parts]),
            np.concatenate([part.nll for part in parts]),
            np.concatenate([part.converged for part in parts]),
            np.concatenate([part.edm for part in parts]),
            np.concatenate([part.iterations for part in parts]),
            tuple(reason for part in parts for reason in part.reasons),
            np.concatenate(known) if len(known) == len(parts) else None,
        )


def fit_toys(
    likelihood: "Likelihood",
    toys: Toys,
    *,
    fixed: Mapping[str, float] | None = None,
    start: Floats | None = None,
) -> ToyFits:
    """Minimise −log L of every toy, all parameters kept.

    Args:
        fixed: parameters to hold, label → value, besides those that the workspace holds (these at their initial value).
        start: shape (toys, parameters) or (parameters,); the parameters that the toys were thrown at if None.

    Raises:
        UnknownParameter: a label of ``fixed``.
    """
    from inference.toys.batches import minimise, reason

    begin, free = starts(likelihood, toys.truth if start is None else start, len(toys), fixed)
    ends = minimise(likelihood, toys, begin, free)
    bad = np.flatnonzero(~_certified(ends))
    if len(bad):
        again = minimise(likelihood, toys.part(bad), np.where(free, likelihood.init, begin[bad]), free)
        good = np.flatnonzero(_certified(again))
        for array, other in zip(ends, again, strict=True):
            array[bad[good]] = other[good]
    converged = _certified(ends)
    reasons = [""] * len(toys)
    for row in np.flatnonzero(~converged).tolist():
        reasons[row] = reason(likelihood, toys, ends, row, free)
    return ToyFits(likelihood.labels, ends.parameters, ends.nll, converged, ends.edm, ends.iterations, tuple(reasons))


def fit_variants(
    likelihood: "Likelihood",
    toys: Toys,
    variants: Mapping[str, Mapping[str, float]],
    *,
    uncertainties: bool = False,
) -> dict[str, ToyFits]:
    """Several fits of every toy, by name: what each holds besides what the workspace holds.

    Where a fit ends above another that holds more than it does, it has ended in a minimum that is not the lowest, and
    is made again from the other's.
    """
    done: dict[str, ToyFits] = {}
    for name in sorted(variants, key=lambda name: -len(variants[name])):
        found = fit_toys(likelihood, toys, fixed=variants[name])
        for other, bound in done.items():
            if variants[name].items() < variants[other].items():
                found = _lowered(likelihood, toys, found, bound, variants[name])
        done[name] = found
    if uncertainties:
        done = {name: _with_uncertainties(likelihood, toys, done[name], variants[name]) for name in done}
    return {name: done[name] for name in variants}


def _with_uncertainties(likelihood: "Likelihood", toys: Toys, found: ToyFits, fixed: Mapping[str, float]) -> ToyFits:
    from inference.toys import batches

    _, free = starts(likelihood, toys.truth, len(toys), fixed)
    return replace(found, uncertainties=batches.uncertainties(likelihood, toys, found.parameters, free))


def _lowered(
    likelihood: "Likelihood", toys: Toys, found: ToyFits, bound: ToyFits, fixed: Mapping[str, float]
) -> ToyFits:
    above = bound.converged & ~(found.converged & (found.nll <= bound.nll + ROUNDING))
    rows = np.flatnonzero(above)
    if not len(rows):
        return found
    again = fit_toys(likelihood, toys.part(rows), fixed=fixed, start=bound.parameters[rows])
    better = again.converged & ~(found.converged[rows] & (found.nll[rows] <= again.nll))
    return found.replaced(rows[better], again, np.flatnonzero(better))


def starts(
    likelihood: "Likelihood", start: Floats, count: int, fixed: Mapping[str, float] | None
) -> tuple[Floats, NDArray[np.bool_]]:
    """Starting points (count, parameters), with ``fixed`` where it holds them, and which parameters are free."""
    begin = np.array(np.broadcast_to(start, (count, len(likelihood.labels))))
    free = ~likelihood.constant
    begin[:, likelihood.constant] = likelihood.init[likelihood.constant]
    for label, value in (fixed or {}).items():
        begin[:, likelihood.index(label)], free[likelihood.index(label)] = value, False
    return begin, free


def _certified(ends: "Ends") -> NDArray[np.bool_]:
    """As ``certificate.certify`` judges, for all rows."""
    return np.asarray(ends.feasible & ends.positive & (ends.edm < EDM_ENOUGH))
