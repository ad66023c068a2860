"""A request of a service followed to its end, and its results brought into a folder."""

from __future__ import annotations

import re
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skimflow.errors import UsageError
from skimflow.progress import Reporter

if TYPE_CHECKING:
    from delivery.service_client.client import ServiceClient
    from delivery.service_client.records import FileResult, FileState, RequestStatus

DOWNLOADS = 4
_LONGEST_NAME = 200
_RESULT_NAME = re.compile(r"\d{4,}-.+")


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


class OtherResults(UsageError):
    """The folder for results holds those of another request: nobody could tell them apart later."""

    def __init__(self, path: Path, request_id: str) -> None:
        super().__init__(f"{path} is no result of request {request_id}; name a folder for this request alone")


def follow(client: ServiceClient, request_id: str, reporter: Reporter, output: Path | None) -> Followed:
    """Follow a request to its end; with ``output``, bring each result into that folder as soon as it is there.

    Raises OtherResults, and what a download raises, after all others were tried.
    """
    followed: Followed | None = None
    brought: dict[int, Future[Path]] = {}
    with ThreadPoolExecutor(DOWNLOADS) as pool, reporter.bar("files", 1, "files") as bar:
        try:
            for update in client.watch(request_id):
                followed = followed or Followed(update.status)
                followed.status = update.status
                followed.files.update((file.place, file) for file in update.files)
                if output is not None and update.files and not brought:
                    _check_folder(output, request_id, followed.files.values())
                places = {file.object_name: file.place for file in update.files}
                for result in update.results:
                    place = places[result.object_name]
                    followed.results[place] = result
                    if output is not None and place not in brought:
                        path = output / file_name(followed.files[place])
                        brought[place] = pool.submit(_bring, client, request_id, result, path)
                bar.update(*_progress(followed))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            client.close()  # ends downloads under way; the next one goes on with what they have
            raise
    assert followed is not None  # noqa: S101 - a stream that ends without a word raises
    followed.outputs = {place: one.result() for place, one in sorted(brought.items())}
    return followed


def fetch(client: ServiceClient, request_id: str, output: Path | None) -> Followed:
    """What is there of a request now, brought into the folder. Raises as `follow`."""
    followed = Followed(client.status(request_id))
    followed.files = {file.place: file for file in client.files(request_id)}
    places = {file.object_name: place for place, file in followed.files.items()}
    followed.results = {places[result.object_name]: result for result in client.results(request_id)}
    if output is not None:
        _check_folder(output, request_id, followed.files.values())
        with ThreadPoolExecutor(DOWNLOADS) as pool:
            brought = {
                place: pool.submit(_bring, client, request_id, result, output / file_name(followed.files[place]))
                for place, result in followed.results.items()
            }
        followed.outputs = {place: one.result() for place, one in sorted(brought.items())}
    return followed


def file_name(file: FileState) -> str:
    """What a result is called on disk: its file's place in the request and its name."""
    return f"{file.place:04d}-{file.object_name.rpartition(':')[2][-_LONGEST_NAME:]}"


def _check_folder(folder: Path, request_id: str, files: Iterable[FileState]) -> None:
    """Raise OtherResults if the folder has results that are none of these files'."""
    from delivery.service_client.downloads import PART

    own = {file_name(file) for file in files}
    there = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    for name in there:
        if _RESULT_NAME.fullmatch(name) and name.removesuffix(PART) not in own:
            raise OtherResults(folder / name, request_id)


def _bring(client: ServiceClient, request_id: str, result: FileResult, path: Path) -> Path:
    """Download a result; one of the same name with other bytes is another request's, and stays."""
    from delivery.service_client.downloads import is_whole

    if path.exists() and not is_whole(path, result):
        raise OtherResults(path, request_id)
    return client.download(request_id, result, path)


def _progress(followed: Followed) -> tuple[float, float, str]:
    """Files done, of how many, and a note; a running file counts by the events that it has done."""
    status = followed.status
    running = [file for file in followed.files.values() if file.state == "running" and file.events_total]
    part = sum(min(file.events_done / file.events_total, 1.0) for file in running if file.events_total)
    note = f"{status.failed} failed" if status.failed else status.status.lower() if not status.files else ""
    return status.completed + status.failed + part, max(status.files, 1), note
