"""A spectrum seen through a response matrix, held smooth as TUnfold does it.

−log L gets ½ τ² |L (x − bias)|²: half of the term that TUnfold adds to its χ² (S. Schmitt, arXiv:1205.6201), so that τ
means the same.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, model_validator

from inference.extensions.parts import (
    Bounds,
    Extension,
    Matrix,
    Name,
    Names,
    Number,
    Parameter,
    Program,
    Row,
    check_shape,
    table,
    total,
)
from inference.likelihood.specification import Floats

Mode = Literal["none", "size", "derivative", "curvature"]
MOST_TAU = 1e12


class Unfold(Extension):
    """Outputs = response · (strengths × truth), and residuals τ L (x − bias) that hold the spectrum smooth.

    Attributes:
        parameter: name of the vector of strengths, one for each generated bin.
        response: expectation of a generated bin to be seen in each output, (outputs, generated). Without one, outputs
            are the strengths themselves: those of samples, one for each generated bin, that are folded already.
        truth: yield of each generated bin at strength 1; by default 1, the strengths being yields.
        edges: of the generated bins; by default of width 1.
        regularisation: what τ holds small; ``of`` yields per average bin width, or strengths.
        bias: yields or strengths that cost nothing.
        tau: strength of the regularisation, as the fixed parameter ``{name}_tau``.
    """

    operator: Literal["unfold"]
    parameter: Name
    sets: Names
    response: Matrix | None = None
    truth: Row | None = None
    edges: Row | None = None
    init: Number | Row = 1.0
    bounds: Bounds | tuple[Bounds, ...]
    regularisation: Mode = "none"
    of: Literal["yields", "strengths"] = "yields"
    bias: Row | None = None
    tau: Annotated[Number, Field(ge=0)] = 0.0

    @property
    def generated(self) -> int:
        """Number of generated bins."""
        if self.response is None:
            return len(self.sets)
        return len(self.response[0]) if self.response else 0

    @property
    def tau_label(self) -> str:
        """Label of the parameter that holds τ."""
        return f"{self.name}_tau"

    @property
    def introduces(self) -> tuple[Parameter, ...]:
        """The strengths, and τ where something is regularised."""
        strengths = Parameter(name=self.parameter, size=max(self.generated, 1), init=self.init, bounds=self.bounds)
        if self.regularisation == "none":
            return (strengths,)
        return (strengths, Parameter(name=self.tau_label, init=self.tau, bounds=(0.0, MOST_TAU), fixed=True))

    @property
    def changes(self) -> tuple[str, ...]:
        """As the document says."""
        return self.sets

    @property
    def yields(self) -> Floats:
        """Of the generated bins at strength 1, shape (generated,)."""
        return np.ones(self.generated) if self.truth is None else np.asarray(self.truth)

    @property
    def widths(self) -> Floats:
        """Of the generated bins, shape (generated,)."""
        return np.ones(self.generated) if self.edges is None else np.diff(self.edges)

    def conditions(self) -> Floats:
        """L, shape (conditions, generated), acting on strengths."""
        if self.of == "strengths":
            return conditions(self.regularisation, np.ones(self.generated))
        return conditions(self.regularisation, self.widths) * self.yields

    def target(self) -> Floats:
        """Strengths that cost nothing, shape (generated,)."""
        bias = np.zeros(self.generated) if self.bias is None else np.asarray(self.bias)
        return bias if self.of == "strengths" else bias / self.yields

    @model_validator(mode="after")
    def _fits(self) -> "Unfold":
        for what, row, length in (
            ("truth", self.truth, self.generated),
            ("bias", self.bias, self.generated),
            ("edges", self.edges, self.generated + 1),
        ):
            if row is not None and len(row) != length:
                raise ValueError(f"{what} has {len(row)} elements, {length} are needed")
        needed = {"derivative": 2, "curvature": 3}.get(self.regularisation, 1)
        if self.generated < needed:
            raise ValueError(f"{self.regularisation} needs {needed} generated bins, the response has {self.generated}")
        if self.truth is not None and min(self.truth) <= 0:
            raise ValueError("truth must be positive: leave generated bins without events out")
        if self.edges is not None and np.min(np.diff(self.edges)) <= 0:
            raise ValueError(f"edges must rise: {list(self.edges)}")
        return self

    def program(self, sizes: Mapping[str, int]) -> Program:
        """Response to strengths, L, and where nothing is paid."""
        outputs = total(sizes, self.sets)
        response = np.eye(self.generated) if self.response is None else table("response", self.response) * self.yields
        check_shape("response", response, (outputs, self.generated))
        found = self.conditions()
        rows = np.zeros((self.generated, self.generated))  # of equal number for all modes: one compiled function
        rows[: len(found)] = found
        return self.regularisation != "none", (response, rows, self.target())


def conditions(mode: Mode, widths: Floats) -> Floats:
    """TUnfold's matrix L, shape (conditions, bins), acting on yields.

    Yields count per average bin width and distances between bin centres in average bin widths, so that bins of equal
    width have rows 1; −1, 1; or 1, −2, 1. Otherwise rows are the density, or its first or second divided differences
    (TUnfoldDensity with ``kDensityModeBinWidth`` and the steering ``B``, whose curvature is half of this).
    """
    size = len(widths)
    density = np.diag(widths.mean() / widths)
    if mode == "none":
        return np.zeros((0, size))
    if mode == "size":
        return density
    distance = 0.5 * (widths[1:] + widths[:-1]) / widths.mean()
    slopes: Floats = np.diff(density, axis=0) / distance[:, None]
    if mode == "derivative":
        return slopes
    bends: Floats = np.diff(slopes, axis=0) / (0.5 * (distance[1:] + distance[:-1]))[:, None]
    return bends
