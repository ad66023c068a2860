"""Partially correlated nuisance parameters."""

from collections.abc import Mapping
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, model_validator

from inference.extensions.parts import Extension, Matrix, Name, table
from inference.likelihood.specification import Floats


class Correlation(Extension):
    """The normal constraints of the parameters ``of`` (labels) become one, with this correlation ``matrix``."""

    operator: Literal["correlation"]
    of: Annotated[tuple[Name, ...], Field(min_length=2)]
    matrix: Matrix

    @property
    def correlation(self) -> tuple[tuple[str, ...], Floats]:
        """As the document says."""
        return self.of, np.asarray(self.matrix)

    @property
    def names(self) -> tuple[str, ...]:
        """The correlated ones."""
        return self.of

    def program(self, sizes: Mapping[str, int]) -> None:  # noqa: ARG002
        """It computes nothing: the matrix is part of the constraints."""
        return

    @model_validator(mode="after")
    def _is_one(self) -> "Correlation":
        if len(set(self.of)) < len(self.of):
            raise ValueError("a label stands twice in 'of'")
        check_correlation(table("matrix", self.matrix), self.of)
        return self


def check_correlation(matrix: Floats, names: tuple[str, ...]) -> None:
    """That it is a correlation matrix.

    Raises:
        ValueError: names the pair that is wrong.
    """
    size = len(names)
    if matrix.shape != (size, size):
        raise ValueError(f"the matrix must be {size} by {size}, as 'of' says")
    for row, column in np.argwhere(np.abs(matrix - matrix.T) > 1e-12)[:1]:
        one, other = matrix[row, column], matrix[column, row]
        raise ValueError(f"the matrix is not symmetric: {names[row]} and {names[column]} have {one:g} and {other:g}")
    for [row] in np.argwhere(np.diag(matrix) != 1)[:1]:
        raise ValueError(f"the correlation of {names[row]} with itself is {matrix[row, row]:g}, it must be 1")
    values, vectors = np.linalg.eigh(matrix)
    if values[0] > 1e-10:
        return
    pull = np.triu(matrix * np.outer(vectors[:, 0], vectors[:, 0]), 1)
    row, column = np.unravel_index(np.argmin(pull), pull.shape)
    raise ValueError(
        f"the matrix is not positive definite (smallest eigenvalue {values[0]:.3g}): {matrix[row, column]:g} between "
        f"{names[row]} and {names[column]} contradicts the others; bring it nearer to 0"
    )
