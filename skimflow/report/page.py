"""Write the report: the page, its figures and tables, and their machine-readable twins."""

from __future__ import annotations

import base64
import importlib.metadata
import json
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from artifacts.store import Entry, Store
from skimflow.report import sections as parts
from skimflow.report.blinded import facts_left, histograms_left
from skimflow.report.sections import FigureGroup, ReportFigure, Section, Table, Tile
from skimflow.stages.context import Context
from skimflow.stages.figures import FORMATS, INDEX, Drawn, run_figures, slug
from skimflow.stages.fit import WORKSPACE
from skimflow.stages.process import HISTOGRAMS, SUMMARY
from skimflow.stages.results import headline, title_of, tool_results
from skimflow.stages.workspaces import Workspaces
from skimflow.tools import load
from skimflow.units import LIBRARIES, record_document
from skimflow.wanted import workspace_names
from skimflow.workflow import RunResult

PAGE = "index.html"
PROVENANCE = "run.json"
BLINDED = "Blinded: what is called observed is of the blinded workspace, where hidden data are what is expected."
LONG = 15  # rows of a table that opens on a click


def write_report(context: Context, result: RunResult, histograms: Entry, workspaces: Workspaces) -> RunResult:
    """Write the report folder and return the result with its path.

    Raises:
        OSError: the folder cannot be written.
    """
    folder = context.path(context.pipeline.report)
    drawn = run_figures(context, workspaces, result.results)
    facts = json.loads(context.store.read(histograms.blobs[SUMMARY]))
    if workspaces.blind is not None:
        facts = facts_left(facts, context.model)
    record = record_document(context.units, context.entries)
    sections = [
        _fit_section(result, workspaces, _groups(context.store, drawn.fit, "fit")),
        *_tools_sections(context, result, drawn, BLINDED if workspaces.blind is not None else ""),
        _regions_section(result, _groups(context.store, drawn.fit, "regions")),
        _events_section(context, facts),
        Section("systematics", "Systematic uncertainties", figures=_folded_groups(context.store, drawn.shapes)),
        _run_section(context, facts, record),
    ]
    finished = replace(result, report=folder)
    files = {
        f"figures/{name}": content
        for entry in drawn.entries
        for name, content in _outputs(context.store, entry, {INDEX})
    }
    files |= {f"tables/{table.name}.csv": table.csv().encode() for section in sections for table in section.tables}
    files |= (inputs := _inputs(context, histograms, workspaces))
    files["metrics.json"] = json.dumps(facts["metrics"], indent=1).encode()
    files["results.json"] = json.dumps(finished.to_json(), indent=1).encode()
    files[PROVENANCE] = json.dumps({"units": record}, indent=1, sort_keys=True).encode()
    files[PAGE] = _render(context, result, facts, sections, list(inputs)).encode()
    write_folder(folder, files)
    return finished


def _inputs(context: Context, histograms: Entry, workspaces: Workspaces) -> dict[str, bytes]:
    """The histograms and workspaces; nothing of hidden data in a blinded pipeline."""
    entry = workspaces.shown(workspaces.fitted)
    assert entry is not None  # noqa: S101
    fitted = context.store.read(entry.blobs[WORKSPACE])
    if workspaces.blind is not None:
        left = histograms_left(context.store.read(histograms.blobs[HISTOGRAMS]), context.model)
        return {HISTOGRAMS: left, "workspace-blinded.json": fitted}
    files = {**dict(_outputs(context.store, histograms, {SUMMARY})), WORKSPACE: fitted}
    for name in workspace_names(context.pipeline.inference.wanted):
        other = workspaces.true(name)
        if name != workspaces.fitted and other is not None:
            files[f"workspace-{slug(name)}.json"] = context.store.read(other.blobs[WORKSPACE])
    return files


def _render(
    context: Context, result: RunResult, facts: dict[str, Any], sections: Sequence[Section], inputs: Sequence[str]
) -> str:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("skimflow", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html.j2").render(
        name=result.name,
        subtitle=_subtitle(context, facts),
        written=datetime.now(UTC).strftime("%Y-%m-%d %H:%M"),
        version=importlib.metadata.version("skimflow"),
        notes=result.notes,
        tiles=_tiles(result, facts),
        sections=sections,
        inputs=inputs,
    )


def _subtitle(context: Context, facts: dict[str, Any]) -> str:
    simulated = context.pipeline.samples.simulate is not None
    origin = "demonstration events simulated by skimflow, not recorded data" if simulated else "events of the fileset"
    return f"{sum(facts['nevts'].values()):,} generated events in {len(facts['nevts'])} samples: {origin}"


def _tiles(result: RunResult, facts: dict[str, Any]) -> list[Tile]:
    fit = result.results["fit"]
    kept = sum(one.hits for one in result.stages.values())
    ran = sum(one.ran for one in result.stages.values())
    name, _, value = headline(fit).partition(" = ")
    tiles = [Tile(value or name, name if value else "", f"uncertainty from the exact {fit['uncertainty'].title()}")]
    if fit["goodness_of_fit"] is not None:
        tiles.append(Tile(f"{fit['goodness_of_fit']:.2f}", "goodness of fit, p-value", "against the saturated model"))
    tiles.append(Tile(f"{facts['metrics']['events']:,}", "events processed", f"in {facts['metrics']['files']} files"))
    tiles.append(Tile(f"{kept} kept, {ran} ran", "results in this run", f"{result.seconds:.1f} s"))
    return tiles


def _fit_section(result: RunResult, workspaces: Workspaces, figures: tuple[ReportFigure, ...]) -> Section:
    fit = result.results["fit"]
    proof = fit["certificate"]
    blinded = ", blinded" if workspaces.blind is not None else ""
    text = (
        f"Fitted is the workspace {workspaces.fitted!r}{blinded}. "
        f"Maximum-likelihood fit of {len(fit['labels'])} parameters; minus two log-likelihood {fit['twice_nll']:.3f}, "
        f"distance to the minimum {proof['edm']:.1e}, largest gradient {proof['gradient']:.1e}, "
        f"{proof['iterations']} iterations."
    )
    rows = tuple(
        (label, f"{value:.4f}", f"{sigma:.4f}", "" if width is None else f"{width:.4f}")
        for label, value, sigma, width in zip(
            fit["labels"], fit["bestfit"], fit["uncertainties"], fit["prefit"], strict=True
        )
    )
    head = ("parameter", "best fit", "uncertainty", "pre-fit width")
    tables = [Table("parameters", "All parameters", head, rows, folded=True)]
    if "ranking" in result.results:
        tables.append(_ranking_table(result.results["ranking"]))
    return Section("fit", "Fit", text, (FigureGroup("", figures, wide=True),), tuple(tables))


def _ranking_table(ranking: dict[str, Any]) -> Table:
    shifts = ("postfit_up", "postfit_down", "prefit_up", "prefit_down")
    rows = tuple(
        (one["parameter"], *("failed" if one[shift] is None else f"{one[shift]:+.4f}" for shift in shifts))
        for one in ranking["impacts"]
    )
    head = ("parameter", "post-fit +1σ", "post-fit −1σ", "pre-fit +1σ", "pre-fit −1σ")
    return Table("ranking", f"Impacts on {ranking['poi']}", head, rows, folded=True)


def _tools_sections(context: Context, result: RunResult, drawn: Drawn, text: str) -> list[Section]:
    """The results of the tools that the pipeline asks for beside fit, ranking and yields."""
    groups: list[FigureGroup] = []
    tables: list[Table] = []
    for one, typed in tool_results(context, result.results):
        assert one.tool is not None  # noqa: S101
        made = load(one.tool.tables)(typed)
        for index, table in enumerate([made] if hasattr(made, "text_rows") else made):
            name = f"{one.name}-{index}" if index else one.name
            title = table.title if one.name == one.kind else f"{table.title} ({one.name})"
            tables.append(Table(name, title, table.columns, table.text_rows, folded=len(table.rows) > LONG))
        if one.name in drawn.results:
            entry = drawn.results[one.name]
            if one.tool.each:
                groups += _folded_groups(context.store, entry)
            else:
                groups.append(FigureGroup("", _groups(context.store, entry, title_of(one))))
    together = tuple(figure for group in groups if not group.folded for figure in group.figures)
    shown = (FigureGroup("", together), *(group for group in groups if group.folded))
    return [Section("results", "Results", text, figures=shown, tables=tuple(tables))] if tables else []


def _regions_section(result: RunResult, figures: tuple[ReportFigure, ...]) -> Section:
    tables = []
    yields = result.results.get("yields", {})
    for stage in ("prefit", "postfit") if yields else ():
        values = yields[stage]
        for region in values["regions"]:
            rows = [
                (one["sample"], f"{one['total']:,.1f}", f"{one['total_uncertainty']:,.1f}")
                for one in (*region["samples"], region["prediction"])
            ]
            rows.append(_data_row(region["data"]))
            title = f"{region['region']}, {values['stage']}"
            name = f"yields_{slug(region['region'])}_{stage}"
            tables.append(Table(name, title, ("sample", "events", "uncertainty"), tuple(rows)))
    return Section("regions", "Regions", "", (FigureGroup("", figures),), tuple(tables))


def _data_row(data: Sequence[float | None]) -> tuple[str, str, str]:
    seen = [count for count in data if count is not None]
    if len(seen) == len(data):
        return "data", f"{sum(seen):,.1f}", ""
    from inference.tables import data_row  # slow to import, and needed in blinded pipelines alone

    name, total = data_row(len(seen), len(data), sum(seen))
    return name, "" if total is None else f"{total:,.1f}", ""


def _events_section(context: Context, facts: dict[str, Any]) -> Section:
    units = [one for one in context.units if one.stage == "deliver" and one.request.key in context.entries]
    delivered = [(unit.name, dict(context.entries[unit.request.key].meta)) for unit in units]
    tables = [*parts.cutflow_tables(facts["cutflow"])]
    if delivered:
        tables.append(parts.delivery_table(delivered))
    text = "Events that pass each step and all before it, not weighted. What delivery rejected is not counted here."
    return Section("events", "Events", text, tables=tuple(tables))


def _run_section(context: Context, facts: dict[str, Any], record: dict[str, Any]) -> Section:
    names = sorted({name for libraries in LIBRARIES.values() for name in libraries} | {"skimflow", "dask"})
    versions = {"python": sys.version.split()[0]} | {name: importlib.metadata.version(name) for name in names}
    tables = (
        parts.stages_table(context.summaries.values()),
        parts.metrics_table(facts["metrics"]),
        parts.provenance_table(record),
        parts.versions_table(versions),
    )
    return Section("run", "This run and its provenance", tables=tables)


def _index(store: Store, entry: Entry) -> list[tuple[str, str, str]]:
    return [(name, group, caption) for name, group, caption in json.loads(store.read(entry.blobs[INDEX]))]


def _groups(store: Store, entry: Entry, wanted: str) -> tuple[ReportFigure, ...]:
    return tuple(
        _figure(store, entry, name, caption, "svg") for name, group, caption in _index(store, entry) if group == wanted
    )


def _folded_groups(store: Store, entry: Entry) -> tuple[FigureGroup, ...]:
    groups: dict[str, list[ReportFigure]] = {}
    for name, group, caption in _index(store, entry):
        groups.setdefault(group, []).append(_figure(store, entry, name, caption, "png"))
    return tuple(FigureGroup(title, tuple(figures), folded=True) for title, figures in groups.items())


def _figure(store: Store, entry: Entry, name: str, caption: str, kind: str) -> ReportFigure:
    blob = entry.blobs[f"{name}.{kind}"]
    content = base64.b64encode(store.read(blob)).decode()
    formats = tuple(one for one in FORMATS if f"{name}.{one}" in entry.blobs)
    return ReportFigure(name, caption, f"data:{blob.media_type};base64,{content}", formats)


def _outputs(store: Store, entry: Entry, skip: Iterable[str] = ()) -> Iterator[tuple[str, bytes]]:
    """Names and contents of an entry's outputs."""
    return ((name, store.read(blob)) for name, blob in entry.blobs.items() if name not in skip)


def write_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write the report's files, each at one stroke; what an earlier report left in its sub-folders is removed."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".part-", delete=False) as part:
            part.write(content)
        Path(part.name).chmod(0o644)
        Path(part.name).replace(path)
    for sub in ("figures", "tables"):
        for path in (folder / sub).glob("*.*"):
            if f"{sub}/{path.name}" not in files and not path.name.startswith(".part-"):
                path.unlink(missing_ok=True)
