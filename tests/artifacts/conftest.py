"""Stores of all three kinds; S3 is moto's implementation behind a server on a free loopback port."""

import logging
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

from artifacts.store import Store

BUCKET = "artifacts-test"
Application = Callable[..., Any]


def one_at_a_time(app: Application) -> Application:
    """S3 looks and writes in one step; moto does it in two, so requests must not overtake each other there."""
    lock = threading.Lock()

    def locked(environ: Any, start_response: Any) -> Any:
        with lock:
            return app(environ, start_response)

    return locked


@contextmanager
def s3_service(wrap: Callable[[Application], Application] = lambda app: app) -> Iterator[str]:
    """A running S3 service with one bucket; `wrap` may put a fault in front of it. Yields the endpoint."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    app = DomainDispatcherApplication(create_backend_app)
    server = make_server("127.0.0.1", 0, wrap(one_at_a_time(app)), threaded=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    endpoint = f"http://127.0.0.1:{server.server_port}"
    try:
        client = boto3.client(
            "s3", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id="k", aws_secret_access_key="s"
        )
        client.create_bucket(Bucket=BUCKET)
        client.close()
        yield endpoint
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def aws_environment(endpoint: str) -> Iterator[None]:
    """The standard variables that point to the service."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", endpoint)
        patch.setenv("AWS_REGION", "us-east-1")
        patch.setenv("AWS_ACCESS_KEY_ID", "k")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "s")
        yield


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    with s3_service() as endpoint:
        yield endpoint


@pytest.fixture
def s3_url(s3_endpoint: str) -> Iterator[str]:
    """A fresh prefix in the bucket."""
    with aws_environment(s3_endpoint):
        yield f"s3://{BUCKET}/{uuid.uuid4().hex}"


@pytest.fixture(autouse=True)
def user_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Local copies go to a folder of the test."""
    cache = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    return cache


@pytest.fixture(params=["folder", "memory", "s3"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "folder":
        return str(tmp_path / "store")
    if request.param == "memory":
        return f"memory://{uuid.uuid4().hex}"
    return str(request.getfixturevalue("s3_url"))


@pytest.fixture
def store(url: str) -> Store:
    return Store.open(url)


@pytest.fixture
def folder_store(tmp_path: Path) -> Store:
    return Store.open(tmp_path / "store")


@pytest.fixture
def faulty_s3() -> Iterator[Callable[[Callable[[Application], Application]], str]]:
    """Starts an S3 service with a fault in front of it; gives the URL of a store there."""
    with ExitStack() as stack:

        def start(wrap: Callable[[Application], Application]) -> str:
            stack.enter_context(aws_environment(stack.enter_context(s3_service(wrap))))
            return f"s3://{BUCKET}/{uuid.uuid4().hex}"

        yield start
