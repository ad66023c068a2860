"""The unfolded spectrum: fit, covariance, bias of the regularisation, closure, and what the response can resolve."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from inference.errors import FitFailed
from inference.extensions.errors import InvalidExtension
from inference.extensions.lcurve import LCurve, l_curve
from inference.extensions.regularised import Spectrum, fit, spectrum, whitened_response
from inference.impacts.linear import from_data, from_observables
from inference.likelihood.certificate import Certificate
from inference.likelihood.specification import Floats

if TYPE_CHECKING:
    from inference.likelihood.model import Likelihood, Minimum


@dataclass(frozen=True, slots=True)
class Resolution:
    """Singular value decomposition of the whitened response (Höcker, Kartvelishvili, hep-ph/9509307).

    Attributes:
        singular_values: of the derivative of each bin by each strength, over the bin's statistical error; falling.
        components: the data's, along the same directions: those of size 1 or less are noise.
        condition: largest over smallest singular value; None where the smallest is 0.
    """

    singular_values: tuple[float, ...]
    components: tuple[float, ...]
    condition: float | None


@dataclass(frozen=True, slots=True)
class Unfolding:
    """An unfolded spectrum; vectors have one element for each generated bin.

    Attributes:
        extension: name of the unfolding.
        labels: of the strengths.
        edges: of the generated bins; numbered from 0 where the extension has none.
        truth: yields at strength 1.
        yields: unfolded, strength × truth.
        uncertainties: square roots of the covariance's diagonal.
        covariance: of the yields under fluctuations of the data and of the auxiliary measurements, to first order:
            D V Dᵀ, with V their covariance (n for a bin) and D the derivative of the fit by them (TUnfold's V_xx and
            its systematic parts). Parameters that a bound holds, but the strengths, stay there.
        bias: what the regularisation makes of the unfolded spectrum when that is what the data hold: unfolded again,
            minus unfolded.
        closure: what is expected of the truth (Asimov data), unfolded, minus the truth.
        regularisation, tau: mode and strength used; "none" and 0 without.
        curve: the scan that τ is from; None if it was given.
        resolution: what the response can tell apart.
        chi2: 2 · −log L above the saturated model's, the regularisation left out.
        certificate: of the fit.
    """

    extension: str
    labels: tuple[str, ...]
    edges: tuple[float, ...]
    truth: tuple[float, ...]
    yields: tuple[float, ...]
    uncertainties: tuple[float, ...]
    covariance: tuple[tuple[float, ...], ...]
    bias: tuple[float, ...]
    closure: tuple[float, ...]
    regularisation: str
    tau: float
    curve: LCurve | None
    resolution: Resolution
    chi2: float
    certificate: Certificate

    @property
    def correlation(self) -> Floats:
        """Correlation matrix; 0 with bins that have no uncertainty."""
        sigma = np.asarray(self.uncertainties)
        safe = np.where(sigma > 0, sigma, np.inf)
        matrix: Floats = np.asarray(self.covariance) / np.outer(safe, safe)
        np.fill_diagonal(matrix, 1.0)
        return matrix


def unfold(
    likelihood: "Likelihood",
    *,
    extension: str | None = None,
    tau: float | Literal["l-curve"] | None = None,
    fixed: Mapping[str, float] | None = None,
) -> Unfolding:
    """Unfold the observed data.

    Args:
        extension: name of the unfolding; the only one if None.
        tau: strength of the regularisation, or "l-curve" to choose it; the extension's own if None.
        fixed: parameters to hold, label → value.

    Raises:
        InvalidExtension: the workspace has no such unfolding, or it regularises nothing and τ is given.
        FitFailed: a fit did not converge; the message says why.
    """
    found = spectrum(likelihood, extension, fixed)
    curve = l_curve(likelihood, extension=extension, fixed=fixed) if tau == "l-curve" else None
    used = _tau(found, curve.tau if curve is not None else tau)  # type: ignore[arg-type]
    from inference.toys.generate import asimov

    minimum = _required(fit(likelihood, found, used), "the observed data")
    again = fit(likelihood, found, used, asimov(likelihood, minimum.parameters))
    _required(again, "what is expected at the fit")
    truth = found.start(used)
    closed = _required(fit(likelihood, found, used, asimov(likelihood, truth)), "what is expected at the start")
    document, places = found.document, found.places
    covariance = _covariance(likelihood, found, minimum)
    yields = document.yields
    edges = document.edges or tuple(float(edge) for edge in range(document.generated + 1))
    return Unfolding(
        document.name,
        tuple(likelihood.labels[place] for place in places),
        edges,
        tuple((truth[places] * yields).tolist()),
        tuple((minimum.parameters[places] * yields).tolist()),
        tuple(np.sqrt(np.diag(covariance)).tolist()),
        tuple(tuple(row) for row in covariance.tolist()),
        tuple(((again.parameters - minimum.parameters)[places] * yields).tolist()),
        tuple(((closed.parameters - truth)[places] * yields).tolist()),
        document.regularisation,
        used,
        curve,
        _resolution(likelihood, found),
        2 * (minimum.nll - likelihood.saturated()) - used**2 * found.penalty(minimum.parameters),
        minimum.certificate,
    )


def _tau(found: Spectrum, given: float | None) -> float:
    if found.tau is None:
        if given:
            raise InvalidExtension(
                f"the unfolding {found.document.name!r} regularises nothing: give it a mode, or no τ"
            )
        return 0.0
    return float(found.begin[found.tau]) if given is None else given


def _required(minimum: "Minimum", what: str) -> "Minimum":
    if not minimum.certificate.converged:
        raise FitFailed(f"{what} cannot be unfolded: {minimum.certificate.reason}; more regularisation may help")
    return minimum


def _covariance(likelihood: "Likelihood", found: Spectrum, minimum: "Minimum") -> Floats:
    """See `Unfolding`; a nuisance parameter that a bound holds does not follow fluctuations."""
    bound = np.asarray([label in minimum.certificate.at_bound for label in likelihood.labels])
    bound[found.places] = False
    inverse = likelihood.covariance(minimum, free=found.free & ~bound)
    constrained = np.flatnonzero(found.free & ~np.isnan(likelihood.widths)).tolist()
    fitted, strengths = (likelihood, minimum.parameters, inverse), found.places.tolist()
    spread = from_data(*fitted, strengths) + from_observables(*fitted, strengths, constrained)
    yields = found.document.yields
    return np.asarray(spread * np.outer(yields, yields))


def _resolution(likelihood: "Likelihood", found: Spectrum) -> Resolution:
    response, rest = whitened_response(likelihood, found)
    left, values, _ = np.linalg.svd(response, full_matrices=False)
    smallest = float(values[-1])
    return Resolution(
        tuple(values.tolist()),
        tuple((left.T @ rest).tolist()),
        float(values[0]) / smallest if smallest > 0 else None,
    )
