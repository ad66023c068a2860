"""The fit stage: a workspace to results, each kind kept on its own."""

from __future__ import annotations

import inspect
import json
import os
from collections.abc import Callable
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from artifacts.store import Entry
from inference.documents import from_document, to_document
from skimflow.stages.context import Context
from skimflow.stages.fit import WORKSPACE, plan_result, run_result
from skimflow.tools import TOOLS, Wanted, load, typed_settings, wanted
from skimflow.units import Unit

if TYPE_CHECKING:
    from inference.fit import FitSettings
    from inference.likelihood.model import Likelihood
    from inference.results import FitResult

Results = dict[str, Any]


def run_results(context: Context, workspace: Entry, check: Callable[[list[Unit]], None]) -> Results:
    """Every kind of result that the pipeline wants, as plain values by kind.

    `check` sees the units before anything runs. The fit comes first and is always there: the others need it.
    """
    asked = [wanted("fit"), *(one for one in context.pipeline.inference.wanted if one.kind != "fit")]
    units = {one.name: plan_result(context, one, workspace) for one in asked}
    check(list(units.values()))
    job = _Job(context, workspace)
    results: Results = {}
    for one in asked:
        results[one.name] = run_result(context, units[one.name], partial(job.compute, one, results))
    return results


def headline(fit: dict[str, Any]) -> str:
    """The parameter of interest in words, such as `ttbar_norm = 0.960 ± 0.104`."""
    poi = fit["poi"]
    if poi is None:
        return f"{len(fit['labels'])} parameters, no parameter of interest"
    index = fit["labels"].index(poi)
    return f"{poi} = {fit['bestfit'][index]:.3f} ± {fit['uncertainties'][index]:.3f}"


class _Job:
    """Computes results; the workspace and the fit are read once, and only if something is computed."""

    def __init__(self, context: Context, workspace: Entry) -> None:
        self._context, self._entry = context, workspace

    @cached_property
    def _workspace(self) -> dict[str, Any]:
        return dict(json.loads(self._context.store.read(self._entry.blobs[WORKSPACE])))

    @cached_property
    def _likelihood(self) -> Likelihood:
        from inference.likelihood.model import Likelihood

        return Likelihood(self._workspace)

    @property
    def _settings(self) -> FitSettings:
        from inference.fit import FitSettings

        return FitSettings(fixed=self._context.pipeline.inference.fixed)

    def compute(self, one: Wanted, results: Results) -> Any:
        """One result as plain values."""
        if one.kind in TOOLS:
            return self._tool(one, results)
        return {"fit": self._fit, "ranking": self._ranking, "yields": self._yields}[one.kind](results)

    def _tool(self, one: Wanted, results: Results) -> Any:
        function = load(TOOLS[one.kind].function)
        given = {"fit": fit_result(results), "fixed": self._settings.fixed, "store": self._context.store}
        given["workers"] = os.cpu_count() or 1
        taken = {name: given[name] for name in inspect.signature(function).parameters if name in given}
        return to_document(function(self._likelihood, **taken, **typed_settings(function, one.kind, one.settings)))

    def _fit(self, _: Results) -> Any:
        from inference.fit import fit

        return to_document(fit(self._workspace, self._settings))

    def _ranking(self, results: Results) -> Any:
        from inference.ranking import ranking

        return to_document(ranking(self._workspace, fit_result(results), settings=self._settings))

    def _yields(self, results: Results) -> Any:
        from inference.yields import yields

        model = self._context.model
        return {
            "prefit": to_document(yields(self._workspace, model=model)),
            "postfit": to_document(yields(self._workspace, fit_result(results), model=model)),
        }


def fit_result(results: Results) -> FitResult:
    """The fit among the results, typed again."""
    from inference.results import FitResult

    return from_document(FitResult, results["fit"])


def tool_result(one: Wanted, results: Results) -> Any:
    """A tool's result among the results, typed again."""
    return from_document(load(TOOLS[one.kind].result), results[one.name])
