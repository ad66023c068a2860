"""What is done with requests after their end: when they may go, and going."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from sqlalchemy import delete, exists, select
from sqlalchemy.orm import Session, aliased

from delivery.service.state.requests import ENDED
from delivery.service.tables import Result, Transform, utc_now

TOUCH_SECONDS: Final = 60.0
"""So exactly `last_used` is kept: not every read of a result is worth a write."""

_KEPT: Final = Transform.status.in_(ENDED), Transform.target != "Deleted"


def touched(session: Session, transform: Transform) -> None:
    """Its results were used just now."""
    moment = utc_now()
    if abs(moment - transform.last_used) > timedelta(seconds=TOUCH_SECONDS):
        transform.last_used = moment
        session.flush()


def expired(session: Session, days: float) -> Sequence[Transform]:
    """Ended requests whose results nobody used for so many days, the longest unused first."""
    query = select(Transform).where(*_KEPT, Transform.last_used < utc_now() - timedelta(days=days))
    return session.scalars(query.order_by(Transform.last_used, Transform.id)).all()


def least_recently_used(session: Session, limit: int = 100) -> Sequence[Transform]:
    """Ended requests, the longest unused first."""
    return session.scalars(
        select(Transform).where(*_KEPT).order_by(Transform.last_used, Transform.id).limit(limit)
    ).all()


def keys_of_one_only(session: Session, transform: Transform) -> set[str]:
    """Keys in the store of a request's results that no other request's results have: what goes with it."""
    other = aliased(Result)
    shared = exists().where(other.key == Result.key, other.transform_id != Result.transform_id)
    query = select(Result.key).where(Result.transform_id == transform.id, Result.key.is_not(None), ~shared)
    return {key for key in session.scalars(query) if key is not None}


def deleted(session: Session) -> Sequence[Transform]:
    """Requests that their users deleted and that are not purged yet; forwarded ones when they are gone there too."""
    gone = Transform.target == "Deleted", Transform.upstream_id.is_(None)
    return session.scalars(select(Transform).where(*gone).order_by(Transform.id)).all()


def purge(session: Session, transform: Transform) -> None:
    """Remove a request with its files, tries and results; the store's entries are the caller's to remove."""
    session.execute(delete(Transform).where(Transform.id == transform.id))
    session.expunge_all()
