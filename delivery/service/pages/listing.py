"""The dashboard's view: requests found, sorted and counted, page by page."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlencode

from fastapi import Query
from sqlalchemy import ColumnElement, Select, func, or_, select
from sqlalchemy.orm import Session

from delivery.service.context import Caller
from delivery.service.state import ENDED, OPEN
from delivery.service.tables import Transform, User, utc_now

ROWS: Final = 25
Sort = Literal["title", "owner", "status", "files", "events", "bytes", "submitted", "finished"]
Order = Literal["up", "down"]

_COLUMNS: Final[dict[str, Any]] = {
    "title": func.lower(Transform.title),
    "owner": User.name,
    "status": Transform.status,
    "files": Transform.files,
    "events": Transform.total_events,
    "bytes": Transform.total_bytes,
    "submitted": Transform.id,
    "finished": Transform.finish_time,
}


@dataclass(frozen=True, slots=True)
class Asked:
    """What of the list is asked for; `link` gives the same with something else."""

    search: str = ""
    status: str = ""
    whose: str = "all"
    sort: Sort = "submitted"
    order: Order = "down"
    page: int = 1

    def link(self, **other: object) -> str:
        """The query part of a URL; what is as by default is left out."""
        mine: dict[str, object] = {name: getattr(self, name) for name in Asked.__dataclass_fields__}
        usual = Asked()
        chosen = {name: value for name, value in {**mine, **other}.items() if value != getattr(usual, name)}
        return "?" + urlencode(chosen)

    def by(self, column: str) -> str:
        """The link that sorts by a column, the other way round if it is sorted by it."""
        turned = "up" if self.sort == column and self.order == "down" else "down"
        return self.link(sort=column, order=turned, page=1)


def asked(
    search: Annotated[str, Query(max_length=300)] = "",
    status: Annotated[str, Query(max_length=30)] = "",
    whose: Literal["all", "own"] = "all",
    sort: Sort = "submitted",
    order: Order = "down",
    page: Annotated[int, Query(ge=1, le=1_000_000)] = 1,
) -> Asked:
    """What the query part of the dashboard's URL asks for."""
    return Asked(search.strip().replace("\0", ""), status, whose, sort, order, page)


@dataclass(frozen=True, slots=True)
class RequestRow:
    """A request in the list. `percent` is of files done; `seconds` from submission to the end, or until now."""

    request_id: str
    title: str
    owner: str
    status: str
    open: bool
    files: int
    completed: int
    failed: int
    percent: int
    events: int
    bytes: int
    submitted: datetime
    finished: datetime | None
    seconds: float
    failure: str | None
    version: int


@dataclass(frozen=True, slots=True)
class RequestList:
    """One page of the list, and how many requests there are of each status, and open, under the same search."""

    asked: Asked
    rows: tuple[RequestRow, ...]
    total: int
    pages: int
    counts: dict[str, int]
    open: int
    sees_all: bool
    signs_in: bool


def request_list(session: Session, who: Caller, asked: Asked, *, signs_in: bool) -> RequestList:
    """The requests that the caller may see, as asked."""
    found = _visible(who, asked)
    by_status = found.with_only_columns(Transform.status, func.count()).group_by(Transform.status)
    counts: dict[str, int] = dict(session.execute(by_status).all())
    if asked.status == "open":
        found = found.where(Transform.status.in_(OPEN))
    elif asked.status:
        found = found.where(Transform.status == asked.status)
    total = session.scalar(found.with_only_columns(func.count())) or 0
    pages = max(1, -(-total // ROWS))
    column: ColumnElement[Any] = _COLUMNS[asked.sort]
    keys = (column.desc(), Transform.id.desc()) if asked.order == "down" else (column.asc(), Transform.id.asc())
    rows = session.execute(found.order_by(*keys).limit(ROWS).offset((min(asked.page, pages) - 1) * ROWS))
    return RequestList(
        asked=asked,
        rows=tuple(row_of(transform, name) for transform, name in rows),
        total=total,
        pages=pages,
        counts=counts,
        open=sum(counts.get(name, 0) for name in OPEN),
        sees_all=who.role == "admin",
        signs_in=signs_in,
    )


def _visible(who: Caller, asked: Asked) -> Select[Transform, str]:
    found = select(Transform, User.name).outerjoin(User, Transform.owner_id == User.id)
    found = found.where(Transform.target != "Deleted")
    if who.role != "admin" or (asked.whose == "own" and who.user_id is not None):
        found = found.where(Transform.owner_id == who.user_id)
    if asked.search:
        words = [Transform.title, Transform.request_id, Transform.did, User.name, Transform.failure]
        found = found.where(or_(*(word.icontains(asked.search, autoescape=True) for word in words)))
    return found


def row_of(transform: Transform, owner: str | None) -> RequestRow:
    """A request as a row."""
    finished = transform.finish_time
    return RequestRow(
        request_id=transform.request_id,
        title=transform.title or "(no title)",
        owner=owner or "local",
        status=transform.status,
        open=transform.status in OPEN,
        files=transform.files,
        completed=transform.files_completed,
        failed=transform.files_failed,
        percent=100 * transform.files_completed // transform.files
        if transform.files
        else (100 if transform.status in ENDED else 0),
        events=transform.total_events,
        bytes=transform.total_bytes,
        submitted=transform.submit_time,
        finished=finished,
        seconds=((finished or utc_now()) - transform.submit_time).total_seconds(),
        failure=transform.failure,
        version=transform.version,
    )


def row_with_owner(session: Session, transform: Transform) -> RequestRow:
    """A single request as a row."""
    owner = session.get(User, transform.owner_id) if transform.owner_id is not None else None
    return row_of(transform, owner.name if owner else None)
