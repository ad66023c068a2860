"""Tasks on the workers: sent, heard of, stopped; what each came to, in the order in which it was heard."""

import logging
import uuid
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from queue import Empty, SimpleQueue
from typing import Any, Literal

from delivery.errors import WorkerDiffers
from delivery.requests import DEFAULT_CHUNK_BYTES
from delivery.retry import sentence
from delivery.service.runner.cluster import Cluster
from delivery.service.runner.flights import Flight, Task, seconds
from delivery.service.runner.jobs import Entries, Failed, Job, Made, Outcome, from_message
from delivery.service.runner.verdicts import SHRINK
from delivery.service.settings import Settings
from delivery.urls import shown

GRACE_SECONDS = 1.0
"""So long a task that was asked to stop has before its worker is ended."""

AHEAD_SECONDS, LEAST_AHEAD, MOST_AHEAD = 0.3, 2, 16
"""So much work lies with the workers for each of their threads, in seconds and in tasks."""

MOST_SHRINKS = 2

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
        self._work: defaultdict[str, _Work] = defaultdict(_Work)
        self.tasks: dict[str, Task] = {}
        self.cluster = Cluster(settings, self._topic, lambda message: self._inbox.put(("told", message)))
        self._scratch = settings.data / "scratch"

    def wake(self) -> None:
        """End `wait`; from any thread."""
        self._inbox.put(("wake", None))

    @property
    def room(self) -> int:
        """How many tasks more the workers should have: enough not to wait for us, few enough to be overtaken."""
        ahead = min(MOST_AHEAD, max(LEAST_AHEAD, round(AHEAD_SECONDS / max(self._mean, 1e-3))))
        return max(0, self.cluster.threads * ahead - len(self.tasks))

    def send(self, flight: Flight, kind: Literal["file", "part", "merge"], entries: Entries = (0, 0)) -> bool:
        """Hand a task to the workers; False if they went away."""
        task = Task(uuid.uuid4().hex, flight, kind, entries)
        shrink = SHRINK ** min(flight.shrink, MOST_SHRINKS)
        job = Job(
            token=task.token,
            topic=self._topic,
            kind=kind,
            query=flight.query,
            path=flight.path,
            store=self._store,
            versions=self._versions,
            inputs=self._settings.inputs,
            read_seconds=self._settings.limits.read_seconds,
            range_bytes=max(1, self._settings.limits.range_bytes // shrink),
            chunk_bytes=DEFAULT_CHUNK_BYTES // shrink,
            memo=flight.memo,
            entries=entries,
            parts=flight.whole or () if kind == "merge" else (),
            alone=flight.alone,
            scratch=str(self._scratch),
        )
        try:
            task.future = self.cluster.submit(job, lambda _: self._inbox.put(("ended", task.token)))
        except (OSError, RuntimeError) as error:
            log.warning("no task can be sent: %s", error)
            return False
        self.tasks[task.token] = flight.tasks[task.token] = task
        return True

    def wait(self, timeout: float) -> Iterator[Ended]:
        """What has ended, after waiting for any news."""
        try:
            what, found = self._inbox.get(timeout=timeout)
            while True:
                ended = self._told(found) if what == "told" else self._future_ended(found) if what == "ended" else None
                if ended is not None:
                    yield ended
                what, found = self._inbox.get_nowait()
        except Empty:
            return

    def _told(self, message: dict[str, Any]) -> Ended | None:
        task = self.tasks.get(message["token"])
        if task is None:
            return None
        now, worker = seconds(), message["worker"]
        before = task.worker
        task.worker = task.flight.worker = worker
        if "outcome" in message:
            if task.began is not None:
                self._mean += 0.1 * (now - task.began - self._mean)
            return self._remove(task), self._counted(task, from_message(message["outcome"]))
        if task.began is None:
            task.began = now
        elif before is not None and before != worker:  # a scheduler that tries by itself where we have not seen a fault
            return self._drop(task), Lost("its worker died", began=True, alone=self._was_alone(task, before))
        task.done, task.total = message["done"], message["total"]
        return None

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

    def _future_ended(self, token: str) -> Ended | None:
        task = self.tasks.get(token)
        if task is None or task.future is None:
            return None
        status = task.future.status
        if status == "error":
            error = task.future.exception()
            if type(error).__name__ == "KilledWorker":
                alone = self._was_alone(task, task.worker)
                return self._remove(task), Lost("its worker died", began=task.began is not None, alone=alone)
            kind, reason = sentence(error) if error is not None else ("Error", "it ended without a reason")
            log.warning("%s", reason) if isinstance(error, WorkerDiffers) else log.error("a task failed: %s", reason)
            return self._remove(task), Failed(kind, reason, "ours")
        if status == "pending":
            return None
        return self._remove(task), Lost(f"the scheduler says {status}", began=False, alone=False)

    def lost(self) -> Iterator[Ended]:
        """Tasks whose scheduler went away without a word."""
        for task in list(self.tasks.values()):
            if task.future is not None and task.future.status in ("lost", "cancelled"):
                yield self._remove(task), Lost("the scheduler went away", began=False, alone=False)

    def _was_alone(self, task: Task, worker: str | None) -> bool:
        return task.flight.alone or (worker is not None and self.cluster.threads_of(worker) == 1)

    def stop(self, task: Task) -> bool:
        """Ask a task to stop; whether it is gone already, because it had not begun."""
        if task.began is None or task.worker is None:
            self._drop(task)
            return True
        if task.stopping is None:
            task.stopping = seconds()
            self.cluster.stop(task.worker, task.token)
        return False

    def overdue(self) -> Iterator[Task]:
        """End the workers of tasks that were asked to stop and have not; these tasks are gone then."""
        now = seconds()
        for task in list(self.tasks.values()):
            if task.stopping is not None and now - task.stopping > GRACE_SECONDS and task.worker is not None:
                self._drop(task)
                self.cluster.kill(task.worker)
                yield task

    def running_too_long(self) -> Iterator[Task]:
        """Tasks that have run for longer than a file may take."""
        now = seconds()
        for task in list(self.tasks.values()):
            if task.began is not None and now - task.began > self._settings.limits.file_seconds and not task.too_long:
                task.too_long = True
                yield task

    def _drop(self, task: Task) -> Task:
        """End a task here, whatever the workers make of it."""
        self._remove(task)
        if task.future is not None:
            task.future.cancel()
        return task

    def _remove(self, task: Task) -> Task:
        self.tasks.pop(task.token, None)
        task.flight.tasks.pop(task.token, None)
        return task

    def close(self) -> None:
        """Drop what runs and let the workers go."""
        for task in list(self.tasks.values()):
            self._drop(task)
        self.cluster.close()

    def start(self) -> None:
        """Begin to start the workers; what killed ones left behind goes."""
        import shutil

        shutil.rmtree(self._scratch, ignore_errors=True)
        self._scratch.mkdir(parents=True, exist_ok=True)
        self.cluster.start()
