"""What all documents of extensions are made of.

Documents stand in a list under the key ``extensions`` of a workspace. An extension *introduces* parameters, *reads*
parameters, *changes* parameters of HistFactory (which it sets, so that they are parameters of the fit no more) and may
add terms ½ Σ residual² to −log L. What it computes is in ``operators.py``; its document says what is needed for that:
a hashable *program*, on which the compiled function depends, and *arrays*, which are arguments of it.
"""

from collections.abc import Hashable, Mapping
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from inference.likelihood.parameters import ParameterSet
from inference.likelihood.specification import Floats

Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Positive = Annotated[float, Field(strict=True, allow_inf_nan=False, gt=0)]
Name = Annotated[str, Field(min_length=1)]
Names = Annotated[tuple[Name, ...], Field(min_length=1)]
Row = tuple[Number, ...]
Matrix = tuple[Row, ...]
Bounds = tuple[Number, Number]
Program = tuple[Hashable, Any]  # what a compiled function depends on, and its arrays


class Part(BaseModel):
    """Base of the documents' parts: frozen, no unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Normal(Part):
    """A normal constraint: what the auxiliary measurement saw, and its standard deviation."""

    mean: Number
    sigma: Annotated[Number, Field(gt=0)]


class Parameter(Part):
    """A parameter of the fit, or with ``size`` a vector of them, ``name[0]`` and so on.

    ``init`` is one number, or one for each element; so are ``bounds``, a pair or pairs.
    """

    name: Name
    size: Annotated[int, Field(ge=1)] | None = None
    init: Number | Row = 0.0
    bounds: Bounds | tuple[Bounds, ...]
    fixed: bool = False
    constraint: Normal | None = None

    @model_validator(mode="after")
    def _fits(self) -> "Parameter":
        pairs = [each for each in self.bounds if isinstance(each, tuple)]
        for what, length in (("init", len(self.init) if isinstance(self.init, tuple) else 0), ("bounds", len(pairs))):
            if length not in (0, self.count):
                raise ValueError(f"{what} of {self.name!r} has {length} elements, the parameter {self.count}")
        for low, high in self._pairs():
            if low > high:
                raise ValueError(f"bounds of {self.name!r}: {low:g} is above {high:g}")
        return self

    @property
    def count(self) -> int:
        """Number of parameters."""
        return 1 if self.size is None else self.size

    def _pairs(self) -> list[tuple[float, float]]:
        pairs = [(each[0], each[1]) for each in self.bounds if isinstance(each, tuple)]
        one = [each for each in self.bounds if not isinstance(each, tuple)]
        return pairs or [(one[0], one[1])] * self.count

    def parameter_set(self) -> ParameterSet:
        """As the likelihood counts them."""
        count = self.count
        init = self.init if isinstance(self.init, tuple) else (self.init,) * count
        pairs = self._pairs()
        normal = self.constraint
        return ParameterSet(
            self.name,
            self.size is None,
            init,
            tuple(float(pair[0]) for pair in pairs),
            tuple(float(pair[1]) for pair in pairs),
            (self.fixed,) * count,
            "free" if normal is None else "normal",
            () if normal is None else (normal.mean,) * count,
            () if normal is None else (normal.sigma,) * count,
        )


class Extension(Part):
    """What all documents have. ``reads`` are names of parameters, or labels of single ones, in the operator's order."""

    serialisable: ClassVar[bool] = True
    operator: str
    name: Name

    @property
    def introduces(self) -> tuple[Parameter, ...]:
        """Parameters that the fit has through this extension."""
        return ()

    @property
    def reads(self) -> tuple[str, ...]:
        """Names of what the operator's argument is put together from."""
        return tuple(each.name for each in self.introduces)

    @property
    def changes(self) -> tuple[str, ...]:
        """Names of HistFactory's parameters that it sets."""
        return ()

    @property
    def correlation(self) -> tuple[tuple[str, ...], Floats] | None:
        """Labels of parameters whose constraints are correlated, and the matrix."""
        return None

    @property
    def noise(self) -> tuple[str, str, Mapping[str, Row]] | None:
        """A channel, the sample in it that errors in quadrature scale, and the errors of the other samples."""
        return None

    @property
    def squared(self) -> tuple[str, ...]:
        """Names of scalars that enter as squares: −log L may have another minimum where one has the other sign."""
        return ()

    @property
    def names(self) -> tuple[str, ...]:
        """Of all parameters that it has to find: names of vectors or labels."""
        return self.reads

    def program(self, sizes: Mapping[str, int]) -> Program | None:
        """What the operator computes with; None for one that computes nothing.

        Args:
            sizes: of everything named in ``reads`` and ``changes``.

        Raises:
            ValueError: the arrays do not fit these sizes.
        """
        raise NotImplementedError


def total(sizes: Mapping[str, int], names: tuple[str, ...]) -> int:
    """Parameters behind some names."""
    return sum(sizes[name] for name in names)


def table(what: str, rows: Matrix) -> Floats:
    """As an array; raises ``ValueError`` where rows are of different lengths."""
    if len({len(row) for row in rows}) > 1:
        raise ValueError(f"the rows of {what} are of different lengths")
    return np.asarray(rows, dtype=float)


def check_shape(what: str, array: Floats, wanted: tuple[int, ...]) -> None:
    """Raises ``ValueError``."""
    if array.shape != wanted:
        raise ValueError(f"{what} must have the shape {wanted}, not {array.shape}")


def broadcast(what: str, values: float | Row, bins: int) -> Floats:
    """One number for each bin; raises ``ValueError``."""
    array = np.asarray(values, dtype=float)
    if array.shape not in ((), (bins,)):
        raise ValueError(f"{what} must be one number or {bins}, not {len(array)}")
    return np.broadcast_to(array, (bins,)).copy()
