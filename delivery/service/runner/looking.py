"""Looks into the store and at files' metadata beside the runner's own work: what does not answer holds nothing else up.

A store that takes connections and says nothing for minutes would else cost the runner its lease.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue

from artifacts.store import Store
from delivery.service.runner.flights import Waiter
from delivery.service.runner.jobs import Failed, Made
from delivery.service.runner.requests import Running
from delivery.service.runner.sifting import sift
from delivery.service.settings import Settings

READERS = 8
"""Looks at once."""
PATIENCE_SECONDS = 0.1
"""So long the runner itself waits for looks that it has begun; nearly all have ended by then."""

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Look:
    """A file that waits, and what `sift` finds of it."""

    running: Running
    waiter: Waiter
    memos: Mapping[str, str]
    found: Made | Failed | None = None


class Looks:
    """Looks under way; `wake` is called from another thread when one has ended.

    Their threads are daemons: a store that says nothing keeps no process from ending.
    """

    def __init__(self, store: Store, settings: Settings, wake: Callable[[], None]) -> None:
        self._store, self._settings, self._wake = store, settings, wake
        self._todo: SimpleQueue[Look | None] = SimpleQueue()
        self._done: SimpleQueue[Look] = SimpleQueue()
        self._threads: list[threading.Thread] = []

    def begin(self, running: Running, waiters: Sequence[Waiter], memos: Mapping[str, str]) -> None:
        """Look at these files of a request; `memos` as `delivery.identity.Memo`."""
        running.looking += len(waiters)
        for waiter in waiters:
            self._todo.put(Look(running, waiter, memos))
        if not self._threads:
            self._threads = [
                threading.Thread(target=self._work, name="runner-look", daemon=True) for _ in range(READERS)
            ]
            for thread in self._threads:
                thread.start()

    def ended(self, asked: Sequence[Running]) -> Iterator[Look]:
        """Looks that have ended, also those that end while these requests' are waited for, which is not long."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            wait = max(0.0, deadline - time.monotonic()) if any(each.looking for each in asked) else 0.0
            try:
                look = self._done.get(timeout=wait) if wait else self._done.get_nowait()
            except Empty:
                return
            look.running.looking -= 1
            yield look

    def _work(self) -> None:
        while (look := self._todo.get()) is not None:
            try:
                look.found = sift(look.waiter, look.running, look.memos, self._store, self._settings)
            except Exception as error:  # whatever it is, a worker will meet it, too, and say more of it
                log.exception("a look at %s failed", look.waiter.request)
                look.found = Failed(type(error).__name__, f"the file could not be looked at: {error}", "ours")
            self._done.put(look)
            self._wake()

    def close(self) -> None:
        """No more looks; those under way end by themselves."""
        for _ in self._threads:
            self._todo.put(None)
