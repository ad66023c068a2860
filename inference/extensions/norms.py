"""What templates with norms need beyond HistFactory, after CMS Combine: errors that follow the norms of their
processes, and shapes that are interpolated in the logarithms of their contents.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from inference.extensions.parts import Extension, Name, Number, Part, Positive, Program, Row, check_shape
from inference.likelihood.specification import Floats


class Errors(Extension):
    """Errors of a channel's samples, which follow the norms of these: ``sample``, of contents 1 and with no factor but
    a staterror, is scaled by √ Σ (norm · error)², bin by bin.
    """

    operator: Literal["errors"]
    channel: Name
    sample: Name
    errors: dict[Name, Row]

    @property
    def reads(self) -> tuple[str, ...]:
        """None: the norms are those of the samples."""
        return ()

    @property
    def noise(self) -> tuple[str, str, Mapping[str, Row]]:
        """As the document says."""
        return self.channel, self.sample, self.errors

    def program(self, _: Mapping[str, int]) -> None:
        """The likelihood computes it with the rates."""
        return


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
