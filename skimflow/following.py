"""A service called from the command line: which one, and a request followed to its end."""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from delivery.errors import EndpointUnreachable
from skimflow.errors import SkimflowError, UsageError
from skimflow.progress import Reporter

if TYPE_CHECKING:
    from delivery.service_client.client import ServiceClient
    from delivery.service_client.records import FileResult, FileState, RequestStatus

DEFAULT_URL = "http://127.0.0.1:5000"
"""Where `skimflow serve` serves if nothing else is said."""

DOWNLOADS = 4
_LONGEST_NAME = 200


def endpoint_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say which service is meant."""
    function = click.option(
        "--token-file", type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="A file with your token (default: the one in servicex.yaml).",
    )(function)  # fmt: skip
    return click.option(
        "--endpoint", metavar="NAME|URL",
        help=f"The service: a name in servicex.yaml, or a URL (default: that of servicex.yaml, else {DEFAULT_URL}).",
    )(function)  # fmt: skip


def open_client(endpoint: str | None, token_file: Path | None) -> ServiceClient:
    """A client of the service that the options mean, which has answered.

    Raises SkimflowError if none does at the default address; else what every call of the client does.
    """
    from delivery.service_client.client import ServiceClient
    from delivery.servicex_config import choose, find_config

    token = token_file.read_text().strip() if token_file else None
    nowhere = endpoint is None and find_config() is None
    place = DEFAULT_URL if nowhere else endpoint
    is_url = place is not None and "://" in place
    backend, source = choose(url=place, token=token) if is_url else choose(place)
    client = ServiceClient(backend.url, token or backend.token, f"the token in {token_file}" if token else source)
    try:
        client.check()
    except EndpointUnreachable as error:
        if not nowhere:
            raise
        raise SkimflowError(
            f"no service answers at {DEFAULT_URL} and there is no servicex.yaml: start one (skimflow serve), "
            "or name one (--endpoint)"
        ) from error
    return client


def request_id_of(client: ServiceClient, given: str) -> str:
    """The id that ``given``, an id or the beginning of one, means. Raises UsageError if it means none or several."""
    if re.fullmatch(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", given):
        return given.lower()
    found = [one.request_id for one in client.requests() if one.request_id.startswith(given.lower())]
    if len(found) == 1:
        return found[0]
    what = f"begins {len(found)} requests: {', '.join(found[:3])}" if found else "begins no request"
    raise UsageError(f"{given!r} {what}; `skimflow requests list` shows the ids")


@dataclass
class Followed:
    """What is known of a request: its status, its files by place, their results, and where these were brought to."""

    status: RequestStatus
    files: dict[int, FileState] = field(default_factory=dict)
    results: dict[int, FileResult] = field(default_factory=dict)
    outputs: dict[int, Path] = field(default_factory=dict)

    @property
    def good(self) -> bool:
        """Whether it ended as was asked for."""
        return self.status.status == "Complete"

    def to_json(self) -> dict[str, Any]:
        """The status object, and a row for each file."""
        return {**self.status.document, "file-rows": [self._row(place) for place in sorted(self.files)]}

    def _row(self, place: int) -> dict[str, Any]:
        row, result = dict(self.files[place].document), self.results.get(place)
        if result is not None:
            row |= {"events-in": result.events_in, "events-out": result.events_out, "bytes": result.bytes}
            row |= {"cutflow": [[one.text, one.passed] for one in result.cutflow], "warnings": list(result.warnings)}
            row |= {"sum-of-weights": result.sum_of_weights, "sha256": result.digest, "reused": result.reused}
        return row | ({"output": str(self.outputs[place])} if place in self.outputs else {})


def follow(client: ServiceClient, request_id: str, reporter: Reporter, output: Path | None) -> Followed:
    """Follow a request to its end; with ``output``, bring each result into that folder as soon as it is there.

    Raises what a download raises, after all others were tried.
    """
    followed: Followed | None = None
    brought: dict[int, Future[Path]] = {}
    with ThreadPoolExecutor(DOWNLOADS) as pool, reporter.bar("files", 1, "files") as bar:
        try:
            for update in client.watch(request_id):
                followed = followed or Followed(update.status)
                followed.status = update.status
                followed.files.update((file.place, file) for file in update.files)
                places = {file.object_name: file.place for file in update.files}
                for result in update.results:
                    place = places[result.object_name]
                    followed.results[place] = result
                    if output is not None and place not in brought:
                        path = output / file_name(followed.files[place])
                        brought[place] = pool.submit(client.download, request_id, result, path)
                bar.update(*_progress(followed))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    assert followed is not None  # noqa: S101 - a stream that ends without a word raises
    followed.outputs = {place: one.result() for place, one in sorted(brought.items())}
    return followed


def fetch(client: ServiceClient, request_id: str, output: Path | None) -> Followed:
    """What is there of a request now, brought into the folder."""
    followed = Followed(client.status(request_id))
    followed.files = {file.place: file for file in client.files(request_id)}
    places = {file.object_name: place for place, file in followed.files.items()}
    results = {places[result.object_name]: result for result in client.results(request_id)}
    followed.results = results
    if output is not None:
        with ThreadPoolExecutor(DOWNLOADS) as pool:
            brought = {
                place: pool.submit(client.download, request_id, result, output / file_name(followed.files[place]))
                for place, result in results.items()
            }
        followed.outputs = {place: one.result() for place, one in sorted(brought.items())}
    return followed


def file_name(file: FileState) -> str:
    """What a result is called on disk: its file's place in the request and its name."""
    return f"{file.place:04d}-{file.object_name.rpartition(':')[2][-_LONGEST_NAME:]}"


def _progress(followed: Followed) -> tuple[float, float, str]:
    """Files done, of how many, and a note; a running file counts by the events that it has done."""
    status = followed.status
    running = [file for file in followed.files.values() if file.state == "running" and file.events_total]
    part = sum(min(file.events_done / file.events_total, 1.0) for file in running if file.events_total)
    note = f"{status.failed} failed" if status.failed else status.status.lower() if not status.files else ""
    return status.completed + status.failed + part, max(status.files, 1), note
