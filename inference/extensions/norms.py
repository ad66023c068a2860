"""What templates with norms need beyond HistFactory, after CMS Combine: errors that follow the norms of their
processes, and shapes that are interpolated in the logarithms of their contents.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, model_validator

from inference.extensions.formulas import Formula, parse
from inference.extensions.parts import Extension, Matrix, Name, Number, Part, Positive, Program, Row, check_shape, table
from inference.likelihood.specification import Floats


class Norm(Part):
    """What a nuisance at ±1 makes of each process's norm, interpolated as Combine does (normsys code "combine")."""

    parameter: Name
    up: tuple[Positive, ...]
    down: tuple[Positive, ...]


class Quadrature(Extension):
    """Output j = √ Σₚ (normₚ · errors[p][j])²: the error of bin j where processes' errors follow their norms.

    A norm is ``factors[p]``, a formula, times what ``norms`` make of it. ``errors`` has the shape (processes, outputs).
    """

    operator: Literal["quadrature"]
    sets: Name
    errors: Annotated[Matrix, Field(min_length=1)]
    factors: tuple[str, ...]
    norms: tuple[Norm, ...] = ()

    @property
    def parsed(self) -> tuple[Formula, ...]:
        """The factors."""
        return tuple(parse(text) for text in self.factors)

    @property
    def reads(self) -> tuple[str, ...]:
        """Labels of the factors, then the nuisances."""
        labels = (label for factor in self.parsed for label in factor.labels)
        return tuple(dict.fromkeys((*labels, *(each.parameter for each in self.norms))))

    @property
    def changes(self) -> tuple[str, ...]:
        """As the document says."""
        return (self.sets,)

    @model_validator(mode="after")
    def _all_parse(self) -> "Quadrature":
        _ = self.parsed
        return self

    def program(self, sizes: Mapping[str, int]) -> Program:
        """Trees of the factors; their numbers, places of the nuisances, logarithms of up and down, squared errors."""
        reads = scalars(self.reads, sizes)
        errors = table("errors", self.errors)
        check_shape("errors", errors, (len(self.factors), sizes[self.sets]))
        up, down = (
            logarithms(what, [getattr(each, what) for each in self.norms], len(self.factors)) for what in ("up", "down")
        )
        numbers: list[float] = []
        trees = tuple(factor.tree(reads, numbers) for factor in self.parsed)
        places = np.asarray([reads.index(each.parameter) for each in self.norms], dtype=int)
        return trees, (np.asarray(numbers), places, up, down, errors**2)


class Morph(Part):
    """Ratios of the contents to the nominal ones with a nuisance at ±1/``scale``, shape (bins,)."""

    parameter: Name
    up: tuple[Positive, ...]
    down: tuple[Positive, ...]
    scale: Positive = 1.0


class Logarithms(Extension):
    """Output j = what a process in bin j is multiplied by: logarithms of contents are interpolated and added up, the
    sum of the contents is kept (Combine's shapeN).

    With x = scale · nuisance, a logarithm moves by ½x (up − down) + ½x h(x/region) (up + down), h ``smooth_step``.
    """

    operator: Literal["logarithms"]
    sets: Name
    nominal: Row
    morphs: Annotated[tuple[Morph, ...], Field(min_length=1)]
    region: Annotated[Number, Field(gt=0)] = 1.0

    @property
    def reads(self) -> tuple[str, ...]:
        """The nuisances."""
        return tuple(dict.fromkeys(each.parameter for each in self.morphs))

    @property
    def changes(self) -> tuple[str, ...]:
        """As the document says."""
        return (self.sets,)

    def program(self, sizes: Mapping[str, int]) -> Program:
        """Places of the nuisances, their scales, logarithms of up and down, nominal contents, region."""
        reads, bins = scalars(self.reads, sizes), sizes[self.sets]
        nominal = np.asarray(self.nominal)
        check_shape("nominal", nominal, (bins,))
        if nominal.sum() <= 0 or (nominal < 0).any():
            raise ValueError("nominal contents must not be negative, and some must be positive")
        up, down = (logarithms(what, [getattr(each, what) for each in self.morphs], bins) for what in ("up", "down"))
        places = np.asarray([reads.index(each.parameter) for each in self.morphs], dtype=int)
        scales = np.asarray([each.scale for each in self.morphs])
        return None, (places, scales, up, down, nominal, np.asarray(self.region))


def scalars(labels: tuple[str, ...], sizes: Mapping[str, int]) -> tuple[str, ...]:
    """The labels; raises ``ValueError`` where one is a vector."""
    for label in labels:
        if sizes[label] != 1:
            raise ValueError(f"{label!r} is a vector of {sizes[label]}: name an element, such as {label}[0]")
    return labels


def logarithms(what: str, rows: list[tuple[float, ...]], count: int) -> Floats:
    """Of the rows, shape (rows, count)."""
    values = np.asarray(rows, dtype=float).reshape(len(rows), -1) if rows else np.ones((0, count))
    check_shape(what, values, (len(rows), count))
    found: Floats = np.log(values)
    return found
