"""The runner of one service process: of all processes over one database, the holder of the lease runs the files."""

import logging
import os
import socket
import threading
import time
import uuid
from typing import Any

from sqlalchemy.orm import Session

from artifacts.store import Store
from delivery.datasets.lookups import Lookups
from delivery.service import state
from delivery.service.changes import Changes
from delivery.service.database import Database
from delivery.service.errors import ServiceError, Unavailable
from delivery.service.runner.dispatch import WorkerState
from delivery.service.runner.ledger import NotLeading
from delivery.service.runner.reconciler import Reconciler
from delivery.service.runner.restoring import restore
from delivery.service.runner.retention import Retention
from delivery.service.settings import Settings
from delivery.versions import engine_versions

LEASE = "runner"
LEASE_SECONDS, RENEW_SECONDS = 6.0, 1.5
LOOK_SECONDS = 0.5
"""So often the database is looked at; at once when this process is woken."""
PAUSE_SECONDS = 1.0
"""After a fault of the service's own."""

log = logging.getLogger(__name__)


class Runner:
    """See `delivery.service.runner`. Safe from any thread."""

    def __init__(self, settings: Settings, database: Database, store: Store, changes: Changes) -> None:
        self._settings, self._database, self._changes = settings, database, changes
        self._reconciler = Reconciler(settings, database, store, changes, engine_versions(), self._is_leader)
        self._lookups = Lookups(settings, database, changes)
        self._retention = Retention(settings, database, store)
        self._holder = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:12]}"
        self._leads = False
        self._renewed = self._looked = float("-inf")
        self._woken = threading.Event()
        self._ending = threading.Event()
        self._deadline = float("inf")
        self._problem: str | None = None
        self._thread = threading.Thread(target=self._run, name="runner", daemon=True)

    def start(self) -> None:
        """Begin to run files, as soon as this process leads and workers are there; returns at once."""
        self._thread.start()

    def wake(self) -> None:
        """Look at the database now: a request was submitted, canceled, retried or deleted."""
        self._woken.set()
        self._reconciler.dispatch.wake()

    def stop(self, seconds: float) -> None:
        """Begin nothing more, wait for what runs, and put back what has not ended after so many seconds."""
        self._deadline = time.monotonic() + seconds
        self._ending.set()
        self._reconciler.dispatch.wake()
        if self._thread.ident is not None:
            self._thread.join()
        self._reconciler.close()

    def restore(self, request_id: str, object_name: str) -> bool:
        """Have a result made anew whose bytes are gone from the store; its request runs again until it is there.

        Whether it is being made: not if the request was deleted, or has no such object.
        """
        found = self._database.transact(lambda session: restore(session, request_id, object_name))
        if found:
            self._changes.notify(request_id)
            self.wake()
        return found

    def workers(self) -> list[WorkerState]:
        """The workers that this process sees."""
        return self._reconciler.workers()

    def health(self) -> dict[str, Any]:
        """For people: whether this process leads, the workers, what runs, and what is wrong (null: nothing)."""
        cluster = self._reconciler.dispatch.cluster
        return {
            "leads": self._leads,
            "workers": len(cluster.workers),
            "threads": cluster.threads,
            "problem": (self._problem or cluster.problem) if self._leads else None,
            **self._reconciler.counts(),
        }

    def _run(self) -> None:
        while not (self._ending.is_set() and (self._reconciler.is_idle or time.monotonic() > self._deadline)):
            try:
                if self._lead():
                    self._step()
                else:
                    self._woken.clear()
                    self._ending.wait(LOOK_SECONDS)
                    if self._ending.is_set():
                        return
                self._problem = None
            except NotLeading as error:
                self._follow(str(error))
                self._renewed = float("-inf")
            except Unavailable as error:
                self._trouble(str(error))
            except Exception as error:
                log.exception("the runner met a fault; it goes on")
                self._trouble(f"the runner met a fault: {error!r}")
        self._give_back()

    def _trouble(self, problem: str) -> None:
        self._problem = problem
        log.warning("%s", problem)
        time.sleep(PAUSE_SECONDS)

    def _step(self) -> None:
        woken, now = self._woken.is_set(), time.monotonic()
        look = woken or now - self._looked >= LOOK_SECONDS
        if look:
            self._woken.clear()
            self._looked = now
            self._lookups.step()
            self._retention.step()
        left = max(0.0, self._looked + LOOK_SECONDS - now)
        self._reconciler.step(left, look=look, begin=not self._ending.is_set())

    def _lead(self) -> bool:
        """Whether this process holds the lease; it is renewed long before it runs out."""
        now = time.monotonic()
        if now - self._renewed < RENEW_SECONDS:
            return self._leads
        held = self._database.transact(self._lease)
        self._renewed = now
        if held and not self._leads:
            log.info("this process runs the files now (%s)", self._holder)
            self._reconciler.take_over()
            self._reconciler.dispatch.start()
        elif not held and self._leads:
            self._follow("another process runs the files now")
        self._leads = held
        return held

    def _follow(self, reason: str) -> None:
        log.warning("%s", reason)
        self._reconciler.forget()
        self._leads = False

    def _lease(self, session: Session) -> bool:
        return state.acquire_lease(session, LEASE, self._holder, LEASE_SECONDS)

    def _is_leader(self, session: Session) -> bool:
        return state.holds_lease(session, LEASE, self._holder)

    def _give_back(self) -> None:
        if not self._leads:
            return
        try:
            self._reconciler.put_back()
            self._database.transact(lambda session: state.release_lease(session, LEASE, self._holder))
        except ServiceError as error:
            log.warning("what ran could not be put back: %s; whoever leads next does it", error)
        self._leads = False
