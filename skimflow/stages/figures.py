"""The figures of the report: drawn in parallel, kept like every other result.

Two units: what the fit gave, and the systematic shapes, which depend on the workspace alone.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from artifacts.keys import Request
from artifacts.store import Entry
from inference.documents import from_document
from skimflow.code import code_digest
from skimflow.pool import in_processes
from skimflow.stages.context import Context
from skimflow.stages.fit import WORKSPACE
from skimflow.stages.results import Results, fit_result, tool_result
from skimflow.tools import TOOLS, load
from skimflow.units import Unit, versions

if TYPE_CHECKING:
    from inference.model import Model

VERSION = 1
INDEX = "index.json"
FORMATS = ("svg", "pdf", "png")
SHAPE_FORMATS = ("pdf", "png")  # half a second each: the many shapes are drawn in what notes and pages need
BATCH = 3


@dataclass(frozen=True)
class Drawing:
    """One figure to draw: the function, of `inference.figures` or as `module:function`, and its arguments."""

    name: str
    group: str
    caption: str
    function: str
    arguments: tuple[Any, ...]
    formats: tuple[str, ...] = FORMATS


def run_figures(context: Context, workspace: Entry, results: Results) -> list[Entry]:
    """Entries with the figures of the fit and of the systematic shapes, from the store or drawn now."""
    digest = workspace.blobs[WORKSPACE].digest
    common = {
        "workspace": digest,
        "model": json.loads(_shown_model(context).model_dump_json()),
        "code": code_digest(
            "inference.figures", "inference.impacts.figures", "skimflow.stages.figures", *_tool_figures(context)
        ),
        "versions": versions("figures"),
    }
    fit = Request("figures", VERSION, {**common, "fit": _digest(results)})
    shapes = Request("figures", VERSION, {**common, "figures": "shapes"})
    units = [context.look_up("figures", "fit", fit), context.look_up("figures", "shapes", shapes)]
    summary = context.summary("figures").count(units)
    start = time.perf_counter()
    entries = [
        unit.entry or _draw(context, unit, drawings(context, workspace, results))
        for unit, drawings in zip(units, (_fit_drawings, _shape_drawings), strict=True)
    ]
    summary.seconds = time.perf_counter() - start
    return entries


def _tool_figures(context: Context) -> list[str]:
    """Modules that draw the tools' results."""
    tools = [TOOLS[one.kind] for one in context.pipeline.inference.wanted if one.kind in TOOLS]
    return sorted({tool.figure.partition(":")[0] for tool in tools if tool.figure is not None})


def _digest(results: Results) -> str:
    return Request("results", VERSION, results).key


def _fit_drawings(context: Context, workspace: Entry, results: Results) -> Iterator[Drawing]:
    from inference.impacts.pulls import pulls_of
    from inference.ranking import Ranking
    from inference.yields import yields

    model, fit = _shown_model(context), fit_result(results)
    document = _workspace(context, workspace)
    made = pulls_of(fit)
    yield Drawing(
        "pulls", "fit", "Pulls from the auxiliary measurements", "inference.impacts.figures:pulls", (made, model)
    )
    if "ranking" in results:
        ranked = from_document(Ranking, results["ranking"])
        yield Drawing("ranking", "fit", f"Impacts on {ranked.poi}", "ranking", (ranked, model))
    yield Drawing("correlation", "fit", "Correlations between the parameters", "correlation", (fit, model))
    for one in context.pipeline.inference.wanted:
        tool = TOOLS.get(one.kind)
        if tool is not None and tool.figure is not None:
            typed = tool_result(one, results)
            yield Drawing(
                _slug(one.name),
                "results",
                tool.title if one.name == one.kind else f"{tool.title}: {one.name}",
                tool.figure,
                (typed,),
            )
    before, after = yields(document, model=model), yields(document, fit, model=model)
    for region in before.regions:
        for stage, values in (("prefit", before), ("postfit", after)):
            name = f"{_slug(region.region)}_{stage}"
            yield Drawing(
                name, "regions", f"{region.region}, {values.stage}", "data_mc", (values, region.region, model)
            )


def _shape_drawings(context: Context, workspace: Entry, _: Results) -> Iterator[Drawing]:
    from inference.systematics import shape_variations

    model = _shown_model(context)
    no_shape = {one.name for one in model.systematics if one.normalization is not None}
    for one in shape_variations(_workspace(context, workspace)):
        if one.systematic not in no_shape:
            name = f"{_slug(one.region)}_{_slug(one.sample)}_{_slug(one.systematic)}"
            caption = f"{one.systematic}: {one.sample} in {one.region}"
            yield Drawing(name, one.systematic, caption, "shape", (one, model), SHAPE_FORMATS)


def _shown_model(context: Context) -> Model:
    """The model with its labels; simulated demonstration events never carry an experiment's name."""
    model = context.model
    if context.pipeline.samples.simulate is None:
        return model
    return model.model_copy(update={"experiment": "skimflow", "label": "simulated events"})


def _workspace(context: Context, workspace: Entry) -> dict[str, Any]:
    return dict(json.loads(context.store.read(workspace.blobs[WORKSPACE])))


def _slug(text: str) -> str:
    return "".join(sign if sign.isalnum() or sign in "-." else "-" for sign in text)


def _draw(context: Context, unit: Unit, drawings: Iterator[Drawing]) -> Entry:
    """Draw in as many processes as there are cores: a figure takes some half a second for each format."""
    todo = list(drawings)
    batches = [tuple(todo[start : start + BATCH]) for start in range(0, len(todo), BATCH)]
    outputs: dict[str, bytes | Path] = {INDEX: _index(todo)}
    with context.reporter.bar("figures", len(todo), "figures") as bar:
        done = 0
        for batch, drawn in in_processes(draw_batch, batches, os.cpu_count() or 1):
            outputs.update(drawn)
            done += len(batch)
            bar.update(done)
    return context.keep(unit, outputs, {}, {name: _media_type(name) for name in outputs})


def _index(drawings: Sequence[Drawing]) -> bytes:
    return json.dumps([[one.name, one.group, one.caption] for one in drawings]).encode()


def draw_batch(drawings: Sequence[Drawing]) -> dict[str, bytes]:
    """Draw some figures (in a process of the pool): file name to bytes."""
    from inference.canvas import save

    files: dict[str, bytes] = {}
    for one in drawings:
        draw = load(one.function if ":" in one.function else f"inference.figures:{one.function}")
        files |= save(draw(*one.arguments), one.name, one.formats)
    return files


def _media_type(name: str) -> str:
    types = {"svg": "image/svg+xml", "pdf": "application/pdf", "png": "image/png", "json": "application/json"}
    return types[name.rpartition(".")[2]]
