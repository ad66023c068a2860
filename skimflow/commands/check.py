"""`skimflow check`: delivery loses no event that processing selects."""

from __future__ import annotations

from pathlib import Path

import click

from skimflow.cli import existing_file, json_option, print_json
from skimflow.comparison import compare_delivery
from skimflow.progress import reporter


@click.command()
@click.argument("pipeline", type=existing_file())
@click.option("--store", help="Store instead of the pipeline's.")
@click.option("--files-per-sample", type=click.IntRange(1), help="Use the first N files of each sample.")
@json_option
@click.pass_context
def check(ctx: click.Context, pipeline: Path, store: str | None, files_per_sample: int | None, as_json: bool) -> None:
    """Process the files of PIPELINE directly and as delivered; every histogram must be identical.

    Exit code 1 if they differ.
    """
    found = compare_delivery(pipeline, store=store, files_per_sample=files_per_sample, reporter=reporter())
    if as_json:
        print_json(found.to_json())
    elif not found.differing:
        click.echo(f"direct == delivered: {found.compared} histograms are identical, bit for bit")
    else:
        click.echo(f"{len(found.differing)} of {found.compared} histograms differ:")
        for name, difference in found.differing.items():
            click.echo(f"  {name}: {difference}")
        click.echo("The query rejects events that the processor selects, or lacks columns that it reads.")
    ctx.exit(1 if found.differing else 0)
