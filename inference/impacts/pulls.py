"""How far the fit moved each constrained parameter from what its auxiliary measurement says."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from inference.likelihood.specification import Floats
from inference.results import FitResult

if TYPE_CHECKING:
    from collections.abc import Mapping

    from inference.likelihood.model import Likelihood

# A parameter that the data constrain by less than this share of its variance moves by nothing that could be compared.
LEAST = 1e-6


@dataclass(frozen=True, slots=True)
class Pull:
    """One constrained parameter.

    Attributes:
        centre: what its auxiliary measurement says of it: the global observable, over the factor of a Poisson's rate.
        width: standard deviation of that measurement.
        pull: (best fit − centre) / width.
        constraint: uncertainty / width.
        normalised: (best fit − centre) / sqrt(width² − uncertainty²), which is standard normal if the model is right
            (Demortier and Lyons, CDF/ANAL/PUBLIC/5776); None where the data do not constrain the parameter.
    """

    parameter: str
    bestfit: float
    uncertainty: float
    centre: float
    width: float
    pull: float
    constraint: float
    normalised: float | None


@dataclass(frozen=True, slots=True)
class Pulls:
    """Of all constrained parameters that the fit left free, in the model's order."""

    pulls: tuple[Pull, ...]


def centres(likelihood: "Likelihood") -> Floats:
    """What the auxiliary measurements say of the parameters, NaN without one, shape (parameters,)."""
    scale = [
        width if made.constraint == "poisson" else 1.0
        for made in likelihood.specification.parameters
        for width in (made.widths or (1.0,) * made.size)
    ]
    return np.asarray(likelihood.observed.auxiliary / scale)


def pulls(
    likelihood: "Likelihood", *, fit: FitResult | None = None, fixed: "Mapping[str, float] | None" = None
) -> Pulls:
    """Pulls of a fit.

    Args:
        likelihood: with the data and auxiliary measurements that were fitted.
        fit: the fit; made if None.
        fixed: parameters to hold in a fit that is made.

    Raises:
        UnknownParameter, FitFailed: of a fit that is made.
    """
    from inference.fit import fit_likelihood

    return pulls_of(fit or fit_likelihood(likelihood, fixed))


def pulls_of(fit: FitResult) -> Pulls:
    """Pulls of a fit that is made."""
    rows = zip(fit.labels, fit.bestfit, fit.uncertainties, fit.measured, fit.prefit, fit.fixed, strict=True)
    return Pulls(
        tuple(
            _pull(label, bestfit, uncertainty, centre, width)
            for label, bestfit, uncertainty, centre, width, fixed in rows
            if centre is not None and width and not fixed
        )
    )


def _pull(label: str, bestfit: float, uncertainty: float, centre: float, width: float) -> Pull:
    gained = width**2 - uncertainty**2
    normalised = (bestfit - centre) / float(np.sqrt(gained)) if gained > LEAST * width**2 else None
    return Pull(label, bestfit, uncertainty, centre, width, (bestfit - centre) / width, uncertainty / width, normalised)
