"""The Dask workers: of our own on this machine, or of any scheduler by its address."""

import logging
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from artifacts.transport import own_security
from delivery.service.runner.control import stop_tasks
from delivery.service.runner.jobs import Job
from delivery.service.runner.tasks import run
from delivery.service.runner.warming import warm
from delivery.service.settings import Settings

if TYPE_CHECKING:
    from distributed import Client, Future, LocalCluster

LOOK_SECONDS = 1.0
OPEN_AGAIN_SECONDS = 3.0
CONNECT_SECONDS = 10.0
HEED_SECONDS = 3.0
OVER_MEMORY = "worker-restart-memory"
"""Where nannies tell of workers that they end because these have gone over their memory limit."""

_WORKER_CONFIG = {f"distributed.worker.memory.{what}": False for what in ("target", "spill", "pause")}
"""No result stays with a worker, so there is nothing to spill; and what a pause frees, if anything, is one task."""
_NO_PAGES: dict[str, list[str]] = {f"distributed.{part}.http.routes": [] for part in ("scheduler", "worker")}
"""Dask's web servers tell every user of the machine what runs; they cannot be left out, but have nothing to show."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker as its scheduler sees it; memory in bytes."""

    address: str
    host: str
    threads: int
    memory: int
    memory_limit: int
    state: str


class Cluster:
    """Workers that come up in the background and are looked at once a second; safe from any thread.

    ``told`` gets what running tasks tell of themselves (`delivery.service.runner.control.Task`).
    """

    def __init__(self, settings: Settings, topic: str, told: Callable[[dict[str, Any]], None]) -> None:
        self._settings, self._topic, self._told = settings, topic, told
        self._client: Client | None = None
        self._own: LocalCluster | None = None
        self._line: object = None  # the client's connection; a new one hears of nothing until it asks for it
        self._workers: tuple[Worker, ...] = ()
        self._threads: dict[str, int] = {}  # of every worker that was ever seen
        self._over: dict[str, int] = {}  # bytes of workers that went over their limit
        self._problem: str | None = "the workers are starting"
        self._wanted = settings.workers or len(os.sched_getaffinity(0))
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to start or to reach the workers; returns at once."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._watch, name="runner-cluster", daemon=True)
            self._thread.start()

    @property
    def workers(self) -> tuple[Worker, ...]:
        """The workers at the last look."""
        return self._workers

    @property
    def threads(self) -> int:
        """Tasks that can run at once; 0 while there are no workers."""
        return sum(worker.threads for worker in self._workers)

    def threads_of(self, worker: str) -> int | None:
        """Threads of a worker, also of one that is gone; None if it was never looked at."""
        return 1 if self._settings.scheduler is None else self._threads.get(worker)

    def over_memory(self, worker: str | None) -> int | None:
        """The bytes that a worker had when its nanny ended it for them; None if that is not how it ended."""
        return self._over.get(worker or "")

    @property
    def problem(self) -> str | None:
        """Why nothing can run now, in one sentence."""
        return self._problem

    def submit(self, jobs: Sequence[Job], ended: "Callable[[Future[Any]], None]") -> "Future[Any]":
        """Hand jobs to one worker; ``ended`` is called from another thread when the future has an outcome.

        Raises OSError or RuntimeError if the scheduler went away.
        """
        if self._client is None:
            raise OSError("there are no workers yet")
        future: Future[Any] = self._client.submit(run, jobs, key=f"skimflow-{jobs[0].token}", pure=False)
        future.add_done_callback(ended)
        return future

    def stop(self, worker: str, tokens: Sequence[str]) -> None:
        """Ask jobs to stop at their next range, or when they begin."""
        self._on_worker(worker, stop_tasks, tokens)

    def kill(self, worker: str) -> None:
        """End a worker's process at once; its nanny starts another one. Without a nanny the worker is gone."""
        self._on_worker(worker, _die)
        self._errand(self._restart_if_there, worker)

    def _on_worker(self, worker: str, function: Callable[..., None], *arguments: object) -> None:
        client = self._client
        if client is not None:
            self._errand(lambda _: client.run(function, *arguments, workers=[worker], on_error="ignore"), worker)

    def _restart_if_there(self, worker: str) -> None:
        """A worker that heeds nothing, because a library has the interpreter for itself, is ended by its nanny."""
        self._closing.wait(HEED_SECONDS)
        client = self._client
        if client is not None and worker in {one.address for one in self._workers}:
            client.restart_workers([worker], timeout=CONNECT_SECONDS, raise_for_error=False)

    def _errand(self, function: Callable[[str], Any], worker: str) -> None:
        """Do it in a thread of its own: what hangs with one worker keeps nothing else waiting."""

        def run_errand() -> None:
            try:
                function(worker)
            except Exception:  # a worker that is gone needs no stopping
                log.debug("worker %s did not answer", worker, exc_info=True)

        threading.Thread(target=run_errand, name="runner-errand", daemon=True).start()

    def close(self) -> None:
        """End the workers, if they are our own, or let go of the scheduler."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join()
        self._let_go()

    def _watch(self) -> None:
        while not self._closing.is_set():
            pause = LOOK_SECONDS
            try:
                if self._client is None:
                    self._open()
                self._look()
            except Exception as error:  # noqa: BLE001 - Dask raises what it likes; the next look may go well
                self._workers = ()
                self._problem = f"the workers cannot be reached: {str(error) or type(error).__name__}"
                log.warning("%s", self._problem)
                self._let_go()
                pause = OPEN_AGAIN_SECONDS
            self._closing.wait(pause)

    def _open(self) -> None:
        from distributed import Client

        address = self._settings.scheduler
        if address is None:
            self._own = _local_cluster(self._settings, self._wanted)
        client = Client(address or self._own, timeout=CONNECT_SECONDS, set_as_default=False, name="skimflow-service")
        self._client = client
        client.subscribe_topic(self._topic, self._heard)
        client.subscribe_topic(OVER_MEMORY, self._went_over)
        self._line = client.scheduler_comm

    def _heard(self, event: tuple[float, Any]) -> None:
        self._told(event[1])

    def _went_over(self, event: tuple[float, Any]) -> None:
        self._over[event[1]["worker"]] = event[1]["rss"]

    def _look(self) -> None:
        client = self._client
        if client is None or client.status not in ("running", "connecting"):
            raise OSError("the scheduler went away")
        if client.scheduler_comm is not self._line:  # Dask connects again by itself, to another scheduler even
            raise OSError("the connection to the scheduler was lost")
        if self._own is not None and len(self._own.workers) < self._wanted:
            # Dask gives a place up whose worker is away 15 s after any of its deaths, for instance by another one
            self._own.scale(self._wanted)
        found = client.scheduler_info(n_workers=-1)["workers"]
        self._workers = tuple(_worker(address, known) for address, known in found.items())
        for worker in self._workers:
            if worker.address not in self._threads:
                self._on_worker(worker.address, warm)
            self._threads[worker.address] = worker.threads
        self._problem = None if self._workers else "the scheduler has no workers"

    def _let_go(self) -> None:
        client, own = self._client, self._own
        self._client = self._own = None
        for each in (client, own):
            if each is not None:
                try:
                    each.close(timeout=CONNECT_SECONDS)
                except Exception:
                    log.debug("closing %s", each, exc_info=True)


def _local_cluster(settings: Settings, workers: int) -> "LocalCluster":
    """Workers of one thread each, so that ending one ends one task; nobody else can reach them."""
    import dask
    from distributed import LocalCluster

    dask.config.set({"distributed.worker.profile.enabled": False})  # it looks at every worker 100 times a second
    with dask.config.set(_NO_PAGES):
        return LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            security=own_security(),
            dashboard_address="127.0.0.1:0",
            worker_dashboard_address=None,
            memory_limit=settings.worker_memory,
            config={**_WORKER_CONFIG, **_NO_PAGES},
            scheduler_kwargs={"allowed_failures": 0, "dashboard": False},  # we count which file killed its worker
            silence_logs=logging.ERROR,
            local_directory=str(settings.data / "workers"),
        )


def _worker(address: str, known: dict[str, Any]) -> Worker:
    return Worker(
        address=address,
        host=known["host"],
        threads=known["nthreads"],
        memory=int(known.get("metrics", {}).get("memory", 0)),
        memory_limit=int(known.get("memory_limit") or 0),
        state=str(known.get("status", "")),
    )


def _die() -> None:
    """Run on a worker: no task of its own can keep it from ending."""
    import signal

    os.kill(os.getpid(), signal.SIGKILL)
