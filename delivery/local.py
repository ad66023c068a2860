"""The engine on Dask workers: one task is one query on one file."""

import shutil
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from queue import Empty, SimpleQueue
from tempfile import TemporaryDirectory
from time import monotonic, perf_counter
from typing import TYPE_CHECKING, Any, cast

from delivery.errors import EndpointUnreachable, NoWorkers, WorkerKilled
from delivery.outputs import output_name, tree_and_entries
from delivery.requests import FileDelivered, FileFailed, FileRequest, Outcome, OutputFormat, TransformRequest
from delivery.retry import TRIES, attempts, sentence

if TYPE_CHECKING:
    from distributed import Client, Future

FEW_FILES = 2
"""So few files are not worth the seconds that worker processes take to start: they run in threads."""

BYTES_DECIDED_BY = ("awkward", "pyarrow", "uproot")
"""Libraries whose version may change what a delivered file holds."""


class LocalEndpoint:
    """Runs the engine on a Dask cluster.

    scheduler: a `distributed.Client` (stays open), the address of a scheduler, or None for worker processes of this
    machine that live as long as a call of ``deliver``.
    workers: how many of those; None means one per core.
    patience: seconds that a cluster may be without any worker before `NoWorkers` is raised.
    """

    name = "local"

    def __init__(
        self, scheduler: "Client | str | None" = None, workers: int | None = None, patience: float = 30.0
    ) -> None:
        self._scheduler = scheduler
        self._workers = workers
        self._patience = patience

    def identity(self) -> dict[str, str]:
        """The engine's version and those of the libraries that write the bytes."""
        return {"endpoint": "engine", **{name: version(name) for name in BYTES_DECIDED_BY}}

    def deliver(self, requests: Sequence[FileRequest], scratch: Path) -> Iterator[Outcome]:
        """Run the engine on each file; see `delivery.endpoint.Endpoint.deliver`.

        A file whose worker dies is tried again alone, after all others, so that it takes none with it.
        """
        if not requests:
            return
        scratch = scratch.absolute()
        scratch.mkdir(parents=True, exist_ok=True)
        with self._connect(len(requests)) as client, _marker(scratch) as marker:
            suspects = []
            for outcome in self._run(client, requests, scratch, marker):
                if _has_killed(outcome):
                    suspects.append(outcome)
                else:
                    yield outcome
            for suspect in sorted(suspects, key=lambda one: (one.request.sample, one.request.index)):
                yield self._run_alone(client, suspect, scratch, marker)

    def _run_alone(self, client: "Client", suspect: Outcome, scratch: Path, marker: Path) -> Outcome:
        """Whether it was this file that killed workers that it shared with others."""
        request, tried = suspect.request, suspect.attempts
        while True:
            (outcome,) = self._run(client, [request], scratch, marker)
            tried += outcome.attempts
            if not _has_killed(outcome):
                return replace(outcome, attempts=tried)
            if tried >= TRIES:
                return FileFailed(request, *sentence(WorkerKilled(request.file, tried)), attempts=tried)

    def _run(self, client: "Client", requests: Sequence[FileRequest], scratch: Path, marker: Path) -> Iterator[Outcome]:
        futures = {
            client.submit(transform_file, request, scratch / output_name(request), marker, pure=False): request
            for request in requests
        }
        for future in _as_completed(client, list(futures), self._patience):
            yield _outcome(futures[future], future, scratch)

    @contextmanager
    def _connect(self, files: int) -> Iterator["Client"]:
        from distributed import Client, LocalCluster

        if isinstance(self._scheduler, Client):
            yield self._scheduler
        elif self._scheduler is not None:
            try:
                client = Client(self._scheduler, set_as_default=False)
            except (OSError, ValueError) as error:
                raise EndpointUnreachable(self._scheduler, f"no Dask scheduler answers ({error})") from error
            with client:
                yield client
        else:
            # A death fails its tasks at once (allowed_failures): who tries again, and how, is decided here.
            cluster = LocalCluster(
                n_workers=self._workers if files > FEW_FILES else 1,
                threads_per_worker=1 if files > FEW_FILES else FEW_FILES,
                processes=files > FEW_FILES,
                dashboard_address="127.0.0.1:0",
                scheduler_kwargs={"allowed_failures": 0, "dashboard": False},
            )
            with cluster, Client(cluster, set_as_default=False) as client:
                yield client


def transform_file(request: FileRequest, output: Path, marker: Path) -> tuple[Outcome, bytes | None]:
    """Run on a worker: one query on one file.

    The delivered file is moved to ``output``. If ``marker`` is not to be seen, the client's folder is on another
    machine: then the file's content is returned instead.
    """
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


def _as_completed(client: "Client", futures: "list[Future[Any]]", patience: float) -> "Iterator[Future[Any]]":
    """Futures as they end. Raises NoWorkers when there has been no worker for ``patience`` seconds."""
    ended: SimpleQueue[Future[Any]] = SimpleQueue()
    for future in futures:
        future.add_done_callback(ended.put)
    left = set(futures)
    seen = monotonic()
    try:
        while left:
            try:
                future = ended.get(timeout=min(patience / 4, 2.0))
            except Empty:
                if _has_workers(client):
                    seen = monotonic()
                elif monotonic() - seen >= patience:
                    raise NoWorkers(_address(client), patience, len(left)) from None
                continue
            seen = monotonic()
            if future.status in ("cancelled", "lost"):
                raise EndpointUnreachable(_address(client), "the Dask scheduler went away")
            left.discard(future)
            yield future
    finally:
        if left:
            client.cancel(list(left))


def _has_workers(client: "Client") -> bool:
    try:
        return bool(client.scheduler_info(n_workers=1)["workers"])
    except OSError as error:
        raise EndpointUnreachable(_address(client), f"the Dask scheduler went away ({error})") from error


def _address(client: "Client") -> str:
    return str(client.scheduler.address) if client.scheduler is not None else "(closed)"


def _has_killed(outcome: Outcome) -> bool:
    return isinstance(outcome, FileFailed) and outcome.error == "KilledWorker"


def _outcome(request: FileRequest, future: "Future[Any]", scratch: Path) -> Outcome:
    error = future.exception()
    if error is not None:
        # KilledWorker is raised when one more worker died than the scheduler allows
        return FileFailed(request, *sentence(error), attempts=getattr(error, "allowed_failures", 0) + 1)
    outcome, content = cast("tuple[Outcome, bytes | None]", future.result())
    if content is None or isinstance(outcome, FileFailed):
        return outcome
    path = scratch / output_name(request)
    path.write_bytes(content)
    return replace(outcome, path=path)
