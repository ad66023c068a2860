"""`skimflow preserve`: what a pipeline leaves for HEPData, REANA and RECAST."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from skimflow.cli import existing_file, json_option, print_json

if TYPE_CHECKING:
    from inference.preservation.hepdata import Bins, Figure, Record
    from inference.preservation.specifications import Preserved
    from inference.tables import Table
    from skimflow.wanted import Wanted
    from skimflow.workflow import RunResult

IMAGE = "skimflow:latest"
FIGURES = {"parameters": "pulls"}  # what the report's figure of a table is called, where it is not the table's name
SIGNAL_SHARE = 0.1  # of what the parameter of interest scales: the example of a new signal


@click.command()
@click.argument("pipeline", type=existing_file())
@click.option("--output", required=True, type=click.Path(file_okay=False, path_type=Path), help="Folder to write.")
@click.option("--image", default=IMAGE, show_default=True, help="Container that runs skimflow there.")
@click.option("--author", default="unknown", help="RECAST: who answers for the analysis.")
@click.option(
    "--keyword", "keywords", multiple=True, metavar="NAME=VALUE",
    help="HEPData: cmenergies (GeV), observables, reactions or phrases; may be given more than once.",
)  # fmt: skip
@click.option("--store", help="Folder, memory:// or s3://bucket/prefix instead of the pipeline's store.")
@json_option
def preserve(
    pipeline: Path, output: Path, image: str, author: str, keywords: tuple[str, ...], store: str | None,
    as_json: bool,
) -> None:  # fmt: skip
    """Write a HEPData submission, reana.yaml and a RECAST specification of PIPELINE, whose results are all kept."""
    from skimflow.errors import StageNotKept, UsageError
    from skimflow.portable import make_portable
    from skimflow.progress import Quiet
    from skimflow.workflow import Options, run

    words = _keywords(keywords)
    wanted = _open(pipeline)
    with tempfile.TemporaryDirectory(prefix="skimflow-preserve-") as place:
        report = Path(place) / "report"
        try:
            result = run(pipeline, Options(store=store, start="report", report=report), Quiet())
        except StageNotKept as error:
            raise UsageError(f"results are missing; first: skimflow run {pipeline} ({error})") from error
        made = make_portable(pipeline, output)
        workspace = json.loads((report / "workspace.json").read_text(encoding="utf-8"))
        submission = _write_hepdata(output / "hepdata", result, report, workspace, words, _bins(pipeline), wanted)
    from inference.preservation.specifications import Preserved

    preserved = Preserved(made.name, made.pipeline, tuple(made.files), tuple(made.directories), image)
    written = _write_workflows(output, preserved, author, _example(workspace))
    notes = [*result.notes, *made.notes]
    if as_json:
        files = [str(path.relative_to(output)) for path in (*submission, *written)]
        print_json({"folder": str(output), "files": files, "notes": notes})
        return
    click.echo(f"{output / 'hepdata'}: {len(submission)} files; check: hepdata-validate -d {output / 'hepdata'}")
    click.echo(f"{output}: {', '.join(str(path.relative_to(output)) for path in written)}")
    for note in notes:
        click.echo(f"note: {note}")


def _open(path: Path) -> tuple[Wanted, ...]:
    """What a pipeline wants; raises `UsageError` where it is blinded: what is left for others tells the result."""
    from skimflow.errors import UsageError
    from skimflow.pipeline import load_pipeline

    inference = load_pipeline(path).inference
    if inference.blinded is not None:
        raise UsageError(
            f"{path} is blinded: nothing of it can be preserved yet; unblind it with `blind: false` under inference, "
            f"then: skimflow run {path}"
        )
    return inference.wanted


def _bins(path: Path) -> dict[str, Bins]:
    """Variable and edges of each region of the pipeline's model."""
    from inference.model import load_model
    from inference.preservation.hepdata import Bins
    from skimflow.pipeline import load_pipeline

    named = load_pipeline(path).inference.model
    file = path.resolve().parent / named
    regions = load_model(file if file.exists() else str(named)).regions
    return {each.name: Bins(each.variable, each.unit, each.edges) for each in regions}


def _keywords(texts: tuple[str, ...]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not sign:
            raise click.BadParameter(f"{text!r} is not NAME=VALUE, such as cmenergies=13000", param_hint="--keyword")
        found.setdefault(name, []).append(value)
    return found


def _write_hepdata(
    folder: Path, result: RunResult, report: Path, workspace: dict[str, Any], keywords: Mapping[str, list[str]],
    bins: Mapping[str, Bins], wanted: Sequence[Wanted],
) -> tuple[Path, ...]:  # fmt: skip
    from inference.preservation.hepdata import Figure, Resource, write_submission
    from inference.workspace import workspace_bytes

    figures = [Figure(path.stem, path.read_bytes()) for path in sorted((report / "figures").glob("*.png"))]
    resource = Resource(
        "workspace.json", workspace_bytes(workspace), "Full statistical model in pyhf's JSON", "HistFactory"
    )
    comment = f"{result.name}. " + " ".join(f"Note: {note}." for note in result.notes)
    records = list(_records(result.results, figures, bins, wanted))
    return write_submission(folder, records, [resource], comment=comment.strip(), keywords=keywords)


def _records(
    results: Mapping[str, Any], figures: list[Figure], bins: Mapping[str, Bins], wanted: Sequence[Wanted]
) -> Iterator[Record]:
    """Every table of the results, with the figures of the report that are named after it."""
    from inference.preservation.hepdata import Record

    taken: set[str] = set()
    for name, table, description, errors in _tables(results, wanted):
        title = table.title if table.title not in taken else f"{table.title} ({name})"
        taken.add(title)
        mine = tuple(one for one in figures if one.name.startswith(FIGURES.get(name, name.replace(" ", "-"))))
        region = name.rpartition("_")[0] if table.columns[0] == "bin" else ""
        yield Record(replace(table, title=title), description, errors, mine, bins.get(region))


def _tables(results: Mapping[str, Any], wanted: Sequence[Wanted]) -> Iterator[tuple[str, Table, str, dict[str, str]]]:
    """Name of the figures, table, description, and which column is the uncertainty of which."""
    from inference.documents import from_document
    from inference.impacts.results import Ranking
    from inference.impacts.tables import ranking_table
    from inference.preservation.hepdata import correlation_table, region_tables
    from inference.results import FitResult
    from inference.tables import parameter_table
    from inference.yields import Yields

    fit = from_document(FitResult, results["fit"])
    yield "parameters", parameter_table(fit), "Best fit of all parameters", {"best fit": "uncertainty"}
    yield "correlation", correlation_table(fit), "Correlations of all parameters that are free in the fit", {}
    if "ranking" in results:
        ranking = from_document(Ranking, results["ranking"])
        table = replace(ranking_table(ranking), title=f"Impacts on {ranking.poi}")
        yield "ranking", table, f"Shifts of {ranking.poi} with each nuisance parameter", {}
    for stage, document in results.get("yields", {}).items():
        yields = from_document(Yields, document)
        for region, (table, errors) in zip(yields.regions, region_tables(yields), strict=True):
            yield f"{region.region}_{stage}", table, f"Events in each bin of {region.region}, {yields.stage}", errors
    for name, tables in _tool_tables(results, wanted):
        for table in tables:
            yield name, table, table.title, {}


def _tool_tables(results: Mapping[str, Any], wanted: Sequence[Wanted]) -> Iterator[tuple[str, list[Table]]]:
    """Tables of the results of other tools, by the name of the result."""
    from inference.documents import from_document
    from inference.tables import Table
    from skimflow.tools import load

    for one in wanted:
        if one.tool is not None:
            found = load(one.tool.tables)(from_document(load(one.tool.result), results[one.name]))
            yield one.name, [found] if isinstance(found, Table) else list(found)


def _example(workspace: Mapping[str, Any]) -> dict[str, Any]:
    """A signal in the form that `skimflow reinterpret` takes: a share of the samples that the POI scales."""
    poi = workspace["measurements"][0]["config"]["poi"]
    channels = {}
    for channel in workspace["channels"]:
        bins = len(channel["samples"][0]["data"])
        scaled = [
            sample["data"]
            for sample in channel["samples"]
            if any(each["name"] == poi and each["type"] == "normfactor" for each in sample["modifiers"])
        ]
        total = [sum(column) for column in zip(*scaled, strict=True)] or [1.0] * bins
        channels[channel["name"]] = {"data": [SIGNAL_SHARE * value for value in total]}
    return {"name": "example", "channels": channels}


def _write_workflows(folder: Path, preserved: Preserved, author: str, signal: dict[str, Any]) -> list[Path]:
    from inference.preservation import specifications as made

    documents = {
        "reana.yaml": made.reana(preserved),
        "reana-recast.yaml": made.reana_of_recast(preserved),
        "recast.yml": made.recast(preserved, author),
        made.WORKFLOW: made.yadage_workflow(preserved),
    }
    for name, document in documents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(made.to_yaml(document), encoding="utf-8")
    (folder / made.SIGNAL).write_text(json.dumps(signal, indent=1) + "\n", encoding="utf-8")
    return [folder / name for name in (*documents, made.SIGNAL)]
