"""Results that can be looked at before the analysis is fixed: parameters of interest with a hidden offset.

The fit runs on all data. What is shown of a parameter of interest is its best fit plus an offset, made of a phrase that
nobody needs to look at (SHA-256 of phrase and label, uniform within ± ``scale``; Klein and Roodman,
doi:10.1146/annurev.nucl.55.090704.151521). The same phrase gives the same offset, whatever the data: so differences
between two fits are true. Uncertainties, correlations, impacts and the other parameters are as they are.

Bins in which a parameter of interest changes what is expected would give it away: their data are hidden.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from inference.errors import InferenceError, UnknownParameter
from inference.fit import fit_likelihood
from inference.impacts.results import Impacts
from inference.model import Model
from inference.results import FitResult
from inference.yields import Yields, yields_of

if TYPE_CHECKING:
    from inference.likelihood.model import Likelihood

# Offsets hide a value only if they may be much larger than its uncertainty.
LEAST = 3.0


class NotBlind(InferenceError):
    """The offset would hide nothing."""


@dataclass(frozen=True, slots=True)
class Blinding:
    """How to blind: a phrase, and the largest offset in units of the parameter."""

    phrase: str
    scale: float = 1.0

    def offset(self, label: str) -> float:
        """Of this parameter, uniform within ± ``scale``."""
        digest = hashlib.sha256(f"{self.phrase}\n{label}".encode()).digest()
        return self.scale * (2 * int.from_bytes(digest[:7], "big") / 2**56 - 1)

    def moved(self, label: str, value: float, uncertainty: float) -> float:
        """What is shown instead of ``value``.

        Raises:
            NotBlind: the scale is less than three uncertainties.
        """
        if not (self.phrase and self.scale >= LEAST * uncertainty):
            raise NotBlind(
                f"a scale of {self.scale:g} hides nothing of {label}, whose uncertainty is {uncertainty:.3g}: "
                f"give at least {LEAST * uncertainty:.2g}, and a phrase"
            )
        return value + self.offset(label)


def blind_fit(fit: FitResult, blinding: Blinding, *, pois: Sequence[str] | None = None) -> FitResult:
    """The fit as it may be shown: best-fit values of the parameters named in ``blinded`` are not the true ones.

    Args:
        fit: the true one, which stays as it is.
        blinding: phrase and scale.
        pois: labels to blind; the parameter of interest if None.

    Raises:
        UnknownParameter: no such label, or none of interest.
        NotBlind: the offset would hide nothing.
    """
    labels = _labels(fit, pois)
    bestfit = list(fit.bestfit)
    for label in labels:
        if fit.fixed[fit.index(label)]:
            raise NotBlind(f"{label} is held: fits at several of its values would tell the best one; let it free")
        bestfit[fit.index(label)] = blinding.moved(label, *fit.value(label))
    # A bound that holds a parameter is its value.
    bound = tuple(label for label in fit.certificate.at_bound if label not in labels)
    return replace(fit, bestfit=tuple(bestfit), certificate=replace(fit.certificate, at_bound=bound), blinded=labels)


def offset_fit(
    likelihood: "Likelihood",
    *,
    phrase: str,
    scale: float = 1.0,
    pois: Sequence[str] | None = None,
    fixed: Mapping[str, float] | None = None,
) -> FitResult:
    """Fit to all data, of which the best fit of parameters of interest is shown with an offset, as `blind_fit`.

    Args:
        phrase, scale: as of `Blinding`.
        pois: labels to blind; the parameter of interest if None.
        fixed: parameters to hold, label → value.

    Raises:
        UnknownParameter: no such label, or none of interest.
        NotBlind: the offset would hide nothing.
        FitFailed: there is no minimum that can be certified.
    """
    return blind_fit(fit_likelihood(likelihood, fixed), Blinding(phrase, scale), pois=pois)


def blind_impacts(impacts: Impacts, blinding: Blinding) -> Impacts:
    """Impacts, which are differences, with every parameter of interest's best fit moved, also where it is ranked.

    Raises:
        NotBlind: the offset would hide nothing.
    """
    pois = {ranking.poi for ranking in impacts.rankings}
    return Impacts(
        tuple(
            replace(
                ranking,
                bestfit=blinding.moved(ranking.poi, ranking.bestfit, ranking.uncertainty),
                impacts=tuple(one for one in ranking.impacts if one.parameter not in pois),
                blinded=True,
            )
            for ranking in impacts.rankings
        )
    )


def signal_bins(likelihood: "Likelihood", pois: Sequence[str] | None = None) -> NDArray[np.bool_]:
    """Bins that a parameter of interest changes at all, at the initial values or at twice the signal, shape (bins,)."""
    from inference.propagation import along

    labels = pois if pois is not None else [likelihood.poi] if likelihood.poi else []
    rows = np.zeros((len(labels), len(likelihood.labels)))
    rows[np.arange(len(labels)), [likelihood.index(label) for label in labels]] = 1.0
    points = (likelihood.init, likelihood.init + rows.sum(axis=0))
    changes = [along(likelihood, point, rows) != 0 for point in points]
    return np.asarray(np.any(changes, axis=(0, 1)))


def blind_yields(
    likelihood: "Likelihood", fit: FitResult, *, pois: Sequence[str] | None = None, model: Model | None = None
) -> Yields:
    """Yields after the fit, parameters of interest at their initial values, without the data of bins they change.

    Raises:
        UnknownParameter: no such label, or none of interest.
    """
    labels = _labels(fit, pois)
    bestfit = list(fit.bestfit)
    for label in labels:
        bestfit[fit.index(label)] = fit.nominal[fit.index(label)]
    shown = yields_of(likelihood, fit=replace(fit, bestfit=tuple(bestfit)), model=model)
    hidden = signal_bins(likelihood, labels)
    regions, start = {}, 0
    for channel in likelihood.specification.channels:
        regions[channel.name] = hidden[start : (start := start + channel.bins)].tolist()
    return without_data(shown, regions)


def without_data(yields: Yields, hidden: Mapping[str, Sequence[bool]]) -> Yields:
    """Yields without the data of hidden bins, which are given for each region."""
    regions = []
    for region in yields.regions:
        pairs = zip(region.data, hidden[region.region], strict=True)
        regions.append(replace(region, data=tuple(None if secret else count for count, secret in pairs)))
    return replace(yields, regions=tuple(regions), blinded=True)


def _labels(fit: FitResult, pois: Sequence[str] | None) -> tuple[str, ...]:
    if pois is None and fit.poi is None:
        raise UnknownParameter("the workspace names no parameter of interest: say which are to be blinded")
    labels = tuple(pois) if pois is not None else (fit.poi or "",)
    for label in labels:
        fit.index(label)
    return labels
