"""The requests that run, as the database has them, and the next files of each."""

from collections import deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import cast

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import Session

from artifacts.keys import JSON
from delivery.errors import OutOfMemory
from delivery.requests import Semantics
from delivery.service.runner.flights import Waiter
from delivery.service.runner.jobs import Query
from delivery.service.runner.keys import meaning
from delivery.service.tables import Transform, TransformFile, User, utc_now

WINDOW = 200
"""Files of a request that are read at once."""

PATIENCE = timedelta(seconds=60)
"""No retry is meant to wait longer: one that seems to was written before the clock was set back."""


@dataclass(slots=True)
class Running:
    """A request that runs. ``window``: its next files; so many more are ``looking``ed at, and ``unread`` wait.

    ``pace``: seconds to expect of its next file, once one was made.
    """

    id: int
    request: str
    user: int | None
    priority: int
    query: Query
    shared: Mapping[str, JSON]
    unread: int = 0
    looking: int = 0
    last: int = 0
    pace: float | None = None
    window: deque[Waiter] = field(default_factory=deque)


class Requests:
    """The running requests, by their number."""

    def __init__(self, codegens: Collection[str], versions: Mapping[str, str]) -> None:
        self._codegens, self._versions = tuple(codegens), versions
        self.running: dict[int, Running] = {}

    def look(self, session: Session) -> list[int]:
        """Read which requests run and how many files of each wait; returns those that run no more."""
        query = select(Transform.id, Transform.priority).where(
            Transform.status == "Running",
            Transform.target == "Complete",
            Transform.upstream_id.is_(None),
            Transform.codegen.in_(self._codegens),
        )
        found = dict(session.execute(query).all())
        gone = [number for number in self.running if number not in found]
        for number in gone:
            del self.running[number]
        for number, priority in found.items():
            if number not in self.running:
                transform = session.get(Transform, number)
                if transform is None:
                    continue
                self.running[number] = self._read(transform)
            self.running[number].priority = priority
        counts = self._waiting(session)
        for number, each in self.running.items():
            each.unread = max(0, counts.get(number, 0) - each.looking - len(each.window))
        return gone

    def _read(self, transform: Transform) -> Running:
        semantics = cast("Semantics", transform.semantics)
        query = Query(
            transform.selection, transform.codegen, semantics, transform.result_format, transform.tree or None
        )
        shared = meaning(query, self._versions)
        return Running(transform.id, transform.request_id, transform.owner_id, transform.priority, query, shared)

    def _waiting(self, session: Session) -> dict[int, int]:
        query = select(TransformFile.transform_id, func.count()).where(*_due()).group_by(TransformFile.transform_id)
        return dict(session.execute(query).all())

    def read_files(self, session: Session, running: Running) -> list[Waiter]:
        """The next files of a request."""
        query = (
            select(
                TransformFile.id,
                TransformFile.paths,
                TransformFile.attempts,
                TransformFile.kills,
                TransformFile.error_kind,
            )
            .where(TransformFile.transform_id == running.id, *_due())
            .order_by(TransformFile.place)
            .limit(WINDOW)
        )
        return [
            Waiter(
                number,
                running.id,
                running.request,
                tuple(paths),
                tried,
                kills,
                small=tried if kind == OutOfMemory.__name__ else 0,
            )
            for number, paths, tried, kills, kind in session.execute(query)
        ]

    def bounds(self, session: Session, most: int) -> dict[int | None, int]:
        """How many files of each user may run at once."""
        users = {each.user for each in self.running.values()}
        own = select(User.id, User.quota).where(User.id.in_([user for user in users if user is not None]))
        quotas = {user: quota.get("running_files") for user, quota in session.execute(own)}
        return {user: quotas.get(user) or most for user in users}


def _due() -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    now = utc_now()
    not_before = TransformFile.not_before
    return TransformFile.state == "waiting", or_(not_before.is_(None), not_before <= now, not_before > now + PATIENCE)
