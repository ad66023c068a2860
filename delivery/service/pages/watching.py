"""Requests watched: woken at once by changes of this process, and by one look at the database for those of others."""

import asyncio
import contextlib
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import structlog
from sqlalchemy import func, or_, select

from delivery.service.changes import Changes
from delivery.service.database import Database
from delivery.service.errors import ServiceError, TooMany
from delivery.service.state import OPEN
from delivery.service.tables import Transform

LOOK_SECONDS: Final = 0.3
RECENT: Final = 500
"""Of the requests that have ended, so many of the latest are looked at for who watches all."""
_CHUNK: Final = 500


class Watcher:
    """One stream's view of what changed; belongs to the event loop that it was made in."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._event = asyncio.Event()
        self._lock = threading.Lock()
        self._ids: set[str] = set()

    def note(self, request_id: str) -> None:
        """A request changed; from any thread."""
        with self._lock:
            self._ids.add(request_id)
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(self._event.set)

    async def changed(self, seconds: float) -> set[str]:
        """The ids noted since the last call, waiting for one at most so long."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._event.wait(), seconds)
        self._event.clear()
        with self._lock:
            found, self._ids = self._ids, set()
        return found


class Watch:
    """All streams of a process: bounded for each caller, with one thread that looks at the database for all of them."""

    def __init__(self, database: Database, changes: Changes) -> None:
        self._database, self._changes = database, changes
        self._lock = threading.Lock()
        self._streams: Counter[int | None] = Counter()
        self._looking = False

    def check(self, user_id: int | None, bound: int) -> None:
        """Raise TooMany if the user has as many streams as allowed."""
        with self._lock:
            if self._streams[user_id] >= bound:
                raise TooMany(f"{bound} streams of events are open already; close one first", retry_after=5)

    @contextmanager
    def watching(self, request_id: str | None, user_id: int | None) -> Iterator[Watcher]:
        """A watcher of one request, or of all (None), as one of the user's streams."""
        with self._lock:
            self._streams[user_id] += 1
        watcher = Watcher()
        stop = self._changes.listen(request_id, watcher.note)
        self._look()
        try:
            yield watcher
        finally:
            stop()
            with self._lock:
                self._streams[user_id] -= 1

    @property
    def streams(self) -> int:
        """How many streams are open."""
        with self._lock:
            return self._streams.total()

    def _look(self) -> None:
        with self._lock:
            if not self._looking:
                self._looking = True
                threading.Thread(target=self._run, name="service-watch", daemon=True).start()

    def _run(self) -> None:
        """Until nobody watches: notify of each request whose version is not what it was.

        Also of one that was not looked at before: it may have changed since its stream looked itself.
        """
        pause, known = threading.Event(), dict[str, int]()
        while not self._changes.closed:
            watched = self._changes.watched()
            with self._lock:
                if not watched and not self._streams.total():
                    self._looking = False
                    return
            try:
                found = self._versions(watched)
            except ServiceError as error:
                structlog.get_logger(__name__).warning("watching", reason=str(error))
            else:
                for request_id, version in found.items():
                    if known.get(request_id) != version:
                        self._changes.notify(request_id)
                known = found
            pause.wait(LOOK_SECONDS)

    def _versions(self, watched: set[str | None]) -> dict[str, int]:
        columns = select(Transform.request_id, Transform.version)
        ids = sorted(one for one in watched if one is not None)
        found: dict[str, int] = {}
        with self._database.reading() as session:
            if None in watched:
                newest = session.scalar(select(func.max(Transform.id))) or 0
                rows = session.execute(columns.where(or_(Transform.id > newest - RECENT, Transform.status.in_(OPEN))))
                found.update(dict(rows.all()))
            for start in range(0, len(ids), _CHUNK):
                rows = session.execute(columns.where(Transform.request_id.in_(ids[start : start + _CHUNK])))
                found.update(dict(rows.all()))
        return found
