"""What the model predicts in every bin, before and after the fit, with its uncertainty, beside the data.

Bands after the fit: the full covariance of the fit, propagated with the rates' exact derivatives (linear), or over
draws of the parameters from that covariance (sampled), which also sees how the rates bend. Before the fit: every
constrained parameter up and down by its width, half the differences added in quadrature (varied), as cabinetry does.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from inference.errors import InferenceError, InvalidWorkspace
from inference.likelihood.specification import Floats
from inference.model import Model
from inference.results import FitResult
from inference.workspace import load_workspace

if TYPE_CHECKING:
    from inference.likelihood.model import Likelihood
    from inference.propagation import Rates

Band = Literal["varied", "linear", "sampled"]


@dataclass(frozen=True, slots=True)
class SampleYield:
    """One sample in one region: events per bin, their uncertainties, and the same for the sum of bins."""

    sample: str
    values: tuple[float, ...]
    uncertainties: tuple[float, ...]
    total: float
    total_uncertainty: float


@dataclass(frozen=True, slots=True)
class RegionYield:
    """All samples of one region, their sum (``prediction``) and the data, None in bins that are hidden."""

    region: str
    samples: tuple[SampleYield, ...]
    prediction: SampleYield
    data: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class Yields:
    """Predictions of all regions.

    ``stage`` is ``"pre-fit"`` or ``"post-fit"``; ``band`` says how uncertainties were propagated: ``"varied"``,
    ``"linear"``, or ``"sampled"`` from ``draws`` draws. ``blinded``: parameters of interest are not at their best fit.
    """

    stage: str
    regions: tuple[RegionYield, ...]
    band: Band = "linear"
    draws: int | None = None
    blinded: bool = False

    def region(self, name: str) -> RegionYield:
        """The region of that name; raises ``InferenceError``."""
        for region in self.regions:
            if region.region == name:
                return region
        raise InferenceError(f"no region {name!r}; known: {', '.join(region.region for region in self.regions)}")


def yields(
    workspace: Mapping[str, Any] | Path | str,
    result: FitResult | None = None,
    *,
    model: Model | None = None,
    measurement: str | None = None,
) -> Yields:
    """Yields per region, sample and bin of a workspace: after the fit with ``result``, before it without.

    Args:
        workspace: the workspace that ``result`` was fitted to.
        result: fit whose values and covariance to use.
        model: puts regions and samples in the model's order; without it they come in pyhf's.
        measurement: measurement of the workspace, its first when not given.

    Raises:
        InvalidWorkspace: no model, or ``result`` belongs to another workspace.
    """
    from inference.likelihood.model import Likelihood

    return yields_of(Likelihood(load_workspace(workspace), measurement), fit=result, model=model)


def yields_of(
    likelihood: "Likelihood",
    *,
    fit: FitResult | None = None,
    model: Model | None = None,
    draws: int | None = None,
    seed: int = 1,
) -> Yields:
    """As `yields`, of a likelihood.

    Args:
        fit: after this fit; before any if None.
        model: for the order of regions and samples.
        draws: sample the band after the fit with so many draws, put onto the bounds where they fall outside.
        seed: of the draws.

    Raises:
        InvalidWorkspace: ``fit`` belongs to another workspace.
    """
    if fit is not None and fit.labels != likelihood.labels:
        raise InvalidWorkspace("the fit result has other parameters than the workspace: fit this workspace first")
    if fit is None:
        stage, parameters, (band, variances) = "pre-fit", likelihood.init, _before(likelihood)
    else:
        stage, parameters = "post-fit", np.asarray(fit.bestfit)
        band, variances = _after(likelihood, parameters, np.asarray(fit.covariance), draws, seed)
    regions = _regions(likelihood, likelihood.expected_by_sample(parameters), variances)
    return Yields(stage, _ordered(regions, model), band, draws if band == "sampled" else None)


def _before(likelihood: "Likelihood") -> tuple[Band, "Rates"]:
    from inference.propagation import varied

    widths = np.where(likelihood.constant, 0.0, np.nan_to_num(likelihood.widths))
    return "varied", varied(likelihood, likelihood.init, np.diag(widths))


def _after(
    likelihood: "Likelihood", parameters: Floats, covariance: Floats, draws: int | None, seed: int
) -> tuple[Band, "Rates"]:
    from inference.propagation import linear, sampled, square_root

    root = square_root(covariance)
    if draws is None:
        return "linear", linear(likelihood, parameters, root)
    normal = np.random.default_rng(seed).standard_normal((draws, len(parameters)))
    drawn = np.clip(parameters + normal @ root.T, likelihood.lower, likelihood.upper)
    return "sampled", sampled(likelihood, parameters, drawn)


def _regions(likelihood: "Likelihood", rates: Floats, variances: "Rates") -> list[RegionYield]:
    seen = likelihood.observed
    data = [count if shown else None for count, shown in zip(seen.main.tolist(), seen.mask > 0, strict=True)]
    regions, start = [], 0
    for index, channel in enumerate(likelihood.specification.channels):
        inside = slice(start, start := start + channel.bins)
        per_bin, squares = rates[:, inside], variances.entries[:, inside]
        samples = [
            _sample(sample.name, per_bin[slot], squares[slot], variances.samples[index, slot])
            for slot, sample in enumerate(channel.samples)
        ]
        total = _sample(TOTAL, per_bin.sum(axis=0), variances.bins[inside], variances.channels[index])
        regions.append(RegionYield(channel.name, tuple(samples), total, tuple(data[inside])))
    return regions


TOTAL = "total prediction"


def _sample(name: str, values: Floats, variances: Floats, variance: float) -> SampleYield:
    sigma = tuple(np.sqrt(variances).tolist())
    return SampleYield(name, tuple(values.tolist()), sigma, float(values.sum()), float(np.sqrt(variance)))


def _ordered(regions: Sequence[RegionYield], model: Model | None) -> tuple[RegionYield, ...]:
    if model is None:
        return tuple(regions)
    order = {sample.name: place for place, sample in enumerate(model.samples)}
    known = {region.region: region for region in regions}
    return tuple(
        replace(
            known[region.name], samples=tuple(sorted(known[region.name].samples, key=lambda one: order[one.sample]))
        )
        for region in model.regions
        if region.name in known
    )
