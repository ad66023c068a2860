"""Coffea executors that try every chunk and account for each one.

Coffea's own executors stop at the first chunk that fails (losing the rest of the run) or, with ``skipbadfiles``, drop
chunks without a word. These keep what succeeded, record why the others did not, and notice when all workers are gone.
What is no fault of a chunk (the store's, the cluster's) ends the run.
"""

from __future__ import annotations

import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, Queue
from typing import TYPE_CHECKING, Any

from coffea.processor import DaskExecutor, IterativeExecutor, accumulate

from artifacts.errors import ArtifactError, StoreUnavailable
from processing.errors import ClusterUnavailable, WorkersLost

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from coffea.processor.executor import WorkItem

    from processing.inputs import Inputs

    Output = dict[str, Any]
    Progress = Callable[[int, int], None]

RETRIES = 3
RETRY_PAUSE_S = 0.5
POLL_S = 1.0
LOST_PAUSE_S = 0.1
KILLED = "KilledWorker"  # Dask's name for a task whose workers died too often
LASTING = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)
ENDING = (ArtifactError, ClusterUnavailable)
"""Errors of the run: another chunk would meet them too, or (a damaged input) the caller can mend them."""


@dataclass(frozen=True, slots=True)
class Failed:
    """Class name and message of the error that ended a chunk, and how often the chunk was tried."""

    error: str
    reason: str
    attempts: int = 1


@dataclass(frozen=True, slots=True)
class Guard:
    """Coffea's work function made safe: an error becomes a ``Failed`` value, errors of input/output are tried again.

    Errors of the kinds in ``ENDING`` are raised.
    """

    function: Callable[[Any], Output]
    inputs: Inputs
    retries: int = RETRIES

    def __call__(self, item: Any) -> Output | Failed:
        """Output of the work function, or why there is none."""
        attempt = 1
        while True:
            try:
                return self.function(self.inputs.local(item))
            except Exception as error:  # noqa: BLE001 - whatever a processor raises belongs to its chunk alone
                cause = decisive(error)
                if not _may_pass(cause) or attempt > self.retries:
                    if isinstance(cause, ENDING):
                        raise cause from None
                    return Failed(type(cause).__name__, _sentence(cause), attempt)
            time.sleep(RETRY_PAUSE_S * attempt)
            attempt += 1


def decisive(error: BaseException) -> BaseException:
    """The error to act upon in a chain of ``raise … from …``: one that ends the run, else the first.

    Coffea wraps what it meets in bare Exceptions.
    """
    chain = list(_chain(error))
    return next((one for one in chain if isinstance(one, ENDING)), chain[-1])


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _may_pass(error: BaseException) -> bool:
    return isinstance(error, OSError | StoreUnavailable) and not isinstance(error, LASTING)


def _sentence(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else "no message") + _place(error)


def _place(error: BaseException) -> str:
    """Where in the user's own code it happened: file, line and function; empty elsewhere."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        file = Path(frame.filename)
        if "site-packages" not in file.parts and not file.is_relative_to(Path(__file__).parent) and file.is_file():
            return f" ({file.name}:{frame.lineno} in {frame.name})"
    return ""


@dataclass
class Outcome:
    """What came of each work item so far; shared by the executor and its caller."""

    outputs: dict[WorkItem, Output] = field(default_factory=dict)
    failures: dict[WorkItem, Failed] = field(default_factory=dict)
    progress: Progress | None = None
    total_events: int = 0
    done_events: int = 0

    def record(self, item: WorkItem, result: Output | Failed) -> None:
        """Take in the result of one item and tell how far the run is."""
        if isinstance(result, Failed):
            self.failures[item] = result
        else:
            self.outputs[item] = result
        self.done_events += len(item)
        if self.progress is not None:
            self.progress(self.done_events, self.total_events)

    def merged(self) -> Output:
        """Coffea's form of a result, with one output per work item instead of their sum."""
        metrics = [{"metrics": output["metrics"]} for output in self.outputs.values()]
        return {
            "out": {item: output["out"] for item, output in self.outputs.items()},
            "processed": set(self.outputs),
            "metrics": accumulate(metrics)["metrics"] if metrics else {},
        }


@dataclass
class AccountingIterativeExecutor(IterativeExecutor):  # type: ignore[misc]
    """One chunk after the other in this process."""

    inputs: Inputs = field(kw_only=True)
    outcome: Outcome = field(default_factory=Outcome)
    retries: int = 0  # of coffea, which would repeat bugs too; the guard repeats what may pass

    def __call__(
        self,
        items: Iterable[WorkItem],
        function: Callable[[Any], Output],
        accumulator: Any,  # noqa: ARG002
    ) -> tuple[Output, int]:
        """Work on every item; nothing is added to coffea's accumulator, whose form is one sum."""
        guard = Guard(function, self.inputs)
        for item in items:
            self.outcome.record(item, guard(item))
        return self.outcome.merged(), 0


@dataclass
class AccountingDaskExecutor(DaskExecutor):  # type: ignore[misc]
    """One Dask task per chunk, gathered as they end.

    Raises ``WorkersLost`` when there has been no worker for ``worker_timeout`` seconds.
    """

    inputs: Inputs = field(kw_only=True)
    outcome: Outcome = field(default_factory=Outcome)
    worker_timeout: float = 25.0

    def __call__(
        self,
        items: Sequence[WorkItem],
        function: Callable[[Any], Output],
        accumulator: Any,  # noqa: ARG002
    ) -> tuple[Output, int]:
        """Work on every item; nothing is added to coffea's accumulator, whose form is one sum."""
        guard = Guard(function, self.inputs)
        killed = self._gather(guard, items)
        if len(killed) > 1:
            # A chunk that kills its worker takes its neighbours' names with it: alone, the innocent ones succeed.
            killed = {item: failed for item in killed for failed in self._gather(guard, [item]).values()}
        for item, failed in killed.items():
            self.outcome.record(item, failed)
        return self.outcome.merged(), 0

    def _gather(self, guard: Guard, items: Sequence[WorkItem]) -> dict[WorkItem, Failed]:
        """Record every item that came to an end; give back those whose workers died."""
        from distributed import Future

        # The processor goes with each item: as a task of its own, which all depend on, a dying worker would take it
        # along and fail every chunk.
        pairs = [(item, self.heavy_input) for item in items]
        futures = self.client.map(guard, pairs, key="chunk", pure=False)
        waiting = {str(future.key): item for future, item in zip(futures, items, strict=True)}
        ended: Queue[Future[Any]] = Queue()
        for future in futures:
            future.add_done_callback(ended.put)
        watch = WorkerWatch(self.client, self.worker_timeout)
        killed: dict[WorkItem, Failed] = {}
        while waiting:
            try:
                future = ended.get(timeout=POLL_S)
            except Empty:
                watch.check(len(waiting))
                continue
            result = self._result(future)
            if result is None:
                watch.check(len(waiting))
                ended.put(future)
                continue
            item = waiting.pop(str(future.key))
            if isinstance(result, Failed) and result.error == KILLED:
                killed[item] = result
            else:
                self.outcome.record(item, result)
            # A result that was taken in need not be made again when its worker dies.
            future.release()
        return killed

    def _result(self, future: Any) -> Output | Failed | None:
        """What a task that ended gave; None if its worker died with the result, which Dask then makes again."""
        if future.status == "finished":
            try:
                result: Output | Failed = future.result(timeout=self.worker_timeout)
            except TimeoutError:
                return None
            return result
        if future.status in {"lost", "pending"}:
            time.sleep(LOST_PAUSE_S)
            return None
        return _failed_task(future)


class WorkerWatch:
    """Knows since when a cluster has had no worker."""

    def __init__(self, client: Any, timeout: float) -> None:
        self.client, self.timeout = client, timeout
        self.last_seen = time.monotonic()

    def check(self, waiting: int) -> None:
        """Look for workers; raise ``WorkersLost`` if none has been there for the whole timeout."""
        if _has_workers(self.client):
            self.last_seen = time.monotonic()
        elif (gone := time.monotonic() - self.last_seen) >= self.timeout:
            address = self.client.scheduler.address if self.client.scheduler else "(closed)"
            raise WorkersLost(
                f"the cluster at {address} has had no worker for {gone:.0f} s with {waiting} chunks left; finished "
                "chunks are kept: look at the workers' logs (memory, lifetime, missing packages), then run again"
            )


def _has_workers(client: Any) -> bool:
    if client.status != "running":
        return False
    try:
        return bool(client.sync(client.scheduler.ncores, callback_timeout=POLL_S))
    except (OSError, TimeoutError):  # the scheduler itself does not answer
        return False


def _failed_task(future: Any) -> Failed:
    if future.status != "error":
        return Failed("TaskLost", f"Dask {future.status} the task, most likely because its scheduler went away")
    error = future.exception()
    if isinstance(error, ENDING):
        raise error
    if type(error).__name__ == KILLED:
        reason = "the worker died each time it worked on this chunk (out of memory or a crash in compiled code)"
        return Failed(KILLED, reason)
    return Failed(type(error).__name__, _sentence(error))
