"""What a pipeline asks for under `inference.results`: kinds of results with settings, names and workspaces.

Settings are checked against the source of the tools: nothing of theirs is imported.
"""

from __future__ import annotations

import ast
import difflib
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from skimflow.code import find_source
from skimflow.errors import PipelineError
from skimflow.tools import FIT, TOOLS, Tool

RESULTS = ("fit", "ranking", "yields")
"""The kinds of results that are no tools: they have no settings."""

BUILT = "built"
"""Name of the workspace that is built of histograms and model."""

GIVEN = ("fit", "fixed", "progress", "store", "this", "workers")
"""Keywords that the pipeline gives by itself; they are no settings."""


@dataclass(frozen=True)
class Wanted:
    """One result that a pipeline asks for; `of` names the workspace, the fitted one if None."""

    kind: str
    settings: Mapping[str, Any]
    name: str
    of: str | None = None

    @property
    def tool(self) -> Tool | None:
        """The tool that gives it; None for the pipeline's own fit, ranking and yields."""
        return FIT if self.kind == "fit" and self.of is not None else TOOLS.get(self.kind)

    @property
    def makes_workspace(self) -> bool:
        """Whether other results may be computed of it."""
        return self.tool is not None and self.tool.makes_workspace


def wanted(entry: str | Mapping[str, Any]) -> Wanted:
    """An entry of `inference.results`: `limit`, or `{limit: {poi: mu}, as: limit_mu, of: smooth}`.

    Raises:
        ValueError: it is no such thing.
    """
    given = {entry: {}} if isinstance(entry, str) else dict(entry)
    name, of = given.pop("as", None), given.pop("of", None)
    if len(given) != 1:
        raise ValueError("write one kind of result, as limit or {limit: {poi: mu}, as: limit_mu}")
    [(kind, settings)] = given.items()
    kinds = (*RESULTS, *TOOLS)
    if kind not in kinds:
        raise ValueError(f"there is no result {kind!r}; {_near(str(kind), kinds)}allowed: {', '.join(kinds)}")
    if not isinstance(settings or {}, dict):
        raise ValueError(f"the settings of {kind!r} must be a mapping, as {{{kind}: {{poi: mu}}}}")
    if kind in RESULTS and (name or of) and not (kind == "fit" and name and of):
        raise ValueError(_own(str(kind)))
    defaults = TOOLS[kind].settings if kind in TOOLS else {}
    chosen = {**defaults, **(settings or {})}
    _check_settings(kind, chosen)
    return Wanted(kind, chosen, str(name or kind), None if of is None else str(of))


def check_together(results: Sequence[Wanted]) -> None:
    """Names are given once, and every workspace that is named is made by an earlier entry; raises ValueError."""
    names = [one.name for one in results]
    for one in results:
        if names.count(one.name) > 1 or one.name in {BUILT, *RESULTS} - {one.kind}:
            raise ValueError(
                f"two results are named {one.name!r}: name one of them, as {{{one.kind}: {{}}, as: other}}"
            )
    known = [BUILT]
    for one in results:
        if one.of is not None and one.of not in known:
            raise ValueError(f"{one.name!r} is of {one.of!r}, which no result above it makes; {_workspaces(known)}")
        known += [one.name] if one.makes_workspace else []


def check_fitted(results: Sequence[Wanted], fitted: str) -> None:
    """The workspace that is fitted is there; raises ValueError."""
    if fitted not in workspace_names(results):
        raise ValueError(f"{fitted!r} is no workspace; {_workspaces(workspace_names(results))}")


def workspace_names(results: Sequence[Wanted]) -> tuple[str, ...]:
    """Names of all workspaces of a pipeline."""
    return (BUILT, *(one.name for one in results if one.makes_workspace))


def keywords(tool: Tool) -> tuple[str, ...]:
    """Names of the keywords of a tool's function, from its source: nothing is imported."""
    return tuple(_keywords(tool.function))


def setting_names(tool: Tool) -> list[str]:
    """Names of the settings of a tool."""
    return [name for name in keywords(tool) if name not in GIVEN]


@cache
def _keywords(function: str) -> Mapping[str, bool]:
    """Keywords of a function, and whether each must be given."""
    module, _, name = function.partition(":")
    tree = ast.parse(find_source(module).read_text(encoding="utf-8"))
    [found] = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name]
    pairs = zip(found.args.kwonlyargs, found.args.kw_defaults, strict=True)
    return {argument.arg: default is None for argument, default in pairs}


def _check_settings(kind: str, settings: Mapping[str, Any]) -> None:
    known = setting_names(TOOLS[kind]) if settings and kind in TOOLS else []
    for name in settings:
        if name not in known:
            hint = _near(name, known)
            raise ValueError(f"{kind!r} has no setting {name!r}; {hint}settings: {', '.join(known) or 'none'}")
    needed = _keywords(TOOLS[kind].function) if kind in TOOLS else {}
    missing = [name for name, must in needed.items() if must and name not in settings and name not in GIVEN]
    if missing:
        raise ValueError(f"{kind!r} needs the setting {missing[0]!r}, as {{{kind}: {{{missing[0]}: …}}}}")


def _near(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {near[0]!r}? " if near else ""


def _own(kind: str) -> str:
    if kind == "fit":
        return "a fit of another workspace needs 'of' and 'as', as {fit: {}, of: smooth, as: fit_smooth}"
    instead = "; {impacts: {}, of: …} is of any workspace" if kind == "ranking" else ""
    return f"there is one {kind!r}, of the workspace that is fitted, and it takes neither 'as' nor 'of'{instead}"


def _workspaces(known: Sequence[str]) -> str:
    makers = " and ".join(kind for kind, tool in TOOLS.items() if tool.makes_workspace)
    return f"workspaces: {', '.join(known)} ({makers} make others)"


def typed_settings(function: Callable[..., Any], kind: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as the function's annotations have them.

    Raises:
        PipelineError: one is of another type.
    """
    from pydantic import TypeAdapter, ValidationError

    # What a tool imports for type checking alone is no setting; generic aliases may be among it.
    unknown = dict.fromkeys(("Likelihood", "FitResult", "Store", "Minimum", "Observation"), Any)
    aliases = {"Mapping": Mapping, "Sequence": Sequence, "Callable": Callable, "Path": Path}
    hints = typing.get_type_hints(function, localns={**unknown, **aliases})
    typed = {}
    for name, value in settings.items():
        try:
            typed[name] = TypeAdapter(hints[name]).validate_python(value)
        except ValidationError as error:
            reason = error.errors()[0]["msg"]
            raise PipelineError(f"inference.results: {kind}: {name}: {reason} (got {value!r})") from error
    return typed
