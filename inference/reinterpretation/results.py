"""Limits on many signals, as plain values."""

from dataclasses import dataclass

from inference.hypotheses.results import Band
from inference.hypotheses.statistic import Method, Statistic

Expected = tuple[float | None, float | None, float | None, float | None, float | None]


@dataclass(frozen=True, slots=True)
class SignalLimit:
    """Limit on the strength of one signal; None where there is none, and ``failures`` say why.

    Attributes:
        name, values: of the signal.
        cls, expected_cls: at strength 1: a signal with less than 1 minus the level is excluded.
        observed, expected: upper limits on the strength, expected for data at −2, −1, 0, 1, 2 σ of the background.
        bestfit: strength that the data want.
        fits: number of fits made, all with certificates.
        largest_edm: largest expected distance to the minimum of all these fits, in −log L.
        failures: what could not be had, and why.
        notes: what was done that was not asked for.
    """

    name: str
    values: tuple[float | str, ...]
    cls: float | None
    expected_cls: Band | None
    observed: float | None
    expected: Expected
    bestfit: float | None
    fits: int
    largest_edm: float | None
    failures: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reinterpretation:
    """Limits on the strengths of signals in one background workspace.

    Attributes:
        poi: parameter of interest, the signals' strength.
        level, method, statistic: as of ``UpperLimit``.
        labels: names of the signals' values, or empty.
        signals: in the order given.
        shapes: number of different shapes of model, each of which is compiled once.
    """

    poi: str
    level: float
    method: Method
    statistic: Statistic
    labels: tuple[str, ...]
    signals: tuple[SignalLimit, ...]
    shapes: int
