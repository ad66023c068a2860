"""Changing many rows by one statement."""

from typing import cast

from sqlalchemy import CursorResult, Delete, Update
from sqlalchemy.orm import Session


def changed(session: Session, statement: Update | Delete) -> int:
    """How many rows the statement changed; objects of the session that stand for them are read anew when asked."""
    session.flush()
    result = session.execute(statement.execution_options(synchronize_session=False))
    session.expire_all()
    return cast("CursorResult[tuple[()]]", result).rowcount
