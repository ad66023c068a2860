"""The S3 side of the service's port: read-only, path style, a bucket per request.

What is signed as for S3, or has a request's id as the first part of its path, is answered here, in XML; all else goes
on to the application.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit
from uuid import UUID, uuid4

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from delivery.service.context import Service
from delivery.service.errors import ServiceError
from delivery.service.s3 import objects, xml
from delivery.service.s3.blobs import Blobs
from delivery.service.s3.errors import S3Error
from delivery.service.s3.listing import asked
from delivery.service.s3.signatures import Sent, is_signed, verify

_SIGNING: Final = frozenset({"AWSAccessKeyId", "Signature", "Expires", "x-id"})
_LISTING: Final = frozenset(
    {"list-type", "prefix", "delimiter", "max-keys", "continuation-token", "start-after", "marker", "encoding-type"}
    | {"fetch-owner"}
)


class Gateway:
    """A middleware: takes S3 calls out of the application's stream."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer an S3 call, pass any other on."""
        if scope["type"] == "http":
            sent = _sent(scope)
            if is_signed(sent) or _is_bucket(sent.path):
                response = await _answer(Request(scope, receive), sent)
                await response(scope, receive, send)
                return
        await self._app(scope, receive, send)


async def _answer(request: Request, sent: Sent) -> Response:
    identity = uuid4().hex
    try:
        response = await _routed(request, sent)
    except ServiceError as error:
        response = _refusal(error, sent, identity)
    response.headers["x-amz-request-id"] = identity
    return response


async def _routed(request: Request, sent: Sent) -> Response:
    service: Service = request.app.state.service
    if sent.method not in {"GET", "HEAD"}:
        raise S3Error("MethodNotAllowed", "this storage is read-only", {"Allow": "GET, HEAD"})
    if (sent.header("content-length") or "0") != "0" or sent.header("transfer-encoding") is not None:
        raise S3Error("InvalidRequest", f"a {sent.method} has no body")
    public = urlsplit(service.settings.public_url or "")
    origins = [*sent.origins, (public.netloc, public.path.rstrip("/"))] if public.netloc else sent.origins
    sent = Sent(sent.method, sent.path, sent.query, sent.headers, origins)
    name, key = _names(sent.path)
    access_key = verify(sent, lambda key: _secret_of(service, key), datetime.now(UTC))
    request_id = service.secret.request_of_access_key(access_key)
    if request_id is None or name not in {"", request_id}:
        raise S3Error("AccessDenied", "the key opens one request's bucket, and this is another")
    query = _query(sent.query)
    owner = await run_in_threadpool(objects.bucket, service, request_id)
    if not name and not key and sent.method == "GET" and not query:
        return _xml(xml.buckets([(owner.request_id, owner.made)]))
    if not name:
        raise S3Error("MethodNotAllowed", "of the storage itself, only its buckets can be listed")
    if not key:
        return await _bucket_answer(service, owner, sent.method, query)
    if query:
        raise S3Error("NotImplemented", f"objects here know no {', '.join(sorted(query))}")
    found = await run_in_threadpool(objects.stored, service, owner, key)
    by_query = sent.header("authorization") is None
    return await objects.answer(service, blobs_of(request), owner, found, request, may_redirect=by_query)


async def _bucket_answer(service: Service, owner: objects.Bucket, method: str, query: Mapping[str, str]) -> Response:
    if method == "HEAD":
        return Response(headers={"x-amz-bucket-region": "us-east-1"}, media_type="application/xml")
    if "location" in query:
        return _xml(xml.location())
    if unknown := sorted(set(query) - _LISTING):
        raise S3Error("NotImplemented", f"buckets here know no {', '.join(unknown)}")
    wanted = asked(query)
    page = await run_in_threadpool(objects.listed, service, owner, wanted)
    return _xml(xml.listing(owner.request_id, wanted, page))


def blobs_of(request: Request) -> Blobs:
    """What this process knows of the store's blobs."""
    state = request.app.state
    if not hasattr(state, "blobs"):
        state.blobs = Blobs(state.service.store)
    found: Blobs = state.blobs
    return found


def _sent(scope: Scope) -> Sent:
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    path = raw.decode("latin-1").removeprefix(scope.get("root_path", ""))
    headers = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in scope["headers"]]
    host = next((value for name, value in headers if name == "host"), "")
    return Sent(scope["method"], path, scope["query_string"].decode("latin-1"), headers, [(host, "")])


def _is_bucket(path: str) -> bool:
    first = path.lstrip("/").partition("/")[0]
    try:
        return len(first) == 36 and str(UUID(first)) == first
    except ValueError:
        return False


def _names(path: str) -> tuple[str, str]:
    """Bucket and key of a path, decoded once. Raises S3Error for what no name can be."""
    bucket, _, key = path.removeprefix("/").partition("/")
    try:
        decoded = unquote(bucket, errors="strict"), unquote(key, errors="strict")
    except UnicodeDecodeError as error:
        raise S3Error("InvalidRequest", "the path is not UTF-8") from error
    if "\0" in "".join(decoded):
        raise S3Error("InvalidRequest", "no name has a NUL character")
    return decoded


def _query(text: str) -> dict[str, str]:
    """The parameters that are not the signature's. Raises S3Error."""
    try:
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=50)
    except ValueError as error:
        raise S3Error("InvalidArgument", "the query is not UTF-8, or too long") from error
    if any("\0" in name + value for name, value in pairs):
        raise S3Error("InvalidArgument", "no parameter has a NUL character")
    return {name: value for name, value in pairs if name not in _SIGNING and not name.startswith("X-Amz-")}


def _secret_of(service: Service, access_key: str) -> str | None:
    request_id = service.secret.request_of_access_key(access_key)
    return None if request_id is None else service.secret.s3_keys(request_id)[1]


def _refusal(error: ServiceError, sent: Sent, identity: str) -> Response:
    if not isinstance(error, S3Error):
        code = "SlowDown" if error.status == 503 else "InternalError"
        error = S3Error(code, str(error), {"Retry-After": "1"})
    # HEAD has no body, whatever is to be said
    body = b"" if sent.method == "HEAD" else xml.error(error.code, str(error), sent.path, identity)
    return Response(body, error.status, dict(error.headers), "application/xml")


def _xml(body: bytes) -> Response:
    return Response(body, media_type="application/xml")
