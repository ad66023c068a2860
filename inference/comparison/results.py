"""What a comparison is, as plain values."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that is in one model alone (None in the other), or in both and not the same.

    ``kind`` is "channel", "sample", "modifier", "parameter", "data", "parameter of interest" or "extension".
    """

    kind: str
    place: str
    first: str | None
    second: str | None


@dataclass(frozen=True, slots=True)
class Side:
    """A parameter in one fit; ``pull`` and ``constraint`` in units of its pre-fit width, None without one."""

    bestfit: float
    uncertainty: float
    pull: float | None
    constraint: float | None
    fixed: bool


@dataclass(frozen=True, slots=True)
class ParameterPair:
    """A parameter in both fits, None where there is none; ``shift`` is second − first in uncertainties of the first."""

    parameter: str
    first: Side | None
    second: Side | None
    shift: float | None


@dataclass(frozen=True, slots=True)
class YieldPair:
    """Events after the fits and their uncertainties in one channel, and the data; None where a model lacks it.

    ``ratio`` is second / first in each bin, None where it makes no sense.
    """

    channel: str
    first: tuple[float, float] | None
    second: tuple[float, float] | None
    data_first: float | None
    data_second: float | None
    ratio: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class ModelFit:
    """One of the two.

    Attributes:
        name: what to call it.
        deviance: −2 log L above the saturated model's, None where only the fit is known.
        free: number of parameters that were fitted, constrained ones included.
        aic: ``deviance`` + 2 ``free`` (Akaike, doi:10.1109/TAC.1974.1100705); the smaller, the better. Its
            differences mean something only for the same data.
        goodness_of_fit: p-value of the saturated model.
    """

    name: str
    deviance: float | None
    free: int
    aic: float | None
    goodness_of_fit: float | None


@dataclass(frozen=True, slots=True)
class LikelihoodRatio:
    """Test of the smaller model within the larger one.

    Attributes:
        smaller, larger: names of the models.
        parameters: free in the larger, held or absent in the smaller.
        statistic: difference of their minima of −2 log L.
        p_value: of a χ² with as many degrees of freedom as ``parameters`` (Wilks, doi:10.1214/aoms/1177732360).
        at_bound: those of ``parameters`` that the smaller model holds on a bound of the larger. Then Wilks' theorem
            does not hold, and ``p_value`` is too large: half of it is right for a single such parameter (Chernoff,
            doi:10.1214/aoms/1177728725).
    """

    smaller: str
    larger: str
    parameters: tuple[str, ...]
    statistic: float
    p_value: float
    at_bound: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two models with their fits, or two fits.

    ``test`` is None where the models are not nested; ``not_nested`` says why.
    """

    first: ModelFit
    second: ModelFit
    parameters: tuple[ParameterPair, ...]
    yields: tuple[YieldPair, ...]
    differences: tuple[Difference, ...]
    test: LikelihoodRatio | None
    not_nested: str
