"""Server-sent events: a request as it changes, and which requests changed.

``GET /servicex/transformation/{id}/events`` sends the present state at once, then each change: ``version``, ``status``
(the status object), ``files`` (the rows that changed) and ``results`` (the new ones). The event's id is the version:
who comes back with it in Last-Event-ID gets only what came after. The stream ends after a terminal state; an event
named ``deleted`` ends that of a request that is gone.
"""

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Header, Path, Query, Request
from fastapi.responses import StreamingResponse
from sqlalchemy import select
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool

from delivery.service.context import Caller, Service, service_of
from delivery.service.errors import NotThere, ServiceError
from delivery.service.pages.watching import Watch
from delivery.service.protocol.requests import allowed
from delivery.service.protocol.wire import file_of, result_of, status_of
from delivery.service.sign_in.callers import caller, limits
from delivery.service.state import OPEN
from delivery.service.tables import Result, Transform, TransformFile

HEARTBEAT_SECONDS: Final = 15.0
GATHER_SECONDS: Final = 0.02
"""So long changes are gathered after one was sent: a thousand small files need not be a thousand events."""
PAGE_SECONDS: Final = 0.25
"""The same for pages, which people read."""
HEARTBEAT: Final = ": still here\n\n"
_MOST: Final = 5000
HEADERS: Final = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}

router = APIRouter()
Here = Annotated[Service, Depends(service_of)]
Who = Annotated[Caller, Depends(caller)]
_making = threading.Lock()


def watch_of(request: Request) -> Watch:
    """The streams of this process."""
    app_state = request.app.state
    with _making:
        if not hasattr(app_state, "watch"):
            service = service_of(request)
            watch = app_state.watch = Watch(service.database, service.changes)
            app_state.metrics.streams.set_function(lambda: watch.streams)
        found: Watch = app_state.watch
    return found


@dataclass(frozen=True, slots=True)
class Moment:
    """A request now, as an event's content, and whether it has ended."""

    version: int
    ended: bool
    content: dict[str, Any]


@router.get("/servicex/transformation/{request_id}/events", response_class=StreamingResponse, include_in_schema=False)
async def events(
    request: Request,
    service: Here,
    who: Who,
    request_id: Annotated[str, Path(max_length=100)],
    last_event_id: Annotated[int, Header(ge=-1, le=2**63 - 1)] = -1,
) -> StreamingResponse:
    """A request as it changes, until it ends."""

    def look(seen: int) -> Moment:
        with service.database.reading() as session:
            return _moment(session, request, service, allowed(session, request_id, who), seen)

    def check() -> str:
        watch.check(who.user_id, limits(request).streams)
        with service.database.reading() as session:
            return allowed(session, request_id, who).request_id

    watch = watch_of(request)
    canonical = await run_in_threadpool(check)  # its errors are answers, not events

    async def stream() -> AsyncIterator[str]:
        seen = last_event_id
        with watch.watching(canonical, who.user_id) as watcher:
            while not service.changes.closed:
                moment = await run_in_threadpool(look, seen)
                if moment.version > seen or moment.ended:
                    yield _event(moment.content, moment.version)
                    seen = moment.version
                    if moment.ended:
                        return
                    await asyncio.sleep(GATHER_SECONDS)
                if not await watcher.changed(HEARTBEAT_SECONDS):
                    yield HEARTBEAT

    return _streaming(stream())


@router.get("/dashboard/events", response_class=StreamingResponse, include_in_schema=False)
async def page_events(
    request: Request,
    service: Here,
    who: Who,
    request_id: Annotated[str | None, Query(alias="request", max_length=100)] = None,
) -> StreamingResponse:
    """Which requests changed (of all that the caller may see, or one): versions by id; the pages' script listens."""

    def look(ids: set[str]) -> dict[str, int]:
        found = select(Transform.request_id, Transform.version).where(Transform.request_id.in_(sorted(ids)[:_MOST]))
        if who.role != "admin":
            found = found.where(Transform.owner_id == who.user_id)
        with service.database.reading() as session:
            return dict(session.execute(found).all())

    def check() -> str | None:
        watch.check(who.user_id, limits(request).streams)
        if request_id is None:
            return None
        with service.database.reading() as session:
            return allowed(session, request_id, who).request_id

    watch = watch_of(request)
    canonical = await run_in_threadpool(check)

    async def stream() -> AsyncIterator[str]:
        with watch.watching(canonical, who.user_id) as watcher:
            yield _event({}, None)
            sent: dict[str, int] = {}
            while not service.changes.closed:
                ids = await watcher.changed(HEARTBEAT_SECONDS)
                found = await run_in_threadpool(look, ids) if ids else {}
                new = {one: version for one, version in found.items() if sent.get(one) != version}
                if new:
                    yield _event(new, None)
                    sent.update(new)
                    await asyncio.sleep(PAGE_SECONDS)
                elif not ids:
                    yield HEARTBEAT

    return _streaming(stream())


def _streaming(stream: AsyncIterator[str]) -> StreamingResponse:
    async def whole() -> AsyncIterator[str]:
        try:
            async for text in stream:
                yield text
        except NotThere:
            yield "event: deleted\ndata: {}\n\n"
        except ServiceError:
            return  # the database is away: who listens comes back with the last id

    return StreamingResponse(whole(), media_type="text/event-stream", headers=HEADERS)


def _event(content: dict[str, Any], version: int | None) -> str:
    number = "" if version is None else f"id: {version}\n"
    return f"{number}data: {json.dumps(content, separators=(',', ':'))}\n\n"


def _moment(session: Session, request: Request, service: Service, transform: Transform, seen: int) -> Moment:
    """The request now, with the files that changed since `seen` and their results."""
    changed = TransformFile.transform_id == transform.id, TransformFile.version > seen
    files = session.scalars(select(TransformFile).where(*changed).order_by(TransformFile.place)).all()
    theirs = select(Result).join(TransformFile, Result.file_id == TransformFile.id).where(*changed).order_by(Result.id)
    content = {
        "version": transform.version,
        "status": status_of(transform, request, service.secret),
        "files": [file_of(file) for file in files],
        "results": [result_of(result, transform) for result in session.scalars(theirs)],
    }
    return Moment(transform.version, transform.status not in OPEN, content)
