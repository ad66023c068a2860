"""Two processes of a service over one database: one of them speaks to the upstream, and another when that one dies."""

import sqlite3
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from forwarding import Between, delivered, expected, forwarding, submission, until
from requesting import ended, submitted
from serving import RunningService, running_service

FILE = "nano_dy.root"
SUBMITTED = "POST /servicex/transformation"


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory, shared_data: Path) -> Iterator[RunningService]:
    inputs = {"roots": [str(shared_data / "root")]}
    with running_service(tmp_path_factory.mktemp("upstream"), inputs=inputs) as running:
        yield running


@pytest.fixture
def between(behind: RunningService) -> Iterator[Between]:
    started = Between(behind.url)
    yield started
    started.close()


@pytest.fixture
def both(between: Between, tmp_path: Path) -> Iterator[list[RunningService]]:
    """Two processes with folders of their own, and one database, store and secret."""
    shared = {
        "database": f"sqlite:///{tmp_path / 'state.sqlite'}",
        "store": str(tmp_path / "store"),
        "secret_file": str(tmp_path / "secret"),
        **forwarding(between.url, patience_seconds=600),
    }
    (tmp_path / "secret").write_text("a secret of a test, long enough to be one")
    with running_service(tmp_path / "one", **shared) as one, running_service(tmp_path / "other", **shared) as other:
        yield [one, other]


def follower(tmp_path: Path) -> int:
    """The process that the database says follows forwarded requests."""
    with sqlite3.connect(tmp_path / "state.sqlite") as database:
        (holder,) = database.execute("SELECT holder FROM leases WHERE name = 'forward'").fetchone()
    return int(holder.split(":")[1])


def titles(behind: RunningService) -> Counter[str]:
    """How often the upstream was given each request."""
    listed = httpx.get(f"{behind.url}/servicex/transformation").json()["requests"]
    return Counter(request["title"] for request in listed)


def ask(services: list[RunningService], data: Path, title: str, count: int) -> list[str]:
    """Requests of different selections, handed to the processes in turn."""
    made = []
    for number in range(count):
        body: dict[str, Any] = submission(data, FILE, title=f"{title} {number}")
        with services[number % len(services)].client() as http:
            made.append(submitted(http, body))
    return made


def whole(service: RunningService, requests: list[str], data: Path, folder: Path) -> None:
    """Each request is complete with what uproot reads."""
    with service.client() as http:
        for request_id in requests:
            status = ended(http, request_id)
            assert (status["status"], status["files-completed"]) == ("Complete", 1), status["failure-info"]
            assert delivered(http, request_id, folder) == expected(data, FILE)


def test_what_could_not_be_handed_over_at_once_is_handed_over_by_one_process(
    both: list[RunningService], between: Between, behind: RunningService, tmp_path: Path, shared_data: Path
) -> None:
    away = threading.Event()
    between.answer = lambda method, path: (503, {"message": "away"}) if not away.is_set() else None
    requests = ask(both, shared_data, "later", 6)
    until(lambda: between.calls.count(SUBMITTED) > 12, "it is tried again")
    away.set()
    for service in both:
        whole(service, requests, shared_data, tmp_path)
    found = titles(behind)
    assert {title: count for title, count in found.items() if title.startswith("later")} == {
        f"later {number}": 1 for number in range(6)
    }


def test_a_killed_process_requests_are_taken_over(
    both: list[RunningService], between: Between, behind: RunningService, tmp_path: Path, shared_data: Path
) -> None:
    looked, go_on = threading.Event(), threading.Event()

    def answer(method: str, path: str) -> tuple[int, Any] | None:
        """Whoever follows gets no further than the first look."""
        if method == "GET" and not go_on.is_set():
            looked.set()
            return 503, {"message": "wait"}
        return None

    between.answer = answer
    requests = ask(both, shared_data, "taken over", 4)
    assert looked.wait(30)
    first = follower(tmp_path)
    (killed,) = [service for service in both if service.process.pid == first]
    (left,) = [service for service in both if service is not killed]
    killed.kill()
    go_on.set()
    whole(left, requests, shared_data, tmp_path)
    assert follower(tmp_path) == left.process.pid
    found = titles(behind)
    assert {title: count for title, count in found.items() if title.startswith("taken over")} == {
        f"taken over {number}": 1 for number in range(4)
    }
