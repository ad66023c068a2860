"""What the model predicts in every bin, before and after the fit, with its uncertainty, beside the data.

The bands are cabinetry's: symmetrised ±1σ variations of every parameter, propagated linearly with the full
covariance after the fit, and without correlations before it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from inference.errors import InferenceError, InvalidWorkspace
from inference.model import Model
from inference.reference import reference_model
from inference.results import FitResult
from inference.workspace import load_workspace


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
    """All samples of one region, their sum (``prediction``) and the data."""

    region: str
    samples: tuple[SampleYield, ...]
    prediction: SampleYield
    data: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Yields:
    """Predictions of all regions; ``stage`` is ``"pre-fit"`` or ``"post-fit"``."""

    stage: str
    regions: tuple[RegionYield, ...]

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
    """Yields per region, sample and bin: after the fit with ``result``, before it without.

    Args:
        workspace: the workspace that ``result`` was fitted to.
        result: fit whose values and covariance to use.
        model: puts regions and samples in the model's order; without it they come in pyhf's.
        measurement: measurement of the workspace, its first when not given.

    Raises:
        InvalidWorkspace: no model, or ``result`` belongs to another workspace.
    """
    from cabinetry import model_utils

    density, observed = reference_model(load_workspace(workspace), measurement)
    if result is not None and result.labels != tuple(density.config.par_names):
        raise InvalidWorkspace("the fit result has other parameters than the workspace: fit this workspace first")
    prediction = model_utils.prediction(density, fit_results=None if result is None else _fit_results(result))
    config = density.config
    data = np.asarray(observed, dtype=float)
    regions = {
        channel: _region(prediction, index, channel, config, data[config.channel_slices[channel]])
        for index, channel in enumerate(config.channels)
    }
    if model is not None:
        order = [sample.name for sample in model.samples]
        regions = {
            region.name: _ordered(regions[region.name], order) for region in model.regions if region.name in regions
        }
    return Yields("pre-fit" if result is None else "post-fit", tuple(regions.values()))


def _region(prediction: Any, index: int, channel: str, config: Any, data: Any) -> RegionYield:
    per_bin = np.asarray(prediction.model_yields[index], dtype=float)
    sigma_bin = np.asarray(prediction.total_stdev_model_bins[index], dtype=float)
    sigma_sum = np.asarray(prediction.total_stdev_model_channels[index], dtype=float)
    samples = tuple(
        _sample(name, per_bin[row], sigma_bin[row], sigma_sum[row]) for row, name in enumerate(config.samples)
    )
    total = _sample("total prediction", per_bin.sum(axis=0), sigma_bin[-1], sigma_sum[-1])
    return RegionYield(channel, samples, total, tuple(np.asarray(data).tolist()))


def _sample(name: str, values: Any, sigma: Any, sigma_total: Any) -> SampleYield:
    return SampleYield(name, tuple(values.tolist()), tuple(sigma.tolist()), float(values.sum()), float(sigma_total))


def _ordered(region: RegionYield, order: list[str]) -> RegionYield:
    samples = sorted(region.samples, key=lambda sample: order.index(sample.sample))
    return replace(region, samples=tuple(samples))


def _fit_results(result: FitResult) -> Any:
    """Our result in cabinetry's container."""
    from cabinetry.fit.results_containers import FitResults

    return FitResults(
        np.asarray(result.bestfit),
        np.asarray(result.uncertainties),
        list(result.labels),
        result.correlation,
        result.twice_nll,
    )
