"""What is to be written down, gathered for one transaction; nothing of it is lost while the database is away."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from sqlalchemy import bindparam, func, insert, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from delivery.service import state
from delivery.service.changes import Changes
from delivery.service.database import Database
from delivery.service.errors import ServiceError
from delivery.service.runner.flights import Waiter
from delivery.service.runner.jobs import Failed, Made
from delivery.service.tables import Attempt, FileIdentity, TransformFile, utc_now
from delivery.urls import shown

MOST_ENTRIES = 400
"""Written in one transaction: others want to write, too."""


_BEFORE = select(func.count() + 1).where(Attempt.file_id == bindparam("number_of")).scalar_subquery()
_LOG = select(TransformFile.log).where(TransformFile.id == bindparam("which"))
_ATTEMPT = insert(Attempt).values(number=_BEFORE)


class NotLeading(ServiceError):
    """This process has lost the lease: nothing that it knows of running files counts."""


@dataclass(frozen=True, slots=True)
class Line:
    """One thing to write: ``write`` says whether it held; ``then`` is told that when the transaction is over."""

    request: str | None
    write: Callable[[Session], bool]
    then: Callable[[bool], None]


class Ledger:
    """Lines in the order in which they are written; used by one thread.

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
        """Write what there is and tell who watches. Raises Unavailable, and NotLeading; nothing is lost then."""
        while self._lines:
            lines = self._lines[:MOST_ENTRIES]
            held = self._database.transact(lambda session: self._write(session, lines))  # noqa: B023
            del self._lines[: len(lines)]
            for line, one in zip(lines, held, strict=True):
                line.then(one)
            for request in dict.fromkeys(line.request for line in lines if line.request is not None):
                self._changes.notify(request)

    def _write(self, session: Session, lines: Sequence[Line]) -> list[bool]:
        if not self._leads(session):
            raise NotLeading("another process runs the files now")
        return [line.write(session) for line in lines]

    def add(
        self, request: str | None, write: Callable[[Session], bool], then: Callable[[bool], None] = lambda _: None
    ) -> None:
        """Write this, too."""
        self._lines.append(Line(request, write, then))

    def start(self, waiter: Waiter, then: Callable[[bool], None]) -> None:
        """A file runs; it does not if its request was ended meanwhile."""

        def write(session: Session) -> bool:
            return state.start_file(session, TransformFile(id=waiter.file), None)

        self.add(waiter.request, write, then)

    def progress(self, waiter: Waiter, worker: str, done: int, total: int | None) -> None:
        """A file is on a worker, and so many of its events are done."""

        def write(session: Session) -> bool:
            file = session.get(TransformFile, waiter.file)
            if file is None or file.state != "running":
                return False
            file.worker = worker
            state.progress(session, file.id, done, total)
            return True

        self.add(waiter.request, write)

    def done(self, waiter: Waiter, made: Made, worker: str | None, path: str) -> None:
        """A file has its result; ``worker`` made it now."""

        def write(session: Session) -> bool:
            before = session.scalar(_LOG, {"which": waiter.file}) if waiter.tried or waiter.kills else None
            whole = replace(made, log=_joined(before or "", made.log))
            if state.record_done(session, waiter.file, _done(whole, path)) is None:
                return False
            file = session.get_one(TransformFile, waiter.file)
            file.worker = worker
            _add_attempt(session, file, "reused" if made.reused else "done", path)
            return True

        self.add(waiter.request, write)

    def failed(
        self, waiter: Waiter, path: str, outcome: state.Outcome, failed: Failed, worker: str | None = None
    ) -> None:
        """A file has failed for good."""

        def write(session: Session) -> bool:
            file = session.get(TransformFile, waiter.file)
            if file is None or file.state not in ("waiting", "running"):
                return False
            file.worker = worker or file.worker
            _add_attempt(session, file, outcome, path, failed)
            file.kills = waiter.kills
            text = _joined(file.log, failed.log)
            return state.record_failed(session, waiter.file, failed.kind, failed.sentence, text) is not None

        self.add(waiter.request, write)

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
                _add_attempt(session, file, outcome, path, failed)
            file.kills = waiter.kills
            file.log = _joined(file.log, failed.log)
            if outcome is not None:
                file.error_kind, file.error = failed.kind, failed.sentence
            if not counted:
                file.attempts = max(0, file.attempts - 1)
            return state.requeue(session, file, utc_now() + timedelta(seconds=pause) if pause else None)

        self.add(waiter.request, write)

    def identity(self, path: str, memo: str) -> None:
        """Remember which bytes a local file holds (a line of `delivery.identity.Memo`)."""
        stamp, _, digest = memo.rpartition(" ")
        known = {"stamp": stamp, "digest": digest, "size": int(stamp.split(":")[1])}

        def write(session: Session) -> bool:
            insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
            row = insert(FileIdentity).values(path=path, **known)
            session.connection().execute(row.on_conflict_do_update(index_elements=["path"], set_=known))
            return True

        self.add(None, write)


def memos(session: Session, paths: list[str]) -> dict[str, str]:
    """What is remembered of these local files."""
    query = select(FileIdentity.path, FileIdentity.stamp, FileIdentity.digest).where(FileIdentity.path.in_(paths))
    return {path: f"{stamp} {digest}" for path, stamp, digest in session.execute(query)}


def _add_attempt(
    session: Session, file: TransformFile, outcome: state.Outcome, path: str, failed: Failed | None = None
) -> None:
    """As `state.record_attempt`, in one statement: there is one for every file."""
    moment = utc_now()
    attempt = {
        "file_id": file.id,
        "number_of": file.id,
        "path": shown(path),
        "worker": file.worker,
        "started_at": file.started_at or moment,
        "finished_at": moment,
        "outcome": outcome,
        "error_kind": failed.kind if failed is not None else None,
        "error": failed.sentence if failed is not None else None,
    }
    session.connection().execute(_ATTEMPT, attempt)


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
    from delivery.service.runner.control import LOG_CHARACTERS

    return "\n".join(filter(None, (before, now)))[-LOG_CHARACTERS:]
