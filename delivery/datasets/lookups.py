"""What lookups found, kept in the service's database, and the requests that wait for it.

A dataset is looked up once for all requests that name it, and again when what was found is older than the settings'
`dataset_days` or was deleted. A lookup that failed is never used again: the next request asks anew. Who looks up is the
runner, of which only one runs; each function here is a step of its own, and repeating one after a crash does no harm.
"""

import logging
import threading
from collections.abc import Collection
from datetime import timedelta
from typing import Final

from sqlalchemy import ColumnElement, Select, delete, func, insert, select
from sqlalchemy.orm import Session

from delivery.datasets.errors import DatasetError
from delivery.datasets.files import FoundFiles
from delivery.datasets.finder import find_files
from delivery.service import state
from delivery.service.changes import Changes
from delivery.service.database import Database
from delivery.service.settings import Settings
from delivery.service.tables import Dataset, DatasetFile, Transform, utc_now

USER: Final = "user"
"""The finder of users' own lists of files, which are never looked up."""
AT_ONCE: Final = 4
"""Lookups side by side."""

log = logging.getLogger(__name__)


def alone(session: Session, name: str) -> None:
    """Until this transaction ends, nobody else makes a dataset of this name."""
    if session.get_bind().dialect.name == "postgresql":  # SQLite's writers take turns anyway
        session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(name, 0))))


def is_outdated(dataset: Dataset, days: float) -> bool:
    """Whether what a lookup found is too old to be trusted."""
    looked_up = dataset.did_finder != USER and dataset.lookup_status == "complete"
    return looked_up and utc_now() - dataset.last_updated > timedelta(days=days)


def wanted(session: Session, codegens: Collection[str]) -> list[int]:
    """The datasets to look up: open requests of these codegens wait for their files. The longest awaited first."""
    return list(
        session.scalars(
            select(Dataset.id)
            .join(Transform, Transform.dataset_id == Dataset.id)
            .where(*_waits(codegens), Dataset.lookup_status != "complete")
            .group_by(Dataset.id)
            .order_by(func.min(Transform.id))
        )
    )


def give_files(session: Session, codegens: Collection[str]) -> list[str]:
    """Open requests whose dataset's files are known get them; returns the requests' ids."""
    ready = session.scalars(_ready(codegens)).all()
    return [transform.request_id for transform in ready if _give(session, transform)]


def look_up(database: Database, settings: Settings, dataset_id: int) -> list[str]:
    """Look a dataset up and give its files to the requests that wait for it, or end them as "Bad Dataset".

    Returns the ids of the requests that changed. Raises Unavailable if the database cannot be reached.
    """
    name = database.transact(lambda session: _begin(session, dataset_id, settings))
    if name is None:
        return []
    try:
        found = find_files(name, settings)
    except DatasetError as failed:
        error = failed
        return database.transact(lambda session: _fail(session, dataset_id, error))
    return database.transact(lambda session: _keep(session, dataset_id, found, settings))


def _begin(session: Session, dataset_id: int, settings: Settings) -> str | None:
    """The name to look up; None if it needs no lookup."""
    dataset = _locked(session, dataset_id)
    if dataset is None or dataset.lookup_status == "complete":
        return None
    dataset.lookup_status, dataset.lookup_error = "looking", None
    for transform in session.scalars(
        select(Transform).where(*_waits(settings.codegens), Transform.dataset_id == dataset_id).order_by(Transform.id)
    ).all():
        state.set_status(session, transform, "Lookup")
    return dataset.name


def _keep(session: Session, dataset_id: int, found: FoundFiles, settings: Settings) -> list[str]:
    dataset = _locked(session, dataset_id)
    if dataset is None:
        return []
    session.execute(delete(DatasetFile).where(DatasetFile.dataset_id == dataset_id))
    rows = [
        {
            "dataset_id": dataset_id,
            "place": place,
            "paths": list(file.paths),
            "adler32": file.adler32,
            "size": file.size,
            "events": file.events,
        }
        for place, file in enumerate(found.files)
    ]
    session.execute(insert(DatasetFile), rows)
    dataset.n_files, dataset.size, dataset.events = len(rows), found.size, found.events
    dataset.lookup_status, dataset.lookup_error = "complete", None
    dataset.last_updated = utc_now()
    return give_files(session, settings.codegens)


def _fail(session: Session, dataset_id: int, error: DatasetError) -> list[str]:
    dataset = _locked(session, dataset_id)
    if dataset is None:
        return []
    reason = str(error)
    dataset.lookup_status, dataset.lookup_error, dataset.stale = error.lookup_status, reason, True
    waiting = session.scalars(
        select(Transform)
        .where(Transform.dataset_id == dataset_id, Transform.files == 0, Transform.status.in_(state.OPEN))
        .order_by(Transform.id)
    ).all()
    return [each.request_id for each in waiting if state.end(session, each, "Bad Dataset", reason)]


def _give(session: Session, transform: Transform) -> bool:
    paths = session.scalars(
        select(DatasetFile.paths)
        .where(DatasetFile.dataset_id == transform.dataset_id)
        .order_by(DatasetFile.place)
        .limit(transform.max_files)
    ).all()
    return state.set_files(session, transform, paths)


def _ready(codegens: Collection[str]) -> Select[Transform]:
    return (
        select(Transform)
        .join(Dataset, Transform.dataset_id == Dataset.id)
        .where(*_waits(codegens), Dataset.lookup_status == "complete")
        .order_by(Transform.id)
    )


def _waits(codegens: Collection[str]) -> tuple[ColumnElement[bool], ...]:
    return Transform.status.in_(state.OPEN), Transform.files == 0, Transform.codegen.in_(codegens)


def _locked(session: Session, dataset_id: int) -> Dataset | None:
    return session.get(Dataset, dataset_id, populate_existing=True, with_for_update=True)


class Lookups:
    """Lookups beside the runner's own work, a few at a time; `step` is called whenever the database is looked at."""

    def __init__(self, settings: Settings, database: Database, changes: Changes) -> None:
        self._settings, self._database, self._changes = settings, database, changes
        self._under_way: set[int] = set()
        self._lock = threading.Lock()

    def step(self) -> None:
        """Give known files to the requests that wait for them, and begin the lookups that are wanted.

        Raises Unavailable.
        """
        codegens = self._settings.codegens
        with self._database.reading() as session:
            numbers = wanted(session, codegens)
            ready = session.scalar(_ready(codegens).limit(1)) is not None
        if ready:
            self._notify(self._database.transact(lambda session: give_files(session, codegens)))
        with self._lock:
            new = [number for number in numbers if number not in self._under_way]
            new = new[: max(0, AT_ONCE - len(self._under_way))]
            self._under_way.update(new)
        for number in new:  # daemons: the process need not wait for a catalogue when it ends
            threading.Thread(target=self._one, args=(number,), name=f"lookup-{number}", daemon=True).start()

    def _one(self, number: int) -> None:
        try:
            self._notify(look_up(self._database, self._settings, number))
        except Exception as error:  # noqa: BLE001 - it is wanted still, and begun again
            log.warning("the lookup of dataset %s was broken off: %s", number, error)
        finally:
            with self._lock:
                self._under_way.discard(number)

    def _notify(self, requests: list[str]) -> None:
        for request_id in requests:
            self._changes.notify(request_id)
