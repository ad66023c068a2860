"""`skimflow run`, `plan`, `demo` and `report`."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import click

from skimflow.cli import existing_file, json_option, print_json
from skimflow.pipeline import STAGES, Stage, packaged_pipeline
from skimflow.progress import reporter
from skimflow.stages.results import headline
from skimflow.workflow import Options, Plan, RunResult
from skimflow.workflow import plan as make_plan
from skimflow.workflow import run as run_pipeline

DEMO_FOLDER = Path("skimflow-demo")
SMALL_DEMO = {"events_per_file": "10000", "files_per_sample": "1"}


def _common(function: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option("--store", help="Folder, memory:// or s3://bucket/prefix instead of the pipeline's store."),
        click.option("--files-per-sample", type=click.IntRange(1), help="Use the first N files of each sample."),
        click.option(
            "--allow-missing",
            type=click.FloatRange(0, 100, max_open=True),
            help="Percentage of files that may fail.",
        ),
        json_option,
    ):
        function = option(function)
    return function


@click.command()
@click.argument("pipeline", type=existing_file())
@click.option(
    "--from",
    "start",
    type=click.Choice(get_args(Stage)),
    default="deliver",
    help="Earlier stages must be kept.",
)
@click.option("--until", type=click.Choice(get_args(Stage)), default="report", help="Stop after this stage.")
@click.option(
    "--force",
    multiple=True,
    type=click.Choice(STAGES[:-1]),
    help="Run this stage although its results are kept.",
)
@click.option("--report", "report_folder", type=click.Path(path_type=Path), help="Folder of the report.")
@click.option("--quiet", is_flag=True, help="No progress.")
@_common
def run(
    pipeline: Path, start: Stage, until: Stage, force: tuple[str, ...], report_folder: Path | None, quiet: bool,
    store: str | None, files_per_sample: int | None, allow_missing: float | None, as_json: bool,
) -> None:  # fmt: skip
    """Run PIPELINE; what is kept is not computed again."""
    options = Options(
        store=store, files_per_sample=files_per_sample, allow_missing=allow_missing, start=start, until=until,
        forced=frozenset(force), report=report_folder,
    )  # fmt: skip
    _show(run_pipeline(pipeline, options, reporter(quiet)), as_json)


@click.command()
@click.argument("pipeline", type=existing_file())
@_common
def plan(
    pipeline: Path,
    store: str | None,
    files_per_sample: int | None,
    allow_missing: float | None,
    as_json: bool,
) -> None:
    """Show for each unit of PIPELINE hit or miss, and why; compute nothing."""
    found = make_plan(pipeline, Options(store=store, files_per_sample=files_per_sample, allow_missing=allow_missing))
    if as_json:
        print_json(found.to_json())
        return
    _print_plan(found, pipeline)


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), default=DEMO_FOLDER)
@click.option("--small", is_flag=True, help="90 000 events instead of 1.8 million: shows the way, not the result.")
@json_option
def demo(folder: Path, small: bool, as_json: bool) -> None:
    """Run the AGC ttbar measurement on simulated events in FOLDER (default: skimflow-demo)."""
    folder.mkdir(parents=True, exist_ok=True)
    pipeline = folder / "ttbar.yml"
    if not pipeline.exists():
        _write_demo(pipeline, small)
    elif small:
        click.echo(f"{pipeline} is there already and says how many events; --small changes nothing", err=True)
    _show(run_pipeline(pipeline, Options(), reporter()), as_json)


def _write_demo(pipeline: Path, small: bool) -> None:
    shutil.copyfile(packaged_pipeline(), pipeline)
    if small:
        lines = pipeline.read_text(encoding="utf-8").splitlines()
        for number, line in enumerate(lines):
            name = line.strip().partition(":")[0]
            if name in SMALL_DEMO:
                lines[number] = f"{line.partition(':')[0]}: {SMALL_DEMO[name]}"
        pipeline.write_text("\n".join(lines) + "\n", encoding="utf-8")


@click.command()
@click.argument("pipeline", type=existing_file())
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), required=False)
@_common
def report(
    pipeline: Path, folder: Path | None, store: str | None, files_per_sample: int | None, allow_missing: float | None,
    as_json: bool,
) -> None:  # fmt: skip
    """Write the report of PIPELINE into FOLDER, from results that are all kept."""
    options = Options(
        store=store,
        files_per_sample=files_per_sample,
        allow_missing=allow_missing,
        start="report",
        report=folder,
    )
    _show(run_pipeline(pipeline, options, reporter()), as_json)


def _show(result: RunResult, as_json: bool) -> None:
    if as_json:
        print_json(result.to_json())
        return
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    table = Table(box=None if not console.is_terminal else Table().box, header_style="bold")
    for column, justify in (
        ("stage", "left"),
        ("kept", "right"),
        ("ran", "right"),
        ("time", "right"),
        ("because", "left"),
    ):
        table.add_column(column, justify=justify)  # type: ignore[arg-type]
    for summary in result.stages.values():
        reasons = "; ".join(
            f"{count} × {reason}" if count > 1 else reason for reason, count in summary.reasons.items() if reason
        )
        table.add_row(summary.stage, str(summary.hits), str(summary.ran), f"{summary.seconds:.1f} s", reasons)
    console.print(table)
    fit = result.results.get("fit")
    if fit:
        console.print(f"{result.name}: {headline(fit)}")
    for note in result.notes:
        console.print(f"note: {note}", markup=False)
    if result.report is not None:
        console.print(f"report: {result.report / 'index.html'}", soft_wrap=True)


def _print_plan(found: Plan, pipeline: Path) -> None:
    stages: dict[str, list[Any]] = {}
    for unit in found.units:
        stages.setdefault(unit.stage, []).append(unit)
    for stage, units in stages.items():
        misses = [unit for unit in units if not unit.hit]
        click.echo(f"{stage:<9}{len(units) - len(misses)} of {len(units)} kept")
        for unit in misses:
            click.echo(f"         would run {unit.name}: {unit.reason}")
    for stage in found.waiting:
        click.echo(f"{stage:<9}waits for the stages before it")
    if not found.waiting and all(unit.hit for unit in found.units):
        click.echo("nothing to do")
    else:
        click.echo(f"do it: skimflow run {pipeline}")
