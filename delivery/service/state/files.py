"""Files of requests: from waiting to their end, and what came of them."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any, Final, Literal, TypeAlias

from sqlalchemy import bindparam, func, insert, select
from sqlalchemy.orm import Session

from delivery.service.state.requests import finish_if_ended, locked
from delivery.service.state.rows import write
from delivery.service.tables import Attempt, Result, Transform, TransformFile, utc_now

Outcome: TypeAlias = Literal["done", "reused", "failed", "lost", "canceled"]
"""How one try at a file ended."""

WAITING: Final[dict[str, Any]] = {"state": "waiting", "worker": None, "started_at": None, "events_done": 0}
"""What a file is when it is to run again."""

_UNENDED: Final = ("waiting", "running")

# Statements that run for every file are made once: making one costs as much as running it.
_ITS_REQUEST: Final = (
    select(Transform)
    .join(TransformFile)
    .where(TransformFile.id == bindparam("file_id"))
    .with_for_update(of=Transform)
    .execution_options(populate_existing=True)
)
_LAST_RESULT: Final = select(func.max(Result.created_at)).where(Result.transform_id == bindparam("transform_id"))
_ADD_RESULT: Final = insert(Result)


@dataclass(frozen=True, slots=True)
class Done:
    """What came of a file.

    path: the replica that was read. key, digest, bytes: the store's entry, and its blob's SHA-256 and size.
    events_in: None if the query does not tell. seconds: of work. reused: an earlier request's result.
    cutflow: (text, events that passed) pairs. log: lines for people.
    """

    path: str
    key: str
    digest: str
    bytes: int
    events_in: int | None
    events_out: int
    bytes_read: int = 0
    seconds: float = 0.0
    reused: bool = False
    cutflow: Sequence[tuple[str, int]] = ()
    warnings: Sequence[str] = ()
    sum_of_weights: float | None = None
    log: str = ""


def start_file(session: Session, file: TransformFile, worker: str | None) -> bool:
    """Whether a file that waited runs now, on this worker; it does not if its request was ended meanwhile."""
    found = _locked_file(session, file.id)
    if found is None or found[1].state != "waiting":
        return False
    transform, now = found
    moment = utc_now()
    running = {
        "state": "running",
        "worker": worker,
        "started_at": moment,
        "not_before": None,
        "attempts": now.attempts + 1,
        "events_done": 0,
    }
    _change(session, transform, now, running, {"start_time": transform.start_time or moment})
    return True


def progress(session: Session, file_id: int, done: int, total: int | None) -> None:
    """So many of a running file's events are done."""
    found = _locked_file(session, file_id)
    if found is None or found[1].state != "running" or (found[1].events_done, found[1].events_total) == (done, total):
        return
    transform, file = found
    _change(session, transform, file, {"events_done": done, "events_total": total})


def record_done(session: Session, file_id: int, done: Done) -> Transform | None:
    """Record a file's result, once; with the last file the request ends.

    Returns the request, or None if nothing was recorded: the file has ended already, or the request has.
    """
    found = _locked_file(session, file_id)
    if found is None:
        return None
    transform, file = found
    columns: dict[str, Any] = {
        one.name: getattr(done, one.name) for one in fields(done) if one.name not in {"path", "log"}
    }
    columns |= {"cutflow": [list(step) for step in done.cutflow], "warnings": list(done.warnings)}
    _add_result(session, transform, file, "success", columns)
    ended = _ended("done", done.log) | {"error_kind": None, "error": None}
    if done.events_in is not None:
        ended |= {"events_done": done.events_in, "events_total": done.events_in}
    sums = {
        "files_completed": transform.files_completed + 1,
        "total_events": transform.total_events + (done.events_in or 0),
        "total_bytes": transform.total_bytes + done.bytes,
    }
    _change(session, transform, file, ended, sums)
    finish_if_ended(session, transform)
    session.flush()
    return transform


def record_failed(session: Session, file_id: int, kind: str, sentence: str, log: str) -> Transform | None:
    """Record that a file failed for good, once; with the last file the request ends.

    kind: the error's class name. sentence: what is wrong and what to do, for people; without secrets.

    Returns the request, or None if nothing was recorded: the file has ended already, or the request has.
    """
    found = _locked_file(session, file_id)
    if found is None:
        return None
    transform, file = found
    _add_result(session, transform, file, "failure", {})
    ended = _ended("failed", log) | {"error_kind": kind, "error": sentence}
    _change(session, transform, file, ended, {"files_failed": transform.files_failed + 1})
    finish_if_ended(session, transform)
    session.flush()
    return transform


def record_attempt(
    session: Session,
    file: TransformFile,
    outcome: Outcome,
    *,
    path: str | None = None,
    started_at: datetime | None = None,
    error_kind: str | None = None,
    error: str | None = None,
) -> Attempt:
    """Keep how a try at a file ended; call it before what changes the file's state.

    path: the replica that was read, the first if None. started_at: the file's own if None.
    """
    number = session.scalar(select(func.count()).select_from(Attempt).where(Attempt.file_id == file.id)) or 0
    moment = utc_now()
    attempt = Attempt(
        file_id=file.id,
        number=number + 1,
        path=path if path is not None else file.paths[0],
        worker=file.worker,
        started_at=started_at or file.started_at or moment,
        finished_at=moment,
        outcome=outcome,
        error_kind=error_kind,
        error=error,
    )
    session.add(attempt)
    session.flush()
    return attempt


def requeue(session: Session, file: TransformFile, not_before: datetime | None = None) -> bool:
    """Whether a running file waits again, until `not_before` at least (UTC without a zone)."""
    found = _locked_file(session, file.id)
    if found is None or found[1].state != "running":
        return False
    transform, now = found
    _change(session, transform, now, WAITING | {"not_before": not_before})
    return True


def requeue_running(session: Session, holder_gone: str) -> int:
    """All running files wait again, because the process that ran them is gone; returns how many.

    Only the holder of the lease calls it, before it starts its first file. The try that was lost is kept as such, and
    is not counted against the file. holder_gone: why, one sentence.
    """
    running = TransformFile.state == "running"
    numbers = session.scalars(select(TransformFile.transform_id).where(running).distinct()).all()
    count = 0
    for number in sorted(numbers):
        transform = locked(session, number)
        files = session.scalars(select(TransformFile).where(running, TransformFile.transform_id == number)).all()
        if transform is None or not files:
            continue
        for file in files:
            record_attempt(session, file, "lost", error_kind="ServiceStopped", error=holder_gone)
            _change(session, transform, file, WAITING | {"attempts": max(file.attempts - 1, 0)})
        count += len(files)
    return count


def _locked_file(session: Session, file_id: int) -> tuple[Transform, TransformFile] | None:
    """A file that has not ended, of a request that runs; first the request's row is locked, then the file's."""
    session.flush()
    transform = session.scalar(_ITS_REQUEST, {"file_id": file_id})
    if transform is None or transform.status != "Running":
        return None
    file = session.get(TransformFile, file_id, populate_existing=True, with_for_update=True)
    return (transform, file) if file is not None and file.state in _UNENDED else None


def _change(
    session: Session,
    transform: Transform,
    file: TransformFile,
    of_file: dict[str, Any],
    of_transform: dict[str, Any] | None = None,
) -> None:
    version = transform.version + 1
    write(session, file, {**of_file, "version": version})
    write(session, transform, {**(of_transform or {}), "version": version})


def _ended(state: str, log: str) -> dict[str, Any]:
    return {"state": state, "log": log, "finished_at": utc_now(), "not_before": None}


def _add_result(
    session: Session, transform: Transform, file: TransformFile, status: str, columns: dict[str, Any]
) -> None:
    """Its time is after that of every result before: who asks for later ones misses none."""
    last = session.scalar(_LAST_RESULT, {"transform_id": transform.id})
    moment = utc_now()
    if last is not None:
        moment = max(moment, last + timedelta(microseconds=1))
    row = {
        "transform_id": transform.id,
        "file_id": file.id,
        "file_path": file.paths[0],
        "status": status,
        "object_name": file.object_name,
        "created_at": moment,
        **columns,
    }
    session.connection().execute(_ADD_RESULT, row)  # half the time that the session would take
