"""The database of the service's state: SQLite in a file, or PostgreSQL by URL.

A transaction that changes something takes SQLite's write lock when it begins (``BEGIN IMMEDIATE``): one that began by
reading could find at its first write that another was quicker, and no waiting would help it. PostgreSQL runs at its
default level (read committed); what must not race locks its rows (see `delivery.service.state`).
"""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session
from tenacity import Retrying, retry_any, retry_if_exception, retry_if_result, stop_after_delay, wait_exponential_jitter
from tenacity.retry import retry_base

from delivery.service.errors import ServiceError, Unavailable
from delivery.service.migrations.upgrade import upgrade_to_head

T = TypeVar("T")

PATIENCE_SECONDS: Final = 30.0
"""So long `Database.transact` repeats what a passing fault undid."""

LOCK_SECONDS: Final = 10.0
"""So long one try waits for SQLite's write lock, or for a connection."""

POOL: Final = 40
"""Connections at most, as many as the application has threads for routes."""

_PASSING_SQLITE: Final = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_FULL,  # somebody may make room on the disk
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CANTOPEN,
}
_PASSING_POSTGRESQL: Final = (
    "08",  # the connection
    "40",  # serialisation failure, deadlock, unknown completion
    "53",  # too many connections, a full disk
    "55P03",  # lock not available
    "57P",  # the server is shut down, starts, or ended the session
)


class Database:
    """One process's way to the state; safe from any thread.

    url: SQLAlchemy's, ``sqlite:///path`` or ``postgresql://…``. The folder of a SQLite file is made.

    Raises ServiceError if the URL is neither.
    """

    def __init__(self, url: str) -> None:
        parsed = _parsed(url)
        self.shown: str = parsed.render_as_string(hide_password=True)
        on_file = parsed.get_backend_name() == "sqlite"
        self._engine = _sqlite(parsed) if on_file else _postgresql(parsed)
        self._turn = threading.Lock() if on_file else None

    @property
    def engine(self) -> Engine:
        """SQLAlchemy's engine, for tests and tools."""
        return self._engine

    def upgrade(self) -> None:
        """Make the tables, or bring them to this version; safe when several processes do so at once.

        Raises Unavailable; ServiceError if a newer version of skimflow made them.
        """
        with self._told():
            _attempts()(upgrade_to_head, self._engine)

    @contextmanager
    def session(self) -> Iterator[Session]:
        """One transaction, which may write: committed at the end, rolled back by an exception.

        Objects stay readable afterwards. Raises Unavailable for a passing fault of the database.
        """
        with self._told(), self._alone(), Session(self._engine, expire_on_commit=False) as session, session.begin():
            yield session

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """One transaction that only reads, all of it from one moment, and waits for no writer; writing fails."""
        with self._told(), Session(self._engine, expire_on_commit=False) as session:
            session.connection(execution_options={"reads_only": True})
            yield session

    def transact(self, work: Callable[[Session], T]) -> T:
        """What `work` returns, run in one transaction, which is done exactly once.

        A passing fault (a lock, a deadlock, a lost connection) undoes the transaction, and `work` is run again: it
        must do nothing outside of its session. Where the connection is lost while PostgreSQL commits, the server is
        asked what became of the transaction.

        Raises Unavailable when that did not help for `PATIENCE_SECONDS`.
        """
        with self._told():
            result: T = _attempts()(self._transact_once, work)
            return result

    def check(self) -> None:
        """Raise Unavailable if the database cannot be read."""
        with self.reading() as session:
            session.execute(text("SELECT version_num FROM alembic_version"))

    def close(self) -> None:
        """Close the connections that nobody uses."""
        self._engine.dispose()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """SQLite's writers of this process take turns: its own waiting is by sleeping, up to 0.1 s too long each."""
        if self._turn is None:
            yield
            return
        if not self._turn.acquire(timeout=LOCK_SECONDS):
            raise Unavailable(f"one transaction of this process has held {self.shown} for {LOCK_SECONDS:g} s")
        try:
            yield
        finally:
            self._turn.release()

    def _transact_once(self, work: Callable[[Session], T]) -> T:
        with self._alone(), Session(self._engine, expire_on_commit=False) as session:
            result = work(session)
            session.flush()
            number = self._number(session)
            try:
                session.commit()
            except DBAPIError as error:
                if number is None or not is_passing(error) or not self._was_committed(number):
                    raise
            return result

    def _number(self, session: Session) -> str | None:
        """PostgreSQL's number of a transaction that has written."""
        if self._engine.dialect.name != "postgresql":
            return None
        number: str | None = session.scalar(text("SELECT pg_current_xact_id_if_assigned()::text"))
        return number

    def _was_committed(self, number: str) -> bool:
        """What became of a transaction whose commit was not answered; waits while it is under way."""
        undecided = retry_any(retry_if_exception(is_passing), retry_if_result(lambda status: status == "in progress"))
        return bool(_attempts(undecided)(self._status, number) == "committed")

    def _status(self, number: str) -> str | None:
        with self._engine.connect() as connection:
            status: str | None = connection.scalar(text("SELECT pg_xact_status(CAST(:n AS xid8))"), {"n": number})
            return status

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Passing faults as Unavailable; the cause stays with it."""
        try:
            yield
        except (DBAPIError, PoolTimeout) as error:
            if not is_passing(error):
                raise
            reason = str(error.orig if isinstance(error, DBAPIError) else error).strip()
            raise Unavailable(f"the database {self.shown} does not answer: {reason}") from error


def is_passing(error: BaseException) -> bool:
    """Whether the same transaction may succeed when it is run again: a lock, a deadlock, a lost connection."""
    if isinstance(error, PoolTimeout):
        return True
    if not isinstance(error, DBAPIError):
        return False
    if error.connection_invalidated:
        return True
    if isinstance(error.orig, sqlite3.Error):
        # the low byte is the kind, the rest the variety
        return getattr(error.orig, "sqlite_errorcode", 0) & 0xFF in _PASSING_SQLITE
    from psycopg import OperationalError

    state = getattr(error.orig, "sqlstate", None)
    if state is None:
        return isinstance(error.orig, OperationalError)  # no server to give one: it cannot be reached
    return bool(state.startswith(_PASSING_POSTGRESQL))


def _attempts(again: retry_base | None = None) -> Retrying:
    return Retrying(
        stop=stop_after_delay(PATIENCE_SECONDS),
        wait=wait_exponential_jitter(multiplier=0.02, max=1.0, jitter=0.02),
        retry=again or retry_if_exception(is_passing),
        reraise=True,
    )


def _parsed(url: str) -> URL:
    try:
        parsed = make_url("postgresql" + url.removeprefix("postgres") if url.startswith("postgres://") else url)
        kind = parsed.get_backend_name()
    except (ArgumentError, NoSuchModuleError) as error:
        raise ServiceError(f"the setting `database` is no URL of a database: {error}") from error
    if kind == "postgresql":
        return parsed.set(drivername="postgresql+psycopg")
    if kind == "sqlite" and parsed.database not in {None, "", ":memory:"}:
        return parsed
    shown = parsed.render_as_string(hide_password=True)
    raise ServiceError(
        f"the setting `database` is {shown}; what can be used is sqlite:///FILE or postgresql://USER@HOST/NAME"
    )


def _sqlite(url: URL) -> Engine:
    Path(str(url.database)).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(
        url, pool_size=POOL, max_overflow=0, pool_timeout=LOCK_SECONDS, connect_args={"timeout": LOCK_SECONDS}
    )

    @event.listens_for(engine, "connect")
    def settings(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # we say where a transaction begins
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute("PRAGMA synchronous=NORMAL")  # with WAL: a power cut may undo the last commits, never half

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        reads_only: Any = connection.get_execution_options().get("reads_only", False)
        connection.exec_driver_sql(f"PRAGMA query_only={int(reads_only)}")
        connection.exec_driver_sql("BEGIN" if reads_only else "BEGIN IMMEDIATE")

    return engine


def _postgresql(url: URL) -> Engine:
    engine = create_engine(
        url,
        pool_size=POOL // 4,
        max_overflow=POOL - POOL // 4,
        pool_timeout=LOCK_SECONDS,
        pool_pre_ping=True,
        connect_args={"connect_timeout": 5, "application_name": "skimflow"},
    )

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        if connection.get_execution_options().get("reads_only", False):
            connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")

    return engine
