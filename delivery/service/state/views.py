"""Looking at the state: lists, counts and sums."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import BigInteger, ColumnElement, cast, func, or_, select
from sqlalchemy.orm import Session

from delivery.service.errors import BadRequest, NotThere
from delivery.service.tables import Attempt, Result, Transform, TransformFile

SORTS: Final = {
    "submitted": Transform.id,
    "started": Transform.start_time,
    "finished": Transform.finish_time,
    "status": Transform.status,
    "title": func.lower(func.coalesce(Transform.title, "")),
    "files": Transform.files,
}
"""What lists of requests can be sorted by."""


@dataclass(frozen=True, slots=True)
class Statistics:
    """Sums over a request's success results; seconds are of work, a rate is events read in a second of work."""

    results: int
    min_seconds: float
    max_seconds: float
    seconds: float
    bytes: int
    events_in: int
    events_out: int
    bytes_read: int
    reused: int

    @property
    def mean_seconds(self) -> float:
        """Seconds of work for one file, 0 if there was none."""
        return self.seconds / self.results if self.results else 0.0

    @property
    def rate(self) -> float:
        """Events in a second of work, 0 if there was none."""
        return self.events_in / self.seconds if self.seconds else 0.0


def by_request_id(session: Session, request_id: str) -> Transform:
    """The request of this id.

    Raises NotThere; also for one that is deleted.
    """
    query = select(Transform).where(Transform.request_id == request_id, Transform.target != "Deleted")
    transform = session.scalar(query)
    if transform is None:
        raise NotThere(f"there is no request {request_id}; it was deleted, or is another service's")
    return transform


def listed(
    session: Session,
    owner_id: int | None = None,
    limit: int | None = None,
    offset: int = 0,
    *,
    statuses: Collection[str] = (),
    text: str = "",
    sort: str = "-submitted",
) -> Sequence[Transform]:
    """Requests of one user (None: of all), the last submitted first.

    statuses: only of these. text: only with this in the title, the dataset's name or the id. sort: one of `SORTS`, with
    "-" for the last first.

    Raises BadRequest for another sort.
    """
    column = SORTS.get(sort.removeprefix("-"))
    if column is None:
        raise BadRequest(
            f"requests cannot be sorted by {sort!r}; they can by {', '.join(SORTS)}, with - for last first"
        )
    ordered = (column.desc(), Transform.id.desc()) if sort.startswith("-") else (column.asc(), Transform.id.asc())
    query = select(Transform).where(*_which(owner_id, statuses, text)).order_by(*ordered)
    return session.scalars(query.limit(limit).offset(offset)).all()


def count_listed(
    session: Session, owner_id: int | None = None, *, statuses: Collection[str] = (), text: str = ""
) -> int:
    """How many requests `listed` would give without a limit."""
    query = select(func.count()).select_from(Transform).where(*_which(owner_id, statuses, text))
    return session.scalar(query) or 0


def count_by_status(session: Session, owner_id: int | None = None) -> dict[str, int]:
    """How many requests there are in each status; a status without any is left out."""
    query = select(Transform.status, func.count()).where(*_which(owner_id, (), "")).group_by(Transform.status)
    return {status: count for status, count in session.execute(query)}  # noqa: C416 - rows are not tuples to mypy


def count_files(session: Session, transform: Transform) -> dict[str, int]:
    """How many files of a request there are in each state; a state without any is left out."""
    query = select(TransformFile.state, func.count()).where(TransformFile.transform_id == transform.id)
    return {state: count for state, count in session.execute(query.group_by(TransformFile.state))}  # noqa: C416


def files_of(
    session: Session,
    transform: Transform,
    limit: int | None = None,
    offset: int = 0,
    *,
    states: Collection[str] = (),
    after_version: int | None = None,
) -> Sequence[TransformFile]:
    """A request's files in their order; `after_version`: only those changed since the request was at that version."""
    query = select(TransformFile).where(TransformFile.transform_id == transform.id)
    if states:
        query = query.where(TransformFile.state.in_(states))
    if after_version is not None:
        query = query.where(TransformFile.version > after_version)
    return session.scalars(query.order_by(TransformFile.place).limit(limit).offset(offset)).all()


def results_of(
    session: Session, transform: Transform, limit: int | None = None, offset: int = 0, *, status: str | None = None
) -> Sequence[Result]:
    """A request's results in the order in which they came. status: only "success" or only "failure"."""
    query = select(Result).where(Result.transform_id == transform.id)
    if status is not None:
        query = query.where(Result.status == status)
    return session.scalars(query.order_by(Result.created_at).limit(limit).offset(offset)).all()


def attempts_of(session: Session, file: TransformFile) -> Sequence[Attempt]:
    """The tries at a file that are over, the first first."""
    return session.scalars(select(Attempt).where(Attempt.file_id == file.id).order_by(Attempt.number)).all()


def statistics(session: Session, transform: Transform) -> Statistics:
    """Sums over a request's success results."""
    seconds, read = Result.seconds, Result.bytes_read
    columns: dict[str, ColumnElement[Any]] = {
        "results": func.count(),
        "min_seconds": func.coalesce(func.min(seconds), 0.0),
        "max_seconds": func.coalesce(func.max(seconds), 0.0),
        "seconds": func.coalesce(func.sum(seconds), 0.0),
        "reused": func.count().filter(Result.reused),
    }
    sums = {"bytes": Result.bytes, "events_in": Result.events_in, "events_out": Result.events_out, "bytes_read": read}
    columns |= {name: cast(func.coalesce(func.sum(column), 0), BigInteger) for name, column in sums.items()}
    query = select(*(column.label(name) for name, column in columns.items()))
    row = session.execute(query.where(Result.transform_id == transform.id, Result.status == "success")).one()
    return Statistics(**row._mapping)


def _which(owner_id: int | None, statuses: Collection[str], text: str) -> list[ColumnElement[bool]]:
    conditions = [Transform.target != "Deleted"]
    if owner_id is not None:
        conditions.append(Transform.owner_id == owner_id)
    if statuses:
        conditions.append(Transform.status.in_(statuses))
    if text:
        places = (Transform.title, Transform.did, Transform.request_id)
        conditions.append(or_(*(place.icontains(text, autoescape=True) for place in places)))
    return conditions
