"""Yields as polynomials of the Wilson coefficients of dimension-6 operators.

With coefficients c, an amplitude is A = A_SM + Σ cᵢ Aᵢ, so that a yield is 1 + n + n(n + 1)/2 terms: constant, linear
(interference) and quadratic. Yields at as many points determine the terms: basis inversion (ATL-PHYS-PUB-2015-047).
"""

from collections.abc import Mapping
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, model_validator

from inference.extensions.parts import Extension, Matrix, Names, Parameter, Program, Row, check_shape, table, total
from inference.likelihood.specification import Floats

Order = Literal["quadratic", "linear"]


class Eft(Extension):
    """Outputs = yields at the coefficients over yields at 0: polynomials through the yields at the basis points.

    Attributes:
        parameters: the Wilson coefficients, scalars.
        order: "quadratic", or "linear" for the interference alone.
        basis: values of the coefficients at each basis point, (points, coefficients); (1 + n)(2 + n)/2 points, or
            1 + n if linear, where more points are fitted by least squares.
        yields: of every output at each basis point, (points, outputs).
        reference: yields that outputs are counted in; by default those of the polynomials at 0, the Standard Model.
    """

    operator: Literal["eft"]
    parameters: Annotated[tuple[Parameter, ...], Field(min_length=1)]
    sets: Names
    order: Order = "quadratic"
    basis: Matrix
    yields: Matrix
    reference: Row | None = None

    @property
    def introduces(self) -> tuple[Parameter, ...]:
        """The coefficients."""
        return self.parameters

    @property
    def squared(self) -> tuple[str, ...]:
        """The coefficients, unless the interference is all."""
        return self.reads if self.order == "quadratic" else ()

    @property
    def changes(self) -> tuple[str, ...]:
        """As the document says."""
        return self.sets

    @model_validator(mode="after")
    def _scalars(self) -> "Eft":
        for each in self.parameters:
            if each.size is not None:
                raise ValueError(f"the coefficient {each.name!r} has a size: give each coefficient a name of its own")
        return self

    def program(self, sizes: Mapping[str, int]) -> Program:
        """Polynomials, shape (monomials, outputs)."""
        outputs = total(sizes, self.sets)
        basis = table("basis", self.basis)
        check_shape("basis", basis, (len(self.basis), total(sizes, self.reads)))
        yields = table("yields", self.yields)
        check_shape("yields", yields, (len(self.basis), outputs))
        found = coefficients(basis, yields, self.order)
        reference = found[0] if self.reference is None else np.asarray(self.reference)
        check_shape("reference", reference, (outputs,))
        if not (np.abs(reference) > 0).all():
            raise ValueError("the reference yields hold a 0: give 'reference', or leave that output out")
        return self.order, (found / reference,)


def exponents(count: int, order: Order) -> tuple[tuple[int, ...], ...]:
    """Coefficients that each monomial multiplies: none, one, or (quadratic) two of them, by their places."""
    single = [(place,) for place in range(count)]
    double = [(one, other) for one in range(count) for other in range(one, count)]
    return ((), *single, *(double if order == "quadratic" else ()))


def monomials(points: Floats, order: Order) -> Floats:
    """Of coefficients (points, coefficients): (points, monomials)."""
    columns = [np.prod(points[:, list(each)], axis=1) for each in exponents(points.shape[1], order)]
    return np.stack(columns, axis=1)


def coefficients(basis: Floats, yields: Floats, order: Order) -> Floats:
    """Polynomials (monomials, outputs) through ``yields`` (points, outputs) at the ``basis`` (points, coefficients).

    Raises:
        ValueError: too few points, or points that do not determine every term.
    """
    matrix, scale = scaled_monomials(basis, order)
    points, terms = matrix.shape
    if points < terms:
        raise ValueError(f"{points} basis points for {terms} terms: give {terms - points} more")
    if np.linalg.matrix_rank(matrix) < terms:
        raise ValueError(f"the basis points do not determine {_undetermined(matrix, basis.shape[1], order)}")
    if points == terms:
        return np.asarray(np.linalg.solve(matrix, yields) / scale[:, None])
    return np.asarray(np.linalg.lstsq(matrix, yields, rcond=None)[0] / scale[:, None])


def scaled_monomials(basis: Floats, order: Order) -> tuple[Floats, Floats]:
    """Monomials of coefficients counted in their largest value in the basis, and the factors taken out.

    So the condition number does not depend on the coefficients' unit.
    """
    matrix = monomials(basis, order)
    scale = np.abs(matrix).max(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    return matrix / scale, scale


def condition(basis: Floats, order: Order) -> float:
    """Condition number of the basis: relative errors of yields may come back enlarged by it."""
    return float(np.linalg.cond(scaled_monomials(basis, order)[0]))


def _undetermined(matrix: Floats, count: int, order: Order) -> str:
    """The terms that make up the direction of which the points say nothing."""
    weights = np.abs(np.linalg.svd(matrix)[2][-1])
    terms = [each for each, weight in zip(exponents(count, order), weights, strict=True) if weight > 0.1]
    names = ["·".join(f"c[{place}]" for place in each) or "the constant" for each in terms]
    return f"the term of {names[0]}" if len(names) == 1 else f"the terms of {', '.join(names)} apart from each other"
