"""Impacts of the nuisance parameters on the parameter of interest, by refits.

For each nuisance parameter the fit is repeated with that parameter held at its best fit ± its post-fit uncertainty,
and ± its pre-fit width (the width of its constraint). The impact is the shift of the parameter of interest.

Each refit starts where the covariance of the nominal fit predicts its minimum to be, and ends with a certificate. One
that fails is recorded with its reason and spoils no other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from inference.errors import UnknownParameter
from inference.fit import FitSettings
from inference.results import FitResult
from inference.workspace import load_workspace

if TYPE_CHECKING:
    from inference.likelihood.model import Likelihood, Minimum


@dataclass(frozen=True, slots=True)
class Impact:
    """Shifts of the parameter of interest; None where a refit failed or there is no pre-fit width.

    ``pull`` is (best fit − constraint's centre) / pre-fit width, ``constraint`` post-fit uncertainty / pre-fit
    width; both None for a parameter without constraint.
    """

    parameter: str
    bestfit: float
    uncertainty: float
    pull: float | None
    constraint: float | None
    postfit_up: float | None
    postfit_down: float | None
    prefit_up: float | None
    prefit_down: float | None
    failures: tuple[str, ...] = ()

    @property
    def size(self) -> float:
        """Largest post-fit shift, the order of the ranking."""
        return max((abs(shift) for shift in (self.postfit_up, self.postfit_down) if shift is not None), default=0.0)


@dataclass(frozen=True, slots=True)
class Ranking:
    """Impacts on ``poi``, the largest post-fit one first."""

    poi: str
    bestfit: float
    uncertainty: float
    impacts: tuple[Impact, ...]


def ranking(
    workspace: Mapping[str, Any] | Path | str,
    result: FitResult,
    *,
    poi: str | None = None,
    parameters: Sequence[str] | None = None,
    bin_gammas: bool = False,
    settings: FitSettings | None = None,
) -> Ranking:
    """Rank the nuisance parameters of a fitted workspace.

    Args:
        workspace: the workspace that ``result`` was fitted to.
        result: the fit.
        poi: parameter of interest; the workspace's when not given.
        parameters: labels to rank; all that the fit left free when not given.
        bin_gammas: rank the statistical uncertainty of each bin too (ignored when ``parameters`` is given).
        settings: the settings ``result`` was made with.

    Raises:
        UnknownParameter, InvalidWorkspace.
    """
    from inference.likelihood.model import Likelihood

    settings = settings or FitSettings()
    likelihood = Likelihood(load_workspace(workspace), settings.measurement)
    if likelihood.labels != result.labels:
        raise UnknownParameter("the fit result has other parameters than the workspace: fit this workspace first")
    poi = poi or result.poi
    if poi is None:
        raise UnknownParameter("the workspace names no parameter of interest: give one")
    target = likelihood.index(poi)
    labels = parameters if parameters is not None else _nuisances(likelihood, result, poi, bin_gammas)
    impacts = _impacts(likelihood, result, [likelihood.index(label) for label in labels], target)
    impacts.sort(key=lambda impact: (-impact.size, impact.parameter))
    return Ranking(poi, *result.value(poi), tuple(impacts))


def _nuisances(likelihood: "Likelihood", result: FitResult, poi: str, bin_gammas: bool) -> list[str]:
    gammas = {label for made in likelihood.specification.parameters if made.per_bin for label in made.labels}
    return [
        label
        for label, fixed in zip(likelihood.labels, result.fixed, strict=True)
        if label != poi and not fixed and (bin_gammas or label not in gammas)
    ]


def _impacts(likelihood: "Likelihood", result: FitResult, indices: Sequence[int], target: int) -> list[Impact]:
    """Every refit of every parameter, in one call, each begun where the covariance predicts its minimum."""
    bestfit, covariance = np.asarray(result.bestfit), np.asarray(result.covariance)
    free = ~np.asarray(result.fixed)
    held: dict[tuple[int, str], float] = {}
    for index in indices:
        width = result.prefit[index]
        for name, distance in (("postfit", result.uncertainties[index]), ("prefit", width)):
            if distance is not None and distance > 0:
                held[index, f"{name}_up"] = bestfit[index] + distance
                held[index, f"{name}_down"] = bestfit[index] - distance
    inside = {key: at for key, at in held.items() if likelihood.lower[key[0]] <= at <= likelihood.upper[key[0]]}
    tasks = []
    for (index, _), at in inside.items():
        begin = bestfit + covariance[:, index] / covariance[index, index] * (at - bestfit[index])
        begin = np.clip(begin, likelihood.lower, likelihood.upper)
        begin[~free], begin[index] = bestfit[~free], at
        tasks.append((likelihood.observed, begin, free & (np.arange(len(free)) != index)))
    refits = dict(zip(inside, likelihood.minima(tasks), strict=True))
    return [_impact(likelihood, result, index, target, held, refits) for index in indices]


def _impact(
    likelihood: "Likelihood",
    result: FitResult,
    index: int,
    target: int,
    held: Mapping[tuple[int, str], float],
    refits: "Mapping[tuple[int, str], Minimum]",
) -> Impact:
    shifts: dict[str, float | None] = {}
    failures: list[str] = []
    for name, words in _SHIFTS.items():
        refit = refits.get((index, name))
        shifts[name] = None
        if refit is not None and refit.certificate.converged:
            shifts[name] = float(refit.parameters[target] - result.bestfit[target])
        elif refit is not None:
            failures.append(f"{words}: {refit.certificate.reason}")
        elif (index, name) in held:
            failures.append(f"{words}: {likelihood.labels[index]} = {held[index, name]:.4g} is outside its bounds")
    width = result.prefit[index]
    return Impact(
        parameter=result.labels[index],
        bestfit=result.bestfit[index],
        uncertainty=result.uncertainties[index],
        pull=(result.bestfit[index] - result.nominal[index]) / width if width else None,
        constraint=result.uncertainties[index] / width if width else None,
        failures=tuple(failures),
        **shifts,
    )


_SHIFTS = {
    "postfit_up": "post-fit up",
    "postfit_down": "post-fit down",
    "prefit_up": "pre-fit up",
    "prefit_down": "pre-fit down",
}
