"""Fractions of toys, with what their number leaves open."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from inference.likelihood.specification import Floats

# Test statistics that differ by less are equal: two fits of the same data end so close.
TIE = 1e-7
_ONE_SIGMA = 0.6826894921370859


@dataclass(frozen=True, slots=True)
class Fraction:
    """``count`` of ``toys``.

    Attributes:
        value: count / toys.
        low, high: Clopper-Pearson interval of 68.3 % (Biometrika 26 (1934) 404).
    """

    count: int
    toys: int
    value: float
    low: float
    high: float

    @property
    def error(self) -> float:
        """Half of the interval; never 0."""
        return 0.5 * (self.high - self.low)

    @classmethod
    def of(cls, count: int, toys: int) -> "Fraction":
        """The value is 0 if there is no toy, and says nothing then: the interval is from 0 to 1."""
        from scipy.stats import beta

        tail = 0.5 * (1 - _ONE_SIGMA)
        low = float(beta.ppf(tail, count, toys - count + 1)) if count else 0.0
        high = float(beta.isf(tail, count + 1, toys - count)) if count < toys else 1.0
        return cls(count, toys, count / toys if toys else 0.0, low, high)


def beyond(values: "Floats", observed: float) -> Fraction:
    """Toys whose test statistic is at least the observed one; ties count, NaN (failed fits) do not."""
    good = values[np.isfinite(values)]
    return Fraction.of(int(np.sum(good >= observed - TIE * (1 + abs(observed)))), len(good))


@dataclass(frozen=True, slots=True)
class Histogram:
    """Numbers of toys between equally spaced edges, those beyond the last edge in the last bin."""

    edges: tuple[float, ...]
    counts: tuple[int, ...]


def histogram(values: "Floats", *, lowest: float = 0.0, highest: float, bins: int = 40) -> Histogram:
    """Of finite values."""
    edges = np.linspace(lowest, max(highest, lowest + 1e-9), bins + 1)
    counts, _ = np.histogram(np.clip(values, edges[0], edges[-1]), edges)
    return Histogram(tuple(edges.tolist()), tuple(counts.tolist()))
