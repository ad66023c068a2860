"""Fits of many toys: compact columns, one row for each toy, with a verdict on every fit.

Each fit starts at the parameters that its toy was thrown at. One that ends without a certificate is made once more from
the workspace's initial values; one that fails again is recorded with its reason, and stops nothing.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from inference.errors import UnknownParameter
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
    search: bool = False,
) -> ToyFits:
    """Minimise −log L of every toy, all parameters kept.

    Args:
        fixed: parameters to hold, label → value, besides those that the workspace holds (these at their initial value).
        start: shape (toys, parameters) or (parameters,); the parameters that the toys were thrown at if None.
        search: look for lower minima on the far side of shapes that bend much, as ``Likelihood.search`` does; each such
            shape costs another fit.

    Raises:
        UnknownParameter: a label of ``fixed``.
    """
    from inference.toys.batches import minimise

    begin, free = starts(likelihood, toys.truth if start is None else start, len(toys), fixed)
    ends = minimise(likelihood, toys, begin, free)
    bad = np.flatnonzero(~ends.certified)
    if len(bad):
        again = minimise(likelihood, toys.part(bad), np.where(free, likelihood.init, begin[bad]), free)
        _take_lower(ends, again, bad)
    for place in _mirrors(likelihood, free) if search else ():
        reflected = _reflected(likelihood, ends.parameters, place)
        _take_lower(ends, minimise(likelihood, toys, reflected, free), np.arange(len(toys)))
    converged = ends.certified
    reasons = [""] * len(toys)
    for row in np.flatnonzero(~converged).tolist():
        reasons[row] = likelihood.judged(ends.row(row), toys[row], ends.parameters[row], free).certificate.reason
    edm, iterations = ends.ended.edm, ends.ended.iterations
    return ToyFits(likelihood.labels, ends.parameters, ends.nll, converged, edm, iterations, tuple(reasons))


def fit_variants(
    likelihood: "Likelihood",
    toys: Toys,
    variants: Mapping[str, Mapping[str, float]],
    *,
    search: bool = False,
    uncertainties: bool = False,
) -> dict[str, ToyFits]:
    """Several fits of every toy, by name: what each holds besides what the workspace holds.

    Where a fit ends above another that holds more than it does, it has ended in a minimum that is not the lowest, and
    is made again from the other's.

    Args:
        search: as of `fit_toys`.
        uncertainties: have those of each fit too.
    """
    done = {name: fit_toys(likelihood, toys, fixed=variants[name], search=search) for name in variants}
    for name, other in itertools.permutations(variants, 2):
        if variants[name].items() < variants[other].items():
            above = _above(done[name], done[other])
            done[name] = _lowered(likelihood, toys, done[name], above, done[other].parameters[above], variants[name])
    if uncertainties:
        done = {name: _with_uncertainties(likelihood, toys, done[name], variants[name]) for name in done}
    return done


def _above(found: ToyFits, bound: ToyFits) -> NDArray[np.intp]:
    """Toys whose fit ended above another that holds more."""
    return np.flatnonzero(bound.converged & ~(found.converged & (found.nll <= bound.nll + ROUNDING)))


def _lowered(
    likelihood: "Likelihood",
    toys: Toys,
    found: ToyFits,
    rows: NDArray[np.intp],
    start: Floats,
    fixed: Mapping[str, float],
) -> ToyFits:
    """Fits with those of ``rows`` made again from ``start`` (rows, parameters), where that leads lower."""
    if not len(rows):
        return found
    again = fit_toys(likelihood, toys.part(rows), fixed=fixed, start=start)
    better = again.converged & ~(found.converged[rows] & (found.nll[rows] <= again.nll + ROUNDING))
    return found.replaced(rows[better], again, np.flatnonzero(better))


def _with_uncertainties(likelihood: "Likelihood", toys: Toys, found: ToyFits, fixed: Mapping[str, float]) -> ToyFits:
    from inference.toys import batches

    _, free = starts(likelihood, toys.truth, len(toys), fixed)
    return replace(found, uncertainties=batches.uncertainties(likelihood, toys, found.parameters, free))


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


def _take_lower(ends: "Ends", other: "Ends", rows: NDArray[np.intp]) -> None:
    """Put other fits of ``rows`` where they are lower, or where there was no certificate."""
    stands = ends.certified[rows] & (ends.nll[rows] <= other.nll + ROUNDING)
    better = np.flatnonzero(other.certified & ~stands)
    ends.put(rows[better], other, better)


def _mirrors(likelihood: "Likelihood", free: NDArray[np.bool_]) -> list[int]:
    """Places of the free parameters on whose other side ``Likelihood.search`` looks."""
    from inference.likelihood.search import MOST, bent_shapes, squared

    return [place for place in (*bent_shapes(likelihood), *squared(likelihood)) if free[place]][:MOST]


def _reflected(likelihood: "Likelihood", parameters: Floats, place: int) -> Floats:
    """Starting points with one parameter on its other side, by the width of its constraint at least."""
    begin = parameters.copy()
    width = likelihood.widths[place]
    least = 0.25 * likelihood.upper[place] if np.isnan(width) else width
    begin[:, place] = -np.copysign(np.maximum(np.abs(begin[:, place]), least), begin[:, place])
    return np.clip(begin, likelihood.lower, likelihood.upper)
