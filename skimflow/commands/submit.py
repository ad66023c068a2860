"""`skimflow submit`: a query on files or a dataset, asked of a service."""

from __future__ import annotations

import os
from pathlib import Path
from typing import get_args

import click

from delivery.requests import OutputFormat, Semantics
from skimflow.chosen_service import ChosenService, service_options
from skimflow.cli import json_option, print_json
from skimflow.errors import UsageError
from skimflow.following import follow
from skimflow.progress import reporter
from skimflow.selections import selection_text
from skimflow.summaries import ending, warn_of


@click.command()
@click.argument("files", nargs=-1, metavar="[FILE]...")
@click.option(
    "--selection", required=True, metavar="FILE|TEXT",
    help="The query: its text, a file that holds it, or a query function, such as queries.ttbar:selected.",
)  # fmt: skip
@click.option("--dataset", metavar="DID", help="Instead of files: scheme://name[?files=N], such as rucio://user:name.")
@click.option(
    "--codegen", metavar="NAME", default="uproot", show_default=True,
    help="Language of the selection: uproot (func_adl as qastle), uproot-raw (JSON), python (a function run_query, "
    "where the service allows it), or another one that the service hands on.",
)  # fmt: skip
@click.option(
    "--format", "form", type=click.Choice(get_args(OutputFormat)), default="parquet", show_default=True,
    help="Of the results; raw-file: whatever codegen python wrote.",
)  # fmt: skip
@click.option("--title", help="Name of the sample, for lists.")
@click.option("--tree", metavar="T", help="Tree to read (default: the query's, else the first).")
@click.option(
    "--semantics", type=click.Choice(get_args(Semantics)), default="servicex", show_default=True,
    help="servicex: what ServiceX answers; strict: what the query says.",
)  # fmt: skip
@click.option("--partial", is_flag=True, help="Take what there is: files that fail do not make the request fail.")
@click.option("--priority", type=click.IntRange(-100, 100), default=0, show_default=True, help="Higher runs first.")
@click.option("--wait/--no-wait", default=True, help="Wait for the end (default), or print the id at once.")
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    help="Bring the results into this folder, for them alone.",
)
@service_options
@json_option
@click.pass_context
def submit(
    ctx: click.Context, files: tuple[str, ...], selection: str, dataset: str | None, codegen: str, form: str,
    title: str | None, tree: str | None, semantics: str, partial: bool, priority: int, wait: bool,
    output: Path | None, service: ChosenService, as_json: bool,
) -> None:  # fmt: skip
    """Ask a service for a query on FILEs (paths that its machine knows, URLs) or on a dataset.

    Exit code 1 if the request fails; what was finished stays, and `skimflow requests retry` runs the rest again.
    """
    from delivery.service_client.records import Submission

    if bool(files) == (dataset is not None):
        raise UsageError("name either files or --dataset" + (", not both" if files else ""))
    if output is not None and not wait:
        raise UsageError("--no-wait brings nothing: leave --output away, and use `skimflow requests download` later")
    submission = Submission(
        selection_text(selection, codegen), tuple(map(_absolute, files)), dataset, title, codegen, form, tree,
        semantics, partial, priority,
    )  # fmt: skip
    with service.open() as client:
        request_id = client.submit(submission)
        if not wait:
            print_json({"request_id": request_id}) if as_json else click.echo(request_id)
            return
        with service.going_on(request_id):
            click.echo(f"request {request_id} at {client.url}", err=True)
            followed = follow(client, request_id, reporter(), output)
    if as_json:
        print_json(followed.to_json())
    else:
        click.echo("\n".join(ending(followed, output, service)))
    warn_of(followed)
    ctx.exit(0 if followed.good else 1)


def _absolute(file: str) -> str:
    """A local path from the root; a URL as it is."""
    return file if "://" in file else os.path.abspath(file)  # noqa: PTH100 - links stay as they are
