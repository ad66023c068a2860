"""The S3 gateway as it runs: what is served, what is refused, and that nothing leaves that is not what it should be."""

import hashlib
import http.client
import os
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from sqlalchemy import delete, select, update

from artifacts.store import blob_name
from delivery.service.tables import Result, Transform, TransformFile, User, utc_now

sys.path.insert(0, str(Path(__file__).parent))
from bucket_server import Buckets, client, put, running_buckets

NAME = "root:::x.org:1094::store:a b+ü*;'~.root.parquet"
LARGE = os.urandom(20_000_003)


@pytest.fixture(scope="module")
def buckets(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Buckets]:
    with running_buckets(tmp_path_factory.mktemp("buckets")) as running:
        yield running


@pytest.fixture(scope="module")
def request_id(buckets: Buckets) -> str:
    return buckets.bucket({NAME: LARGE, "small": b"abc", "empty": b"", "again": b"abc"})


def code_of(call: Any, **arguments: Any) -> tuple[str, int]:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    answer = caught.value.response
    return answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]


def test_download_and_head(buckets: Buckets, request_id: str, tmp_path: Path) -> None:
    s3 = buckets.client(request_id)
    s3.download_file(request_id, NAME, str(tmp_path / "file"))
    assert (tmp_path / "file").read_bytes() == LARGE
    head = s3.head_object(Bucket=request_id, Key=NAME)
    assert head["ContentLength"] == len(LARGE)
    assert head["ETag"] == f'"{hashlib.sha256(LARGE).hexdigest()}"'
    assert s3.get_object(Bucket=request_id, Key="empty")["Body"].read() == b""
    got = s3.get_object(Bucket=request_id, Key="small", ChecksumMode="ENABLED")
    assert got["Body"].read() == b"abc"
    assert got["ResponseMetadata"]["HTTPHeaders"]["x-amz-checksum-type"] == "FULL_OBJECT"
    s3.head_bucket(Bucket=request_id)
    assert s3.get_bucket_location(Bucket=request_id)["LocationConstraint"] is None
    assert [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]] == [request_id]


@pytest.mark.parametrize(
    ("header", "part"),
    [
        ("bytes=0-9", slice(0, 10)),
        ("bytes=8388608-16777215", slice(8388608, 16777216)),
        ("bytes=20000000-", slice(20000000, None)),
        ("bytes=-17", slice(-17, None)),
    ],
)
def test_ranges(buckets: Buckets, request_id: str, header: str, part: slice) -> None:
    got = buckets.client(request_id).get_object(Bucket=request_id, Key=NAME, Range=header)
    assert got["ResponseMetadata"]["HTTPStatusCode"] == 206
    assert got["Body"].read() == LARGE[part]
    start, end, _ = part.indices(len(LARGE))
    assert got["ContentRange"] == f"bytes {start}-{end - 1}/{len(LARGE)}"


def test_conditions(buckets: Buckets, request_id: str) -> None:
    s3 = buckets.client(request_id)
    tag = s3.head_object(Bucket=request_id, Key="small")["ETag"]
    at = {"Bucket": request_id, "Key": "small"}
    assert s3.get_object(IfMatch=tag, **at)["Body"].read() == b"abc"
    assert code_of(s3.get_object, IfNoneMatch=tag, **at) == ("304", 304)
    assert code_of(s3.get_object, IfMatch='"x"', **at) == ("PreconditionFailed", 412)
    assert code_of(s3.get_object, Range="bytes=3-", **at) == ("InvalidRange", 416)


def test_every_listing_of_many_objects(buckets: Buckets) -> None:
    names = [f"f{number % 7}:{number:05d}é.parquet" for number in range(2500)]
    many = buckets.bucket(dict.fromkeys(names, b"abc"))
    s3 = buckets.client(many)
    pages = list(s3.get_paginator("list_objects_v2").paginate(Bucket=many))
    assert [page["KeyCount"] for page in pages] == [1000, 1000, 500]
    assert [item["Key"] for page in pages for item in page["Contents"]] == sorted(names)
    older = s3.get_paginator("list_objects").paginate(Bucket=many, PaginationConfig={"PageSize": 900})
    assert [item["Key"] for page in older for item in page["Contents"]] == sorted(names)
    folded = s3.list_objects_v2(Bucket=many, Delimiter=":", MaxKeys=5)
    assert [item["Prefix"] for item in folded["CommonPrefixes"]] == [f"f{number}:" for number in range(5)]
    rest = s3.list_objects_v2(Bucket=many, Delimiter=":", ContinuationToken=folded["NextContinuationToken"])
    assert [item["Prefix"] for item in rest["CommonPrefixes"]] == ["f5:", "f6:"]
    some = s3.list_objects_v2(Bucket=many, Prefix="f3:", StartAfter="f3:02400é.parquet", FetchOwner=True)
    expected = [name for name in sorted(names) if name.startswith("f3:") and name > "f3:02400é.parquet"]
    assert [item["Key"] for item in some["Contents"]] == expected
    assert code_of(s3.list_objects_v2, Bucket=many, ContinuationToken="x") == ("InvalidArgument", 400)


def test_order_of_names_in_every_database(database_url: str, tmp_path: Path) -> None:
    names = ["B", "a", "é", "Z:1", "z:2", "_", "a b", "𝄞", "\uff46"]
    with running_buckets(tmp_path, database=database_url) as running:
        bucket = running.bucket(dict.fromkeys(names, b"1"))
        paginator = running.client(bucket).get_paginator("list_objects_v2")
        pages = paginator.paginate(Bucket=bucket, PaginationConfig={"PageSize": 2})
        assert [item["Key"] for page in pages for item in page["Contents"]] == sorted(names, key=str.encode)


@pytest.mark.parametrize("version", ["s3v4", "s3"])
def test_presigned(buckets: Buckets, request_id: str, version: str) -> None:
    s3 = buckets.client(request_id, signature_version=version)
    life = 365 * 86400 if version == "s3" else 600  # the official client's, and one within version 4's bound
    url = s3.generate_presigned_url("get_object", {"Bucket": request_id, "Key": NAME}, ExpiresIn=life)
    assert httpx.get(url).content == LARGE
    assert httpx.get(url, headers={"Range": "bytes=5-9"}).content == LARGE[5:10]
    assert httpx.head(url).status_code == 403, "signed for GET"
    for wrong in (url.replace("root%3A", "r00t%3A"), url + "0", url.replace("Expires=", "Expires=1"), url + "&acl"):
        assert httpx.get(wrong).status_code in {400, 403}
    assert httpx.get(url, headers={"Host": "elsewhere.org"}).status_code == (403 if version == "s3v4" else 200)


def test_keys_open_their_own_bucket_only(buckets: Buckets, request_id: str) -> None:
    other = buckets.bucket({"small": b"other"})
    foreign = buckets.client(request_id, keys_of=other)
    for call in (foreign.list_objects_v2, foreign.head_bucket, foreign.list_objects):
        assert code_of(call, Bucket=request_id)[1] == 403
    assert code_of(foreign.get_object, Bucket=request_id, Key="small") == ("AccessDenied", 403)
    access, secret = buckets.service.secret.s3_keys(request_id)
    at = {"Bucket": request_id, "Key": "small"}
    wrong = ("y" if secret.startswith("x") else "x") + secret[1:]
    assert code_of(client(buckets.url, access, wrong).get_object, **at) == ("SignatureDoesNotMatch", 403)
    assert code_of(client(buckets.url, "AKIAIOSFODNN7EXAMPLE", secret).get_object, **at) == ("InvalidAccessKeyId", 403)
    answer = httpx.get(f"{buckets.url}/{request_id}/small")
    assert answer.status_code == 403
    assert "<Code>AccessDenied</Code>" in answer.text


def test_nothing_but_reading(buckets: Buckets, request_id: str) -> None:
    s3 = buckets.client(request_id)
    at = {"Bucket": request_id, "Key": "small"}
    assert code_of(s3.put_object, Body=b"x", **at) == ("MethodNotAllowed", 405)
    assert code_of(s3.delete_object, **at) == ("MethodNotAllowed", 405)
    assert code_of(s3.create_bucket, Bucket=request_id) == ("MethodNotAllowed", 405)
    assert code_of(s3.get_object_acl, **at) == ("NotImplemented", 501)
    assert code_of(s3.get_bucket_policy, Bucket=request_id) == ("NotImplemented", 501)
    assert code_of(s3.get_object, Bucket=request_id, Key="none") == ("NoSuchKey", 404)
    assert code_of(s3.get_object, Bucket=request_id, Key="x" * 1025) == ("KeyTooLongError", 400)
    assert s3.get_object(**at)["Body"].read() == b"abc"


def test_a_request_that_ended(buckets: Buckets) -> None:
    for fields in ({"target": "Deleted"}, {}):
        gone = buckets.bucket({"a": b"1"}, **fields)
        if not fields:
            with buckets.service.database.session() as session:
                session.delete(session.scalars(select(Transform).where(Transform.request_id == gone)).one())
        assert code_of(buckets.client(gone).get_object, Bucket=gone, Key="a") == ("NoSuchBucket", 404)


def test_an_owner_who_left(buckets: Buckets) -> None:
    with buckets.service.database.session() as session:
        user = User(name="leaving", active=True)
        session.add(user)
        session.flush()
        owner = user.id
    theirs = buckets.bucket({"a": b"1"}, owner_id=owner)
    s3 = buckets.client(theirs)
    assert s3.get_object(Bucket=theirs, Key="a")["Body"].read() == b"1"
    with buckets.service.database.session() as session:
        session.execute(update(User).where(User.id == owner).values(active=False))
    assert code_of(s3.get_object, Bucket=theirs, Key="a") == ("AccessDenied", 403)


def test_reading_counts_as_use(buckets: Buckets) -> None:
    old = utc_now() - timedelta(days=20)
    bucket = buckets.bucket({"a": b"1"}, last_used=old)
    buckets.client(bucket).head_object(Bucket=bucket, Key="a")
    with buckets.service.database.reading() as session:
        used = session.scalar(select(Transform.last_used).where(Transform.request_id == bucket))
    assert utc_now() - used < timedelta(minutes=1)


def raw(buckets: Buckets, request_id: str, path: str) -> tuple[int, bytes]:
    """A correctly signed GET of a path that no client would tidy up."""
    request = AWSRequest("GET", f"{buckets.url}/")
    signer = S3SigV4Auth(Credentials(*buckets.service.secret.s3_keys(request_id)), "s3", "us-east-1")
    signer._normalize_url_path = lambda _: path.partition("?")[0]
    signer.canonical_query_string = lambda _: path.partition("?")[2]
    signer.add_auth(request)
    connection = http.client.HTTPConnection(urlsplit(buckets.url).netloc, timeout=30)
    connection.putrequest("GET", path, skip_accept_encoding=True)
    for name, value in request.headers.items():
        connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, body


@pytest.mark.parametrize(
    "key",
    [
        "../{other}/small", "%2e%2e/{other}/small", "..%2f{other}%2fsmall", "/small", "//small", "./small", "small/",
        "small%00", "%00", "%ff", "..%2f..%2fsecret", "%2e%2e%2f%2e%2e%2fsecret", "x" * 5000, "small%2f..", "SMALL",
        "../../secret", "blobs/{digest}",
    ],
)  # fmt: skip
def test_paths_that_try_to_get_out(buckets: Buckets, request_id: str, key: str) -> None:
    other = buckets.bucket({"small": b"not yours"})
    key = key.format(other=other, digest=hashlib.sha256(b"abc").hexdigest())
    assert raw(buckets, request_id, f"/{request_id}/small") == (200, b"abc")
    status, body = raw(buckets, request_id, f"/{request_id}/{key}")
    assert 400 <= status < 500
    assert body.startswith(b"<?xml")


def test_other_spellings_of_a_bucket(buckets: Buckets, request_id: str) -> None:
    assert raw(buckets, request_id, f"/{request_id}/small") == (200, b"abc")
    for path in (f"/{request_id}%2Fsmall", f"/{request_id.upper()}/small", f"/./{request_id}/small"):
        assert raw(buckets, request_id, path)[0] == 403
    assert raw(buckets, request_id, f"//{request_id}/small")[0] == 405, "it names no bucket"


def test_what_left_the_store_is_made_anew(buckets: Buckets) -> None:
    content = os.urandom(3000)
    bucket = buckets.bucket({"a": content})
    digest = hashlib.sha256(content).hexdigest()
    s3 = buckets.client(bucket)
    buckets.service.store.backend.delete(blob_name(digest))
    answer = code_of(s3.get_object, Bucket=bucket, Key="a")
    assert answer == ("SlowDown", 503)
    assert code_of(s3.head_object, Bucket=bucket, Key="a") == ("503", 503)
    assert buckets.restorer.asked[-2:] == [(bucket, "a")] * 2
    buckets.restorer.bytes[bucket, "a"] = content
    patient = buckets.client(bucket, retries={"total_max_attempts": 4})
    assert patient.get_object(Bucket=bucket, Key="a")["Body"].read() == content


def test_what_is_in_the_making_is_worth_asking_for_again(buckets: Buckets) -> None:
    bucket = buckets.bucket({"a": b"1"})
    s3 = buckets.client(bucket)
    for state, answer in {"running": ("SlowDown", 503), "failed": ("NoSuchKey", 404)}.items():
        with buckets.service.database.session() as session:
            number = session.scalar(select(Transform.id).where(Transform.request_id == bucket))
            session.execute(delete(Result).where(Result.transform_id == number))
            session.execute(update(TransformFile).where(TransformFile.transform_id == number).values(state=state))
        assert code_of(s3.get_object, Bucket=bucket, Key="a") == answer


@pytest.mark.parametrize("harm", ["changed", "cut", "longer", "empty"])
def test_damaged_bytes_never_leave(buckets: Buckets, harm: str) -> None:
    content = os.urandom(3000)
    bucket = buckets.bucket({"a": content})
    s3 = buckets.client(bucket)
    assert s3.get_object(Bucket=bucket, Key="a")["Body"].read() == content
    file = buckets.service.store.backend.file(blob_name(hashlib.sha256(content).hexdigest()))
    file.chmod(0o644)
    harmed = {
        "changed": bytes([content[0] ^ 1]) + content[1:],
        "cut": content[:-1],
        "longer": content + b"x",
        "empty": b"",
    }[harm]
    file.write_bytes(harmed)
    assert code_of(s3.get_object, Bucket=bucket, Key="a", Range="bytes=10-20") == ("SlowDown", 503)
    assert not file.exists(), "it is out of the way, for the next to make it anew"
    put(buckets.service.store, content)


def test_download_route(buckets: Buckets, request_id: str) -> None:
    url = f"{buckets.url}/servicex/transformation/{request_id}/objects/{quote(NAME)}"
    with httpx.Client() as web:
        assert web.get(url).content == LARGE
        part = web.get(url, headers={"Range": "bytes=-3"})
        assert (part.status_code, part.content) == (206, LARGE[-3:])
        assert web.head(url).headers["content-length"] == str(len(LARGE))
        assert web.get(url, headers={"If-None-Match": part.headers["etag"]}).status_code == 304
        outside = web.get(url, headers={"Range": f"bytes={len(LARGE)}-"})
        assert (outside.status_code, outside.headers["content-range"]) == (416, f"bytes */{len(LARGE)}")
        assert "message" in outside.json()
        for wrong in (url + "x", url.replace(request_id, "0" * 36), url.replace(request_id, "nobody")):
            assert web.get(wrong).status_code == 404
            assert "message" in web.get(wrong).json()
