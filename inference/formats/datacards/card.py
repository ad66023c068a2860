"""A datacard as plain values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

# Bin and process of a column.
Cell = tuple[str, str]
# One κ, or κ down and κ up; of gmN the α, of a shape its scale.
Size = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Column:
    """A process in a bin; its rate is -1 where the template's integral says it."""

    bin: str
    process: str
    identifier: int
    rate: float

    @property
    def cell(self) -> Cell:
        """Bin and process."""
        return self.bin, self.process

    @property
    def signal(self) -> bool:
        """Whether the parameter of interest scales it: its identifier is ≤ 0."""
        return self.identifier <= 0


@dataclass(frozen=True, slots=True)
class Nuisance:
    """A line of systematics: its kind (lnN, gmN, shape, …) and its sizes where it acts.

    Attributes:
        count: events in the control region of a gmN, else None.
        span: least and largest value of a unif, else None.
        templates: under which name its templates stand, where that is another one (an edit renamed the nuisance).
    """

    name: str
    kind: str
    sizes: Mapping[Cell, Size]
    count: int | None
    span: tuple[float, float] | None
    place: str
    templates: Mapping[Cell, str] = field(default_factory=dict)

    @property
    def shaped(self) -> bool:
        """Whether it has templates, of all its cells or, with ``shape?``, of some."""
        return self.kind.startswith("shape")

    @property
    def logarithmic(self) -> bool:
        """Whether logarithms of contents are interpolated."""
        return self.kind.startswith("shapeN")

    @property
    def flat(self) -> bool:
        """Whether it has no constraint, but a range."""
        return self.kind in ("lnU", "unif") or (self.shaped and self.kind.endswith("U"))

    @property
    def bounds(self) -> tuple[float, float]:
        """The range that Combine gives its parameter."""
        if self.span is not None:
            return self.span
        if self.flat:
            return -1.0, 1.0
        if self.kind == "trG":  # 1 + size θ stays positive
            sizes = [size[0] for size in self.sizes.values()]
            return max([-7.0, *(-1 / size for size in sizes if size > 0)]), min(
                [7.0, *(-1 / size for size in sizes if size < 0)]
            )
        return (-4.0, 4.0) if self.kind == "shape" else (-7.0, 7.0)


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
    """A factor of one or (``*``) several columns: a free parameter, or a formula of others.

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

    def scales(self, column: Column) -> bool:
        """Whether it is a factor of the column."""
        if "*" in self.bin or "*" in self.process:
            return fnmatchcase(column.bin, self.bin) and fnmatchcase(column.process, self.process)
        return column.cell == (self.bin, self.process)


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

    threshold: float
    include_signal: bool
    mode: int


@dataclass(frozen=True, slots=True)
class Card:
    """All of a card, in its order; ``folder`` is where its files are looked for.

    Attributes:
        columns: without those whose rate is 0, which Combine leaves out.
        statistics: by bin.
        held: names of parameters that do not move.
        remarks: what the reader of the card should know.
    """

    name: str
    folder: Path
    bins: tuple[str, ...]
    observed: Mapping[str, float]
    columns: tuple[Column, ...]
    shapes: tuple[ShapeRule, ...]
    nuisances: tuple[Nuisance, ...]
    rates: tuple[RateParameter, ...]
    parameters: tuple[Parameter, ...]
    statistics: Mapping[str, Statistics]
    groups: Mapping[str, tuple[str, ...]]
    held: frozenset[str]
    remarks: tuple[str, ...]
    place: str

    def in_bin(self, name: str) -> tuple[Column, ...]:
        """Columns of a bin."""
        return tuple(column for column in self.columns if column.bin == name)
