"""The engine on Dask workers: one task is one query on one file; without a cluster, on threads of this process."""

import shutil
import uuid
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from queue import Empty, SimpleQueue
from tempfile import TemporaryDirectory
from time import monotonic, perf_counter, sleep
from typing import TYPE_CHECKING, Any, cast

from delivery.errors import EndpointUnreachable, NoWorkers, WorkerDiffers, WorkerKilled
from delivery.outputs import output_name, tree_and_entries
from delivery.requests import FileDelivered, FileFailed, FileRequest, Outcome, OutputFormat, TransformRequest
from delivery.retry import TRIES, attempts, sentence
from delivery.versions import engine_versions

if TYPE_CHECKING:
    from distributed import Client, Future

THREADS = 2
"""Files at work at once in this process: more would wait for the interpreter's lock, and hold more memory."""

PATIENCE_SECONDS = 30.0
"""So long a cluster may be without any worker before `NoWorkers` is raised."""

TRANSFER_SECONDS = 300.0
"""So long a result may take from its worker to here before its worker is taken for lost."""

LOST_PAUSE_SECONDS = 0.1

Result = tuple[Outcome, bytes | None]
"""Of a task: its outcome, and the delivered file's content if the client's folder is on another machine."""


class LocalEndpoint:
    """Runs the engine.

    scheduler: a client of the Dask cluster whose workers run it (stays open); None means `THREADS` threads of this
    process.
    """

    name = "local"

    def __init__(self, scheduler: "Client | None" = None) -> None:
        self._scheduler = scheduler

    def identity(self) -> dict[str, str]:
        """The engine's version and those of the libraries that write the bytes; workers are held to them."""
        return {"endpoint": "engine", **engine_versions()}

    def deliver(self, requests: Sequence[FileRequest], scratch: Path) -> Iterator[Outcome]:
        """Run the engine on each file; see `delivery.endpoint.Endpoint.deliver`.

        A file whose worker dies is tried again alone, after all others, so that it takes none with it.

        Raises also `WorkerDiffers`, when a worker would write other bytes than this process.
        """
        if not requests:
            return
        scratch = scratch.absolute()
        scratch.mkdir(parents=True, exist_ok=True)
        if self._scheduler is None:
            yield from _run_here(requests, scratch)
            return
        with _marker(scratch) as marker:
            suspects = []
            for outcome in _run(self._scheduler, requests, scratch, marker):
                if _has_killed(outcome):
                    suspects.append(outcome)
                else:
                    yield outcome
            for suspect in sorted(suspects, key=lambda one: (one.request.sample, one.request.index)):
                yield _run_alone(self._scheduler, suspect, scratch, marker)


def _run_here(requests: Sequence[FileRequest], scratch: Path) -> Iterator[Outcome]:
    with ThreadPoolExecutor(THREADS, thread_name_prefix="engine") as pool:
        futures = [pool.submit(_transform, request, scratch / output_name(request)) for request in requests]
        try:
            for future in as_completed(futures):
                yield future.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _run(client: "Client", requests: Sequence[FileRequest], scratch: Path, marker: Path) -> Iterator[Outcome]:
    versions = engine_versions()
    futures = {
        client.submit(transform_file, request, scratch / output_name(request), marker, versions, pure=False): request
        for request in requests
    }
    for request, result in _results(client, futures):
        yield _outcome(request, result, scratch)


def _run_alone(client: "Client", suspect: Outcome, scratch: Path, marker: Path) -> Outcome:
    """Whether it was this file that killed workers that it shared with others."""
    request, tried = suspect.request, suspect.attempts
    while True:
        (outcome,) = _run(client, [request], scratch, marker)
        tried += outcome.attempts
        if not _has_killed(outcome):
            return replace(outcome, attempts=tried)
        if tried >= TRIES:
            return FileFailed(request, *sentence(WorkerKilled(request.file, tried)), attempts=tried)


def transform_file(request: FileRequest, output: Path, marker: Path, versions: Mapping[str, str]) -> Result:
    """Run on a worker: one query on one file.

    The delivered file is moved to ``output``. If ``marker`` is not to be seen, the client's folder is on another
    machine: then the file's content is returned instead. ``versions`` are the client's, which the file is kept under.

    Raises WorkerDiffers if the worker's are others.
    """
    _check_versions(versions)
    shared = marker.exists()
    with TemporaryDirectory(prefix=f"{marker.name}-", dir=output.parent if shared else None) as folder:
        part = Path(folder) / output.name
        outcome = _transform(request, part)
        if isinstance(outcome, FileFailed):
            return outcome, None
        if not shared:
            return outcome, part.read_bytes()
        part.replace(output)
        return replace(outcome, path=output), None


def _check_versions(wanted: Mapping[str, str]) -> None:
    found = engine_versions()
    for name, version in wanted.items():
        if found.get(name) != version:
            from distributed import get_worker

            raise WorkerDiffers(get_worker().address, name, str(found.get(name)), version)


def _transform(request: FileRequest, output: Path) -> Outcome:
    from delivery import engine

    start = perf_counter()
    retrying = attempts(request.file)
    transform = TransformRequest(
        text=request.query_text,
        input=request.file,
        output=output,
        tree=request.tree,
        codegen=request.codegen,
        format=cast("OutputFormat", request.format),
    )
    try:
        result = retrying(engine.transform, transform)
        tree, _ = tree_and_entries(output)
    except Exception as error:  # noqa: BLE001 - whatever one file raises is that file's failure, not the run's
        return FileFailed(request, *sentence(error), attempts=retrying.statistics.get("attempt_number", 1))
    return FileDelivered(
        request,
        output,
        tree,
        result.events_in,
        result.events_out,
        result.cutflow,
        attempts=retrying.statistics["attempt_number"],
        seconds=perf_counter() - start,
        bytes_read=result.bytes_read,
        warnings=result.warnings,
    )


@contextmanager
def _marker(scratch: Path) -> Iterator[Path]:
    """A file that a worker sees only if it sees this very folder; at the end, what killed workers left goes with it."""
    marker = scratch / f".marker-{uuid.uuid4().hex}"
    marker.touch()
    try:
        yield marker
    finally:
        marker.unlink(missing_ok=True)
        for left in scratch.glob(f"{marker.name}-*"):
            shutil.rmtree(left, ignore_errors=True)


def _results(
    client: "Client", futures: "dict[Future[Any], FileRequest]"
) -> Iterator[tuple[FileRequest, Result | Exception]]:
    """What each task gave, as they end; ``futures`` is emptied, so that workers keep no result that was taken.

    Raises NoWorkers when there has been no worker for `PATIENCE_SECONDS`.
    """
    ended: SimpleQueue[Future[Any]] = SimpleQueue()
    for future in futures:
        future.add_done_callback(ended.put)
    seen = monotonic()
    try:
        while futures:
            try:
                future = ended.get(timeout=min(PATIENCE_SECONDS / 4, 2.0))
            except Empty:
                result = None
            else:
                result = _result(client, future)
                if result is None:
                    sleep(LOST_PAUSE_SECONDS)
                    ended.put(future)
            if result is not None:
                seen = monotonic()
                request = futures.pop(future)
                future.release()
                yield request, result
            elif _has_workers(client):
                seen = monotonic()
            elif monotonic() - seen >= PATIENCE_SECONDS:
                raise NoWorkers(_address(client), PATIENCE_SECONDS, len(futures))
    finally:
        if futures:
            client.cancel(list(futures))


def _result(client: "Client", future: "Future[Any]") -> Result | Exception | None:
    """What a task that ended gave; None if its worker died with the result, which Dask then makes again."""
    if future.status == "cancelled":
        raise EndpointUnreachable(_address(client), "the Dask scheduler went away")
    if future.status == "error":
        error = future.exception()
        if isinstance(error, WorkerDiffers):
            raise error
        return cast("Exception", error)
    if future.status != "finished":
        return None
    try:
        return cast("Result", future.result(timeout=TRANSFER_SECONDS))
    except TimeoutError:
        return None


def _has_workers(client: "Client") -> bool:
    try:
        return bool(client.scheduler_info(n_workers=1)["workers"])
    except OSError as error:
        raise EndpointUnreachable(_address(client), f"the Dask scheduler went away ({error})") from error


def _address(client: "Client") -> str:
    return str(client.scheduler.address) if client.scheduler is not None else "(closed)"


def _has_killed(outcome: Outcome) -> bool:
    return isinstance(outcome, FileFailed) and outcome.error == "KilledWorker"


def _outcome(request: FileRequest, result: Result | Exception, scratch: Path) -> Outcome:
    if isinstance(result, Exception):
        # KilledWorker is raised when one more worker died than the scheduler allows
        return FileFailed(request, *sentence(result), attempts=getattr(result, "allowed_failures", 0) + 1)
    outcome, content = result
    if content is None or isinstance(outcome, FileFailed):
        return outcome
    path = scratch / output_name(request)
    path.write_bytes(content)
    return replace(outcome, path=path)
