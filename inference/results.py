"""The result of a fit, as plain values: frozen, typed, and the same after a round trip through JSON."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.errors import UnknownParameter, nearest
from inference.likelihood.certificate import Certificate


@dataclass(frozen=True, slots=True)
class FitResult:
    """Maximum-likelihood fit of a workspace.

    Vectors have one element per parameter, in the order of ``labels``; matrices are tuples of rows. Fixed
    parameters have uncertainty and covariance 0. ``nominal`` is where a parameter stands before the fit, ``prefit`` the
    width of its constraint and ``measured`` what its auxiliary measurement (the global observable) says of it, both
    None for a free parameter. ``uncertainty`` says where the uncertainties come from:
    ``"hessian"`` is the square root of the diagonal of the inverse exact Hessian of −log L at the minimum.
    ``certificate`` is the evidence that it is the minimum. ``goodness_of_fit`` is the p-value of the saturated model
    (None without degrees of freedom). ``blinded`` are the parameters whose best fit is not what the data say: moved by
    an offset, or of data that were replaced (``inference.blinding``, ``inference.hidden``).
    """

    labels: tuple[str, ...]
    bestfit: tuple[float, ...]
    uncertainties: tuple[float, ...]
    covariance: tuple[tuple[float, ...], ...]
    fixed: tuple[bool, ...]
    nominal: tuple[float, ...]
    prefit: tuple[float | None, ...]
    measured: tuple[float | None, ...]
    poi: str | None
    twice_nll: float
    goodness_of_fit: float | None
    degrees_of_freedom: int
    uncertainty: str
    certificate: Certificate
    blinded: tuple[str, ...] = ()

    def index(self, label: str) -> int:
        """Position of a parameter; raises ``UnknownParameter``."""
        if label not in self.labels:
            raise UnknownParameter(f"the fit has no parameter {label!r}; {nearest(label, self.labels)}")
        return self.labels.index(label)

    def value(self, label: str) -> tuple[float, float]:
        """Best fit and uncertainty of a parameter; raises ``UnknownParameter``."""
        index = self.index(label)
        return self.bestfit[index], self.uncertainties[index]

    @property
    def correlation(self) -> NDArray[np.float64]:
        """Correlation matrix, shape (parameters, parameters); 0 with fixed parameters, 1 on the diagonal."""
        sigma = np.asarray(self.uncertainties)
        safe = np.where(sigma > 0, sigma, np.inf)
        matrix = np.asarray(self.covariance) / np.outer(safe, safe)
        np.fill_diagonal(matrix, 1.0)
        return np.asarray(matrix)
