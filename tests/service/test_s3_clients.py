"""Real clients against the gateway: the official one's adapter, aioboto3, curl and pyarrow's S3 file system."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, urlsplit

import aioboto3
import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow.fs import FileSelector, S3FileSystem
from servicex.minio_adapter import MinioAdapter

sys.path.insert(0, str(Path(__file__).parent))
from bucket_server import Buckets, running_buckets

NAME = "root:::eospublic.cern.ch:1094::eos:opendata:a+b.root.parquet"
LARGE = os.urandom(20_000_003)


@pytest.fixture(scope="module")
def buckets(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Buckets]:
    with running_buckets(tmp_path_factory.mktemp("buckets")) as running:
        yield running


@pytest.fixture(scope="module")
def request_id(buckets: Buckets) -> str:
    return buckets.bucket({NAME: LARGE, **{f"small:{number:02d}": bytes([number]) for number in range(20)}})


def test_the_official_clients_adapter(buckets: Buckets, request_id: str, tmp_path: Path) -> None:
    access, secret = buckets.service.secret.s3_keys(request_id)

    async def all_of_it() -> None:
        adapter = MinioAdapter(urlsplit(buckets.url).netloc, False, access, secret, request_id)
        files = await adapter.list_bucket()
        assert {file.filename: file.size for file in files}[NAME] == len(LARGE)
        assert len(files) == 21
        paths = await asyncio.gather(*(adapter.download_file(file.filename, str(tmp_path)) for file in files))
        assert {path.stat().st_size for path in paths} == {1, len(LARGE)}
        assert next(path for path in paths if path.name.endswith("parquet")).read_bytes() == LARGE
        url = await adapter.get_signed_url(NAME)
        assert "AWSAccessKeyId=" in url, "version 2, as the client makes it"
        async with httpx.AsyncClient() as web:
            assert (await web.get(url)).content == LARGE

    asyncio.run(all_of_it())


def test_aioboto3(buckets: Buckets, request_id: str, tmp_path: Path) -> None:
    access, secret = buckets.service.secret.s3_keys(request_id)

    async def download() -> None:
        session = aioboto3.Session(access, secret, region_name="eu-central-1")
        async with session.client("s3", endpoint_url=buckets.url) as s3:
            await s3.download_file(request_id, NAME, str(tmp_path / "file"))
            head = await s3.head_object(Bucket=request_id, Key=NAME)
            assert head["ContentLength"] == len(LARGE)

    asyncio.run(download())
    assert (tmp_path / "file").read_bytes() == LARGE


def test_curl(buckets: Buckets, request_id: str, tmp_path: Path) -> None:
    access, secret = buckets.service.secret.s3_keys(request_id)
    signed = ["curl", "-sS", "--fail", "--aws-sigv4", "aws:amz:us-east-1:s3", "--user", f"{access}:{secret}"]

    def curl(*arguments: str) -> bytes:
        return subprocess.run([*signed, *arguments], capture_output=True, check=True, timeout=60).stdout

    at = f"{buckets.url}/{request_id}"
    curl(f"{at}/{quote(NAME)}", "-o", str(tmp_path / "file"))
    assert (tmp_path / "file").read_bytes() == LARGE
    assert curl("-r", "5-9", f"{at}/{quote(NAME)}") == LARGE[5:10]
    assert b"<KeyCount>20</KeyCount>" in curl(f"{at}?list-type=2&prefix=small")
    assert f"content-length: {len(LARGE)}".encode() in curl("-I", f"{at}/{quote(NAME)}")


def test_pyarrow(buckets: Buckets) -> None:
    table = pa.table({"x": list(range(1000)), "y": [f"{number}" for number in range(1000)]})
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, row_group_size=100)
    request_id = buckets.bucket({"a:b.parquet": sink.getvalue().to_pybytes(), "large": LARGE})
    access, secret = buckets.service.secret.s3_keys(request_id)
    files = S3FileSystem(
        access_key=access, secret_key=secret, endpoint_override=urlsplit(buckets.url).netloc, scheme="http"
    )
    found = {file.path: file.size for file in files.get_file_info(FileSelector(request_id, recursive=True))}
    assert found[f"{request_id}/large"] == len(LARGE)
    assert len(found) == 2
    assert pq.read_table(f"{request_id}/a:b.parquet", filesystem=files) == table
    part = pq.read_table(f"{request_id}/a:b.parquet", filesystem=files, columns=["x"], filters=[("x", ">", 950)])
    assert part["x"].to_pylist() == list(range(951, 1000))
    with files.open_input_file(f"{request_id}/large") as file:
        file.seek(10_000_000)
        assert file.read(1000) == LARGE[10_000_000:10_001_000]
    with files.open_input_stream(f"{request_id}/large") as stream:
        assert stream.read() == LARGE
    with pytest.raises(OSError, match="read-only"), files.open_output_stream(f"{request_id}/new") as stream:
        stream.write(b"x")
