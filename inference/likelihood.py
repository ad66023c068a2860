"""The likelihood of a pyhf workspace, as the minimisers see it.

This is the one place that calls pyhf's density: a faster likelihood takes this class's place.
"""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np

from inference.derivatives import Floats, Indices, covariance, curvature_scales, gradient, hessian
from inference.errors import InvalidWorkspace, UnknownParameter, nearest

# cabinetry's and pyhf's defaults, written out since they decide the numbers.
INTERPOLATION = {"normsys": {"interpcode": "code4"}, "histosys": {"interpcode": "code4p"}}


class Likelihood:
    """Negative logarithm of the likelihood of one measurement of a workspace, on its observed data.

    Attributes:
        model, data: pyhf's model and its data with the auxiliary measurements.
        labels: one per parameter; vectors of parameters have ``name[i]``.
        init, lower, upper: starting point and bounds, shape (parameters,).
        constant: parameters that the workspace holds fixed.
        poi: label of the parameter of interest, or None.
        prefit: width of each constraint term; NaN for a free parameter.
    """

    def __init__(self, workspace: Mapping[str, Any], measurement: str | None = None) -> None:
        """Build pyhf's model.

        Raises:
            InvalidWorkspace: against the schema, no such measurement, or not a model.
        """
        import pyhf

        pyhf.set_backend("numpy")
        try:
            parsed = pyhf.Workspace(workspace)
            self.model: Any = parsed.model(measurement_name=measurement, modifier_settings=INTERPOLATION)
            self.data: list[float] = parsed.data(self.model)
        except (pyhf.exceptions.InvalidSpecification, pyhf.exceptions.InvalidMeasurement) as error:
            raise InvalidWorkspace(f"no model in the workspace: {error or error.__cause__}") from error
        except (pyhf.exceptions.InvalidModel, KeyError, ValueError) as error:
            raise InvalidWorkspace(f"no model in the workspace: {type(error).__name__}: {error}") from error
        config = self.model.config
        self.labels: tuple[str, ...] = tuple(config.par_names)
        self.init: Floats = np.asarray(config.suggested_init(), dtype=float)
        bounds = np.asarray(config.suggested_bounds(), dtype=float)
        self.lower, self.upper = bounds[:, 0], bounds[:, 1]
        self.constant = np.asarray(config.suggested_fixed(), dtype=bool)
        self.poi: str | None = None if config.poi_index is None else self.labels[config.poi_index]
        self.prefit: Floats = np.concatenate([_widths(config.param_set(name)) for name in config.par_order])

    def nll(self, parameters: Floats) -> float:
        """−log L, auxiliary terms included. Infinite where the model has no density there."""
        value = -float(self.model.logpdf(parameters, self.data)[0])
        return value if np.isfinite(value) else np.inf

    def gradient(self, parameters: Floats, free: Indices) -> Floats:
        """Gradient of ``nll`` in the ``free`` parameters."""
        return gradient(self.nll, parameters, self.scales, free)

    def hessian(self, parameters: Floats, free: Indices) -> Floats:
        """Matrix of second derivatives of ``nll`` in the ``free`` parameters."""
        scales = self.scales[free]
        return hessian(self.nll, parameters, np.diag(self.scales)[:, free]) / np.outer(scales, scales)

    def covariance(self, minimum: Floats, free: Indices) -> Floats | None:
        """Inverse of the exact Hessian at a minimum, None where it is not positive definite."""
        return covariance(self.nll, minimum, self.scales, free)

    @cached_property
    def scales(self) -> Floats:
        """Curvature scale of each parameter at the starting point: the measure of the differences' steps."""
        guess = np.where(
            np.isfinite(self.prefit) & (self.prefit > 0), self.prefit, 0.1 * np.maximum(np.abs(self.init), 0.1)
        )
        return curvature_scales(self.nll, self.init, guess)

    def index(self, label: str) -> int:
        """Position of a parameter.

        Raises:
            UnknownParameter: with the nearest labels.
        """
        if label not in self.labels:
            raise UnknownParameter(f"the workspace has no parameter {label!r}; {nearest(label, self.labels)}")
        return self.labels.index(label)

    def saturated_nll(self) -> float:
        """−log L of a model that predicts the observed data exactly, with every auxiliary measurement met."""
        from scipy.special import gammaln, xlogy

        observed = np.asarray(self.data[: self.model.config.nmaindata], dtype=float)
        main = float(np.sum(observed - xlogy(observed, observed) + gammaln(observed + 1.0)))
        auxiliary = np.asarray(self.data[self.model.config.nmaindata :], dtype=float)
        constraint = float(self.model.constraint_logpdf(auxiliary, self.init)) if auxiliary.size else 0.0
        return main - constraint

    @property
    def bins(self) -> int:
        """Number of bins in all channels."""
        return int(self.model.config.nmaindata)


def _widths(parameter_set: Any) -> Floats:
    if not parameter_set.constrained:
        return np.full(parameter_set.n_parameters, np.nan)
    return np.asarray(parameter_set.width(), dtype=float)
