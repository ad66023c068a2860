"""Who signed a request: verification of AWS signatures, versions 4 and 2, in the header and in the query.

Pure: what was sent goes in, the access key or the refusal comes out. Sources: Amazon S3 API reference, "Authenticating
Requests (AWS Signature Version 4)" and "Signing and authenticating REST requests" (version 2).

The query is taken as it was sent, never decoded and encoded again: another spelling is another request, and its
signature does not fit. The path may also be signed in S3's own spelling: aiohttp, through which fsspec and so uproot
read URLs, sends ``:`` for the ``%3A`` that was signed.
"""

import hashlib
import hmac
import re
from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from itertools import product
from typing import Final
from urllib.parse import quote, unquote, unquote_to_bytes

from delivery.service.s3.errors import S3Error

SKEW: Final = timedelta(minutes=15)
"""How far the client's clock may be off."""

LONGEST: Final = timedelta(days=7)
"""Longest life of a version 4 query signature, as S3 has it. Version 2 knows no bound."""

SECOND = timedelta(seconds=1)
EMPTY_SHA256: Final = hashlib.sha256(b"").hexdigest()
UNSIGNED: Final = "UNSIGNED-PAYLOAD"
ALGORITHM: Final = "AWS4-HMAC-SHA256"

_AUTHORIZATION: Final = re.compile(
    r"AWS4-HMAC-SHA256 +Credential=(?P<credential>[^ ,]+), *"
    r"SignedHeaders=(?P<signed>[^ ,]+), *Signature=(?P<signature>[^ ,]+)"
)
_SMALL_ESCAPE: Final = re.compile(r"%(?:[a-f]|.[a-f])")
_TIME_FORMAT: Final = "%Y%m%dT%H%M%SZ"
_V2_SUBRESOURCES: Final = frozenset(
    {"accelerate", "acl", "cors", "delete", "inventory", "lifecycle", "location", "logging", "metrics", "notification"}
    | {"object-lock", "partNumber", "policy", "requestPayment", "restore", "tagging", "torrent", "uploadId", "uploads"}
    | {"versionId", "versioning", "versions", "website"}
    | {f"response-{name}" for name in ("cache-control", "content-disposition", "content-encoding")}
    | {f"response-{name}" for name in ("content-language", "content-type", "expires")}
)


@dataclass(frozen=True, slots=True)
class Sent:
    """A request as it was sent.

    path: percent-encoded, with the leading slash. query: without the question mark. headers: names in lower case.
    origins: (host, path prefix) pairs at which the client may have seen this service; the first is the Host header
    with no prefix, others are a proxy's.
    """

    method: str
    path: str
    query: str
    headers: Sequence[tuple[str, str]]
    origins: Sequence[tuple[str, str]]

    def header(self, name: str) -> str | None:
        """The values of a header joined by commas, as signatures have it; None if it was not sent."""
        values = [value for key, value in self.headers if key == name]
        return ",".join(values) if values else None

    def paths(self) -> Sequence[str]:
        """The spellings in which the path may have been signed: as sent, and with all but A-Za-z0-9/-_.~ escaped."""
        content = unquote_to_bytes(self.path.encode("utf-8", "surrogateescape"))
        return tuple(dict.fromkeys((self.path, quote(content, safe="/-_.~"))))

    def pairs(self) -> list[tuple[str, str]]:
        """The parameters of the query, encoded as they were sent."""
        parts = self.query.split("&") if self.query else []
        return [(name, value) for name, _, value in (part.partition("=") for part in parts)]

    def parameter(self, name: str) -> str | None:
        """A parameter of the query, decoded; None if it was not sent.

        Raises S3Error if it was sent twice, or with escapes in small letters: each signature has one spelling.
        """
        values = [value for key, value in self.pairs() if key == name]
        if len(values) > 1:
            raise S3Error("AuthorizationQueryParametersError", f"{name} is in the query {len(values)} times")
        if values and _SMALL_ESCAPE.search(values[0]):
            raise S3Error("AuthorizationQueryParametersError", f"escapes in {name} must be written in capitals")
        return unquote(values[0]) if values else None


@dataclass(frozen=True, slots=True)
class _Signature4:
    """What a version 4 signature says of itself."""

    credential: str
    signed: str
    signature: str
    moment: str
    payload: str

    @property
    def access_key(self) -> str:
        return self.credential.partition("/")[0]

    @property
    def scope(self) -> str:
        return self.credential.partition("/")[2]


SecretOf = Callable[[str], str | None]
"""Access key → its secret key, None if there is no such key."""


def is_signed(sent: Sent) -> bool:
    """Whether the request carries an AWS signature of any kind, right or wrong."""
    authorization = sent.header("authorization") or ""
    names = {name for name, _ in sent.pairs()}
    return authorization.startswith(("AWS ", "AWS4-")) or bool(
        names & {"X-Amz-Signature", "Signature"} and _marks(names)
    )


def verify(sent: Sent, secret_of: SecretOf, now: datetime) -> str:
    """The access key that signed the request, which is proven by this. `now` is aware.

    Raises S3Error: AccessDenied (no signature, expired), SignatureDoesNotMatch, InvalidAccessKeyId,
    RequestTimeTooSkewed, or what is malformed.
    """
    names = {name for name, _ in sent.pairs()}
    authorization = [value for name, value in sent.headers if name == "authorization"]
    ways = [bool(authorization), "X-Amz-Signature" in names or "X-Amz-Algorithm" in names, "AWSAccessKeyId" in names]
    if sum(ways) == 0:
        raise S3Error("AccessDenied", "the request is not signed; take the keys from the transformation's status")
    if sum(ways) > 1 or len(authorization) > 1:
        raise S3Error("InvalidRequest", "the request is signed more than once")
    if ways[1]:
        return _verify_query4(sent, secret_of, now)
    if ways[2]:
        return _verify_query2(sent, secret_of, now)
    if authorization[0].startswith("AWS "):
        return _verify_header2(sent, authorization[0], secret_of, now)
    return _verify_header4(sent, authorization[0], secret_of, now)


def _marks(names: set[str]) -> bool:
    return bool(names & {"X-Amz-Algorithm", "X-Amz-Credential", "AWSAccessKeyId"})


def _verify_header4(sent: Sent, authorization: str, secret_of: SecretOf, now: datetime) -> str:
    found = _AUTHORIZATION.fullmatch(authorization)
    if found is None:
        raise S3Error("AuthorizationHeaderMalformed", f"the Authorization header is not of the form of {ALGORITHM}")
    payload = sent.header("x-amz-content-sha256") or EMPTY_SHA256
    if payload.startswith("STREAMING-"):
        raise S3Error("NotImplemented", "this storage is read-only and takes no streamed payload")
    if payload not in {EMPTY_SHA256, UNSIGNED}:
        raise S3Error("XAmzContentSHA256Mismatch", "x-amz-content-sha256 is not that of an empty body")
    said = _Signature4(found["credential"], found["signed"], found["signature"], _header_time(sent), payload)
    _check_clock(_time4(said.moment), now)
    return _check4(sent, said, sent.pairs(), secret_of)


def _verify_query4(sent: Sent, secret_of: SecretOf, now: datetime) -> str:
    names = ("Algorithm", "Credential", "Date", "Expires", "SignedHeaders", "Signature")
    values = [sent.parameter(f"X-Amz-{name}") for name in names]
    algorithm, credential, date, expires, signed, signature = values
    if not (algorithm == ALGORITHM and credential and date and expires and signed and signature):
        wanted = ", ".join(f"X-Amz-{name}" for name in names)
        raise S3Error("AuthorizationQueryParametersError", f"the query needs {wanted}, with the algorithm {ALGORITHM}")
    if not (
        expires.isascii() and expires.isdigit() and len(expires) < 8 and SECOND <= int(expires) * SECOND <= LONGEST
    ):
        raise S3Error("AuthorizationQueryParametersError", "X-Amz-Expires must be 1 to 604800 seconds")
    began = _time4(date)
    if began > now + SKEW:
        raise S3Error("RequestTimeTooSkewed", "the signature's time lies in the future; set the clock right")
    if now > began + int(expires) * SECOND:
        raise S3Error("AccessDenied", "Request has expired")
    others = [(name, value) for name, value in sent.pairs() if name != "X-Amz-Signature"]
    return _check4(sent, _Signature4(credential, signed, signature, date, UNSIGNED), others, secret_of)


def _check4(sent: Sent, said: _Signature4, pairs: list[tuple[str, str]], secret_of: SecretOf) -> str:
    scope = said.scope.split("/")
    if len(scope) != 4 or scope[0] != said.moment[:8] or scope[2:] != ["s3", "aws4_request"]:
        raise S3Error(
            "AuthorizationHeaderMalformed",
            "the credential must be KEY/YYYYMMDD/REGION/s3/aws4_request with the day of the signature",
        )
    names = said.signed.split(";")
    forgotten = {name for name, _ in sent.headers if name.startswith("x-amz-")} - set(names)
    if "host" not in names or names != sorted(set(names)) or forgotten:
        raise S3Error("AccessDenied", "the headers host and x-amz-… must be signed, each once and in order")
    secret = secret_of(said.access_key)
    if secret is None:
        raise _unknown_key()
    for (host, prefix), path in product(sent.origins, sent.paths()):
        right = _signature4(sent, said, names, pairs, host, prefix + path, secret)
        if hmac.compare_digest(right.encode(), said.signature.encode()):
            return said.access_key
    raise _mismatch()


def _signature4(
    sent: Sent, said: _Signature4, names: list[str], pairs: list[tuple[str, str]], host: str, path: str, secret: str
) -> str:
    headers = []
    for name in names:
        value = host if name == "host" else sent.header(name)
        if value is None:
            raise S3Error("AccessDenied", f"the header {name} is said to be signed and was not sent")
        headers.append(f"{name}:{' '.join(value.split())}\n")
    query = "&".join(f"{name}={value}" for name, value in sorted(pairs))
    request = "\n".join([sent.method, path, query, "".join(headers), said.signed, said.payload])
    return sign4(secret, said.moment, said.scope, request)


def sign4(secret: str, moment: str, scope: str, canonical_request: str) -> str:
    """The version 4 signature of a canonical request; scope: ``YYYYMMDD/REGION/s3/aws4_request``."""
    digest = hashlib.sha256(canonical_request.encode("utf-8", "surrogateescape")).hexdigest()
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), hashlib.sha256)
    return hmac.digest(key, f"{ALGORITHM}\n{moment}\n{scope}\n{digest}".encode(), hashlib.sha256).hex()


def presigned(host: str, path: str, keys: tuple[str, str], now: datetime, seconds: int) -> str:
    """The query of a GET that needs nothing else: version 4, for at most `LONGEST`. `path` is encoded, with prefix."""
    access_key, secret = keys
    moment = now.astimezone(UTC).strftime(_TIME_FORMAT)
    scope = f"{moment[:8]}/us-east-1/s3/aws4_request"
    parameters = {
        "X-Amz-Algorithm": ALGORITHM,
        "X-Amz-Credential": f"{access_key}/{scope}",
        "X-Amz-Date": moment,
        "X-Amz-Expires": str(seconds),
        "X-Amz-SignedHeaders": "host",
    }
    query = "&".join(f"{name}={quote(value, safe='-_.~')}" for name, value in sorted(parameters.items()))
    request = "\n".join(["GET", path, query, f"host:{host}\n", "host", UNSIGNED])
    return f"{query}&X-Amz-Signature={sign4(secret, moment, scope, request)}"


def _verify_query2(sent: Sent, secret_of: SecretOf, now: datetime) -> str:
    access_key, signature, expires = (sent.parameter(name) for name in ("AWSAccessKeyId", "Signature", "Expires"))
    if not (access_key and signature and expires):
        raise S3Error("AccessDenied", "the query needs AWSAccessKeyId, Signature and Expires")
    if not (expires.isascii() and expires.isdigit() and len(expires) < 12):
        raise S3Error("AccessDenied", "Expires must be seconds since 1970")
    if int(expires) < now.timestamp():
        raise S3Error("AccessDenied", "Request has expired")
    return _check2(sent, access_key, signature, expires, secret_of)


def _verify_header2(sent: Sent, authorization: str, secret_of: SecretOf, now: datetime) -> str:
    access_key, colon, signature = authorization.removeprefix("AWS ").partition(":")
    if not colon:
        raise S3Error("InvalidArgument", "the Authorization header must be AWS KEY:SIGNATURE")
    # With x-amz-date among the signed headers, the line of the Date stays empty.
    amz_date, date = sent.header("x-amz-date"), sent.header("date")
    _check_clock(_time_of_mail(amz_date or date), now)
    return _check2(sent, access_key, signature, "" if amz_date else date or "", secret_of)


def _check2(sent: Sent, access_key: str, signature: str, date: str, secret_of: SecretOf) -> str:
    secret = secret_of(access_key)
    if secret is None:
        raise _unknown_key()
    lines = [sent.method, sent.header("content-md5") or "", sent.header("content-type") or "", date]
    names = sorted({name for name, _ in sent.headers if name.startswith("x-amz-")})
    lines += [f"{name}:{(sent.header(name) or '').strip()}" for name in names]
    subresources = [
        name + (f"={unquote(value)}" if value else "")
        for name, value in sorted(sent.pairs())
        if name in _V2_SUBRESOURCES
    ]
    tail = f"?{'&'.join(subresources)}" if subresources else ""
    for prefix, path in product(dict.fromkeys(prefix for _, prefix in sent.origins), sent.paths()):
        text = "\n".join([*lines, prefix + path + tail]).encode("utf-8", "surrogateescape")
        right = b64encode(hmac.digest(secret.encode(), text, hashlib.sha1))
        if hmac.compare_digest(right, signature.encode()):
            return access_key
    raise _mismatch()


def _header_time(sent: Sent) -> str:
    moment = sent.header("x-amz-date")
    return moment if moment is not None else _time_of_mail(sent.header("date")).strftime(_TIME_FORMAT)


def _time4(text: str) -> datetime:
    try:
        found = datetime.strptime(text, _TIME_FORMAT).replace(tzinfo=UTC)
    except ValueError:
        found = None
    if found is None or found.strftime(_TIME_FORMAT) != text:
        raise S3Error("AccessDenied", "the signature's time must be YYYYMMDDTHHMMSSZ")
    return found


def _time_of_mail(text: str | None) -> datetime:
    """A Date header's time."""
    try:
        found = parsedate_to_datetime(text or "")
    except ValueError as error:
        raise S3Error("AccessDenied", "a signed request needs a valid Date or x-amz-date header") from error
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def _check_clock(signed: datetime, now: datetime) -> None:
    if abs(signed - now) > SKEW:
        raise S3Error(
            "RequestTimeTooSkewed",
            f"the request was signed at {signed:%Y-%m-%dT%H:%M:%SZ}, here it is {now:%Y-%m-%dT%H:%M:%SZ}; "
            f"set the clock right",
        )


def _unknown_key() -> S3Error:
    return S3Error("InvalidAccessKeyId", "no request has this access key; take it from the transformation's status")


def _mismatch() -> S3Error:
    return S3Error(
        "SignatureDoesNotMatch",
        "the signature is not that of this request by this key; check the secret key, and that no proxy changes the "
        "path, the query or the Host header",
    )
