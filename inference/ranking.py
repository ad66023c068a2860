"""Impacts of the nuisance parameters on the parameters of interest, ranked, grouped and split.

Three methods. *Refit*: the fit is repeated with each nuisance parameter held at its best fit ± its post-fit
uncertainty, and ± its pre-fit width (the width of its constraint); the impact is the shift of the parameter of
interest. *Covariance*: what the covariance predicts for these shifts. *Global*: the shift under ±1σ of the parameter's
auxiliary measurement, see `inference.impacts.linear`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inference.errors import UnknownParameter
from inference.fit import FitSettings, fit_likelihood
from inference.impacts.groups import members
from inference.impacts.linear import covariance_shifts, group_impacts, observable_shifts, split
from inference.impacts.pulls import centres
from inference.impacts.results import GroupImpact, Impact, Impacts, Method, Ranking, Split
from inference.likelihood.specification import Floats
from inference.profiles.places import of_interest
from inference.results import FitResult
from inference.workspace import load_workspace

if TYPE_CHECKING:
    from inference.impacts.refits import Shifts
    from inference.likelihood.model import Likelihood

__all__ = ["GroupImpact", "Impact", "Impacts", "Method", "Ranking", "Split", "impacts", "ranking"]

SIDES = {
    "postfit_up": "post-fit up",
    "postfit_down": "post-fit down",
    "prefit_up": "pre-fit up",
    "prefit_down": "pre-fit down",
}


def ranking(
    workspace: Mapping[str, Any] | Path | str,
    result: FitResult,
    *,
    poi: str | None = None,
    parameters: Sequence[str] | None = None,
    bin_gammas: bool = False,
    settings: FitSettings | None = None,
) -> Ranking:
    """Rank the nuisance parameters of a fitted workspace by refits.

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

    likelihood = Likelihood(load_workspace(workspace), (settings or FitSettings()).measurement)
    pois = None if poi is None else [poi]
    found = impacts(likelihood, fit=result, pois=pois, parameters=parameters, bin_gammas=bin_gammas)
    return found.rankings[0]


def impacts(
    likelihood: "Likelihood",
    *,
    fit: FitResult | None = None,
    pois: Sequence[str] | None = None,
    method: Method = "refit",
    parameters: Sequence[str] | None = None,
    groups: Mapping[str, Sequence[str]] | None = None,
    bin_gammas: bool = False,
    asimov: bool = False,
    fixed: Mapping[str, float] | None = None,
) -> Impacts:
    """Impacts on every parameter of interest at once.

    Args:
        likelihood: with the data that were fitted.
        fit: the fit; made if None.
        pois: labels of the parameters of interest; the workspace's one if None.
        method: "refit", "covariance" or "global".
        parameters: labels to rank; all free ones that are not of interest if None.
        groups: by name, patterns of `inference.impacts.groups`; parameters of interest are never members.
        bin_gammas: rank the parameters of single bins too (ignored when ``parameters`` is given).
        asimov: expected impacts: of a fit to data as predicted at the initial values and those of ``fixed``.
        fixed: parameters to hold in a fit that is made.

    Raises:
        UnknownParameter: no such parameter of interest, parameter or group, or ``fit`` is of another model.
        FitFailed: of a fit that is made.
    """
    if asimov:
        from inference.expected import expecting
        from inference.toys.study import truth_of

        likelihood, fit = expecting(likelihood, truth_of(likelihood, {}, "nominal", fixed or {})), None
    fit = fit or fit_likelihood(likelihood, fixed)
    if likelihood.labels != fit.labels:
        raise UnknownParameter("the fit result has other parameters than the workspace: fit this workspace first")
    targets = _targets(likelihood, fit, pois)
    if parameters is None:
        places = _nuisances(likelihood, fit, targets, method, bin_gammas=bin_gammas)
    else:
        places = [likelihood.index(label) for label in parameters]
    shifts = _shifts(likelihood, fit, places, method)
    free = [place for place, held in enumerate(fit.fixed) if not held and place not in targets]
    chosen = members(likelihood, groups or {}, free)
    rankings = []
    for target in targets:
        shares = group_impacts(likelihood, fit, target, chosen, method)
        parts = split(likelihood, fit, target, method)
        ranked = _ranked(fit, target, [place for place in places if place != target], centres(likelihood), shifts)
        label = likelihood.labels[target]
        rankings.append(Ranking(label, *fit.value(label), ranked, method, shares, parts))
    return Impacts(tuple(rankings))


def _targets(likelihood: "Likelihood", fit: FitResult, pois: Sequence[str] | None) -> list[int]:
    if pois is None:
        pois = [of_interest(likelihood, fit.poi)]
    targets = [likelihood.index(label) for label in pois]
    for target in targets:
        if fit.fixed[target]:
            raise UnknownParameter(f"{likelihood.labels[target]} was held in the fit: nothing has an impact on it")
    return targets


def _nuisances(
    likelihood: "Likelihood", fit: FitResult, targets: Sequence[int], method: Method, *, bin_gammas: bool
) -> list[int]:
    specified = likelihood.specification
    per_bin = [made.per_bin for made in specified.parameters for _ in made.init]
    return [
        place
        for place, fixed in enumerate(fit.fixed)
        if not fixed and place not in targets
        if bin_gammas or not per_bin[place]
        if method != "global" or fit.prefit[place] is not None
    ]


def _shifts(likelihood: "Likelihood", fit: FitResult, places: Sequence[int], method: Method) -> "Shifts":
    if method == "refit":
        from inference.impacts.refits import refit_shifts

        return refit_shifts(likelihood, fit, places)
    return covariance_shifts(fit, places) if method == "covariance" else observable_shifts(likelihood, fit, places)


def _ranked(fit: FitResult, target: int, places: Sequence[int], centre: Floats, shifts: "Shifts") -> tuple[Impact, ...]:
    found = [_impact(fit, place, target, centre[place], shifts) for place in places]
    return tuple(sorted(found, key=lambda impact: (-impact.size, impact.parameter)))


def _impact(fit: FitResult, place: int, target: int, centre: float, shifts: "Shifts") -> Impact:
    values: dict[str, float | None] = {}
    failures: list[str] = []
    for side, words in SIDES.items():
        shift = shifts.get((place, side))
        values[side] = None if shift is None or isinstance(shift, str) else float(shift[target])
        if isinstance(shift, str):
            failures.append(f"{words}: {shift}")
    width = fit.prefit[place]
    return Impact(
        parameter=fit.labels[place],
        bestfit=fit.bestfit[place],
        uncertainty=fit.uncertainties[place],
        pull=(fit.bestfit[place] - float(centre)) / width if width else None,
        constraint=fit.uncertainties[place] / width if width else None,
        failures=tuple(failures),
        **values,
    )
