"""Views of a request's files: tables, results, logs, downloads."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final, Literal
from urllib.parse import quote, urlencode

from fastapi import Query
from sqlalchemy import Select, String, cast, func, or_, select
from sqlalchemy.orm import Session

from delivery.service.context import Caller
from delivery.service.pages.dataset_view import LOOKUPS
from delivery.service.pages.listing import RequestRow, row_with_owner
from delivery.service.protocol.requests import allowed
from delivery.service.state import OPEN
from delivery.service.tables import Attempt, Dataset, Result, Transform, TransformFile, utc_now
from delivery.urls import shown as shown_url
from delivery.urls import without_secrets

ROWS: Final = 50
LOGS: Final = 20
State = Literal["", "waiting", "running", "done", "failed", "canceled"]


@dataclass(frozen=True, slots=True)
class FilesAsked:
    """Which files of a request are wanted; the same words filter tables and logs."""

    state: State = ""
    search: str = ""
    page: int = 1
    place: int | None = None

    def link(self, **other: object) -> str:
        """The query part of a URL for the same with something else."""
        mine: dict[str, object] = {name: getattr(self, name) for name in FilesAsked.__dataclass_fields__}
        usual = FilesAsked()
        chosen = {name: value for name, value in {**mine, **other}.items() if value != getattr(usual, name)}
        return "?" + urlencode(chosen)


def files_asked(
    state: State = "",
    search: Annotated[str, Query(max_length=300)] = "",
    page: Annotated[int, Query(ge=1, le=1_000_000)] = 1,
    place: Annotated[int | None, Query(ge=0, le=2**31)] = None,
    status: Annotated[str, Query(max_length=30)] = "",
) -> FilesAsked:
    """What a URL asks for; ``status=failure`` is how the official client says ``state=failed``."""
    known: dict[str, State] = {"failure": "failed", "success": "done"}
    return FilesAsked(known.get(status, state), search.strip().replace("\0", ""), page, place)


@dataclass(frozen=True, slots=True)
class FileRow:
    """A file of a request; `percent` of its events while it runs, `rate` in events per second."""

    place: int
    path: str
    replicas: int
    state: str
    percent: int | None
    attempts: int
    worker: str | None
    events_in: int | None
    events_out: int | None
    bytes: int | None
    seconds: float | None
    rate: float | None
    reused: bool
    error_kind: str | None
    error: str | None
    has_log: bool
    object_name: str
    download: str | None


@dataclass(frozen=True, slots=True)
class FileTable:
    """One page of a request's files; if there are none, `why_none` says why."""

    asked: FilesAsked
    rows: tuple[FileRow, ...]
    total: int
    pages: int
    counts: dict[str, int]
    why_none: str


@dataclass(frozen=True, slots=True)
class AttemptRow:
    """One try at a file."""

    number: int
    outcome: str
    worker: str | None
    path: str
    started: datetime
    seconds: float
    error: str | None


@dataclass(frozen=True, slots=True)
class FileLog:
    """What one file's workers said, and its tries."""

    file: FileRow
    attempts: tuple[AttemptRow, ...]
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LogView:
    """A page of a request's logs; if there are none, `why_none` says why."""

    row: RequestRow
    asked: FilesAsked
    logs: tuple[FileLog, ...]
    total: int
    pages: int
    why_none: str


@dataclass(frozen=True, slots=True)
class ResultsView:
    """A page of a request's results, file by file."""

    row: RequestRow
    files: FileTable


def results_view(session: Session, who: Caller, request_id: str, asked: FilesAsked) -> ResultsView:
    """What came of each file. Raises NotThere and NotAllowed."""
    transform = allowed(session, request_id, who)
    return ResultsView(row_with_owner(session, transform), file_table(session, transform, asked))


def log_view(session: Session, who: Caller, request_id: str, asked: FilesAsked) -> LogView:
    """The logs of a request's files, those lines that hold what is searched for. Raises NotThere and NotAllowed."""
    transform = allowed(session, request_id, who)
    found = _filtered(transform, asked, TransformFile.log, TransformFile.error)
    total = session.scalar(found.with_only_columns(func.count())) or 0
    pages = max(1, -(-total // LOGS))
    page = found.order_by(TransformFile.place).limit(LOGS).offset((min(asked.page, pages) - 1) * LOGS)
    files = session.execute(page).all()
    tries = select(Attempt).where(Attempt.file_id.in_([file.id for file, _ in files])).order_by(Attempt.id)
    attempts = session.scalars(tries).all()
    logs = tuple(
        FileLog(
            _file_row(file, result, request_id),
            tuple(_attempt_row(one) for one in attempts if one.file_id == file.id),
            _lines(file.log, asked.search),
        )
        for file, result in files
    )
    why_none = "" if logs else _why_none(session, transform)
    return LogView(row_with_owner(session, transform), asked, logs, total, pages, why_none)


def downloads(session: Session, who: Caller, request_id: str) -> list[tuple[str, str, int]]:
    """Object name, path of the URL and bytes of each result. Raises NotThere and NotAllowed."""
    transform = allowed(session, request_id, who)
    good = Result.transform_id == transform.id, Result.status == "success"
    rows = session.execute(select(Result.object_name, Result.bytes).where(*good).order_by(Result.id))
    return [(name, _download(request_id, name), size) for name, size in rows]


def file_table(session: Session, transform: Transform, asked: FilesAsked) -> FileTable:
    """The files as asked, in the request's order."""
    counting = (
        select(TransformFile.state, func.count())
        .where(TransformFile.transform_id == transform.id)
        .group_by(TransformFile.state)
    )
    counts: dict[str, int] = dict(session.execute(counting).all())
    found = _filtered(transform, asked, TransformFile.error)
    total = session.scalar(found.with_only_columns(func.count())) or 0
    pages = max(1, -(-total // ROWS))
    page = found.order_by(TransformFile.place).limit(ROWS).offset((min(asked.page, pages) - 1) * ROWS)
    rows = tuple(_file_row(file, result, transform.request_id) for file, result in session.execute(page))
    return FileTable(asked, rows, total, pages, counts, "" if rows else _why_none(session, transform))


def _why_none(session: Session, transform: Transform) -> str:
    """Why there are no files to show."""
    if transform.files:
        return "No file fits."
    dataset = session.get(Dataset, transform.dataset_id) if transform.dataset_id else None
    lookup = LOOKUPS.get(dataset.lookup_status, dataset.lookup_status) if dataset else "not known"
    match transform.status:
        case "Bad Dataset":
            said = (dataset.lookup_error if dataset else None) or transform.failure
            return f"The dataset gave no files ({lookup})" + (f": {without_secrets(said)}" if said else ".")
        case "Complete":
            return "The dataset has no files."
        case status if status in OPEN:
            return f"The files are not known yet: the dataset is {lookup}."
    return "The request ended before its files were known."


def _filtered(transform: Transform, asked: FilesAsked, *searched: Any) -> Select[TransformFile, Result]:
    found = (
        select(TransformFile, Result)
        .outerjoin(Result, Result.file_id == TransformFile.id)
        .where(TransformFile.transform_id == transform.id)
    )
    if asked.state:
        found = found.where(TransformFile.state == asked.state)
    if asked.place is not None:
        found = found.where(TransformFile.place == asked.place)
    if asked.search:
        texts = [TransformFile.object_name, cast(TransformFile.paths, String), *searched]
        found = found.where(or_(*(text.icontains(asked.search, autoescape=True) for text in texts)))
    return found


def _file_row(file: TransformFile, result: Result | None, request_id: str) -> FileRow:
    good = result if result is not None and result.status == "success" else None
    events = good.events_in if good else None
    seconds = good.seconds if good else _since(file)
    done = events if good else file.events_done
    return FileRow(
        place=file.place,
        path=shown_url(good.file_path if good else file.paths[0]),
        replicas=len(file.paths),
        state=file.state,
        percent=100 * file.events_done // file.events_total if file.events_total else None,
        attempts=file.attempts,
        worker=file.worker,
        events_in=events,
        events_out=good.events_out if good else None,
        bytes=good.bytes if good else None,
        seconds=seconds,
        rate=done / seconds if done and seconds and not (good and good.reused) else None,
        reused=bool(good and good.reused),
        error_kind=file.error_kind,
        error=without_secrets(file.error) if file.error else None,
        has_log=bool(file.log or file.attempts),
        object_name=file.object_name,
        download=_download(request_id, file.object_name) if good else None,
    )


def _since(file: TransformFile) -> float | None:
    if file.state != "running" or file.started_at is None:
        return None
    return (utc_now() - file.started_at).total_seconds()


def _download(request_id: str, name: str) -> str:
    return f"/servicex/transformation/{request_id}/objects/{quote(name, safe='')}"


def _attempt_row(attempt: Attempt) -> AttemptRow:
    return AttemptRow(
        number=attempt.number,
        outcome=attempt.outcome,
        worker=attempt.worker,
        path=shown_url(attempt.path),
        started=attempt.started_at,
        seconds=(attempt.finished_at - attempt.started_at).total_seconds(),
        error=without_secrets(attempt.error) if attempt.error else None,
    )


def _lines(log: str, search: str) -> tuple[str, ...]:
    lines = without_secrets(log).splitlines()
    found = [line for line in lines if search.lower() in line.lower()]
    return tuple(found or lines)  # the file was found by its name: all of its lines
