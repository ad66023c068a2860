"""Pseudo-experiments thrown from a likelihood, and Asimov data.

*Frequentist* toys (as pyhf's sampling distribution): all bins and all auxiliary measurements are drawn at given
parameters. *Prior-predictive* toys: the auxiliary measurements stay as they are, the constrained parameters are drawn
from their constraints read as priors under a flat ur-prior (a normal, or for a Poisson auxiliary measurement of n
a gamma distribution of shape n + 1; Cousins and Highland, doi:10.1016/0168-9002(92)90794-5), within their bounds.
Correlated constraints are drawn together. What an extension adds to −log L besides, such as a regularisation, is no
measurement and is not thrown.

Each toy has a random stream of its own, made of the seed and the toy's number: toy k is the same however many are
thrown, and in whatever pieces.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from inference.errors import InvalidWorkspace
from inference.likelihood.certificate import NEGATIVE
from inference.likelihood.specification import Floats
from inference.toys.errors import InvalidToys

if TYPE_CHECKING:
    from inference.likelihood.model import Likelihood, Observation

Method = Literal["frequentist", "prior"]
Seed = int | Sequence[int]


@dataclass(frozen=True, slots=True)
class Toys:
    """Many observations, and the parameters that each was thrown at.

    Attributes:
        main: contents of all bins, shape (toys, bins).
        auxiliary: NaN for parameters without a constraint, shape (toys, parameters).
        mask: which bins count, shape (bins,).
        truth: shape (toys, parameters).
    """

    main: Floats
    auxiliary: Floats
    mask: Floats
    truth: Floats

    def __len__(self) -> int:
        return len(self.main)

    @property
    def seen(self) -> "Observation":
        """All of them, an axis of toys in front."""
        from inference.likelihood.model import Observation

        return Observation(self.main, self.auxiliary, self.mask)

    def __getitem__(self, number: int) -> "Observation":
        """One of them."""
        from inference.likelihood.model import Observation

        return Observation(self.main[number], self.auxiliary[number], self.mask)

    def part(self, chosen: slice | NDArray[np.intp]) -> "Toys":
        """Some of them."""
        return Toys(self.main[chosen], self.auxiliary[chosen], self.mask, self.truth[chosen])


@dataclass(frozen=True, slots=True)
class Constraints:
    """Kind of each parameter's constraint, all of shape (parameters,).

    ``scale`` is the standard deviation of a normal, the factor of a Poisson's rate, 1 without a constraint.
    ``correlated`` are places of normal ones that have a correlation matrix, and its Cholesky factor.
    """

    normal: NDArray[np.bool_]
    poisson: NDArray[np.bool_]
    scale: Floats
    correlated: tuple[tuple[NDArray[np.intp], Floats], ...]

    @classmethod
    def of(cls, likelihood: "Likelihood") -> "Constraints":
        """Of all parameters of a likelihood."""
        kinds = [(made, index) for made in likelihood.specification.parameters for index in range(made.size)]
        return cls(
            np.asarray([made.constraint == "normal" for made, _ in kinds]),
            np.asarray([made.constraint == "poisson" for made, _ in kinds]),
            np.asarray([made.widths[index] if made.widths else 1.0 for made, index in kinds]),
            tuple(
                (
                    np.asarray([likelihood.index(label) for label in labels]),
                    np.asarray(np.linalg.cholesky(matrix), dtype=float),
                )
                for labels, matrix in likelihood.specification.correlations
            ),
        )

    def mixed(self, deviates: Floats) -> Floats:
        """Independent normal deviates (…, parameters) correlated as the constraints are."""
        mixed = deviates.copy()
        for places, factor in self.correlated:
            mixed[..., places] = deviates[..., places] @ factor.T
        return mixed

    def centres(self, parameters: Floats) -> Floats:
        """What each auxiliary measurement is expected to see, NaN without one; shape as ``parameters``."""
        centres = np.where(self.poisson, self.scale * parameters, parameters)
        return np.where(self.normal | self.poisson, centres, np.nan)


def asimov(likelihood: "Likelihood", parameters: Floats) -> "Observation":
    """Data that see exactly what is expected at ``parameters`` (parameters,), auxiliary measurements included.

    Bins that do not count in the likelihood's own data do not count in these.

    Raises:
        InvalidToys: a rate is negative or not finite there.
    """
    parameters = np.asarray(parameters, dtype=float)
    rates, centres = likelihood.expected(parameters), Constraints.of(likelihood).centres(parameters)
    _check(likelihood, rates, parameters)
    return likelihood.observation(np.maximum(rates, 0.0), centres, mask_of(likelihood))


def throw(
    likelihood: "Likelihood",
    parameters: Floats,
    *,
    count: int,
    seed: Seed,
    first: int = 0,
    method: Method = "frequentist",
    mask: Floats | None = None,
    held: NDArray[np.bool_] | None = None,
) -> Toys:
    """Throw toys number ``first`` to ``first + count - 1``.

    Args:
        parameters: all of them, shape (parameters,); "prior" replaces the constrained ones that are not held constant.
        seed: non-negative; a sequence names a stream within a larger study.
        method: "frequentist" or "prior", see the module.
        mask: which bins count, shape (bins,); those of the likelihood's own data if None.
        held: parameters that no fit of the toys will move, shape (parameters,), those that the workspace holds if
            None. Their auxiliary measurements, which they could not follow, stay as they are; they themselves as given.

    Raises:
        InvalidToys: a rate is negative or not finite there.
    """
    parameters = np.asarray(parameters, dtype=float)
    streams = _streams(seed, first, count)
    held = likelihood.constant if held is None else held
    if method == "prior":
        return _prior(likelihood, parameters, streams, count, mask, held)
    rates = likelihood.expected(parameters)
    _check(likelihood, rates, parameters)
    constraints = Constraints.of(likelihood)
    centres = constraints.centres(parameters)
    _check_counts(likelihood, centres, constraints.poisson)
    main = np.empty((count, likelihood.bins))
    auxiliary = np.tile(centres, (count, 1))
    normal, poisson = np.flatnonzero(constraints.normal), np.flatnonzero(constraints.poisson)
    deviates, counts = np.zeros_like(auxiliary), centres[poisson]
    for row, stream in enumerate(streams):
        main[row] = stream.poisson(rates)
        deviates[row, normal] = stream.standard_normal(len(normal))
        auxiliary[row, poisson] = stream.poisson(counts)
    auxiliary += constraints.scale * constraints.mixed(deviates)
    auxiliary[:, held] = likelihood.observation(np.zeros(likelihood.bins)).auxiliary[held]
    return Toys(main, auxiliary, mask_of(likelihood, mask), np.tile(parameters, (count, 1)))


def _prior(
    likelihood: "Likelihood",
    parameters: Floats,
    streams: Iterator[np.random.Generator],
    count: int,
    mask: Floats | None,
    held: NDArray[np.bool_],
) -> Toys:
    """A bin that the drawn parameters predict to be negative has no events."""
    from inference.toys.batches import expected

    constraints = Constraints.of(likelihood)
    drawn = np.flatnonzero((constraints.normal | constraints.poisson) & ~held)
    aside = list(streams)
    uniform = np.stack([stream.random(len(drawn)) for stream in aside]) if aside else np.empty((0, len(drawn)))
    auxiliary = likelihood.observation(np.zeros(likelihood.bins)).auxiliary
    truth = np.tile(parameters, (count, 1))
    truth[:, drawn] = _quantiles(likelihood, constraints, auxiliary, drawn, uniform)
    rates = np.maximum(expected(likelihood, truth), 0.0)
    _check(likelihood, rates[0] if count else np.zeros(likelihood.bins), parameters)
    main = np.stack([stream.poisson(row) for stream, row in zip(aside, rates, strict=True)]) if aside else rates
    return Toys(main.astype(float), np.tile(auxiliary, (count, 1)), mask_of(likelihood, mask), truth)


def _quantiles(
    likelihood: "Likelihood", constraints: Constraints, auxiliary: Floats, drawn: NDArray[np.intp], uniform: Floats
) -> Floats:
    """Of the constraints as priors, cut off at the bounds; shape of ``uniform`` (toys, drawn)."""
    from scipy.stats import gamma, norm

    deviates = np.zeros((len(uniform), len(auxiliary)))
    deviates[:, drawn] = norm.ppf(uniform)
    uniform, values = norm.cdf(constraints.mixed(deviates)[:, drawn]), np.empty_like(uniform)
    for column, place in enumerate(drawn):
        if constraints.normal[place]:
            prior = norm(auxiliary[place], constraints.scale[place])
        else:
            prior = gamma(auxiliary[place] + 1, scale=1 / constraints.scale[place])
        low, high = prior.cdf((likelihood.lower[place], likelihood.upper[place]))
        values[:, column] = prior.ppf(low + uniform[:, column] * (high - low))
    return np.clip(values, likelihood.lower[drawn], likelihood.upper[drawn])


def _streams(seed: Seed, first: int, count: int) -> Iterator[np.random.Generator]:
    for number in range(first, first + count):
        yield np.random.Generator(np.random.Philox(np.random.SeedSequence(seed, spawn_key=(number,))))


def mask_of(likelihood: "Likelihood", mask: Floats | None = None) -> Floats:
    """Which bins count, shape (bins,): as given, or as in the likelihood's own data; all if it has none."""
    if mask is None:
        try:
            mask = likelihood.observed.mask
        except InvalidWorkspace:
            mask = np.ones(likelihood.bins)
    return np.asarray(mask, dtype=float)


def _check(likelihood: "Likelihood", rates: Floats, parameters: Floats) -> None:
    bad = np.flatnonzero(~(rates >= -NEGATIVE) | ~np.isfinite(rates))
    if len(bad):
        far = np.argsort(-np.abs(np.nan_to_num(parameters - likelihood.init)))[:3]
        where = ", ".join(f"{likelihood.labels[place]} = {parameters[place]:g}" for place in far)
        raise InvalidToys(
            f"no data can be made: bin {bad[0]} of all channels (sorted by name) expects {rates[bad[0]]:g} events at "
            f"{where}; choose parameters at which every bin expects 0 or more"
        )


def _check_counts(likelihood: "Likelihood", centres: Floats, poisson: NDArray[np.bool_]) -> None:
    for place in np.flatnonzero(poisson & ~(centres >= 0)):
        raise InvalidToys(
            f"no toys: the auxiliary count of {likelihood.labels[place]} expects {centres[place]:g} events; "
            "choose a value of 0 or more"
        )
