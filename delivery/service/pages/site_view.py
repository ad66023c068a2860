"""Views of the service itself: workers, what is kept, users, the caller."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, is_dataclass
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from artifacts.entry import Entry
from artifacts.store import Store, key_of
from delivery.service.context import Caller
from delivery.service.settings import Limits
from delivery.service.sign_in.quotas import stored_bytes
from delivery.service.state import OPEN
from delivery.service.tables import Result, Transform, User

ENTRIES: Final = 50
FRESH_SECONDS: Final = 20.0


@dataclass(frozen=True, slots=True)
class WorkersView:
    """The workers as the runner of this process knows them, and what the runner says of itself."""

    workers: tuple[dict[str, Any], ...]
    runner: dict[str, Any]
    threads: int


@dataclass(frozen=True, slots=True)
class KeptEntry:
    """A result that is kept for whoever asks for it again."""

    key: str
    stage: str
    created: str
    bytes: int
    used: datetime


@dataclass(frozen=True, slots=True)
class CacheView:
    """What is kept: counts and bytes, the entries used last, and how often something kept was enough."""

    entries: int
    blobs: int
    bytes: int
    results: int
    reused: int
    bound: int | None
    days: float
    latest: tuple[KeptEntry, ...]


@dataclass(frozen=True, slots=True)
class UserRow:
    """A user and what is theirs."""

    name: str
    email: str
    role: str
    active: bool
    created: datetime
    requests: int
    open: int
    bytes: int


@dataclass(frozen=True, slots=True)
class UserList:
    """All users."""

    rows: tuple[UserRow, ...]


@dataclass(frozen=True, slots=True)
class ProfileView:
    """The caller: what is theirs and what they may."""

    name: str
    role: str
    signs_in: bool
    requests: int
    open: int
    bytes: int
    limits: dict[str, Any]


def workers_view(workers: Sequence[Any], runner: dict[str, Any]) -> WorkersView:
    """The workers, whatever fields they have."""
    rows = tuple(
        {field.name: getattr(worker, field.name) for field in fields(worker)}
        for worker in workers
        if is_dataclass(worker)
    )
    return WorkersView(rows, runner, sum(int(row.get("threads") or 0) for row in rows))


def cache_view(session: Session, store: Store, bound: int | None, days: float) -> CacheView:
    """What is kept. Raises StoreUnavailable."""
    entries, blobs, size, latest = _surveyed(store)
    good = Result.status == "success"
    results = session.scalar(select(func.count()).select_from(Result).where(good)) or 0
    reused = session.scalar(select(func.count()).select_from(Result).where(good, Result.reused)) or 0
    return CacheView(entries, blobs, size, results, reused, bound, days, latest)


def user_list(session: Session) -> UserList:
    """All users by name."""
    asked = select(Transform.owner_id, func.count()).where(Transform.target != "Deleted").group_by(Transform.owner_id)
    counts: dict[int | None, int] = dict(session.execute(asked).all())
    running = asked.where(Transform.status.in_(OPEN))
    opened: dict[int | None, int] = dict(session.execute(running).all())
    sizes = select(Transform.owner_id, func.sum(Result.bytes)).join(Transform, Result.transform_id == Transform.id)
    kept: dict[int | None, int] = {
        owner: int(size) for owner, size in session.execute(sizes.group_by(Transform.owner_id))
    }
    users = session.scalars(select(User).order_by(User.name)).all()
    return UserList(
        tuple(
            UserRow(
                name=user.name,
                email=user.email,
                role=user.role,
                active=user.active,
                created=user.created_at,
                requests=counts.get(user.id, 0),
                open=opened.get(user.id, 0),
                bytes=kept.get(user.id, 0),
            )
            for user in users
        )
    )


def profile_view(session: Session, who: Caller, limits: Limits, *, signs_in: bool) -> ProfileView:
    """The caller's own page."""
    theirs = select(func.count()).where(Transform.owner_id == who.user_id, Transform.target != "Deleted")
    return ProfileView(
        name=who.name,
        role=who.role,
        signs_in=signs_in,
        requests=session.scalar(theirs) or 0,
        open=session.scalar(theirs.where(Transform.status.in_(OPEN))) or 0,
        bytes=stored_bytes(session, who.user_id),
        limits=limits.model_dump(),
    )


Survey = tuple[int, int, int, tuple[KeptEntry, ...]]


def _remembered(look: Callable[[Store], Survey]) -> Callable[[Store], Survey]:
    """Look at most every `FRESH_SECONDS`: a large store has many names."""
    known: dict[str, tuple[float, Survey]] = {}
    looking = threading.Lock()

    def remembered(store: Store) -> Survey:
        with looking:
            when, found = known.get(store.url, (0.0, None))
            if found is None or time.monotonic() - when > FRESH_SECONDS:
                found = look(store)
                known[store.url] = (time.monotonic(), found)
            return found

    return remembered


@_remembered
def _surveyed(store: Store) -> Survey:
    entries = list(store.backend.items("entries"))
    blobs = list(store.backend.items("blobs"))
    newest = sorted(entries, key=lambda item: -item.modified)[:ENTRIES]
    found = [(item, store.load(key_of(item.name))) for item in newest]
    latest = tuple(_kept(entry, item.modified) for item, entry in found if entry is not None)
    return len(entries), len(blobs), sum(item.size for item in blobs), latest


def _kept(entry: Entry, used: float) -> KeptEntry:
    size = sum(blob.size for blob in entry.blobs.values())
    return KeptEntry(
        entry.key, entry.stage, entry.created, size, datetime.fromtimestamp(used, UTC).replace(tzinfo=None)
    )
