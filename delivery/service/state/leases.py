"""Leases: what only one of several processes may do.

Time is the database's own, and no lease lies further ahead than its length: a process whose clock is wrong takes
nothing, and a clock that is set back delays the next holder by one length at most. A clock that is set forward can make
two processes hold the same lease until the first asks again; nothing that is recorded then counts twice.
"""

from typing import Any

from sqlalchemy import DateTime, delete, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session
from sqlalchemy.sql.functions import GenericFunction

from delivery.service.state.rows import changed
from delivery.service.tables import Lease


class seconds_ahead(GenericFunction[Any]):  # noqa: N801 - a function of SQL
    """UTC by the database's clock, so many seconds from now."""

    type = DateTime()
    inherit_cache = True


@compiles(seconds_ahead, "postgresql")
def _on_postgresql(element: seconds_ahead, compiler: Any, **kwargs: Any) -> str:
    seconds = compiler.process(element.clauses, **kwargs)
    return f"(clock_timestamp() AT TIME ZONE 'UTC' + make_interval(secs => CAST({seconds} AS double precision)))"


@compiles(seconds_ahead, "sqlite")
def _on_sqlite(element: seconds_ahead, compiler: Any, **kwargs: Any) -> str:
    seconds = compiler.process(element.clauses, **kwargs)
    return f"strftime('%Y-%m-%d %H:%M:%f000', 'now', {seconds} || ' seconds')"  # as SQLAlchemy writes a DateTime


def acquire_lease(session: Session, name: str, holder: str, seconds: float) -> bool:
    """Whether `holder` has the lease for the next `seconds`: it was free, had run out, or was the holder's already.

    holder: one name for each process that ever runs. seconds: the same for all who ask for this lease.
    """
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    until, named = seconds_ahead(seconds), Lease.name == name
    session.execute(insert(Lease).values(name=name, holder=holder, expires_at=until).on_conflict_do_nothing())
    free = or_(Lease.holder == holder, Lease.expires_at <= seconds_ahead(0.0))
    if changed(session, update(Lease).where(named, free).values(holder=holder, expires_at=until)):
        return True
    changed(session, update(Lease).where(named, Lease.expires_at > until).values(expires_at=until))
    return False


def holds_lease(session: Session, name: str, holder: str) -> bool:
    """Whether the lease is the holder's; nobody else's until this transaction is over, then."""
    query = select(Lease.name).where(Lease.name == name, Lease.holder == holder).with_for_update(read=True)
    return session.scalar(query) is not None


def release_lease(session: Session, name: str, holder: str) -> None:
    """Give the lease back, if the holder has it."""
    changed(session, delete(Lease).where(Lease.name == name, Lease.holder == holder))
