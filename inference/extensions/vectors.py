"""Linear maps and ratios of vectors of parameters."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from inference.extensions.parts import (
    Extension,
    Matrix,
    Name,
    Names,
    Normal,
    Number,
    Parameter,
    Part,
    Positive,
    Program,
    Row,
    broadcast,
    check_shape,
    table,
    total,
)


class Vector(Extension):
    """Outputs = offset + strengths · templates, ``templates`` of shape (strengths, outputs), by default the identity.

    With a sample of contents 1 and a shapefactor that this sets, the strengths scale templates of one process.
    """

    operator: Literal["vector"]
    parameters: Annotated[tuple[Parameter, ...], Field(min_length=1)]
    sets: Names
    templates: Matrix | None = None
    offset: Row | None = None

    @property
    def introduces(self) -> tuple[Parameter, ...]:
        """The strengths."""
        return self.parameters

    @property
    def changes(self) -> tuple[str, ...]:
        """As the document says."""
        return self.sets

    def program(self, sizes: Mapping[str, int]) -> Program:
        """Templates and offset."""
        strengths, outputs = total(sizes, self.reads), total(sizes, self.sets)
        templates = np.eye(strengths) if self.templates is None else table("templates", self.templates)
        check_shape("templates", templates, (strengths, outputs))
        offset = np.zeros(outputs) if self.offset is None else np.asarray(self.offset)
        check_shape("offset", offset, (outputs,))
        return None, (templates, offset)


class Closure(Part):
    """Relative uncertainty of the transfer, one for all bins or one for each, with its parameter: a scalar, or a
    vector of ``size``, one for each bin.
    """

    parameter: Name
    size: Annotated[int, Field(ge=1)] | None = None
    uncertainty: Positive | tuple[Positive, ...]


class Abcd(Extension):
    """Output = scale · Π numerator / Π denominator · (1 + uncertainty)^closure, bin by bin.

    ``numerator`` and ``denominator`` are names of parameters, vectors of as many elements as ``sets`` or scalars.
    """

    operator: Literal["abcd"]
    sets: Name
    numerator: Names
    denominator: tuple[Name, ...] = ()
    scale: Number | Row = 1.0
    closure: Closure | None = None

    @property
    def introduces(self) -> tuple[Parameter, ...]:
        """The closure's."""
        if self.closure is None:
            return ()
        name, size, normal = self.closure.parameter, self.closure.size, Normal(mean=0.0, sigma=1.0)
        return (Parameter(name=name, size=size, bounds=(-5.0, 5.0), constraint=normal),)

    @property
    def reads(self) -> tuple[str, ...]:
        """Numerator, denominator, closure."""
        return (*self.numerator, *self.denominator, *(each.name for each in self.introduces))

    @property
    def changes(self) -> tuple[str, ...]:
        """As the document says."""
        return (self.sets,)

    def program(self, sizes: Mapping[str, int]) -> Program:
        """Places of each factor's element in the argument, its power, scale, and logarithm of 1 + uncertainty."""
        bins = sizes[self.sets]
        places: list[Any] = []
        first = 0
        for name in self.reads:
            if sizes[name] not in (1, bins):
                raise ValueError(f"{name!r} has {sizes[name]} parameters, {self.sets!r} has {bins}")
            places.append(first + (np.arange(bins) if sizes[name] == bins else np.zeros(bins, dtype=int)))
            first += sizes[name]
        powers = np.asarray([1.0] * len(self.numerator) + [-1.0] * len(self.denominator))
        logs = np.log1p(broadcast("uncertainty", self.closure.uncertainty if self.closure else 0.0, bins))
        scale = broadcast("scale", self.scale, bins)
        return self.closure is not None, (np.asarray(places), powers, scale, logs)
