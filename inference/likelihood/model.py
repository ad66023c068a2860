"""A model with its data, for users: values, derivatives, fits and covariance in the parameters' own order and names."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import jax
import numpy as np

from inference.errors import InvalidWorkspace, UnknownParameter, nearest
from inference.likelihood import compiled
from inference.likelihood.arrays import Indices, lay_out
from inference.likelihood.certificate import NEGATIVE, Certificate, certify
from inference.likelihood.evaluate import Data
from inference.likelihood.minimise import Ended, Task
from inference.likelihood.specification import Floats, Specification, specification

# Bins with impossible rates that are named.
NAMED = 5


@dataclass(frozen=True, slots=True)
class Observation:
    """What was seen; once, or many times, with an axis in front.

    Attributes:
        main: contents of all bins, channels sorted by name, shape (…, bins).
        auxiliary: one for each parameter, NaN for those without a constraint, shape (…, parameters).
        mask: which bins count, shape (bins,).
    """

    main: Floats
    auxiliary: Floats
    mask: Floats


@dataclass(frozen=True, slots=True)
class Minimum:
    """Where a fit ended: all parameters, −log L (constants included, as pyhf counts), and how far to trust it."""

    parameters: Floats
    nll: float
    certificate: Certificate


class Likelihood:
    """−log L of one measurement of a workspace.

    Attributes:
        specification: channels, samples, parameters.
        labels: one per parameter, in pyhf's order; vectors of parameters have ``name[i]``.
        init, lower, upper: starting point and bounds, shape (parameters,).
        constant: parameters that the workspace holds fixed.
        poi: label of the parameter of interest, or None.
        widths: standard deviation of each constraint, NaN for a free parameter.
    """

    def __init__(
        self,
        workspace: Mapping[str, Any] | Specification,
        measurement: str | None = None,
        *,
        profile: bool = True,
        histosys: str | None = None,
        normsys: str | None = None,
    ) -> None:
        """Read the workspace.

        Args:
            workspace: pyhf's JSON, decoded, or what was read of it before.
            measurement: by name; the first if None.
            profile: solve for the gammas of single bins in closed form instead of carrying them along.
            histosys: "code0", "code2" or "code4p"; normsys: "code1", "code4" or "combine". What the workspace's own
                key "interpolation" says if None, and pyhf's choice, code4p and code4, where it says nothing.

        Raises:
            InvalidWorkspace: what is wrong and where.
        """
        made = workspace if isinstance(workspace, Specification) else specification(workspace, measurement)
        self.specification = made
        self.labels = made.labels
        self.init, self.lower, self.upper = made.joined("init"), made.joined("lower"), made.joined("upper")
        self.constant = made.joined("fixed") > 0
        self.poi = made.poi
        self.bins = made.bins
        arrays, self.layout, self.places = lay_out(
            made, profile=profile, histosys=histosys or made.codes["histosys"], normsys=normsys or made.codes["normsys"]
        )
        # Where the compiled functions want them: not to be copied there with every call.
        self.arrays = jax.device_put(jax.tree.map(_narrow, arrays), jax.devices("cpu")[0])
        self._normal = self.places.reduced[np.asarray(arrays.normal_par)]
        self._poisson = self.places.reduced[np.asarray(arrays.poisson_par)]
        constraints = np.asarray([each.constraint for each in made.parameters for _ in each.init])
        self._constrained, self._counted = constraints != "free", constraints == "poisson"
        self._gamma_of = self.places.gamma[self.places.gamma >= 0]
        self._reduced_labels = tuple(self.labels[place] for place in self.places.reduced)
        widths = self.widths[constraints == "normal"]
        self._normal_constant = float(np.sum(np.log(widths)) + 0.5 * len(widths) * np.log(2 * np.pi))

    def index(self, label: str) -> int:
        """Position of a parameter.

        Raises:
            UnknownParameter: with the nearest labels.
        """
        if label not in self.labels:
            raise UnknownParameter(f"the workspace has no parameter {label!r}; {nearest(label, self.labels)}")
        return self.labels.index(label)

    @cached_property
    def widths(self) -> Floats:
        """Standard deviation of each parameter's constraint; NaN without one."""
        widths = [
            width if made.constraint == "normal" else 1 / np.sqrt(width)
            for made in self.specification.parameters
            for width in (made.widths or (np.nan,) * made.size)
        ]
        return np.asarray(widths)

    @cached_property
    def observed(self) -> Observation:
        """The workspace's own data.

        Raises:
            InvalidWorkspace: it has none.
        """
        if self.specification.observed is None:
            raise InvalidWorkspace("the workspace has no observations: give data, or make an Asimov data set")
        return self.observation(self.specification.observed)

    def observation(
        self, main: Sequence[float] | Floats, auxiliary: Sequence[float] | Floats | None = None, mask: Any = None
    ) -> Observation:
        """Other data; auxiliary measurements (one per parameter, NaN if free) as in the workspace if None.

        Raises:
            InvalidWorkspace: shapes that do not fit, or contents that are no numbers of events.
        """
        if auxiliary is None:
            auxiliary = [
                value for made in self.specification.parameters for value in (made.auxdata or (np.nan,) * made.size)
            ]
        seen = Observation(
            np.asarray(main, dtype=float),
            np.asarray(auxiliary, dtype=float),
            np.ones(self.bins) if mask is None else np.asarray(mask, dtype=float),
        )
        for what, given, size in (("data", seen.main, self.bins), ("a mask", seen.mask, self.bins)):
            if given.shape != (size,):
                raise InvalidWorkspace(f"{what} of shape {given.shape} for a model of {size} bins")
        if seen.auxiliary.shape != (len(self.labels),):
            raise InvalidWorkspace(
                f"auxiliary measurements of shape {seen.auxiliary.shape} for {len(self.labels)} parameters"
            )
        if not (np.isfinite(seen.main) & (seen.main >= 0))[seen.mask > 0].all():
            raise InvalidWorkspace("data must be finite numbers of events, 0 or more, in every bin that counts")
        return seen

    def from_flat(self, flat: Sequence[float] | Floats) -> Observation:
        """Data as pyhf writes them: all bins, then the auxiliary measurements of the constrained parameters."""
        values = np.asarray(flat, dtype=float)
        auxiliary = np.full(len(self.labels), np.nan)
        auxiliary[self._constrained] = values[self.bins :]
        return self.observation(values[: self.bins], auxiliary)

    def data(self, seen: Observation | None = None, parameters: Floats | None = None, free: Any = None) -> Data:
        """As the compiled functions take it; profiled gammas that are not free stay at ``parameters``.

        Any of the arguments may have an axis in front, and all of the data then have it.
        """
        seen = seen or self.observed
        parameters = self.init if parameters is None else parameters
        free = ~self.constant if free is None else free
        bin_at, gamma = self.places.bin_at, self.places.gamma
        main, has, at = _padded(seen.main)[..., bin_at], gamma >= 0, parameters[..., gamma]
        held = has & ~free[..., gamma]
        return Data(
            main,
            np.broadcast_to(_padded(seen.mask)[bin_at], main.shape),
            seen.auxiliary[..., self._normal],
            seen.auxiliary[..., self._poisson],
            np.where(has, seen.auxiliary[..., gamma], 1.0),
            np.where(has, np.where(held, at, self.lower[gamma]), 1.0),
            np.where(has, np.where(held, at, self.upper[gamma]), 1.0),
        )

    def nll(self, parameters: Floats, seen: Observation | None = None) -> float:
        """−log L at any point, constants included: minus pyhf's logpdf."""
        seen = seen or self.observed
        data = self.data(seen, parameters, np.zeros(len(self.labels), dtype=bool))
        found = compiled.value(parameters[self.places.reduced], self.arrays, self.layout, data)
        return float(found) + float(self.saturated(seen))

    def saturated(self, seen: Observation | None = None) -> Any:
        """−log L of a model that predicts every bin as observed and meets every auxiliary measurement, shape (…,)."""
        from scipy.special import gammaln, xlogy

        seen = seen or self.observed
        counts = np.concatenate([seen.main[..., seen.mask > 0], seen.auxiliary[..., self._counted]], axis=-1)
        return self._normal_constant + np.sum(counts - xlogy(counts, counts) + gammaln(counts + 1), axis=-1)

    def gradient(self, parameters: Floats, seen: Observation | None = None) -> tuple[float, Floats]:
        """−log L and its derivatives at any point, shape (parameters,); no better gammas are sought."""
        seen = seen or self.observed
        held = np.zeros(len(self.labels), dtype=bool)
        data, theta = self.data(seen, parameters, held), parameters[self.places.reduced]
        found, slope, gammas = compiled.gradient(theta, self.arrays, self.layout, data)
        full = np.zeros(len(self.labels))
        full[self.places.reduced] = np.asarray(slope)
        full[self._gamma_of] = np.asarray(gammas)[self.places.gamma >= 0]
        return float(found) + float(self.saturated(seen)), full

    def expected(self, parameters: Floats) -> Floats:
        """Rate of every bin, shape (bins,)."""
        return np.asarray(self.expected_by_sample(parameters).sum(axis=0))

    def expected_by_sample(self, parameters: Floats) -> Floats:
        """Rates, shape (slots, bins): slot i of a bin is the i-th sample of its channel, 0 where there is none."""
        data = self.data(self._anything, parameters, np.zeros(len(self.labels), dtype=bool))
        found = compiled.rates(parameters[self.places.reduced], self.arrays, self.layout, data)
        gamma = np.where(np.asarray(self.arrays.gamma_on) > 0, np.asarray(found.gamma)[:, None, :], 1.0)
        entries = np.asarray(found.base) * np.asarray(found.cell)[:, :, None] * np.asarray(found.layer) * gamma
        flat = np.zeros((entries.shape[1], self.bins + 1))
        flat[:, self.places.bin_at] = np.moveaxis(entries, 1, 0)
        return flat[:, :-1]

    @cached_property
    def _anything(self) -> Observation:
        return self.observation(np.zeros(self.bins))

    def fit(
        self,
        seen: Observation | None = None,
        *,
        fixed: Mapping[str, float] | None = None,
        start: Floats | None = None,
        search: bool = False,
    ) -> Minimum:
        """Minimise −log L.

        Args:
            fixed: parameters to hold, label → value, besides those that the workspace holds.
            start: all parameters; the workspace's initial values if None.
            search: look for other minima on the far side of shapes that bend much, and give the lowest.

        Raises:
            UnknownParameter: a label of ``fixed``.
            InvalidWorkspace: a start of another length.
        """
        seen = seen or self.observed
        begin, free = (self.init if start is None else np.asarray(start, dtype=float)).copy(), ~self.constant
        if begin.shape != self.init.shape:
            raise InvalidWorkspace(f"a start of shape {begin.shape} for {len(self.labels)} parameters")
        for label, value in (fixed or {}).items():
            begin[self.index(label)], free[self.index(label)] = value, False
        from inference.likelihood.search import possible

        found = self.search(seen, begin, free) if search else possible(self, seen, begin, free)
        if (seen.main > 0).all() or not found.certificate.converged:
            return found
        negative = tuple(self._impossible(found.parameters, seen))
        return replace(found, certificate=replace(found.certificate, negative=negative))

    def search(self, seen: Observation, begin: Floats, free: Any) -> Minimum:
        """As `minimum`, also from other starts: the lowest one found, whose certificate tells how many were tried."""
        from inference.likelihood.search import lowest

        return lowest(self, seen, begin, free)

    def minimum(self, seen: Observation, begin: Floats, free: Any) -> Minimum:
        """As `fit`, with all starting values and a mask of the free parameters."""
        return self.judged(compiled.fit(*self.task(seen, begin, free), self.arrays, self.layout), seen, begin, free)

    def minima(self, tasks: Sequence[tuple[Observation, Floats, Any]]) -> list[Minimum]:
        """Many minima: as `minimum` of each ``(seen, begin, free)``, in few compiled calls."""
        from inference.likelihood.bulk import fit_all

        if not tasks:
            return []
        ended = fit_all(self, jax.tree.map(lambda *leaves: np.stack(leaves), *(self.task(*task) for task in tasks)))
        rows = (jax.tree.map(lambda leaf, row=row: leaf[row], ended) for row in range(len(tasks)))
        return [self.judged(each, *task) for each, task in zip(rows, tasks, strict=True)]

    def task(self, seen: Observation, begin: Floats, free: Any) -> Task:
        """What the compiled fit takes besides the model, in the reduced parameters; axes in front as `data`."""
        reduced = self.places.reduced
        lower, upper = np.where(free, self.lower, begin), np.where(free, self.upper, begin)
        start = begin[..., reduced]
        moves = np.broadcast_to(free[..., reduced], start.shape)
        return Task(start, moves, lower[..., reduced], upper[..., reduced], self.data(seen, begin, free))

    def judged(self, ended: Ended, seen: Observation, begin: Floats, free: Any) -> Minimum:
        """Where a compiled fit ended, with all parameters, constants and certificate."""
        reduced, gamma = self.places.reduced, self.places.gamma
        parameters = begin.copy()
        parameters[reduced] = np.asarray(ended.theta)
        parameters[self._gamma_of] = np.asarray(ended.gamma)[gamma >= 0]
        if not ended.positive and not np.ndim(ended.curvature):  # which tells what the data do not determine
            there = compiled.point(ended.theta, self.arrays, self.layout, self.data(seen, parameters, free))
            ended = ended._replace(curvature=there.curvature)
        impossible = () if ended.feasible else self._impossible(parameters, seen)
        certificate = certify(ended, free[reduced], self._reduced_labels, impossible)
        return Minimum(parameters, float(ended.value) + float(self.saturated(seen)), certificate)

    def _impossible(self, parameters: Floats, seen: Observation) -> list[str]:
        """The first bins whose rate cannot be, in words."""
        rates = self.expected(parameters)
        bad = (seen.mask > 0) & np.where(seen.main > 0, ~(rates > 0), rates < -NEGATIVE)
        return [
            f"bin {place - first} of {channel.name!r} has {seen.main[place]:g} events and expects {rates[place]:.3g}"
            for channel, first in zip(self.specification.channels, self._first_bins, strict=True)
            for place in range(first, first + channel.bins)
            if bad[place]
        ][:NAMED]

    @cached_property
    def _first_bins(self) -> list[int]:
        sizes = [channel.bins for channel in self.specification.channels]
        return [sum(sizes[:index]) for index in range(len(sizes))]

    def covariance(self, at: Minimum, seen: Observation | None = None, free: Any = None) -> Floats:
        """Inverse of the exact Hessian of −log L over all free parameters, gammas included, shape (parameters,) * 2.

        Rows of fixed parameters are 0, and those of parameters on a bound where only without them it is positive
        definite. Profiled gammas enter by block inversion, which is exact.

        Raises:
            FitFailed: the Hessian is not positive definite.
        """
        from inference.likelihood.covariance import covariance

        return covariance(self, at, seen or self.observed, ~self.constant if free is None else free)

    @property
    def profiled(self) -> Indices:
        """Places of the parameters that are solved for in closed form."""
        return self._gamma_of


def _padded(values: Floats) -> Floats:
    """With a zero at the end, where what has no bin looks."""
    return np.concatenate([values, np.zeros((*values.shape[:-1], 1))], axis=-1)


def _narrow(array: Any) -> Any:
    """Places as XLA takes them: others are converted in every function."""
    array = np.asarray(array)
    return array.astype(np.int32) if array.dtype == np.int64 else array
