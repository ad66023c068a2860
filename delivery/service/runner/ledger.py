"""What is to be written down, gathered for one transaction; nothing of it is lost while the database is away."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import IntEnum
from itertools import groupby
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from delivery.service import state
from delivery.service.changes import Changes
from delivery.service.database import Database
from delivery.service.errors import ServiceError
from delivery.service.runner.control import LOG_CHARACTERS
from delivery.service.runner.flights import Waiter
from delivery.service.runner.jobs import Failed, Made
from delivery.service.tables import FileIdentity, TransformFile, utc_now
from delivery.urls import shown

MOST_ENTRIES = 400
"""Written in one transaction: others want to write, too."""


class NotLeading(ServiceError):
    """This process has lost the lease: nothing that it knows of running files counts."""


class Kind(IntEnum):
    """Kinds of lines, in the order in which a request's are written: what ends may have started just before."""

    START = 0
    OTHER = 1
    IDENTITY = 2
    DONE = 3


@dataclass(frozen=True, slots=True)
class Result:
    """A result of a file that waited for it; ``worker`` made it now."""

    waiter: Waiter
    made: Made
    worker: str | None
    path: str


@dataclass(frozen=True, slots=True)
class Line:
    """One thing to write: ``content`` by its kind a `Waiter`, what writes it, a row of identities, or a `Result`.

    ``then`` is told whether it held, when the transaction is over.
    """

    kind: Kind
    transform: int
    request: str | None
    content: Any
    then: Callable[[bool], None] = lambda _: None

    @property
    def place(self) -> tuple[int, Kind]:
        """Lines of one place are written together; requests are locked in the order of their numbers, each once."""
        return self.transform, self.kind


class Ledger:
    """What is to be written; used by one thread.

    ``leads``: whether this process still leads, asked in each transaction, which keeps others from leading meanwhile. A
    process that was held up for longer than its lease would else mark files that another one runs.
    """

    def __init__(self, database: Database, changes: Changes, leads: Callable[[Session], bool]) -> None:
        self._database, self._changes, self._leads = database, changes, leads
        self._lines: list[Line] = []

    @property
    def is_empty(self) -> bool:
        """Whether all is written."""
        return not self._lines

    def clear(self) -> None:
        """Forget what is not written: another process leads now."""
        self._lines.clear()

    def commit(self) -> None:
        """Write what there is and tell who watches.

        Raises Unavailable, and NotLeading; nothing is lost then. Raises what the first ``then`` raised, when all others
        were told.
        """
        while self._lines:
            self._lines.sort(key=lambda line: line.place)
            lines = self._lines[:MOST_ENTRIES]
            held = self._database.transact(lambda session: self._write(session, lines))  # noqa: B023
            del self._lines[: len(lines)]
            failed: list[Exception] = []
            for line, one in zip(lines, held, strict=True):
                try:
                    line.then(one)
                except Exception as error:  # noqa: BLE001 - raised below
                    failed.append(error)
            for request in dict.fromkeys(line.request for line in lines if line.request is not None):
                self._changes.notify(request)
            if failed:
                raise failed[0]

    def _write(self, session: Session, lines: Sequence[Line]) -> list[bool]:
        if not self._leads(session):
            raise NotLeading("another process runs the files now")
        held: list[bool] = []
        for (transform, kind), group in groupby(lines, key=lambda line: line.place):
            held += _WRITE[kind](session, transform, [line.content for line in group])
        return held

    def start(self, waiter: Waiter, then: Callable[[bool], None]) -> None:
        """A file runs; it does not if its request was ended meanwhile."""
        self._lines.append(Line(Kind.START, waiter.transform, waiter.request, waiter, then))

    def done(self, waiter: Waiter, made: Made, worker: str | None, path: str) -> None:
        """A file has its result; ``worker`` made it now."""
        self._lines.append(Line(Kind.DONE, waiter.transform, waiter.request, Result(waiter, made, worker, path)))

    def identity(self, path: str, memo: str) -> None:
        """Remember which bytes a local file holds (a line of `delivery.identity.Memo`)."""
        stamp, _, digest = memo.rpartition(" ")
        row = {"path": path, "stamp": stamp, "digest": digest, "size": int(stamp.split(":")[1])}
        self._lines.append(Line(Kind.IDENTITY, 0, None, row))

    def _add(self, waiter: Waiter, write: Callable[[Session], bool]) -> None:
        self._lines.append(Line(Kind.OTHER, waiter.transform, waiter.request, write))

    def progress(self, waiter: Waiter, worker: str, done: int, total: int | None) -> None:
        """A file is on a worker, and so many of its events are done."""

        def write(session: Session) -> bool:
            file = session.get(TransformFile, waiter.file)
            if file is None or file.state != "running":
                return False
            file.worker = worker
            state.progress(session, file.id, done, total)
            return True

        self._add(waiter, write)

    def failed(
        self, waiter: Waiter, path: str, outcome: state.Outcome, failed: Failed, worker: str | None = None
    ) -> None:
        """A file has failed for good."""

        def write(session: Session) -> bool:
            file = session.get(TransformFile, waiter.file)
            if file is None or file.state not in ("waiting", "running"):
                return False
            file.worker = worker or file.worker
            state.record_attempts(session, _tried(file, outcome, path, failed))
            file.kills = waiter.kills
            text = _joined(file.log, failed.log)
            return state.record_failed(session, waiter.file, failed.kind, failed.sentence, text) is not None

        self._add(waiter, write)

    def again(
        self,
        waiter: Waiter,
        path: str,
        outcome: state.Outcome | None,
        failed: Failed,
        worker: str | None = None,
        *,
        pause: float = 0.0,
        counted: bool = True,
    ) -> None:
        """A file waits again. ``outcome`` None: there was no try to write down; not ``counted``: it was no fault."""

        def write(session: Session) -> bool:
            file = session.get(TransformFile, waiter.file)
            if file is None or file.state != "running":
                return False
            file.worker = worker or file.worker
            if outcome is not None:
                state.record_attempts(session, _tried(file, outcome, path, failed))
            file.kills = waiter.kills
            file.log = _joined(file.log, failed.log)
            if outcome is not None:
                file.error_kind, file.error = failed.kind, failed.sentence
            if not counted:
                file.attempts = max(0, file.attempts - 1)
            return state.requeue(session, file, utc_now() + timedelta(seconds=pause) if pause else None)

        self._add(waiter, write)


def memos(session: Session, paths: list[str]) -> dict[str, str]:
    """What is remembered of these local files."""
    query = select(FileIdentity.path, FileIdentity.stamp, FileIdentity.digest).where(FileIdentity.path.in_(paths))
    return {path: f"{stamp} {digest}" for path, stamp, digest in session.execute(query)}


def _write_starts(session: Session, transform: int, waiters: Sequence[Waiter]) -> list[bool]:
    started = state.start_files(session, transform, [waiter.file for waiter in waiters])
    return [waiter.file in started for waiter in waiters]


def _write_others(session: Session, _: int, writes: Sequence[Callable[[Session], bool]]) -> list[bool]:
    return [write(session) for write in writes]


def _write_identities(session: Session, _: int, rows: Sequence[dict[str, Any]]) -> list[bool]:
    row = (postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert)(FileIdentity)
    new = {name: row.excluded[name] for name in ("stamp", "digest", "size")}
    session.connection().execute(row.on_conflict_do_update(index_elements=["path"], set_=new), list(rows))
    return [True] * len(rows)


def _write_results(session: Session, transform: int, results: Sequence[Result]) -> list[bool]:
    """Results, counts and tries of one request's files, in one transaction as ever."""
    tried = [each.waiter.file for each in results if each.waiter.tried or each.waiter.kills]
    query = select(TransformFile.id, TransformFile.log).where(TransformFile.id.in_(tried))
    before: dict[int, str] = dict(session.execute(query).all()) if tried else {}
    by_file = {each.waiter.file: each for each in results}
    done = {
        file: _done(replace(each.made, log=_joined(before.get(file, ""), each.made.log)), each.path)
        for file, each in by_file.items()
    }
    workers = {file: each.worker for file, each in by_file.items()}
    recorded = {file.id: file for file in state.record_done_files(session, transform, done, workers)}
    state.record_attempts(
        session,
        [
            state.Try(file, "reused" if by_file[number].made.reused else "done", shown(by_file[number].path))
            for number, file in recorded.items()
        ],
    )
    return [each.waiter.file in recorded for each in results]


_WRITE: dict[Kind, Callable[[Session, int, Sequence[Any]], list[bool]]] = {
    Kind.START: _write_starts,
    Kind.OTHER: _write_others,
    Kind.IDENTITY: _write_identities,
    Kind.DONE: _write_results,
}


def _tried(file: TransformFile, outcome: state.Outcome, path: str, failed: Failed) -> list[state.Try]:
    return [state.Try(file, outcome, shown(path), failed.kind, failed.sentence)]


def _done(made: Made, path: str) -> state.Done:
    return state.Done(
        path=shown(path),
        key=made.key,
        digest=made.digest,
        bytes=made.bytes,
        events_in=made.events_in,
        events_out=made.events_out,
        bytes_read=made.bytes_read,
        seconds=made.seconds,
        reused=made.reused,
        cutflow=made.cutflow,
        warnings=made.warnings,
        sum_of_weights=made.sum_of_weights,
        log=made.log,
    )


def _joined(before: str, now: str) -> str:
    """The lines of all tries, the last ones where there are too many."""
    return "\n".join(filter(None, (before, now)))[-LOG_CHARACTERS:]
