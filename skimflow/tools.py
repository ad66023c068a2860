"""The tools of the inference stage that a pipeline may ask for under `inference.results`, besides fit, ranking, yields.

Each is a function of a likelihood with keyword settings, which is also a command. Where it is and what draws it stands
here as text, so that reading a pipeline imports none of them.
"""

from __future__ import annotations

import ast
import difflib
import importlib
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from skimflow.code import find_source
from skimflow.errors import PipelineError


@dataclass(frozen=True)
class Tool:
    """One tool.

    Attributes:
        title: of its part of the report.
        function, result, tables, figure: `module:name` of the computation, of the class of what it gives, of the
            function that makes tables of that, and of the one that draws it.
        settings: those that a pipeline's figure needs where nothing else is asked for.
    """

    title: str
    function: str
    result: str
    tables: str
    figure: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)


TOOLS: Mapping[str, Tool] = {
    "impacts": Tool(
        "Impacts",
        "inference.ranking:impacts",
        "inference.impacts.results:Impacts",
        "inference.impacts.tables:impact_tables",
        "inference.impacts.figures:impacts",
    ),
    "intervals": Tool(
        "Profiled intervals",
        "inference.intervals.minos:intervals",
        "inference.intervals.minos:Intervals",
        "inference.intervals.tables:interval_table",
        "inference.intervals.figures:intervals",
    ),
    "scan": Tool(
        "Scan of the likelihood",
        "inference.intervals.scan:scan",
        "inference.intervals.scan:Scan",
        "inference.intervals.tables:scan_table",
        "inference.intervals.figures:scan",
    ),
    "scan-2d": Tool(
        "Scan of the likelihood in two parameters",
        "inference.intervals.scan:scan_plane",
        "inference.intervals.scan:PlaneScan",
        "inference.intervals.tables:plane_table",
        "inference.intervals.figures:plane",
    ),
    "contours": Tool(
        "Contours of the likelihood",
        "inference.intervals.contours:contours",
        "inference.intervals.contours:Contours",
        "inference.intervals.tables:contour_table",
        "inference.intervals.figures:contours",
    ),
    "limit": Tool(
        "Upper limit",
        "inference.hypotheses.limits:upper_limit",
        "inference.hypotheses.results:UpperLimit",
        "inference.hypotheses.tables:limit_table",
        "inference.hypotheses.figures:brazil",
        {"points": 41},
    ),
    "lower-limit": Tool(
        "Lower limit",
        "inference.hypotheses.lower:lower_limit",
        "inference.hypotheses.results:LowerLimit",
        "inference.hypotheses.tables:limit_table",
    ),
    "significance": Tool(
        "Discovery significance",
        "inference.hypotheses.discovery:significance",
        "inference.hypotheses.results:Significance",
        "inference.hypotheses.tables:significance_table",
        None,
    ),
    "gof": Tool(
        "Goodness of fit",
        "inference.goodness.goodness:goodness",
        "inference.goodness.goodness:Goodness",
        "inference.goodness.tables:goodness_table",
        "inference.goodness.figures:toys",
    ),
    "pulls": Tool(
        "Pulls",
        "inference.impacts.pulls:pulls",
        "inference.impacts.pulls:Pulls",
        "inference.impacts.tables:pull_table",
        "inference.impacts.figures:pulls",
    ),
    "toys": Tool(
        "Toys",
        "inference.toys.study:toy_study",
        "inference.toys.study:ToyStudy",
        "inference.toys.tables:study_tables",
        "inference.toys.figures:study",
    ),
    "limit-by-toys": Tool(
        "Upper limit by toys",
        "inference.toys.limits:upper_limit_by_toys",
        "inference.toys.limits:ToyLimit",
        "inference.toys.tables:limit_table",
        "inference.toys.figures:limit",
    ),
    "significance-by-toys": Tool(
        "Discovery significance by toys",
        "inference.toys.discovery:significance_by_toys",
        "inference.toys.discovery:ToySignificance",
        "inference.toys.tables:significance_table",
        "inference.toys.figures:significance",
    ),
    "feldman-cousins": Tool(
        "Feldman-Cousins interval",
        "inference.toys.feldman_cousins:feldman_cousins",
        "inference.toys.feldman_cousins:FeldmanCousins",
        "inference.toys.tables:feldman_cousins_table",
        "inference.toys.figures:belt",
    ),
    "unfold": Tool(
        "Unfolded spectrum",
        "inference.extensions.unfolding:unfold",
        "inference.extensions.unfolding:Unfolding",
        "inference.extensions.tables:spectrum_table",
        "inference.extensions.figures:spectrum",
    ),
    "eft": Tool(
        "Wilson coefficients",
        "inference.extensions.wilson:eft",
        "inference.extensions.wilson:EftFit",
        "inference.extensions.tables:coefficient_table",
        "inference.extensions.figures:coefficients",
    ),
}
"""Kind of result -> tool."""

RESULTS = ("fit", "ranking", "yields")
"""The kinds of results that are no tools: they have no settings."""

GIVEN = ("fit", "fixed", "progress", "store", "workers")
"""Keywords that the pipeline gives by itself; they are no settings."""


@dataclass(frozen=True)
class Wanted:
    """One result that a pipeline asks for."""

    kind: str
    settings: Mapping[str, Any]
    name: str


def wanted(entry: str | Mapping[str, Any]) -> Wanted:
    """An entry of `inference.results`: `limit`, or `{limit: {poi: mu}, as: limit_mu}`; raises ValueError."""
    given = {entry: {}} if isinstance(entry, str) else dict(entry)
    name = given.pop("as", None)
    if len(given) != 1:
        raise ValueError("write one kind of result, as limit or {limit: {poi: mu}, as: limit_mu}")
    [(kind, settings)] = given.items()
    kinds = (*RESULTS, *TOOLS)
    if kind not in kinds:
        near = difflib.get_close_matches(str(kind), kinds, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise ValueError(f"there is no result {kind!r}; {hint}allowed: {', '.join(kinds)}")
    if not isinstance(settings or {}, dict):
        raise ValueError(f"the settings of {kind!r} must be a mapping, as {{{kind}: {{poi: mu}}}}")
    _check_settings(kind, settings or {})
    defaults = TOOLS[kind].settings if kind in TOOLS else {}
    return Wanted(kind, {**defaults, **(settings or {})}, str(name or kind))


def load(target: str) -> Any:
    """What `module:name` names."""
    module, _, name = target.partition(":")
    return getattr(importlib.import_module(module), name)


def setting_names(tool: Tool) -> list[str]:
    """Names of the settings of a tool, from its source: nothing is imported."""
    module, _, name = tool.function.partition(":")
    tree = ast.parse(find_source(module).read_text(encoding="utf-8"))
    [found] = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name]
    return [argument.arg for argument in found.args.kwonlyargs if argument.arg not in GIVEN]


def _check_settings(kind: str, settings: Mapping[str, Any]) -> None:
    known = setting_names(TOOLS[kind]) if settings and kind in TOOLS else []
    for name in settings:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise ValueError(f"{kind!r} has no setting {name!r}; {hint}settings: {', '.join(known) or 'none'}")


def typed_settings(function: Callable[..., Any], kind: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as the function's annotations have them.

    Raises:
        PipelineError: one is of another type.
    """
    from pydantic import TypeAdapter, ValidationError

    # What a tool imports for type checking alone is no setting; generic aliases may be among it.
    unknown = dict.fromkeys(("Likelihood", "FitResult", "Store", "Minimum", "Observation"), Any)
    aliases = {"Mapping": Mapping, "Sequence": Sequence, "Callable": Callable}
    hints = typing.get_type_hints(function, localns={**unknown, **aliases})
    typed = {}
    for name, value in settings.items():
        try:
            typed[name] = TypeAdapter(hints[name]).validate_python(value)
        except ValidationError as error:
            reason = error.errors()[0]["msg"]
            raise PipelineError(f"inference.results: {kind}: {name}: {reason} (got {value!r})") from error
    return typed
