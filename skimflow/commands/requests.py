"""`skimflow requests`: what was submitted to a service, listed, watched, fetched, stopped and repeated."""

from __future__ import annotations

from pathlib import Path

import click

from skimflow.chosen_service import ChosenService, request_id_of, service_options
from skimflow.cli import json_option, print_json
from skimflow.following import Followed, fetch, follow
from skimflow.progress import reporter
from skimflow.summaries import counted_text, ending, facts, files_table, requests_table, warn_of

_request = click.argument("request", metavar="REQUEST")
_many = click.argument("requests_", metavar="REQUEST...", nargs=-1, required=True)


@click.group()
def requests() -> None:
    """What was submitted to a service. REQUEST is an id or its beginning; every command has --json."""


@requests.command("list")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="The latest so many.")
@service_options
@json_option
def list_requests(limit: int, service: ChosenService, as_json: bool) -> None:
    """List your requests, the latest first."""
    with service.open() as client:
        found = client.requests(limit)
    if as_json:
        print_json([one.document for one in found])
        return
    click.echo("\n".join(requests_table(found)))


@requests.command()
@_request
@service_options
@json_option
def show(request: str, service: ChosenService, as_json: bool) -> None:
    """Show how far a request is, and its cutflow."""
    followed = _fetched(request, service)
    if as_json:
        print_json(followed.to_json())
        return
    click.echo("\n".join(facts(followed)))


@requests.command()
@_request
@service_options
@json_option
def files(request: str, service: ChosenService, as_json: bool) -> None:
    """List the files of a request: state, tries, events, size, and why one failed."""
    followed = _fetched(request, service)
    if as_json:
        print_json(followed.to_json()["file-rows"])
        return
    click.echo("\n".join(files_table(followed)))


@requests.command()
@_request
@click.argument("places", nargs=-1, type=click.IntRange(0), metavar="[PLACE]...")
@service_options
@json_option
def logs(
    request: str, places: tuple[int, ...], service: ChosenService, as_json: bool
) -> None:  # fmt: skip
    """Print what the runs of files said: of those at PLACE in the request, else of all that failed."""
    with service.open() as client:
        request_id = request_id_of(client, request)
        wanted = places or tuple(file.place for file in client.files(request_id) if file.state == "failed")
        texts = {place: client.log(request_id, place) for place in wanted}
    if as_json:
        print_json(texts)
        return
    for place, text in texts.items():
        click.echo(f"── file {place}\n{text.rstrip()}")
    if not texts:
        click.echo("no file has failed; name files by their place (`skimflow requests files`)", err=True)


@requests.command()
@_request
@click.option(
    "--output", type=click.Path(file_okay=False, path_type=Path), required=True, metavar="DIR",
    help="Folder for the results, which holds those of one request.",
)  # fmt: skip
@click.option("--wait/--no-wait", default=True, help="Wait for the rest (default), or bring what is there.")
@service_options
@json_option
@click.pass_context
def download(
    ctx: click.Context, request: str, output: Path, wait: bool, service: ChosenService, as_json: bool
) -> None:  # fmt: skip
    """Bring the results of a request into a folder, verified; what is there already is not brought again."""
    with service.open() as client:
        request_id = request_id_of(client, request)
        with service.going_on(request_id):
            followed = follow(client, request_id, reporter(), output) if wait else fetch(client, request_id, output)
    _tell(followed, output, service, as_json)
    ctx.exit(0 if followed.good or not wait else 1)


@requests.command()
@_many
@service_options
@json_option
def cancel(requests_: tuple[str, ...], service: ChosenService, as_json: bool) -> None:
    """Stop requests; results that are there stay."""
    with service.open() as client:
        ids = [request_id_of(client, one) for one in requests_]
        for request_id in ids:
            client.cancel(request_id)
    _done("canceled", ids, as_json)


@requests.command()
@_request
@click.option("--wait/--no-wait", default=True, help="Wait for the end (default), or not.")
@service_options
@json_option
@click.pass_context
def retry(ctx: click.Context, request: str, wait: bool, service: ChosenService, as_json: bool) -> None:
    """Run the failed files of a request again; results that are there stay."""
    with service.open() as client:
        request_id = request_id_of(client, request)
        count = client.retry(request_id)
        again = f"{counted_text(count, 'file')} to run again" if count else "no file has failed: nothing to run again"
        click.echo(again, err=True)
        with service.going_on(request_id):
            followed = follow(client, request_id, reporter(), None) if wait else fetch(client, request_id, None)
    _tell(followed, None, service, as_json)
    ctx.exit(0 if followed.good or not wait else 1)


@requests.command()
@_many
@service_options
@json_option
def delete(requests_: tuple[str, ...], service: ChosenService, as_json: bool) -> None:
    """Delete requests that have ended, and their results."""
    with service.open() as client:
        ids = [request_id_of(client, one) for one in requests_]
        for request_id in ids:
            client.delete(request_id)
    _done("deleted", ids, as_json)


def _fetched(request: str, service: ChosenService) -> Followed:
    with service.open() as client:
        return fetch(client, request_id_of(client, request), None)


def _tell(followed: Followed, output: Path | None, service: ChosenService, as_json: bool) -> None:
    if as_json:
        print_json(followed.to_json())
    else:
        click.echo("\n".join(ending(followed, output, service)))
    warn_of(followed)


def _done(what: str, ids: list[str], as_json: bool) -> None:
    if as_json:
        print_json({what: ids})
        return
    for request_id in ids:
        click.echo(f"{what} {request_id}")
