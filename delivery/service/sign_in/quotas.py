"""How much: what one user may have open and stored."""

from typing import Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from delivery.service.errors import TooMany
from delivery.service.settings import Limits
from delivery.service.tables import Result, Transform

OPEN: Final = ("Submitted", "Pending Lookup", "Lookup", "Running")
"""Statuses of requests that are not ended."""
_LATER = 60.0


def check_submission(session: Session, owner_id: int | None, limits: Limits) -> None:
    """Whether a user may submit one more request. Call it in the transaction that submits. Raises TooMany."""
    theirs = Transform.owner_id == owner_id
    opened = session.scalar(select(func.count()).where(theirs, Transform.status.in_(OPEN))) or 0
    if opened >= limits.open_requests:
        raise TooMany(f"{opened} requests are open, and more than {limits.open_requests} may not be", _LATER)
    if limits.stored_bytes is None:
        return
    stored = stored_bytes(session, owner_id)
    if stored >= limits.stored_bytes:
        raise TooMany(
            f"results hold {stored:,} bytes, and {limits.stored_bytes:,} are allowed; delete requests to go on", _LATER
        )


def stored_bytes(session: Session, owner_id: int | None) -> int:
    """Bytes of the results of a user's requests; a result that several requests share counts for each."""
    kept = select(func.coalesce(func.sum(Result.bytes), 0)).join(Transform, Result.transform_id == Transform.id)
    return int(session.scalar(kept.where(Transform.owner_id == owner_id, Transform.target != "Deleted")) or 0)
