"""The figures of the report: drawn in parallel, kept like every other result.

One unit for the fit with its yields, one for each other result, and one for the systematic shapes, which depend on the
templates alone.
"""

from __future__ import annotations

import inspect
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from artifacts.keys import Request
from artifacts.store import Entry
from inference.documents import from_document
from skimflow.code import code_digest
from skimflow.pool import in_processes
from skimflow.stages.context import Context
from skimflow.stages.fit import WORKSPACE
from skimflow.stages.results import Results, fit_result, shown_yields, title_of, tool_results
from skimflow.stages.workspaces import Workspaces
from skimflow.tools import load
from skimflow.units import Unit, versions
from skimflow.wanted import RESULTS, Wanted

if TYPE_CHECKING:
    from inference.model import Model

VERSION = 3  # of what is drawn here: this module is no part of the keys, since it imports every stage
INDEX = "index.json"
FORMATS = ("svg", "pdf", "png")
SHAPE_FORMATS = ("pdf", "png")  # half a second each: the many shapes are drawn in what notes and pages need
BATCH = 3
OF_FIT = ("inference.figures", "inference.impacts.figures")


@dataclass(frozen=True)
class Drawing:
    """One figure to draw: the function, as `module:function`, and its arguments besides the model."""

    name: str
    group: str
    caption: str
    function: str
    arguments: tuple[Any, ...]
    formats: tuple[str, ...] = FORMATS


@dataclass(frozen=True)
class Drawn:
    """Entries with figures: of the fit, of the systematic shapes, and of each other result by its name."""

    fit: Entry
    shapes: Entry
    results: Mapping[str, Entry]

    @property
    def entries(self) -> list[Entry]:
        """All of them."""
        return [self.fit, *self.results.values(), self.shapes]


def run_figures(context: Context, workspaces: Workspaces, results: Results) -> Drawn:
    """All figures, from the store or drawn now."""
    entry, true = workspaces.shown(workspaces.fitted), workspaces.true(workspaces.fitted)
    assert entry is not None  # noqa: S101
    assert true is not None  # noqa: S101
    own = {name: results[name] for name in RESULTS if name in results}
    of_fit = {"workspace": entry.blobs[WORKSPACE].digest, "fit": Request("results", VERSION, own).key}
    # Templates alone are drawn, so that it does not matter whether the data are hidden.
    of_shapes = {"workspace": true.blobs[WORKSPACE].digest}
    tools = [(one, result) for one, result in tool_results(context, results) if one.tool and one.tool.figure]
    start = time.perf_counter()
    wanted = {
        "fit": _Wanted(_unit(context, "fit", of_fit, OF_FIT), partial(_fit_drawings, context, workspaces, results)),
        "shapes": _Wanted(
            _unit(context, "shapes", of_shapes, OF_FIT),
            lambda: _shape_drawings(context, workspaces.document(true)),
        ),
    }
    for one, result in tools:
        unit = _unit(context, f"of {one.name}", *_parts(one, results))
        wanted[unit.name] = _Wanted(unit, partial(_tool_drawings, one, result))
    context.summary("figures").count([each.unit for each in wanted.values()])
    entries = _drawn(context, wanted)
    context.summary("figures").seconds = time.perf_counter() - start
    return Drawn(entries["fit"], entries["shapes"], {one.name: entries[f"of {one.name}"] for one, _ in tools})


@dataclass(frozen=True)
class _Wanted:
    """A unit and what makes its drawings."""

    unit: Unit
    drawings: Callable[[], Iterator[Drawing]]


def _unit(context: Context, name: str, parts: dict[str, Any], code: Sequence[str]) -> Unit:
    shown = json.loads(_shown_model(context).model_dump_json())
    common = {"model": shown, "code": code_digest(*code), "versions": versions("figures"), "figures": name}
    return context.look_up("figures", name, Request("figures", VERSION, {**common, **parts}))


def _parts(one: Wanted, results: Results) -> tuple[dict[str, Any], Sequence[str]]:
    """What decides the figures of a tool's result, and the modules that draw them."""
    assert one.tool is not None  # noqa: S101
    module = str(one.tool.figure).partition(":")[0]
    return {"result": Request("results", VERSION, results[one.name]).key}, (module,)


def _drawn(context: Context, wanted: Mapping[str, _Wanted]) -> dict[str, Entry]:
    """Entries of all units, the missing ones drawn together by as many processes as there are cores.

    A figure takes some half a second for each format. A unit is kept as soon as it is whole.
    """
    entries = {name: each.unit.entry for name, each in wanted.items() if each.unit.entry is not None}
    todo = {name: list(each.drawings()) for name, each in wanted.items() if name not in entries}
    outputs: dict[str, dict[str, bytes | Path]] = {name: {INDEX: _index(drawings)} for name, drawings in todo.items()}
    left = {name: len(drawings) for name, drawings in todo.items()}
    batches = [
        (name, tuple(drawings[start : start + BATCH]))
        for name, drawings in todo.items()
        for start in range(0, len(drawings), BATCH)
    ]
    total = sum(left.values())

    def keep(name: str) -> None:
        media = {file: _media_type(file) for file in outputs[name]}
        entries[name] = context.keep(wanted[name].unit, outputs[name], {}, media)

    for name in [name for name, count in left.items() if not count]:
        keep(name)
    with context.reporter.bar("figures", total, "figures") as bar:
        draw = partial(draw_batch, model=_shown_model(context))
        for (name, batch), files in in_processes(draw, batches, os.cpu_count() or 1):
            outputs[name].update(files)
            left[name] -= len(batch)
            bar.update(total - sum(left.values()))
            if not left[name]:
                keep(name)
    return entries


def _fit_drawings(context: Context, workspaces: Workspaces, results: Results) -> Iterator[Drawing]:
    from inference.ranking import Ranking

    entry = workspaces.shown(workspaces.fitted)
    assert entry is not None  # noqa: S101
    fit = fit_result(results)
    drawn = "inference.impacts.figures:fitted"
    yield Drawing("pulls", "fit", "Pulls from the auxiliary measurements", drawn, (fit,))
    if "ranking" in results:
        ranked = from_document(Ranking, results["ranking"])
        yield Drawing("ranking", "fit", f"Impacts on {ranked.poi}", "inference.figures:ranking", (ranked,))
    yield Drawing("correlation", "fit", "Correlations between the parameters", "inference.figures:correlation", (fit,))
    hidden = workspaces.hidden(workspaces.fitted)
    before, after = shown_yields(workspaces.document(entry), fit, context.model, hidden)
    for region in before.regions:
        for stage, values in (("prefit", before), ("postfit", after)):
            name, caption = f"{slug(region.region)}_{stage}", f"{region.region}, {values.stage}"
            yield Drawing(name, "regions", caption, "inference.figures:data_mc", (values, region.region))


def _tool_drawings(one: Wanted, result: Any) -> Iterator[Drawing]:
    """The figure of a tool's result, or one for each of its parts."""
    tool = one.tool
    assert tool is not None  # noqa: S101
    assert tool.figure is not None  # noqa: S101
    title = title_of(one)
    if not tool.each:
        yield Drawing(slug(one.name), title, title, tool.figure, (result,))
        return
    for part in getattr(result, tool.each):
        name = slug(f"{one.name}_{part.channel}_{part.sample}_{part.systematic}")
        caption = f"{part.systematic}: {part.sample} in {part.channel}"
        yield Drawing(name, title, caption, tool.figure, (part,), SHAPE_FORMATS)


def _shape_drawings(context: Context, workspace: dict[str, Any]) -> Iterator[Drawing]:
    from inference.systematics import shape_variations

    no_shape = {one.name for one in context.model.systematics if one.normalization is not None}
    for one in shape_variations(workspace):
        if one.systematic not in no_shape:
            name = f"{slug(one.region)}_{slug(one.sample)}_{slug(one.systematic)}"
            caption = f"{one.systematic}: {one.sample} in {one.region}"
            yield Drawing(name, one.systematic, caption, "inference.figures:shape", (one,), SHAPE_FORMATS)


def _shown_model(context: Context) -> Model:
    """The model with its labels; simulated demonstration events never carry an experiment's name."""
    model = context.model
    if context.pipeline.samples.simulate is None:
        return model
    return model.model_copy(update={"experiment": "skimflow", "label": "simulated events"})


def slug(text: str) -> str:
    """The text as a part of a file name."""
    return "".join(sign if sign.isalnum() or sign in "-." else "-" for sign in text)


def _index(drawings: Sequence[Drawing]) -> bytes:
    return json.dumps([[one.name, one.group, one.caption] for one in drawings]).encode()


def draw_batch(task: tuple[str, Sequence[Drawing]], model: Model) -> dict[str, bytes]:
    """Draw some figures of a unit (in a process of the pool): file name to bytes. Those that take a model get it."""
    from inference.canvas import save

    files: dict[str, bytes] = {}
    for one in task[1]:
        draw = load(one.function)
        labels = {"model": model} if "model" in inspect.signature(draw).parameters else {}
        files |= save(draw(*one.arguments, **labels), one.name, one.formats)
    return files


def _media_type(name: str) -> str:
    types = {"svg": "image/svg+xml", "pdf": "application/pdf", "png": "image/png", "json": "application/json"}
    return types[name.rpartition(".")[2]]
