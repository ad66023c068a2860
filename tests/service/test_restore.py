"""A result whose bytes are gone from the store is made anew for whoever asks for it, byte by byte the same."""

import asyncio
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError
from servicex.minio_adapter import MinioAdapter

from artifacts.store import Store, blob_name

sys.path.insert(0, str(Path(__file__).parent))
from bucket_server import client
from requesting import MET, ended, submitted
from serving import RunningService, running_service

PATIENT = {"total_max_attempts": 10, "mode": "standard"}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, shared_data: Path) -> Iterator[RunningService]:
    inputs = {"roots": [str(shared_data / "root")]}
    with running_service(tmp_path_factory.mktemp("restore"), inputs=inputs) as running:
        yield running


def row_of(service: RunningService, request_id: str) -> dict[str, Any]:
    """The one result of a request."""
    with service.client() as http:
        (row,) = http.get(f"/servicex/transformation/{request_id}/results").json()["results"]
    return dict(row)


def evict(service: RunningService, digest: str) -> None:
    """Delete a blob behind the service's back."""
    Store.open(str(service.data / "store")).backend.delete(blob_name(digest))


@pytest.fixture
def status(service: RunningService, shared_data: Path) -> dict[str, Any]:
    """Of a request that is finished."""
    file = str(shared_data / "root" / "nano_dy.root")
    with service.client() as http:
        body = {"selection": MET, "file-list": [file], "result-format": "parquet"}
        found = ended(http, submitted(http, body))
    assert found["status"] == "Complete"
    return found


def test_boto3_asks_until_it_is_there_again(service: RunningService, status: dict[str, Any]) -> None:
    request_id, row = status["request_id"], row_of(service, status["request_id"])
    keys = status["minio-access-key"], status["minio-secret-key"]
    asked = {"Bucket": request_id, "Key": row["s3-object-name"]}
    content = client(service.url, *keys).get_object(**asked)["Body"].read()
    assert sha256(content).hexdigest() == row["sha256"]
    evict(service, row["sha256"])
    with pytest.raises(ClientError, match="SlowDown") as caught:
        client(service.url, *keys).get_object(**asked)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503
    assert client(service.url, *keys, retries=PATIENT).get_object(**asked)["Body"].read() == content
    with service.client() as http:
        again = ended(http, request_id)
    counts = ("status", "files", "files-completed", "files-failed", "total-events", "total-bytes")
    assert {name: again[name] for name in counts} == {name: status[name] for name in counts}
    assert row_of(service, request_id)["s3-object-name"] == row["s3-object-name"]


def test_the_official_client_downloads_what_was_gone(
    service: RunningService, status: dict[str, Any], tmp_path: Path
) -> None:
    request_id, row = status["request_id"], row_of(service, status["request_id"])
    evict(service, row["sha256"])
    keys = status["minio-access-key"], status["minio-secret-key"]

    async def download() -> Path:
        adapter = MinioAdapter(urlsplit(service.url).netloc, False, *keys, request_id)
        return await adapter.download_file(row["s3-object-name"], str(tmp_path))

    path = asyncio.run(download())
    assert sha256(path.read_bytes()).hexdigest() == row["sha256"]
    with service.client() as http:
        assert ended(http, request_id)["status"] == "Complete"
