"""What goes from the store: what was deleted, and results that nobody used for long or that there is no room for."""

import logging
import threading
import time
from datetime import timedelta

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from artifacts.errors import ArtifactError, UnknownKey
from artifacts.maintenance import collect_garbage, remove
from artifacts.store import Store
from delivery.service import state
from delivery.service.database import Database
from delivery.service.errors import ServiceError
from delivery.service.settings import Settings
from delivery.service.tables import Result, Transform, utc_now

EVERY_SECONDS = 600.0
SECONDS_OF_A_DAY = 86_400.0

log = logging.getLogger(__name__)


class Retention:
    """Collects beside the runner's own work; only the process that leads calls `step`."""

    def __init__(self, settings: Settings, database: Database, store: Store) -> None:
        self._settings, self._database, self._store = settings, database, store
        self._next = time.monotonic() + EVERY_SECONDS
        self._thread: threading.Thread | None = None

    def step(self) -> None:
        """Begin a collection if it is time."""
        if time.monotonic() < self._next or (self._thread is not None and self._thread.is_alive()):
            return
        self._next = time.monotonic() + EVERY_SECONDS
        self._thread = threading.Thread(target=self._run, name="runner-retention", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.collect()
        except (ServiceError, ArtifactError) as error:
            log.warning("results were not collected: %s", error)

    def collect(self) -> None:
        """Remove what is to go. Results of running requests stay, whatever their age and size.

        Raises ServiceError, ArtifactError.
        """
        self._purge()
        days, most = self._settings.result_days, self._settings.result_bytes
        with self._database.reading() as session:
            running = keys_in_use(session, None)
            recent = running | keys_in_use(session, days)
        gone = collect_garbage(self._store, max_age=days * SECONDS_OF_A_DAY, keep=recent).keys
        if most is not None:
            gone += collect_garbage(self._store, max_size=most, keep=running).keys
        if gone:
            log.info("%d results that nobody used lately were removed", len(gone))

    def _purge(self) -> None:
        """Requests that were deleted go for good, with the results that no other request has."""
        with self._database.reading() as session:
            numbers = [transform.id for transform in state.deleted(session)]
        for number in numbers:
            for key in self._database.transact(lambda session: _purged(session, number)):  # noqa: B023
                try:
                    remove(self._store, key)
                except UnknownKey:
                    log.debug("the result %s was gone before", key)


def _purged(session: Session, number: int) -> set[str]:
    transform = session.get(Transform, number)
    if transform is None:
        return set()
    keys = state.keys_of_one_only(session, transform)
    state.purge(session, transform)
    return keys


def keys_in_use(session: Session, days: float | None) -> set[str]:
    """Keys of the results of open requests; with ``days``, also of those whose results were used so lately."""
    is_open = Transform.status.in_(state.OPEN)
    used = is_open if days is None else or_(is_open, Transform.last_used >= utc_now() - timedelta(days=days))
    query = select(Result.key).join(Transform, Transform.id == Result.transform_id).where(Result.key.is_not(None), used)
    return {key for key in session.scalars(query.distinct()) if key is not None}
