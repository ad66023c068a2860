"""Asimov data (doi:10.1140/epjc/s10052-011-1554-0): a model that sees just what it expects, to tell what to expect."""

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from inference.fit import fit_likelihood
from inference.likelihood.specification import Floats
from inference.results import FitResult

if TYPE_CHECKING:
    from inference.likelihood.model import Likelihood

Truth = Literal["fitted", "nominal"]


def expecting(likelihood: "Likelihood", parameters: Floats) -> "Likelihood":
    """The same model with the data and auxiliary measurements that it expects at ``parameters``, (parameters,)."""
    from inference.toys.generate import asimov

    made = copy.copy(likelihood)
    made.observed = asimov(likelihood, parameters)
    return made


def expected_fit(
    likelihood: "Likelihood",
    *,
    at: Mapping[str, float] | None = None,
    truth: Truth = "nominal",
    fixed: Mapping[str, float] | None = None,
) -> FitResult:
    """Fit of Asimov data: its uncertainties and correlations are those to be expected.

    Args:
        at: values of parameters that the data are made at, label → value; the fit leaves these free.
        truth: all other parameters "nominal", where the workspace begins, or "fitted", where its data want them.
        fixed: parameters that the fit holds, label → value.

    Raises:
        UnknownParameter: a label.
        InvalidWorkspace: no observations to find the truth with.
        FitFailed: of either fit.
    """
    from inference.toys.study import truth_of

    return fit_likelihood(expecting(likelihood, truth_of(likelihood, at or {}, truth, fixed or {})), fixed)
