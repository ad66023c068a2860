"""Files of requests: from waiting to their end, and what came of them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Final, Literal, TypeAlias

from sqlalchemy import bindparam, func, insert, select
from sqlalchemy.orm import Session

from delivery.service.state.requests import finish_if_ended, locked
from delivery.service.state.rows import write, write_files
from delivery.service.tables import Attempt, Result, Transform, TransformFile, utc_now

Outcome: TypeAlias = Literal["done", "reused", "failed", "lost", "canceled"]
"""How one try at a file ended."""

WAITING: Final[dict[str, Any]] = {"state": "waiting", "worker": None, "started_at": None, "events_done": 0}
"""What a file is when it is to run again."""

NO_WORKERS: Final[Mapping[int, str | None]] = MappingProxyType({})

_UNENDED: Final = ("waiting", "running")
_TICK: Final = timedelta(microseconds=1)

# Statements that run for every file are made once: making one costs as much as running it.
_NUMBER_OF_REQUEST: Final = select(TransformFile.transform_id).where(TransformFile.id == bindparam("file_id"))
_UNENDED_FILES: Final = (
    select(TransformFile)
    .where(
        TransformFile.transform_id == bindparam("transform_id"),
        TransformFile.id.in_(bindparam("file_ids", expanding=True)),
        TransformFile.state.in_(_UNENDED),
    )
    .with_for_update()
    .execution_options(populate_existing=True)
)
_LAST_RESULT: Final = select(func.max(Result.created_at)).where(Result.transform_id == bindparam("transform_id"))
_ADD_RESULT: Final = insert(Result)
_TRIES_BEFORE: Final = select(func.count() + 1).where(Attempt.file_id == bindparam("number_of")).scalar_subquery()
_ADD_ATTEMPT: Final = insert(Attempt).values(number=_TRIES_BEFORE)

_OF_RESULT: Final = (
    "key",
    "digest",
    "bytes",
    "events_in",
    "events_out",
    "bytes_read",
    "seconds",
    "reused",
    "sum_of_weights",
)
"""What of `Done` is a column of the result."""


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


@dataclass(frozen=True, slots=True)
class Try:
    """How a try at a file ended: `path` is the replica that was read, the first if None."""

    file: TransformFile
    outcome: Outcome
    path: str | None = None
    error_kind: str | None = None
    error: str | None = None


def start_file(session: Session, file: TransformFile, worker: str | None) -> bool:
    """Whether a file that waited runs now, on this worker; it does not if its request was ended meanwhile."""
    number = session.scalar(_NUMBER_OF_REQUEST, {"file_id": file.id})
    return number is not None and bool(start_files(session, number, [file.id], worker))


def start_files(session: Session, transform_id: int, file_ids: Collection[int], worker: str | None = None) -> set[int]:
    """Those of a request's files that waited and run now; none of them if the request was ended meanwhile."""
    transform, unended = _locked_files(session, transform_id, file_ids)
    files = [file for file in unended if file.state == "waiting"]
    if transform is None or not files:
        return set()
    version, moment = transform.version + 1, utc_now()
    running = {
        "state": "running",
        "worker": worker,
        "started_at": moment,
        "not_before": None,
        "events_done": 0,
        "version": version,
    }
    write_files(session, files, [running | {"attempts": file.attempts + 1} for file in files])
    write(session, transform, {"start_time": transform.start_time or moment, "version": version})
    return {file.id for file in files}


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
    number = session.scalar(_NUMBER_OF_REQUEST, {"file_id": file_id})
    if number is None or not record_done_files(session, number, {file_id: done}):
        return None
    return session.get(Transform, number)


def record_done_files(
    session: Session, transform_id: int, done: Mapping[int, Done], workers: Mapping[int, str | None] = NO_WORKERS
) -> list[TransformFile]:
    """Record the results of some of a request's files, each once; with the last file the request ends.

    done: by file. workers: who made them, where that is to be changed.

    Returns the files whose results were recorded: not those that have ended already, none if the request has.
    """
    transform, files = _locked_files(session, transform_id, done)
    if transform is None or not files:
        return []
    first, version = _next_result(session, transform.id), transform.version + 1
    results, ends = [], []
    for number, file in enumerate(files):
        each = done[file.id]
        columns: dict[str, Any] = {name: getattr(each, name) for name in _OF_RESULT}
        columns |= {"cutflow": [list(step) for step in each.cutflow], "warnings": list(each.warnings)}
        results.append(_result(file, "success", first + number * _TICK, columns))
        known = each.events_in is not None
        ends.append(
            _ended("done", each.log)
            | {"error_kind": None, "error": None, "version": version, "worker": workers.get(file.id, file.worker)}
            | {"attempts": max(file.attempts, 1)}  # a result that was found is a try, too: it has its row
            | {"events_done": each.events_in if known else file.events_done}
            | {"events_total": each.events_in if known else file.events_total}
        )
    session.connection().execute(_ADD_RESULT, results)
    write_files(session, files, ends)
    sums = {
        "files_completed": transform.files_completed + len(files),
        "total_events": transform.total_events + sum(done[file.id].events_in or 0 for file in files),
        "total_bytes": transform.total_bytes + sum(done[file.id].bytes for file in files),
    }
    write(session, transform, sums | {"version": version})
    finish_if_ended(session, transform)
    session.flush()
    return files


def record_failed(session: Session, file_id: int, kind: str, sentence: str, log: str) -> Transform | None:
    """Record that a file failed for good, once; with the last file the request ends.

    kind: the error's class name. sentence: what is wrong and what to do, for people; without secrets.

    Returns the request, or None if nothing was recorded: the file has ended already, or the request has.
    """
    found = _locked_file(session, file_id)
    if found is None:
        return None
    transform, file = found
    result = _result(file, "failure", _next_result(session, transform.id), {})
    session.connection().execute(_ADD_RESULT, result)
    ended = _ended("failed", log) | {"error_kind": kind, "error": sentence}
    _change(session, transform, file, ended, {"files_failed": transform.files_failed + 1})
    finish_if_ended(session, transform)
    session.flush()
    return transform


def record_attempts(session: Session, tries: Sequence[Try]) -> None:
    """Keep how tries at files ended; call it before what takes from the files when they were started and by whom."""
    moment = utc_now()
    rows = [
        {
            "file_id": each.file.id,
            "number_of": each.file.id,
            "path": each.path if each.path is not None else each.file.paths[0],
            "worker": each.file.worker,
            "started_at": each.file.started_at or moment,
            "finished_at": moment,
            "outcome": each.outcome,
            "error_kind": each.error_kind,
            "error": each.error,
        }
        for each in tries
    ]
    if rows:
        session.flush()
        session.connection().execute(_ADD_ATTEMPT, rows)


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
        lost = [Try(file, "lost", error_kind="ServiceStopped", error=holder_gone) for file in files]
        record_attempts(session, lost)
        for file in files:
            _change(session, transform, file, WAITING | {"attempts": max(file.attempts - 1, 0)})
        count += len(files)
    return count


def _locked_file(session: Session, file_id: int) -> tuple[Transform, TransformFile] | None:
    """A file that has not ended, of a request that runs; first the request's row is locked, then the file's."""
    number = session.scalar(_NUMBER_OF_REQUEST, {"file_id": file_id})
    transform, files = (None, []) if number is None else _locked_files(session, number, [file_id])
    return (transform, files[0]) if transform is not None and files else None


def _locked_files(
    session: Session, transform_id: int, file_ids: Collection[int]
) -> tuple[Transform | None, list[TransformFile]]:
    """A request that runs (else None) and those of these files of it that have not ended; in the order asked."""
    transform = locked(session, transform_id)
    if transform is None or transform.status != "Running":
        return None, []
    which = {"transform_id": transform_id, "file_ids": list(file_ids)}
    found = {file.id: file for file in session.scalars(_UNENDED_FILES, which)}
    return transform, [found[number] for number in file_ids if number in found]


def _change(
    session: Session,
    transform: Transform,
    file: TransformFile,
    of_file: dict[str, Any],
    of_transform: dict[str, Any] | None = None,
) -> None:
    version = transform.version + 1
    write_files(session, [file], [{**of_file, "version": version}])
    write(session, transform, {**(of_transform or {}), "version": version})


def _ended(state: str, log: str) -> dict[str, Any]:
    return {"state": state, "log": log, "finished_at": utc_now(), "not_before": None}


def _next_result(session: Session, transform_id: int) -> datetime:
    """A time after that of every result before: who asks for later ones misses none."""
    last = session.scalar(_LAST_RESULT, {"transform_id": transform_id})
    moment = utc_now()
    return moment if last is None else max(moment, last + _TICK)


def _result(file: TransformFile, status: str, moment: datetime, columns: dict[str, Any]) -> dict[str, Any]:
    """A row of `Result`; written without the session, which takes twice the time."""
    return {
        "transform_id": file.transform_id,
        "file_id": file.id,
        "file_path": file.paths[0],
        "status": status,
        "object_name": file.object_name,
        "created_at": moment,
        **columns,
    }
