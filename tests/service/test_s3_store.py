"""Results in a bucket of a real S3 protocol server (moto): streamed through the gateway, or fetched there directly."""

import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import boto3
import httpx
import pytest
from botocore.exceptions import ClientError
from moto.server import ThreadedMotoServer
from sqlalchemy import select

from delivery.service.errors import BadRequest, NotThere
from delivery.service.s3.access import access_for, url_for
from delivery.service.tables import Transform

sys.path.insert(0, str(Path(__file__).parent))
from bucket_server import Buckets, client, running_buckets

CONTENT = os.urandom(17_000_001)


@pytest.fixture(scope="module")
def moto_url() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


@pytest.fixture
def environment(moto_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    for name, value in {
        "AWS_ENDPOINT_URL": moto_url,
        "AWS_ACCESS_KEY_ID": "service",
        "AWS_SECRET_ACCESS_KEY": "service-secret",
        "AWS_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    boto3.client("s3", region_name="us-east-1", endpoint_url=moto_url).create_bucket(Bucket="results")
    return moto_url


def transform_of(buckets: Buckets, request_id: str) -> Transform:
    with buckets.service.database.reading() as session:
        return session.scalars(select(Transform).where(Transform.request_id == request_id)).one()


def test_streamed_through_the_gateway(environment: str, tmp_path: Path) -> None:
    with running_buckets(tmp_path, store="s3://results/at/prefix") as buckets:
        request_id = buckets.bucket({"a:b": CONTENT})
        s3 = buckets.client(request_id)
        s3.download_file(request_id, "a:b", str(tmp_path / "file"))
        assert (tmp_path / "file").read_bytes() == CONTENT
        got = s3.get_object(Bucket=request_id, Key="a:b", Range="bytes=-5")
        assert got["Body"].read() == CONTENT[-5:]
        url = s3.generate_presigned_url("get_object", {"Bucket": request_id, "Key": "a:b"})
        assert httpx.get(url).content == CONTENT, "without a public address of the store there is no way around"


def test_damage_in_the_bucket_never_leaves(environment: str, tmp_path: Path) -> None:
    with running_buckets(tmp_path, store="s3://results/harmed") as buckets:
        request_id = buckets.bucket({"a": CONTENT})
        s3 = buckets.client(request_id)
        assert s3.get_object(Bucket=request_id, Key="a")["Body"].read() == CONTENT
        items = list(buckets.service.store.backend.items("blobs"))
        assert len(items) == 1
        outside = boto3.client("s3", endpoint_url=environment, region_name="us-east-1")
        outside.put_object(Bucket="results", Key=f"harmed/{items[0].name}", Body=bytes([CONTENT[0] ^ 1]) + CONTENT[1:])
        with pytest.raises(ClientError, match="SlowDown"):
            s3.get_object(Bucket=request_id, Key="a")
        assert buckets.restorer.asked == [(request_id, "a")]
        buckets.restorer.bytes[request_id, "a"] = CONTENT
        patient = buckets.client(request_id, retries={"total_max_attempts": 4})
        assert patient.get_object(Bucket=request_id, Key="a")["Body"].read() == CONTENT


def test_urls_lead_to_the_store_where_clients_reach_it(environment: str, tmp_path: Path) -> None:
    with running_buckets(tmp_path, store="s3://results/public", s3_public_url=environment) as buckets:
        request_id = buckets.bucket({"a:b": CONTENT})
        transform = transform_of(buckets, request_id)
        url, headers, ends = url_for(buckets.service, transform, "a:b", "http", buckets.url)
        assert urlsplit(url).netloc == urlsplit(environment).netloc
        assert "service-secret" not in url
        assert headers == {}
        assert timedelta(days=6) < ends - datetime.now(UTC) <= timedelta(days=7)
        assert httpx.get(url).content == CONTENT
        presigned = buckets.client(request_id).generate_presigned_url(
            "get_object", {"Bucket": request_id, "Key": "a:b"}
        )
        for address in (presigned, f"{buckets.url}/servicex/transformation/{request_id}/objects/a:b"):
            answer = httpx.get(address)
            assert answer.status_code == 307
            assert urlsplit(answer.headers["location"]).netloc == urlsplit(environment).netloc
            followed = httpx.get(address, follow_redirects=True, headers={"Range": "bytes=7-9"})
            assert (followed.status_code, followed.content) == (206, CONTENT[7:10])
        # S3 clients follow no redirects: they are served here
        assert buckets.client(request_id).get_object(Bucket=request_id, Key="a:b")["Body"].read() == CONTENT
        buckets.service.store.backend.delete(next(iter(buckets.service.store.backend.items("blobs"))).name)
        assert httpx.get(presigned).status_code == 503, "nobody is sent to what is not there"


def test_urls_and_keys_of_a_service_with_a_folder(tmp_path: Path) -> None:
    with running_buckets(tmp_path) as buckets:
        request_id = buckets.bucket({"a:b +é": b"abc"})
        transform = transform_of(buckets, request_id)
        url, headers, _ = url_for(buckets.service, transform, "a:b +é", "http", buckets.url)
        assert httpx.get(url, headers=headers).content == b"abc"
        access = access_for(request_id, buckets.service.secret, buckets.url + "/")
        assert not access.secured
        s3 = client(f"http://{access.endpoint}", access.access_key, access.secret_key)
        assert s3.get_object(Bucket=request_id, Key="a:b +é")["Body"].read() == b"abc"
        with pytest.raises(BadRequest, match="'http'"):
            url_for(buckets.service, transform, "a:b +é", "xrootd", buckets.url)
        with pytest.raises(NotThere):
            url_for(buckets.service, transform, "c", "http", buckets.url)


def test_behind_a_proxy_with_a_path(tmp_path: Path) -> None:
    """Clients sign for the public address; the proxy takes its path away and asks by another name."""
    with running_buckets(tmp_path, public_url="https://facility.example/skimflow") as buckets:
        request_id = buckets.bucket({"a": b"abc"})
        transform = transform_of(buckets, request_id)
        url, _, _ = url_for(buckets.service, transform, "a", "http", buckets.url)
        assert url.startswith(f"https://facility.example/skimflow/{request_id}/a?")
        inside = url.replace("https://facility.example/skimflow", buckets.url)
        assert httpx.get(inside).content == b"abc"
        assert httpx.get(inside + "0").status_code == 403
        access = access_for(request_id, buckets.service.secret, "https://facility.example/skimflow")
        assert (access.endpoint, access.secured) == ("facility.example", True)


def test_a_store_that_does_not_answer(tmp_path: Path, environment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with running_buckets(tmp_path, store="s3://results/silent") as buckets:
        request_id = buckets.bucket({"a": b"abc"})
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with running_buckets(tmp_path, store="s3://results/silent") as buckets:
        with pytest.raises(ClientError, match="SlowDown"):
            buckets.client(request_id, read_timeout=60).get_object(Bucket=request_id, Key="a")
        assert buckets.restorer.asked == [], "it is not gone, it only cannot be reached"
