"""A request's results as objects: found in the state, served from the store."""

from base64 import b64encode
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import quote

from sqlalchemy import collate, select, update
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from delivery.service.context import Service
from delivery.service.s3.access import direct_url
from delivery.service.s3.blobs import Blobs, Gone, Opened
from delivery.service.s3.errors import S3Error
from delivery.service.s3.listing import Asked, Listed, Page, page
from delivery.service.s3.ranges import Version, is_unchanged, wanted_range
from delivery.service.tables import Result, Transform, TransformFile, User, utc_now

MEDIA_TYPE: Final = "application/octet-stream"
RETRY_SECONDS: Final = 5
"""When a client may ask again for an object that is being made anew."""

USED_RESOLUTION: Final = timedelta(hours=1)
"""How exactly a request's last use is kept: finer would cost a write for every read."""

MOST_TOGETHER: Final = 4 << 20
"""Bytes of results in one answer."""

LONGEST_NAME: Final = 1024
"""Bytes of an object's name at most, as in S3."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """A request, as a bucket. made: UTC without a zone."""

    transform_id: int
    request_id: str
    owner_id: int | None
    made: datetime


@dataclass(frozen=True, slots=True)
class Stored:
    """An object of a bucket."""

    name: str
    version: Version


def bucket(service: Service, request_id: str) -> Bucket:
    """The bucket of a request; it counts as used now. Raises S3Error NoSuchBucket, AccessDenied (its owner left)."""
    asking = select(Transform, User.active).outerjoin(User, Transform.owner_id == User.id)
    with service.database.reading() as session:
        found = session.execute(asking.where(Transform.request_id == request_id)).one_or_none()
    if found is None or found[0].target == "Deleted":
        raise S3Error("NoSuchBucket", f"there is no request {request_id} (any more)")
    transform, active = found
    if active is False:
        raise S3Error("AccessDenied", "the request's owner may not use this service any more")
    now = utc_now()
    if now - transform.last_used > USED_RESOLUTION:
        touched = update(Transform).where(Transform.id == transform.id).values(last_used=now)
        service.database.transact(lambda session: session.execute(touched))
    return Bucket(transform.id, transform.request_id, transform.owner_id, transform.submit_time)


def stored(service: Service, owner: Bucket, name: str) -> Stored:
    """An object of a bucket.

    Raises S3Error NoSuchKey, KeyTooLongError; SlowDown while its file waits or runs, for the first time or anew.
    """
    if len(name.encode("utf-8", "surrogatepass")) > LONGEST_NAME:
        raise S3Error("KeyTooLongError", f"names have at most {LONGEST_NAME} bytes")
    with service.database.reading() as session:
        result = session.scalar(
            select(Result).where(
                Result.transform_id == owner.transform_id, Result.object_name == name, Result.status == "success"
            )
        )
        state = session.scalar(
            select(TransformFile.state).where(
                TransformFile.transform_id == owner.transform_id, TransformFile.object_name == name
            )
        )
    if result is None and state in {"waiting", "running"}:
        raise _in_the_making()
    if result is None or result.digest is None:
        raise S3Error("NoSuchKey", f"the request {owner.request_id} has no such result (yet)")
    return Stored(name, Version(result.digest, result.bytes, result.created_at.replace(tzinfo=UTC)))


def stored_together(service: Service, owner: Bucket, files: Sequence[int]) -> list[Version]:
    """Results of a bucket by the numbers of their files, in the order asked.

    Raises S3Error NoSuchKey if one is not there, InvalidRequest if they are too large for one answer.
    """
    columns = select(Result.file_id, Result.digest, Result.bytes, Result.created_at)
    with service.database.reading() as session:
        rows = session.execute(
            columns.where(
                Result.transform_id == owner.transform_id, Result.file_id.in_(files), Result.digest.is_not(None)
            )
        ).all()
    found = {file: Version(digest or "", size, made.replace(tzinfo=UTC)) for file, digest, size, made in rows}
    if missing := [file for file in files if file not in found]:
        raise S3Error("NoSuchKey", f"the request {owner.request_id} has no result of its file {missing[0]} (yet)")
    if sum(found[file].size for file in files) > MOST_TOGETHER:
        raise S3Error("InvalidRequest", f"results of more than {MOST_TOGETHER:,} bytes are asked for one by one")
    return [found[file] for file in files]


def listed(service: Service, owner: Bucket, asked: Asked) -> Page:
    """A page of a bucket's objects."""
    with service.database.reading() as session:
        return page(_names(session, owner, asked), asked)


def _names(session: Session, owner: Bucket, asked: Asked) -> Iterator[Listed]:
    # Bytes decide the order, in PostgreSQL as in SQLite, whatever the database's language.
    on_postgresql = session.get_bind().dialect.name == "postgresql"
    in_order = collate(Result.object_name, "C" if on_postgresql else "BINARY")
    rows = (
        select(Result.object_name, Result.bytes, Result.digest, Result.created_at)
        .where(Result.transform_id == owner.transform_id, Result.status == "success", Result.digest.is_not(None))
        .where(in_order >= max(asked.prefix, asked.after))
        .order_by(in_order)
    )
    if not asked.delimiter:  # what is folded into prefixes is not bounded by the page
        rows = rows.limit(asked.max_keys + 2)  # `after` itself, and one more than the page holds
    for name, size, digest, modified in session.execute(rows).all():
        yield Listed(name, size, digest or "", modified)


async def answer(
    service: Service, blobs: Blobs, owner: Bucket, found: Stored, request: Request, *, may_redirect: bool
) -> Response:
    """The answer to a GET or HEAD of an object: whole or in part, as its headers ask.

    may_redirect: a client that follows redirects may be sent to the store itself, where clients reach it.

    Raises S3Error PreconditionFailed, InvalidRange, SlowDown (the blob is being made anew); Unavailable.
    """
    version = found.version
    headers = _headers(found, request.headers)
    if is_unchanged(version, request.headers):
        return Response(status_code=304, headers={name: headers[name] for name in ("ETag", "Last-Modified")})
    wanted = wanted_range(version, request.headers)
    start, end = wanted or (0, version.size)
    if wanted is not None:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{version.size}"
        headers.pop("x-amz-checksum-sha256", None)  # it is the whole object's
    headers["Content-Length"] = str(end - start)
    status = 200 if wanted is None else 206
    async with _restored(service, owner, found.name):
        if request.method == "HEAD" or may_redirect:
            await blobs.check(version.digest, version.size)
            if request.method == "HEAD":
                return Response(status_code=status, headers=headers, media_type=MEDIA_TYPE)
            if url := direct_url(service, version.digest):
                return RedirectResponse(url, 307)
        opened = await blobs.open(version.digest, version.size)
    return _Download(opened, start, end, status, headers)


class _Download(StreamingResponse):
    """Sends a part of a blob; it ends when the client goes away."""

    def __init__(self, opened: Opened, start: int, end: int, status: int, headers: Mapping[str, str]) -> None:
        super().__init__(opened.chunks(start, end), status, headers, MEDIA_TYPE)
        self._opened = opened

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._opened.close()


def _headers(found: Stored, sent: Mapping[str, str]) -> dict[str, str]:
    headers = {
        "ETag": found.version.etag,
        "Last-Modified": found.version.last_modified,
        "Accept-Ranges": "bytes",
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(found.name, safe='')}",
        "X-Content-Type-Options": "nosniff",
    }
    if sent.get("x-amz-checksum-mode", "").upper() == "ENABLED":
        headers["x-amz-checksum-sha256"] = b64encode(bytes.fromhex(found.version.digest)).decode()
        headers["x-amz-checksum-type"] = "FULL_OBJECT"
    return headers


@asynccontextmanager
async def _restored(service: Service, owner: Bucket, name: str) -> AsyncIterator[None]:
    """Have a blob that is gone made anew, and ask the client to come again."""
    try:
        yield
    except Gone as gone:
        if not await run_in_threadpool(service.runner.restore, owner.request_id, name):
            raise S3Error("NoSuchKey", f"the request {owner.request_id} was deleted") from gone
        raise _in_the_making() from gone


def _in_the_making() -> S3Error:
    return S3Error(
        "SlowDown",
        "the result is being made; please ask again",
        {"Retry-After": str(RETRY_SECONDS)},
        RETRY_SECONDS,
    )
