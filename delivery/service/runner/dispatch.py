"""Tasks on the workers: sent, heard of, stopped; what each came to, in the order in which it was heard."""

import logging
import uuid
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Literal

from delivery.errors import WorkerDiffers
from delivery.requests import DEFAULT_CHUNK_BYTES
from delivery.retry import sentence
from delivery.service.runner.cluster import Cluster
from delivery.service.runner.flights import Batch, Flight, Task, seconds
from delivery.service.runner.jobs import Entries, Failed, Job, Made, Outcome, Stopped, from_message
from delivery.service.runner.verdicts import SHRINK
from delivery.service.settings import Settings
from delivery.urls import shown

if TYPE_CHECKING:
    from distributed import Future

GRACE_SECONDS = 1.0
"""So long a task that was asked to stop has before its worker is ended."""

AHEAD_SECONDS, LEAST_AHEAD, MOST_AHEAD = 1.0, 2, 32
"""So much work lies with the workers for each of their threads, in seconds and in tasks."""

HELD_SECONDS = 5.0
"""A file that takes so long keeps the others of its batch waiting no longer."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Lost:
    """A task that has no outcome. ``began``: it ran when its worker died, alone if ``alone``."""

    reason: str
    began: bool
    alone: bool


@dataclass(frozen=True, slots=True)
class WorkerState:
    """A worker for people: memory in bytes, its ``files`` now, those done since it came, events/s while it works."""

    address: str
    host: str
    threads: int
    memory: int
    memory_limit: int
    state: str
    files: tuple[str, ...]
    files_done: int
    events_per_second: float


@dataclass(slots=True)
class _Work:
    """What a worker has done."""

    files: int = 0
    events: int = 0
    seconds: float = 0.0


Ended = tuple[Task, Outcome | Lost]


class Dispatch:
    """The tasks that were sent and have not ended; used by one thread, but for what it is told by the cluster."""

    def __init__(self, settings: Settings, store: str, versions: Mapping[str, str]) -> None:
        self._settings, self._store, self._versions = settings, store, versions
        self._topic = f"skimflow-{uuid.uuid4().hex}"
        self._inbox: SimpleQueue[tuple[Literal["told", "ended", "wake"], Any]] = SimpleQueue()
        self._mean = AHEAD_SECONDS
        self._stops: defaultdict[str, list[str]] = defaultdict(list)  # by worker
        self._work: defaultdict[str, _Work] = defaultdict(_Work)
        self.tasks: dict[str, Task] = {}
        self.cluster = Cluster(settings, self._topic, lambda message: self._inbox.put(("told", message)))
        self._scratch = settings.data / "scratch"

    def wake(self) -> None:
        """End `wait`; from any thread."""
        self._inbox.put(("wake", None))

    @property
    def room(self) -> int:
        """How many tasks more the workers should have: enough not to wait for us, few enough to be overtaken.

        0 until half a thread's share can go to it at once.
        """
        ahead = min(MOST_AHEAD, max(LEAST_AHEAD, round(AHEAD_SECONDS / max(self._mean, 1e-3))))
        room = self.cluster.threads * ahead - len(self.tasks)
        return room if room >= ahead // 2 else 0

    def send(
        self, flights: Sequence[Flight], kind: Literal["file", "part", "merge"] = "file", entries: Entries = (0, 0)
    ) -> bool:
        """Hand a task for each flight to the workers, all of them to one; False if they went away."""
        batch = Batch(len(flights))
        tasks = [Task(uuid.uuid4().hex, flight, kind, entries, batch) for flight in flights]
        jobs = tuple(map(self._job, tasks))
        try:
            batch.future = self.cluster.submit(jobs, lambda _: self._inbox.put(("ended", batch)))
        except Exception as error:  # noqa: BLE001 - Dask raises what it likes while its connection is let go
            log.warning("no task can be sent: %r", error)
            return False
        for task in tasks:
            self.tasks[task.token] = task.flight.tasks[task.token] = batch.tasks[task.token] = task
        return True

    def _job(self, task: Task) -> Job:
        flight = task.flight
        return Job(
            token=task.token,
            topic=self._topic,
            kind=task.kind,
            query=flight.query,
            path=flight.path,
            store=self._store,
            versions=self._versions,
            inputs=self._settings.inputs,
            read_seconds=self._settings.limits.read_seconds,
            range_bytes=self._settings.limits.range_bytes,
            chunk_bytes=DEFAULT_CHUNK_BYTES // SHRINK**flight.shrink,
            memo=flight.memo,
            entries=task.entries,
            parts=flight.whole or () if task.kind == "merge" else (),
            alone=flight.alone,
            scratch=str(self._scratch),
        )

    def wait(self, timeout: float) -> Iterator[Ended]:
        """What has ended, after waiting for any news."""
        try:
            what, found = self._inbox.get(timeout=timeout)
            while True:
                if what == "told":
                    yield from self._told(found)
                elif what == "ended":
                    yield from self._future_ended(found)
                what, found = self._inbox.get_nowait()
        except Empty:
            return

    def _told(self, message: dict[str, Any]) -> Iterator[Ended]:
        """Outcomes of a batch, and which of its tasks runs now."""
        worker = message["worker"]
        for token, spent, outcome in message["ended"]:
            task = self.tasks.get(token)
            if task is not None:
                self._mean += 0.2 * (spent - self._mean)
                task.spent, task.worker, task.flight.worker = spent, worker, worker
                yield self._remove(task), self._counted(task, from_message(outcome))
        token, done, total = message["now"]
        task = self.tasks.get(token)
        if task is None:
            return
        batch = task.batch
        if batch.worker not in (None, worker):  # a scheduler that tries by itself where we have not seen a fault
            self.cluster.stop(worker, list(batch.tasks))
            yield from self._lose(batch, Lost("its worker died", began=True, alone=self._was_alone(task)))
            return
        if task.began is None:
            task.began = seconds()
        batch.worker = task.worker = task.flight.worker = worker
        task.done, task.total = done, total

    def _counted(self, task: Task, outcome: Outcome) -> Outcome:
        if isinstance(outcome, Made) and not outcome.reused and task.worker is not None:
            work = self._work[task.worker]
            work.files += 1
            work.events += outcome.events_in
            work.seconds += outcome.seconds
        return outcome

    def workers(self) -> list[WorkerState]:
        """The workers at the last look and what they do; from any thread."""
        having: defaultdict[str, list[str]] = defaultdict(list)
        for task in list(self.tasks.values()):
            if task.worker is not None:
                having[task.worker].append(shown(task.flight.path))
        found = []
        for worker in self.cluster.workers:
            work = self._work.get(worker.address, _Work())
            rate = work.events / work.seconds if work.seconds else 0.0
            known = {field.name: getattr(worker, field.name) for field in fields(worker)}
            files = tuple(having[worker.address])
            found.append(WorkerState(**known, files=files, files_done=work.files, events_per_second=rate))
        return found

    def _future_ended(self, batch: Batch) -> Iterator[Ended]:
        task = next(iter(batch.tasks.values()), None)
        if task is None or batch.future is None:
            return
        status = batch.future.status
        if status == "error":
            error = batch.future.exception()
            if type(error).__name__ == "KilledWorker":
                began = batch.worker is not None
                yield from self._lose(batch, Lost("its worker died", began, alone=self._was_alone(task)))
                return
            kind, reason = sentence(error) if error is not None else ("Error", "it ended without a reason")
            log.warning("%s", reason) if isinstance(error, WorkerDiffers) else log.error("a task failed: %s", reason)
            yield from self._lose(batch, Failed(kind, reason, "ours"))
        elif status != "pending":
            yield from self._lose(batch, Lost(f"the scheduler says {status}", began=False, alone=False))

    def lost(self) -> Iterator[Ended]:
        """Tasks whose scheduler went away without a word."""
        for task in list(self.tasks.values()):
            if task.batch.future is not None and _is_lost(task.batch.future):
                yield self._remove(task), Lost("the scheduler went away", began=False, alone=False)

    def _was_alone(self, task: Task) -> bool:
        """Whether nothing else ran on the worker, so that this task alone can have killed it."""
        worker = task.batch.worker
        one_thread = worker is not None and self.cluster.threads_of(worker) == 1
        return task.flight.alone or (task.batch.size == 1 and one_thread)

    def stop(self, task: Task) -> bool:
        """Ask a task to stop (`send_stops`); whether it is gone already, because its batch had not begun."""
        batch = task.batch
        if batch.worker is None:
            self._remove(task)
            if not batch.tasks and batch.future is not None:
                batch.future.cancel()
            return True
        if task.stopping is None:
            task.stopping = seconds()
            self._stops[batch.worker].append(task.token)
        return False

    def send_stops(self) -> None:
        """Tell the workers which tasks are to stop."""
        for worker, tokens in self._stops.items():
            self.cluster.stop(worker, tokens)
        self._stops.clear()

    def overdue(self) -> Iterator[Ended]:
        """End the workers of tasks that were asked to stop and run on; what else their batches had is lost."""
        now = seconds()
        for task in list(self.tasks.values()):
            if task.stopping is None or task.began is None or task.worker is None:
                continue
            if now - max(task.stopping, task.began) > GRACE_SECONDS:
                yield self._remove(task), Stopped()
                yield from self._lose(task.batch, Lost("its worker was ended", began=False, alone=False))
                self.cluster.kill(task.worker)

    def running_too_long(self) -> Iterator[Task]:
        """Tasks that have run for longer than a file may take."""
        now = seconds()
        for task in list(self.tasks.values()):
            if task.began is not None and now - task.began > self._settings.limits.file_seconds and not task.too_long:
                task.too_long = True
                yield task

    def held_up(self) -> list[Flight]:
        """Files that wait behind one of their batch for much longer than a batch should take."""
        now = seconds()
        slow = {id(task.batch) for task in self.tasks.values() if task.began and now - task.began > HELD_SECONDS}
        return [task.flight for task in self.tasks.values() if task.began is None and id(task.batch) in slow]

    def _lose(self, batch: Batch, end: Outcome | Lost) -> Iterator[Ended]:
        """End what a batch still has, whatever the workers make of it."""
        for task in list(batch.tasks.values()):
            yield self._remove(task), end
        if batch.future is not None:
            batch.future.cancel()

    def _remove(self, task: Task) -> Task:
        for tasks in (self.tasks, task.flight.tasks, task.batch.tasks):
            tasks.pop(task.token, None)
        return task

    def close(self) -> None:
        """Drop what runs and let the workers go."""
        for batch in {id(task.batch): task.batch for task in self.tasks.values()}.values():
            for _ in self._lose(batch, Stopped()):
                pass
        self.cluster.close()

    def start(self) -> None:
        """Begin to start the workers; what killed ones left behind goes."""
        import shutil

        shutil.rmtree(self._scratch, ignore_errors=True)
        self._scratch.mkdir(parents=True, exist_ok=True)
        self.cluster.start()


def _is_lost(future: "Future[Any]") -> bool:
    """Whether nobody will ever tell of it; one that was made while its client was let go stays pending."""
    return future.status in ("lost", "cancelled") or (future.status == "pending" and future.client.status == "closed")
