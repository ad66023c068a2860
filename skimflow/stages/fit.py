"""The build stage, histograms to a workspace, and the units of the fit stage, workspaces to results."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from artifacts.keys import Request
from artifacts.store import Entry
from skimflow.code import code_digest
from skimflow.progress import Bar
from skimflow.stages.context import Context
from skimflow.stages.process import HISTOGRAMS
from skimflow.units import Unit, versions
from skimflow.wanted import Wanted, keywords

if TYPE_CHECKING:
    from skimflow.stages.workspaces import Workspaces

VERSION = 3
WORKSPACE = "workspace.json"
RESULT = "result.json"

Outputs = dict[str, bytes | Path]


def plan_build(context: Context, histograms: Entry) -> Unit:
    """The unit of the workspace: the histograms and the model file decide it."""
    request = Request(
        "build",
        VERSION,
        {
            "histograms": histograms.blobs[HISTOGRAMS].digest,
            "model": json.loads(context.model.model_dump_json()),
            "extensions": context.extensions,
            "code": code_digest("inference.workspace", "inference.extensions.workspaces"),
            "versions": versions("build"),
        },
    )
    return context.look_up("build", "workspace", request)


def run_build(context: Context, unit: Unit, histograms: Entry) -> Entry:
    """The entry with the workspace, from the store or made now."""

    def build(_: Bar) -> Outputs:
        from inference.extensions.workspaces import attach
        from inference.templates import load_histograms
        from inference.workspace import build, workspace_bytes

        templates = load_histograms(json.loads(context.store.read(histograms.blobs[HISTOGRAMS])))
        workspace, extra = build(templates, context.model), context.extensions
        return {WORKSPACE: workspace_bytes(attach(workspace, *extra["extensions"], poi=extra["poi"]))}

    entry = made(context, unit, build)
    if entry.meta["warnings"]:
        count, first = len(entry.meta["warnings"]), entry.meta["warnings"][0]
        context.summary("build").note = f"{count} warnings about the templates, the first: {first}"
    return entry


def plan_result(context: Context, wanted: Wanted, workspaces: Workspaces) -> Unit | None:
    """The unit of one result: the workspace and the settings decide it; None while a workspace is not made yet."""
    workspace, settings = workspaces.of(wanted), workspaces.settings(wanted)
    if workspace is None or settings is None:
        return None
    tool, fixed = wanted.tool, context.pipeline.inference.fixed
    module = tool.function.partition(":")[0] if tool else f"inference.{wanted.kind}"
    named = {"this": workspaces.name(wanted)} if tool and "this" in keywords(tool) else {}
    request = Request(
        "fit",
        VERSION,
        {
            "result": wanted.kind,
            "workspace": workspace.blobs[WORKSPACE].digest,
            "settings": {**{f"fixed {name}": value for name, value in fixed.items()}, **settings.key, **named},
            "code": code_digest(module, "inference.fit"),
            "versions": versions("fit"),
        },
    )
    return context.look_up("fit", wanted.name, request)


def run_result(context: Context, unit: Unit, compute: Callable[[Bar], Any]) -> dict[str, Any]:
    """One result as plain values, from the store or computed now."""
    entry = made(context, unit, lambda bar: {RESULT: json.dumps(compute(bar), sort_keys=True).encode()})
    return dict(json.loads(context.store.read(entry.blobs[RESULT])))


def made(context: Context, unit: Unit, make: Callable[[Bar], Outputs]) -> Entry:
    """The entry of a unit, from the store or made now; what cabinetry warns of is kept with it."""
    summary = context.summary(unit.stage).count([unit])
    if unit.entry is not None:
        return unit.entry
    start = time.perf_counter()
    with context.reporter.bar(unit.stage, 1, unit.name) as bar, _warnings_of("cabinetry") as said:
        outputs = make(bar)
    summary.seconds += time.perf_counter() - start
    return context.keep(unit, outputs, {"warnings": said}, dict.fromkeys(outputs, "application/json"))


@contextmanager
def _warnings_of(library: str) -> Iterator[list[str]]:
    """What a library logs as a warning, each sentence once: kept with the result instead of scrolling by."""
    said: list[str] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.levelno >= logging.WARNING and record.getMessage() not in said:
                said.append(record.getMessage())

    logger, handler = logging.getLogger(library), Collector()
    propagate, logger.propagate = logger.propagate, False
    logger.addHandler(handler)
    try:
        yield said
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagate
