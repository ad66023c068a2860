"""Files delivered by our own service: one request per sample, each file brought as soon as it is made."""

import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import groupby
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from delivery.errors import DeliveryError, EndpointUnreachable, MissingResult, NotAuthorized, OutputUnwritable
from delivery.identity import local_path
from delivery.outputs import output_name, tree_and_entries
from delivery.requests import FileDelivered, FileFailed, FileRequest, Outcome
from delivery.retry import sentence
from delivery.service_client.asking import ask
from delivery.service_client.client import ServiceClient
from delivery.service_client.downloads import bundles, download_bundle
from delivery.service_client.records import FileResult, FileState, Submission

WATCHED = 32
"""Requests watched at once; those of further samples are made when one has ended."""

DOWNLOADS = 8
"""Files brought at once."""

_NOTHING_MORE = (EndpointUnreachable, NotAuthorized)


def deliver(client: ServiceClient, requests: Sequence[FileRequest], scratch: Path) -> Iterator[Outcome]:
    """Ask the service for files; see `delivery.endpoint.Endpoint.deliver`. The client is closed at the end.

    What the service still works on when the iterator is closed is canceled there. After ``kill -9`` of this process
    the service goes on, and what it made is found when it is asked for again.
    """
    scratch.mkdir(parents=True, exist_ok=True)
    delivery = _Delivery(client, scratch)
    try:
        yield from delivery.outcomes(requests)
    finally:
        delivery.end()


class _Delivery:
    """One call of `deliver`: threads that watch, threads that bring, and the outcomes that come of it."""

    def __init__(self, client: ServiceClient, scratch: Path) -> None:
        self._client, self._scratch = client, scratch
        self._came: SimpleQueue[Outcome | Exception] = SimpleQueue()
        self._watching = ThreadPoolExecutor(WATCHED, thread_name_prefix="watch")
        self._bringing = ThreadPoolExecutor(DOWNLOADS, thread_name_prefix="bring")
        self._open: set[str] = set()

    def outcomes(self, requests: Sequence[FileRequest]) -> Iterator[Outcome]:
        """Each request's outcome, as it comes. Raises what ends the whole delivery."""
        for _, same in groupby(sorted(requests, key=_order), key=lambda one: _order(one)[:-1]):
            self._start(self._watching, self._sample, list(same))
        for _ in requests:
            came = self._came.get()
            if isinstance(came, Exception):
                raise came
            yield came

    def end(self) -> None:
        """Cancel what is not wanted any more; the streams of canceled requests end, and so do their threads."""
        self._client.hurry()
        with suppress(DeliveryError):
            for request_id in tuple(self._open):
                self._client.cancel(request_id)
        self._client.close()
        for pool in (self._watching, self._bringing):
            pool.shutdown(wait=False, cancel_futures=True)

    def _start(self, pool: ThreadPoolExecutor, work: Callable[..., None], *arguments: Any) -> None:
        def told() -> None:
            try:
                work(*arguments)
            except Exception as error:  # noqa: BLE001 - raised where the outcomes are taken
                self._came.put(error)

        with suppress(RuntimeError):  # the pool is shut down: nobody takes outcomes any more
            pool.submit(told)

    def _sample(self, requests: list[FileRequest]) -> None:
        """Ask for the files of one sample, each once, and follow what comes of it."""
        wanted: dict[str, list[FileRequest]] = {}
        for request in requests:
            wanted.setdefault(_absolute(request.file), []).append(request)
        first = requests[0]
        submission = Submission(
            selection=first.query_text,
            files=tuple(wanted),
            title=first.sample,
            codegen=first.codegen,
            format=first.format,
            tree=first.tree,
        )
        for asked in ask(self._client, submission):
            theirs = [wanted[file] for file in asked.files]
            if isinstance(asked.answer, str):
                self._open.add(asked.answer)
                self._start(self._watching, self._follow, asked.answer, theirs)
            else:
                self._fail(theirs, asked.answer)

    def _follow(self, request_id: str, wanted: list[list[FileRequest]]) -> None:
        """Give each file, known by its place in the request, its outcome when that is known."""
        left, files = dict(enumerate(wanted)), dict[str, FileState]()
        for update in self._client.watch(request_id):
            files.update((file.object_name, file) for file in update.files)
            came = [
                (file, result, requests)
                for result in update.results
                if (requests := left.pop((file := files[result.object_name]).place, None)) is not None
            ]
            for bundle in bundles(came, lambda one: one[1].bytes):
                self._start(self._bringing, self._bring_all, request_id, bundle)
            for file in update.files:
                if file.state == "failed" and file.place in left:
                    for request in left.pop(file.place):
                        self._came.put(FileFailed(request, file.error_kind, file.error, file.attempts))
            if update.status.ended:
                reason = f"it gave no result for this file; request {request_id} ended as {update.status.status}"
                failure = f": {update.status.failure}" if update.status.failure else ""
                self._fail(left.values(), MissingResult(self._client.url, reason + failure))
        self._open.discard(request_id)

    def _bring_all(self, request_id: str, bundle: list[tuple[FileState, FileResult, list[FileRequest]]]) -> None:
        with suppress(OutputUnwritable):  # told of each of them
            wanted = [(result, self._scratch / output_name(requests[0])) for _, result, requests in bundle]
            download_bundle(self._client, request_id, wanted)
        for file, result, requests in bundle:
            self._bring(request_id, file, result, requests)

    def _bring(self, request_id: str, file: FileState, result: FileResult, requests: list[FileRequest]) -> None:
        path = self._scratch / output_name(requests[0])
        try:
            self._client.download(request_id, result, path)
            tree, _ = tree_and_entries(path)
        except _NOTHING_MORE:
            raise
        except DeliveryError as error:
            self._fail([requests], error)
            return
        for request in requests:
            own = self._scratch / output_name(request)
            if own != path:
                shutil.copyfile(path, own)
            delivered = FileDelivered(
                request,
                own,
                tree,
                result.events_in,
                result.events_out,
                result.cutflow,
                attempts=file.attempts,
                seconds=result.seconds,
                bytes_read=result.bytes_read,
                warnings=result.warnings,
            )
            self._came.put(delivered)

    def _fail(self, wanted: Iterable[list[FileRequest]], error: DeliveryError) -> None:
        for requests in wanted:
            for request in requests:
                self._came.put(FileFailed(request, *sentence(error), attempts=1))


def _order(request: FileRequest) -> tuple[str, str, str, str, str, int]:
    """What is the same for the files of one request to the service, and a file's place among them."""
    tree = request.tree or ""
    return request.sample, request.query_text, request.codegen, request.format, tree, request.index


def _absolute(file: str) -> str:
    """A local path as the service's machine knows it; a URL as it is."""
    path = local_path(file)
    return file if path is None else os.path.abspath(path)  # noqa: PTH100 - links stay as they are, .. goes
