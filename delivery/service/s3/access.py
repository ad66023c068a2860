"""How clients get at a request's objects: the keys of its status, and URLs that need no keys.

ServiceX's client takes an access and a secret key from the status and no session token, so temporary credentials of a
bucket (STS) are of no use to it: S3 clients always come through the gateway, which streams from whatever store there
is. Where the store is a bucket that clients reach (`settings.s3_public_url`), URLs lead to it directly: a blob's
presigned URL opens that one object, for a while, and the service's own keys never leave it.
"""

import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlsplit

from sqlalchemy import select

from artifacts.store import blob_name
from delivery.service.context import Service
from delivery.service.errors import BadRequest, NotThere
from delivery.service.s3.signatures import LONGEST, presigned
from delivery.service.secret import Secret
from delivery.service.tables import Result, Transform

if TYPE_CHECKING:
    from obstore.store import S3Store

REDIRECT_LIFE: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Access:
    """What a status says of its object store: ``host:port``, whether by TLS, and the keys of the request's bucket."""

    endpoint: str
    secured: bool
    access_key: str
    secret_key: str


def access_for(request_id: str, secret: Secret, base: str) -> Access:
    """How S3 clients reach the objects of a request. base: the URL at which clients see this service."""
    url = urlsplit(base)
    return Access(url.netloc, url.scheme == "https", *secret.s3_keys(request_id))


def url_for(
    service: Service, transform: Transform, object_name: str, scheme: str, base: str
) -> tuple[str, dict[str, str], datetime]:
    """A URL of one result for whoever holds it: the URL, headers to send with it, and when it ends (aware, UTC).

    scheme: "http", which means https where the service or the store has it.

    Raises BadRequest for another scheme and NotThere if the request has no such result.
    """
    if scheme not in {"http", "https"}:
        raise BadRequest(f"results cannot be had by {scheme!r} here; ask for the scheme 'http'")
    with service.database.reading() as session:
        digest = session.scalar(
            select(Result.digest).where(
                Result.transform_id == transform.id, Result.object_name == object_name, Result.status == "success"
            )
        )
    if digest is None:
        raise NotThere(f"the request {transform.request_id} has no result {object_name!r}")
    now = datetime.now(UTC)
    url = direct_url(service, digest, LONGEST) or _gateway_url(service, transform.request_id, object_name, base, now)
    return url, {}, now + LONGEST


def direct_url(service: Service, digest: str, life: timedelta = REDIRECT_LIFE) -> str | None:
    """A presigned URL of a blob at the bucket itself; None where clients do not reach the store."""
    public, store = service.settings.s3_public_url, service.settings.store_url
    if public is None or not store.startswith("s3://"):
        return None
    import obstore

    return obstore.sign(_bucket(store, public), "GET", blob_name(digest), life)


@lru_cache(maxsize=8)
def _bucket(store: str, public: str) -> "S3Store":
    """The store's bucket as clients reach it; keys and region are the environment's."""
    from obstore.store import S3Store

    name, _, prefix = store.removeprefix("s3://").partition("/")
    return S3Store(
        name,
        prefix=prefix.strip("/") or None,
        endpoint=public.rstrip("/"),
        region=os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1",
        virtual_hosted_style_request=False,
        client_options={"allow_http": public.startswith("http://")},
    )


def _gateway_url(service: Service, request_id: str, object_name: str, base: str, now: datetime) -> str:
    root = (service.settings.public_url or base).rstrip("/")
    at = urlsplit(root)
    path = f"{at.path}/{request_id}/{quote(object_name, safe='-_.~')}"
    query = presigned(at.netloc, path, service.secret.s3_keys(request_id), now, int(LONGEST.total_seconds()))
    return f"{at.scheme}://{at.netloc}{path}?{query}"
