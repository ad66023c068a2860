"""Impacts of the nuisance parameters on the parameter of interest, by refits.

For each nuisance parameter the fit is repeated with that parameter held at its best fit ± its post-fit uncertainty,
and ± its pre-fit width (the width of its constraint). The impact is the shift of the parameter of interest.

Each refit starts where the covariance of the nominal fit predicts its minimum to be and goes on with Newton's method on
the nominal Hessian, a few gradients; only where that does not converge is the whole ladder of ``inference.fit``
climbed. A refit that fails is recorded and spoils no other.
"""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from inference import newton
from inference.derivatives import Floats
from inference.errors import FitFailed, InferenceError, UnknownParameter
from inference.fit import FitSettings, fit_likelihood
from inference.likelihood import Likelihood
from inference.results import FitResult
from inference.workspace import load_workspace

# Expected distance to the minimum of a refit: the shift is then good to 1e-4 of the uncertainty.
REFIT_GOAL = 1e-8


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

    def to_json(self) -> str:
        """JSON text, the same bytes for the same ranking."""
        return json.dumps(dataclasses.asdict(self), indent=1, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "Ranking":
        """Read what ``to_json`` wrote; raises ``InferenceError`` where it did not."""
        try:
            document = json.loads(text)
            impacts = tuple(
                Impact(**impact | {"failures": tuple(impact["failures"])}) for impact in document["impacts"]
            )
            return cls(**document | {"impacts": impacts})
        except (KeyError, TypeError, ValueError) as error:
            raise InferenceError(f"no ranking: {type(error).__name__}: {error}") from error


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
    settings = settings or FitSettings()
    likelihood = Likelihood(load_workspace(workspace), settings.measurement)
    if likelihood.labels != result.labels:
        raise UnknownParameter("the fit result has other parameters than the workspace: fit this workspace first")
    poi = poi or result.poi
    if poi is None:
        raise UnknownParameter("the workspace names no parameter of interest: give one")
    target = likelihood.index(poi)
    labels = parameters if parameters is not None else _nuisances(likelihood, result, poi, bin_gammas)
    refits = _Refits(likelihood, result, target)
    impacts = [_impact(refits, likelihood.index(label)) for label in labels]
    impacts.sort(key=lambda impact: (-impact.size, impact.parameter))
    return Ranking(poi, *result.value(poi), tuple(impacts))


def _nuisances(likelihood: Likelihood, result: FitResult, poi: str, bin_gammas: bool) -> list[str]:
    config = likelihood.model.config
    gammas = {name for name, kind in config.modifiers if kind in {"staterror", "shapesys"}}
    vectors = [name for name in config.par_order for _ in range(config.param_set(name).n_parameters)]
    return [
        label
        for label, name, fixed in zip(likelihood.labels, vectors, result.fixed, strict=True)
        if label != poi and not fixed and (bin_gammas or name not in gammas)
    ]


def _impact(refits: "_Refits", index: int) -> Impact:
    result = refits.result
    centre, sigma = result.bestfit[index], result.uncertainties[index]
    width = result.prefit[index]
    failures: list[str] = []

    def shift(name: str, distance: float) -> float | None:
        try:
            return refits.shift(index, centre + distance)
        except FitFailed as error:
            failures.append(f"{name}: {error}")
            return None

    constrained = width is not None and width > 0
    return Impact(
        parameter=result.labels[index],
        bestfit=centre,
        uncertainty=sigma,
        pull=(centre - result.nominal[index]) / width if constrained and width else None,
        constraint=sigma / width if constrained and width else None,
        postfit_up=shift("post-fit up", sigma),
        postfit_down=shift("post-fit down", -sigma),
        prefit_up=shift("pre-fit up", width) if constrained and width else None,
        prefit_down=shift("pre-fit down", -width) if constrained and width else None,
        failures=tuple(failures),
    )


class _Refits:
    """Fits with one parameter held, started from the nominal fit's prediction."""

    def __init__(self, likelihood: Likelihood, result: FitResult, target: int) -> None:
        self.likelihood, self.result, self.target = likelihood, result, target
        self.bestfit: Floats = np.asarray(result.bestfit)
        self.covariance: Floats = np.asarray(result.covariance)
        self.free = np.flatnonzero(~np.asarray(result.fixed))
        inverse = np.linalg.inv(self.covariance[np.ix_(self.free, self.free)])
        self.hessian = np.asarray(inverse, dtype=np.float64)

    def shift(self, index: int, value: float) -> float:
        """Change of the parameter of interest with parameter ``index`` held at ``value``.

        Raises:
            FitFailed: neither Newton's method nor the ladder found a minimum.
        """
        label = self.likelihood.labels[index]
        if not self.likelihood.lower[index] <= value <= self.likelihood.upper[index]:
            raise FitFailed(f"{label} = {value:.4g} is outside its bounds")
        start = self.bestfit + self.covariance[:, index] / self.covariance[index, index] * (value - self.bestfit[index])
        start[index] = value
        others = self.free != index
        minimum = newton.minimise(
            self.likelihood, start, self.free[others], self.hessian[np.ix_(others, others)], goal=REFIT_GOAL
        )
        if minimum.converged:
            return float(minimum.point[self.target] - self.bestfit[self.target])
        held = {
            name: at
            for name, at, fixed in zip(self.result.labels, self.bestfit, self.result.fixed, strict=True)
            if fixed
        }
        refit = fit_likelihood(self.likelihood, FitSettings(fixed=held | {label: value}))
        return float(refit.bestfit[self.target] - self.bestfit[self.target])
