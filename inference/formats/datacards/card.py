"""A datacard as plain values."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

# Bin and process of a column.
Cell = tuple[str, str]
# One κ, or κ down and κ up; of gmN the α, of a shape its scale.
Size = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Column:
    """A process in a bin; its rate is -1 where the template's integral says it. Signals have identifiers ≤ 0."""

    bin: str
    process: str
    identifier: int
    rate: float

    @property
    def signal(self) -> bool:
        """Whether the parameter of interest scales it."""
        return self.identifier <= 0


@dataclass(frozen=True, slots=True)
class Nuisance:
    """A line of systematics: its kind (lnN, gmN, shape, …) and its sizes where it acts.

    Attributes:
        count: events in the control region of a gmN, else None.
        fixed: marked ``[nofloat]`` or frozen by an edit.
    """

    name: str
    kind: str
    sizes: Mapping[Cell, Size]
    count: int | None
    fixed: bool
    place: str


@dataclass(frozen=True, slots=True)
class ShapeRule:
    """Where templates are: patterns with $PROCESS, $CHANNEL, $SYSTEMATIC and $MASS; no file for FAKE."""

    process: str
    bin: str
    file: str | None
    nominal: str
    varied: str | None
    place: str


@dataclass(frozen=True, slots=True)
class RateParameter:
    """A factor of one or (wildcards) several columns: a free parameter, or a formula of others.

    Attributes:
        value: starting value; of a formula None.
        bounds: None without limits.
        formula, arguments: text with @0, @1, …, and the parameters they stand for.
    """

    name: str
    bin: str
    process: str
    value: float | None
    bounds: tuple[float, float] | None
    formula: str | None
    arguments: tuple[str, ...]
    place: str


@dataclass(frozen=True, slots=True)
class Parameter:
    """A Gaussian constraint of a parameter (``param``), or a free parameter for formulas (``extArg``): no width."""

    name: str
    mean: float
    width: float | None
    bounds: tuple[float, float] | None
    place: str


@dataclass(frozen=True, slots=True)
class Statistics:
    """A line of autoMCStats.

    Attributes:
        threshold: effective events above which a bin has one parameter for all processes; negative for none.
        mode: 1 keeps norm and shape of variations apart, 2 together.
    """

    bin: str
    threshold: float
    include_signal: bool
    mode: int
    place: str


@dataclass(frozen=True, slots=True)
class Card:
    """All of a card, in its order; ``folder`` is where its files are looked for."""

    name: str
    folder: Path
    bins: tuple[str, ...]
    observed: Mapping[str, float]
    columns: tuple[Column, ...]
    shapes: tuple[ShapeRule, ...]
    nuisances: tuple[Nuisance, ...]
    rates: tuple[RateParameter, ...]
    parameters: tuple[Parameter, ...]
    statistics: tuple[Statistics, ...]
    groups: Mapping[str, tuple[str, ...]]
    place: str

    def in_bin(self, name: str) -> tuple[Column, ...]:
        """Columns of a bin."""
        return tuple(column for column in self.columns if column.bin == name)
