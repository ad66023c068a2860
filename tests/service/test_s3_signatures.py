"""Signatures against Amazon's published examples and botocore's own, and every small change of a signed request."""

from datetime import UTC, datetime, timedelta
from urllib.parse import unquote, urlsplit

import pytest
from botocore.auth import HmacV1Auth, HmacV1QueryAuth, S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from delivery.service.s3.errors import S3Error
from delivery.service.s3.signatures import EMPTY_SHA256, Sent, is_signed, presigned, verify

# Amazon S3 API reference, "Examples: Signature Calculations in AWS Signature Version 4" and the sections on version 2.
KEY, SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
HOST = "examplebucket.s3.amazonaws.com"
MAY = datetime(2013, 5, 24, tzinfo=UTC)
SCOPE = f"{KEY}/20130524/us-east-1/s3/aws4_request"


def secret_of(key: str) -> str | None:
    return SECRET if key == KEY else None


def refusal(sent: Sent, now: datetime) -> str:
    with pytest.raises(S3Error) as caught:
        verify(sent, secret_of, now)
    assert SECRET not in str(caught.value)
    return caught.value.code


def with_header(path: str, query: str, signature: str, **more: str) -> Sent:
    headers = {"host": HOST, "x-amz-content-sha256": EMPTY_SHA256, "x-amz-date": "20130524T000000Z", **more}
    signed = ";".join(sorted(headers))
    headers["authorization"] = f"AWS4-HMAC-SHA256 Credential={SCOPE},SignedHeaders={signed},Signature={signature}"
    return Sent("GET", path, query, list(headers.items()), [(HOST, "")])


PUBLISHED = {
    "get-object-range": with_header(
        "/test.txt", "", "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41", range="bytes=0-9"
    ),
    "get-lifecycle": with_header("/", "lifecycle", "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
    "list-objects": with_header(
        "/", "max-keys=2&prefix=J", "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"
    ),
    "presigned": Sent(
        "GET",
        "/test.txt",
        f"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={SCOPE.replace('/', '%2F')}&X-Amz-Date=20130524T000000Z"
        "&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
        "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404",
        [("host", HOST)],
        [(HOST, "")],
    ),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_examples_of_version_4(name: str) -> None:
    sent = PUBLISHED[name]
    assert is_signed(sent)
    assert verify(sent, secret_of, MAY) == KEY
    assert verify(sent, secret_of, MAY + timedelta(minutes=14)) == KEY
    late = refusal(sent, MAY + timedelta(days=2))
    assert late == ("AccessDenied" if name == "presigned" else "RequestTimeTooSkewed")
    assert refusal(sent, MAY - timedelta(minutes=16)) == "RequestTimeTooSkewed"


def test_published_examples_of_version_2() -> None:
    host, at = "awsexamplebucket1.us-west-1.s3.amazonaws.com", datetime(2007, 3, 27, 19, 36, 42, tzinfo=UTC)
    headers = [("host", host), ("date", "Tue, 27 Mar 2007 19:36:42 +0000")]
    signed = ("authorization", f"AWS {KEY}:qgk2+6Sv9/oM7G3qLEjTH1a1l1g=")
    # a bucket in the host's name is a prefix of the path, for a signature of version 2
    origins = [(host, "/awsexamplebucket1")]
    sent = Sent("GET", "/photos/puppy.jpg", "", [*headers, signed], origins)
    assert verify(sent, secret_of, at) == KEY
    assert refusal(sent, at + timedelta(minutes=16)) == "RequestTimeTooSkewed"


NOW = datetime.now(UTC).replace(microsecond=0)
PATH = "/7a0e7b1e-0000-4000-8000-0123456789ab/root%3A%3A%3Ax.org%3A1094%3A%3Aa%20b.root.parquet"


def signed_by_botocore(way: str) -> Sent:
    request = AWSRequest("GET", f"http://127.0.0.1:5000{PATH}", headers={"Range": "bytes=0-5"})
    credentials = Credentials(KEY, SECRET)
    if way == "header4":
        S3SigV4Auth(credentials, "s3", "us-east-1").add_auth(request)
    elif way == "query4":
        S3SigV4QueryAuth(credentials, "s3", "us-east-1", expires=600).add_auth(request)
    elif way == "header2":
        HmacV1Auth(credentials).add_auth(request)
    else:
        HmacV1QueryAuth(credentials, expires=365 * 86400).add_auth(request)
    url = urlsplit(request.url)
    headers = {"host": "127.0.0.1:5000", **{name.lower(): value for name, value in request.headers.items()}}
    if way == "query2":
        headers.pop("date", None)  # it is a way of botocore to hand on the time of expiry
    return Sent("GET", url.path, url.query, list(headers.items()), [("127.0.0.1:5000", "")])


WAYS = ("header4", "query4", "header2", "query2")
SIGNED = {way: signed_by_botocore(way) for way in WAYS}


@pytest.mark.parametrize("way", WAYS)
def test_botocores_signatures(way: str) -> None:
    sent = SIGNED[way]
    assert verify(sent, secret_of, NOW) == KEY
    code = refusal(Sent("HEAD", sent.path, sent.query, sent.headers, sent.origins), NOW)
    assert code == "SignatureDoesNotMatch"
    with pytest.raises(S3Error) as caught:
        verify(sent, lambda _: None, NOW)
    assert caught.value.code == "InvalidAccessKeyId"
    with pytest.raises(S3Error) as caught:
        verify(sent, lambda _: SECRET + "x", NOW)
    assert caught.value.code == "SignatureDoesNotMatch"


@pytest.mark.parametrize("way", WAYS)
def test_spellings_of_one_path(way: str) -> None:
    """aiohttp sends ":" for the "%3A" that botocore signed; the object is the same one, any other is not."""
    sent = SIGNED[way]
    for path in (PATH.replace("%3A", ":"), PATH.replace("%3A", "%3a"), PATH.replace("root", "%72oot")):
        assert verify(Sent("GET", path, sent.query, sent.headers, sent.origins), secret_of, NOW) == KEY
    for path in (PATH.replace("%3A", "%253A"), PATH.replace("%20", "+"), PATH.replace("%20", "%EF%BF%BD"), PATH + "/"):
        other = Sent("GET", path, sent.query, sent.headers, sent.origins)
        assert refusal(other, NOW) == "SignatureDoesNotMatch"


def test_behind_a_proxy() -> None:
    sent = SIGNED["header4"]
    inside = Sent(sent.method, sent.path, sent.query, sent.headers, [("10.0.0.1:80", "")])
    assert refusal(inside, NOW) == "SignatureDoesNotMatch"
    assert verify(Sent(*astuple(inside)[:-1], [("10.0.0.1:80", ""), ("127.0.0.1:5000", "")]), secret_of, NOW) == KEY
    stripped = Sent("GET", sent.path.removeprefix("/7a0e7b1e-0000-4000-8000-0123456789ab"), "", sent.headers, [])
    prefixed = [("127.0.0.1:5000", "/7a0e7b1e-0000-4000-8000-0123456789ab")]
    assert verify(Sent(*astuple(stripped)[:-1], prefixed), secret_of, NOW) == KEY


def astuple(sent: Sent) -> tuple[object, ...]:
    return sent.method, sent.path, sent.query, sent.headers, sent.origins


SIGNED_HEADERS = {
    "header4": {"host", "range", "x-amz-date", "x-amz-content-sha256", "authorization"},
    "query4": {"host", "range"},
    "header2": {"date", "authorization"},
    "query2": set(),
}


@given(
    way=st.sampled_from(WAYS),
    place=st.randoms(use_true_random=False),
    sign=st.characters(min_codepoint=32, max_codepoint=126),
)
def test_any_single_changed_character_is_refused(way: str, place, sign: str) -> None:
    sent = SIGNED[way]
    parts = ["path", "query"] if sent.query else ["path"]
    part = place.choice([*parts, *(name for name, _ in sent.headers if name in SIGNED_HEADERS[way])])
    text = {"path": sent.path, "query": sent.query, **dict(sent.headers)}[part]
    at = place.randrange(len(text))
    changed = text[:at] + sign + text[at + 1 :]
    if changed == text or (part == "path" and unquote(changed) == unquote(text)):
        return  # the same, or the same object in another spelling
    headers = [(name, changed if name == part else value) for name, value in sent.headers]
    host = dict(headers)["host"]
    other = Sent(
        "GET",
        changed if part == "path" else sent.path,
        changed if part == "query" else sent.query,
        headers,
        [(host, "")],
    )
    refusal(other, NOW)


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("X-Amz-Signature=0", "AuthorizationQueryParametersError"),
        ("X-Amz-Algorithm=AWS4-HMAC-SHA256", "AuthorizationQueryParametersError"),
        ("AWSAccessKeyId=a", "AccessDenied"),
        ("AWSAccessKeyId=a&Signature=b&Expires=%D9%A3", "AccessDenied"),
        ("AWSAccessKeyId=a&Signature=b&Expires=-1", "AccessDenied"),
        ("AWSAccessKeyId=a&Signature=b&Expires=1", "AccessDenied"),
        ("AWSAccessKeyId=a&Signature=b&Expires=99999999999&Expires=9", "AuthorizationQueryParametersError"),
        ("AWSAccessKeyId=a&X-Amz-Signature=0", "InvalidRequest"),
        ("", "AccessDenied"),
        ("Signature=x", "AccessDenied"),
    ],
)
def test_half_a_signature(query: str, code: str) -> None:
    assert refusal(Sent("GET", "/b/k", query, [("host", HOST)], [(HOST, "")]), NOW) == code


@pytest.mark.parametrize(
    ("header", "code"),
    [
        ("AWS4-HMAC-SHA256", "AuthorizationHeaderMalformed"),
        ("AWS4-HMAC-SHA256 Credential=a,SignedHeaders=host,Signature=0", "AccessDenied"),
        (f"AWS4-ECDSA-P256-SHA256 Credential={SCOPE},SignedHeaders=host,Signature=0", "AuthorizationHeaderMalformed"),
        ("Bearer x", "AuthorizationHeaderMalformed"),
        ("AWS nocolon", "InvalidArgument"),
        ("AWS a:b", "AccessDenied"),
    ],
)
def test_malformed_headers(header: str, code: str) -> None:
    assert refusal(Sent("GET", "/b/k", "", [("host", HOST), ("authorization", header)], [(HOST, "")]), NOW) == code


def test_payloads_and_unsigned_headers() -> None:
    sent = SIGNED["header4"]

    def other(name: str, value: str) -> Sent:
        return Sent(
            "GET", sent.path, "", [*((k, v) for k, v in sent.headers if k != name), (name, value)], sent.origins
        )

    assert refusal(other("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"), NOW) == "NotImplemented"
    assert refusal(other("x-amz-content-sha256", "0" * 64), NOW) == "XAmzContentSHA256Mismatch"
    assert refusal(other("x-amz-meta-added", "later"), NOW) == "AccessDenied"
    twice = Sent("GET", sent.path, "", [*sent.headers, ("authorization", "AWS a:b")], sent.origins)
    assert refusal(twice, NOW) == "InvalidRequest"


@pytest.mark.parametrize("seconds", ["0", "604801", "1e3", "", "+5", "99999999999999999999"])
def test_lives_of_presigned_requests(seconds: str) -> None:
    query = PUBLISHED["presigned"].query.replace("Expires=86400", f"Expires={seconds}")
    code = refusal(Sent("GET", "/test.txt", query, [("host", HOST)], [(HOST, "")]), MAY)
    assert code == "AuthorizationQueryParametersError"


def test_our_presigned_query_is_botocores() -> None:
    request = AWSRequest("GET", f"http://127.0.0.1:5000{PATH}")
    S3SigV4QueryAuth(Credentials(KEY, SECRET), "s3", "us-east-1", expires=77).add_auth(request)
    moment = dict(part.split("=") for part in urlsplit(request.url).query.split("&"))["X-Amz-Date"]
    now = datetime.strptime(moment, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    assert presigned("127.0.0.1:5000", PATH, (KEY, SECRET), now, 77) == urlsplit(request.url).query
