"""A likelihood with an unfolding in it: where its spectrum is, what τ costs, and fits with other τ."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from inference.errors import UnknownParameter, nearest
from inference.extensions.errors import InvalidExtension
from inference.extensions.unfold import Unfold
from inference.likelihood.specification import Floats
from inference.profiles.places import starting

if TYPE_CHECKING:
    from inference.likelihood.model import Likelihood, Minimum, Observation


@dataclass(frozen=True, slots=True)
class Spectrum:
    """An unfolding in its likelihood.

    Attributes:
        document: of the extension.
        places: of the strengths among all parameters, shape (generated,).
        tau: place of τ; None without regularisation.
        free: which parameters a fit moves, shape (parameters,).
        begin: where fits start, parameters that are held at their values, shape (parameters,).
    """

    document: Unfold
    places: np.ndarray
    tau: int | None
    free: np.ndarray
    begin: Floats

    def penalty(self, parameters: Floats) -> float:
        """|L (x − bias)|²: what 2 · −log L gets τ² of."""
        residuals = self.document.conditions() @ (parameters[self.places] - self.document.target())
        return float(residuals @ residuals)

    def start(self, tau: float) -> Floats:
        """Where fits with this τ start, shape (parameters,)."""
        begin = self.begin.copy()
        if self.tau is not None:
            begin[self.tau] = tau
        return begin


def spectrum(
    likelihood: "Likelihood", extension: str | None = None, fixed: Mapping[str, float] | None = None
) -> Spectrum:
    """Find an unfolding.

    Args:
        extension: its name; the only one if None.

    Raises:
        InvalidExtension: the model has none, or several and none is named.
        UnknownParameter: a label of ``fixed``.
    """
    documents = {each.name: each for each in likelihood.specification.extensions if isinstance(each, Unfold)}
    if not documents:
        raise InvalidExtension(
            "the workspace has no extension with the operator 'unfold': docs/extensions.md shows one"
        )
    if extension is None and len(documents) > 1:
        raise InvalidExtension(f"the workspace has several unfoldings: name one of {', '.join(sorted(documents))}")
    if extension is not None and extension not in documents:
        raise InvalidExtension(f"there is no unfolding {extension!r}; {nearest(extension, documents)}")
    document = documents[extension] if extension else next(iter(documents.values()))
    first = likelihood.specification.offsets[document.parameter]
    begin, free = starting(likelihood, fixed)
    tau = None if document.regularisation == "none" else likelihood.index(document.tau_label)
    if tau is not None and free[tau]:
        raise UnknownParameter(f"{document.tau_label!r} is free: the measurement must hold it, or it goes to 0")
    return Spectrum(document, np.arange(first, first + document.generated), tau, free, begin)


def fit(likelihood: "Likelihood", found: Spectrum, tau: float, seen: "Observation | None" = None) -> "Minimum":
    """With that τ, to the observed data if no others are given."""
    return likelihood.minimum(seen or likelihood.observed, found.start(tau), found.free)


def whitened_response(likelihood: "Likelihood", found: Spectrum) -> tuple[Floats, Floats]:
    """Response to the strengths, and what the data have beside the rest of the model, both in statistical errors.

    Returns:
        Derivative of every bin's rate by every strength, (bins, generated); data, (bins,); at the start of fits.
    """
    from inference.propagation import along

    directions = np.zeros((len(found.places), len(likelihood.labels)))
    directions[np.arange(len(found.places)), found.places] = 1.0
    slopes = along(likelihood, found.begin, directions).T
    rates, seen = likelihood.expected(found.begin), likelihood.observed
    error = np.sqrt(np.maximum(rates, 1.0))
    inside = seen.mask > 0
    rest = seen.main - rates + slopes @ found.begin[found.places]
    return (slopes / error[:, None])[inside], (rest / error)[inside]
