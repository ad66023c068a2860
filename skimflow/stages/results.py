"""The fit stage: workspaces to results, each kept on its own."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from inference.documents import from_document, to_document
from skimflow.progress import Bar
from skimflow.stages.context import Context
from skimflow.stages.fit import WORKSPACE, plan_result, run_result
from skimflow.stages.workspaces import Workspaces
from skimflow.tools import load
from skimflow.units import Unit
from skimflow.wanted import Wanted, typed_settings, wanted

if TYPE_CHECKING:
    from inference.fit import FitSettings
    from inference.hidden import Hidden
    from inference.likelihood.model import Likelihood
    from inference.model import Model
    from inference.results import FitResult
    from inference.yields import Yields

Results = dict[str, Any]


def asked(context: Context) -> list[Wanted]:
    """What is computed: the fit, which comes first and is always there since the others need it, and what is wanted."""
    fit = wanted("fit")
    return [fit, *(one for one in context.pipeline.inference.wanted if one != fit)]


def plan_results(context: Context, workspaces: Workspaces) -> bool:
    """Look every result up; whether all workspaces that they are of are there."""
    units = [plan_result(context, one, workspaces) for one in asked(context) if not one.makes_workspace]
    return all(units)


def run_results(context: Context, workspaces: Workspaces, check: Callable[[list[Unit]], None]) -> Results:
    """Every kind of result that the pipeline wants, as plain values by name.

    `check` sees the units before anything runs.
    """
    units: dict[str, Unit] = {}
    for one in asked(context):
        unit = None if one.makes_workspace else plan_result(context, one, workspaces)
        if unit is not None:
            units[one.name] = unit
    check(list(units.values()))
    job = _Job(context, workspaces)
    results: Results = {}
    for one in asked(context):
        if one.makes_workspace:
            results[one.name] = workspaces.result(one)
        else:
            results[one.name] = run_result(context, units[one.name], partial(job.compute, one, results))
    return results


def headline(fit: dict[str, Any]) -> str:
    """The parameter of interest in words, such as `ttbar_norm = 0.960 ± 0.104`."""
    poi = fit["poi"]
    if poi is None:
        return f"{len(fit['labels'])} parameters, no parameter of interest"
    index = fit["labels"].index(poi)
    blinded = " (blinded)" if poi in fit["blinded"] else ""
    return f"{poi} = {fit['bestfit'][index]:.3f} ± {fit['uncertainties'][index]:.3f}{blinded}"


class _Job:
    """Computes results; each workspace is read once, and only if something is computed of it."""

    def __init__(self, context: Context, workspaces: Workspaces) -> None:
        self._context, self._workspaces = context, workspaces
        self._likelihoods: dict[str, Likelihood] = {}

    def _document(self, one: Wanted) -> dict[str, Any]:
        entry = self._workspaces.of(one)
        assert entry is not None  # noqa: S101
        return self._workspaces.document(entry)

    def _likelihood(self, one: Wanted) -> Likelihood:
        from inference.likelihood.model import Likelihood

        entry = self._workspaces.of(one)
        assert entry is not None  # noqa: S101
        digest = entry.blobs[WORKSPACE].digest
        if digest not in self._likelihoods:
            self._likelihoods[digest] = Likelihood(self._workspaces.document(entry))
        return self._likelihoods[digest]

    @property
    def _settings(self) -> FitSettings:
        from inference.fit import FitSettings

        return FitSettings(fixed=self._context.pipeline.inference.fixed)

    def compute(self, one: Wanted, results: Results, bar: Bar) -> Any:
        """One result as plain values."""
        if one.tool is not None:
            return self._tool(one, results, bar)
        return {"fit": self._fit, "ranking": self._ranking, "yields": self._yields}[one.kind](one, results)

    def _tool(self, one: Wanted, results: Results, bar: Bar) -> Any:
        assert one.tool is not None  # noqa: S101
        function, settings = load(one.tool.function), self._workspaces.settings(one)
        assert settings is not None  # noqa: S101
        parameters = list(inspect.signature(function).parameters)
        given: dict[str, Any] = {
            "fixed": self._settings.fixed,
            "store": self._context.store,
            "workers": os.cpu_count() or 1,
            "progress": bar.update,
            "this": self._workspaces.name(one),
        }
        if self._workspaces.name(one) == self._workspaces.fitted and not one.tool.hides_by_itself:
            given["fit"] = fit_result(results)
        taken = {name: given[name] for name in parameters if name in given}
        typed = typed_settings(function, one.kind, settings.values)
        first = self._document(one) if parameters[0] == "workspace" else self._likelihood(one)
        return to_document(self._marked(one, function(first, **taken, **typed)))

    def _fit(self, one: Wanted, _: Results) -> Any:
        from inference.fit import fit

        return to_document(self._marked(one, fit(self._document(one), self._settings)))

    def _ranking(self, one: Wanted, results: Results) -> Any:
        from inference.ranking import ranking

        ranked = ranking(self._document(one), fit_result(results), settings=self._settings)
        return to_document(self._marked(one, ranked))

    def _yields(self, one: Wanted, results: Results) -> Any:
        hidden = self._workspaces.hidden(self._workspaces.name(one))
        shown = shown_yields(self._document(one), fit_result(results), self._context.model, hidden)
        return dict(zip(("prefit", "postfit"), map(to_document, shown), strict=True))

    def _marked(self, one: Wanted, result: Any) -> Any:
        """The result, which says itself that it is not of the data where its workspace is blinded."""
        from inference.impacts.results import Impacts, Ranking
        from inference.results import FitResult

        hidden = self._workspaces.hidden(self._workspaces.name(one))
        if hidden is None or (one.tool is not None and one.tool.hides_by_itself):
            return result
        if isinstance(result, FitResult):
            return replace(result, blinded=tuple(label for label, _ in hidden.at))
        if isinstance(result, Ranking):
            return replace(result, blinded=True)
        if isinstance(result, Impacts):
            return Impacts(tuple(replace(each, blinded=True) for each in result.rankings))
        return result


def shown_yields(
    workspace: dict[str, Any], fit: FitResult, model: Model, hidden: Hidden | None
) -> tuple[Yields, Yields]:
    """Yields before and after the fit, without the data of hidden bins."""
    from inference.blinding import without_data
    from inference.yields import yields

    found = yields(workspace, model=model), yields(workspace, fit, model=model)
    if hidden is None:
        return found
    bins = {channel.channel: channel.bins for channel in hidden.channels}
    return without_data(found[0], bins), without_data(found[1], bins)


def fit_result(results: Results) -> FitResult:
    """The fit among the results, typed again."""
    from inference.results import FitResult

    return from_document(FitResult, results["fit"])


def tool_results(context: Context, results: Results) -> Iterator[tuple[Wanted, Any]]:
    """The tools' results that a pipeline wants, typed again."""
    for one in context.pipeline.inference.wanted:
        if one.tool is not None:
            yield one, from_document(load(one.tool.result), results[one.name])


def title_of(one: Wanted) -> str:
    """Title of a tool's result: with its name, where it has one of its own."""
    assert one.tool is not None  # noqa: S101
    return one.tool.title if one.name == one.kind else f"{one.tool.title}: {one.name}"
