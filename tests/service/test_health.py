"""/health, /ready and the lines that are logged."""

import io
import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

sys.path.insert(0, str(Path(__file__).parent))
from page_service import site

from delivery.service import logs


def test_a_service_is_alive_and_ready_until_it_stops(tmp_path: Path) -> None:
    with site(tmp_path / "data", sign_in=True) as served, served.client() as client:
        assert client.get("/health").json() == {"status": "alive"}
        ready = client.get("/ready")
        assert ready.status_code == 200
        assert ready.json()["checks"] == {"database": "ok", "store": "ok", "stopping": "ok"}
        served.service.changes.close()
        stopping = client.get("/ready")
        assert stopping.status_code == 503
        assert stopping.json()["checks"]["stopping"] == "yes"
        assert client.get("/health").status_code == 200


def test_a_service_without_its_database_is_alive_and_not_ready(tmp_path: Path) -> None:
    with site(tmp_path / "data") as served, served.client() as client:
        moved = tmp_path / "elsewhere"
        moved.mkdir()
        served.service.database.close()
        for file in (tmp_path / "data").glob("service.sqlite*"):
            file.rename(moved / file.name)
        (tmp_path / "data" / "service.sqlite").mkdir()
        ready = client.get("/ready")
        assert ready.status_code == 503
        assert ready.json()["checks"]["database"] != "ok"
        assert ready.json()["checks"]["store"] == "ok"
        assert client.get("/health").status_code == 200
        (tmp_path / "data" / "service.sqlite").rmdir()
        for file in moved.iterdir():
            file.rename(tmp_path / "data" / file.name)
        assert client.get("/ready").status_code == 200


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    stream = io.StringIO()
    logs.configure("INFO", "json", stream)
    yield stream
    root.handlers[:] = before
    root.setLevel(level)
    structlog.reset_defaults()


def test_lines_are_json_with_the_ids_of_their_context(lines: io.StringIO) -> None:
    with structlog.contextvars.bound_contextvars(request_id="4b1", file=3):
        structlog.get_logger("delivery.service.test").info("opened", branches=31)
        logging.getLogger("some.library").warning("a %s warns", "library")
    own, library = map(json.loads, lines.getvalue().splitlines())
    assert (own["message"], own["branches"], own["level"]) == ("opened", 31, "info")
    assert (library["message"], library["logger"], library["level"]) == ("a library warns", "some.library", "warning")
    assert {own["request_id"], library["request_id"]} == {"4b1"}
    assert own["file"] == library["file"] == 3
    assert own["time"].endswith("Z")


TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"


@pytest.mark.parametrize(
    "event",
    [
        {"authorization": "Bearer hunter2"},
        {"headers": {"Authorization": "hunter2", "X-Api-Key": "hunter2"}},
        {"message": f"the token {TOKEN} has expired"},
        {"line": "Authorization: Bearer hunter2"},
        {"url": "https://user:hunter2@host/f.root?authz=hunter2"},
        {"text": ["fetched", "https://host/f?X-Amz-Signature=hunter2&X-Amz-Date=1"]},
        {"query": "AWSAccessKeyId=hunter2&Signature=hunter2&Expires=1"},
        {"minio-secret-key": "hunter2", "minio_access_key": "hunter2"},
        {"password": 7},
    ],
)
def test_no_secret_is_logged(lines: io.StringIO, event: dict[str, object]) -> None:
    structlog.get_logger("delivery.service.test").info("something", **event)
    (line,) = lines.getvalue().splitlines()
    assert "hunter2" not in line
    assert "eyJ" not in line
    assert ": 7" not in line


def test_an_error_is_one_line_with_its_trace(lines: io.StringIO) -> None:
    try:
        raise ValueError("https://host/f?authz=hunter2")
    except ValueError:
        structlog.get_logger("delivery.service.test").exception("broken")
    (line,) = lines.getvalue().splitlines()
    found = json.loads(line)
    assert found["message"] == "broken"
    assert "Traceback" in found["exception"]
    assert "hunter2" not in line


def test_every_call_is_a_line_without_its_query(lines: io.StringIO, tmp_path: Path) -> None:
    request_id = "b0b0b0b0-0000-4000-8000-000000000000"
    with site(tmp_path / "data") as served, served.client() as client:
        answer = client.get(f"/servicex/transformation/{request_id}?token=hunter2")
    calls = [json.loads(line) for line in lines.getvalue().splitlines()]
    (call,) = [one for one in calls if one["message"] == "call"]
    assert (call["method"], call["status"], call["request_id"]) == ("GET", 404, request_id)
    assert call["path"] == f"/servicex/transformation/{request_id}"
    assert call["call"] == answer.headers["x-request-id"]
