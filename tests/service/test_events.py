"""A request as it changes, pushed: at once from the same process, soon from another, to the end and not beyond."""

import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from delivery.service import state
from delivery.service.database import Database
from delivery.service.sign_in import users
from delivery.service.sign_in.tokens import Claims, sign
from delivery.service.tables import Transform

sys.path.insert(0, str(Path(__file__).parent))
from page_service import Site, done, fail, files_of, finish, site, start, submit


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("events") / "data") as found:
        yield found


class Stream:
    """The events of an answer, one after the other."""

    def __init__(self, answer: httpx.Response) -> None:
        self._lines = answer.iter_lines()
        self.last_id: str | None = None

    def next(self) -> tuple[str, Any]:
        """Name and content of the next event; StopIteration after the last."""
        name, content = "message", None
        for line in self._lines:
            if line.startswith("event: "):
                name = line[7:]
            elif line.startswith("id: "):
                self.last_id = line[4:]
            elif line.startswith("data: "):
                content = json.loads(line[6:])
            elif not line and content is not None:
                return name, content
        raise StopIteration


@contextmanager
def stream(served: Site, path: str, **headers: str) -> Iterator[Stream]:
    with served.client() as client, client.stream("GET", path, headers=headers) as answer:
        answer.read() if answer.status_code != 200 else None
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield Stream(answer)


def events_of(request_id: str) -> str:
    return f"/servicex/transformation/{request_id}/events"


def test_a_request_from_its_first_state_to_its_end(served: Site) -> None:
    transform = served.service.database.transact(lambda session: submit(session, "two", ["/a.root", "/b.root"]))
    first, second = served.service.database.transact(lambda session: files_of(session, transform))
    with stream(served, events_of(transform.request_id)) as events:
        name, now = events.next()
        assert name == "message"
        assert now["status"]["status"] == "Running"
        assert [file["state"] for file in now["files"]] == ["waiting", "waiting"]
        assert now["results"] == []
        version = now["version"]

        served.change(lambda session: finish(session, first), transform.request_id)
        _, now = events.next()
        assert now["version"] > version
        assert [(file["place"], file["state"]) for file in now["files"]] == [(0, "done")]
        assert [row["s3-object-name"] for row in now["results"]] == [":a.root.parquet"]
        assert now["status"]["files-completed"] == 1
        assert events.last_id == str(now["version"])

        served.change(lambda session: fail(session, second, "no such branch"), transform.request_id)
        _, now = events.next()
        assert now["status"]["status"] == "Fatal"
        assert [(file["state"], file["error"]) for file in now["files"]] == [("failed", "no such branch")]
        with pytest.raises(StopIteration):
            events.next()


def test_what_another_process_changes_is_seen_without_being_told(served: Site) -> None:
    transform = served.service.database.transact(lambda session: submit(session, "other", ["/a.root"]))
    other = Database(served.service.settings.database_url)
    try:
        with stream(served, events_of(transform.request_id)) as events:
            events.next()
            with other.session() as session:
                finish(session, files_of(session, transform)[0])
            _, now = events.next()
            assert now["status"]["status"] == "Complete"
            with pytest.raises(StopIteration):
                events.next()
    finally:
        other.close()


def test_who_comes_back_gets_only_what_came_after(served: Site) -> None:
    transform = served.service.database.transact(lambda session: submit(session, "back", ["/a.root", "/b.root"]))
    first, second = served.service.database.transact(lambda session: files_of(session, transform))
    served.change(lambda session: finish(session, first), transform.request_id)
    with stream(served, events_of(transform.request_id)) as events:
        events.next()
        seen = events.last_id
    assert seen is not None
    served.change(lambda session: finish(session, second), transform.request_id)
    with stream(served, events_of(transform.request_id), **{"Last-Event-ID": seen}) as events:
        _, now = events.next()
        assert [file["place"] for file in now["files"]] == [1]
        assert len(now["results"]) == 1


def test_changes_that_come_fast_are_gathered_and_none_is_lost(served: Site) -> None:
    paths = [f"/many/{number}.root" for number in range(60)]
    transform = served.service.database.transact(lambda session: submit(session, "many", paths))
    files = served.service.database.transact(lambda session: files_of(session, transform))

    def work() -> None:
        for file in files:
            served.change(lambda session, file=file: finish(session, file), transform.request_id)

    with stream(served, events_of(transform.request_id)) as events:
        events.next()
        writing = threading.Thread(target=work)
        writing.start()
        names: list[str] = []
        status = ""
        while status != "Complete":
            _, now = events.next()
            names += [row["s3-object-name"] for row in now["results"]]
            status = now["status"]["status"]
        writing.join()
    assert len(names) == len(set(names)) == 60


def test_a_deleted_request_ends_its_stream_with_a_word(served: Site) -> None:
    transform = served.service.database.transact(lambda session: submit(session, "gone", ["/a.root"]))
    with stream(served, events_of(transform.request_id)) as events:
        events.next()
        served.change(
            lambda session: state.delete(session, session.get_one(Transform, transform.id)), transform.request_id
        )
        assert events.next() == ("deleted", {})
        with pytest.raises(StopIteration):
            events.next()


def test_an_ended_request_is_told_once(served: Site) -> None:
    transform = served.service.database.transact(lambda session: submit(session, "one", ["/a.root"]))
    served.change(lambda session: finish(session, files_of(session, transform)[0]), transform.request_id)
    with stream(served, events_of(transform.request_id)) as events:
        assert events.next()[1]["status"]["status"] == "Complete"
        with pytest.raises(StopIteration):
            events.next()


@pytest.mark.parametrize("request_id", ["b0b0b0b0-0000-4000-8000-000000000000", "nonsense"])
def test_no_such_request_is_an_answer_not_an_event(served: Site, request_id: str) -> None:
    with served.client() as client:
        answer = client.get(events_of(request_id))
    assert answer.status_code == 404
    assert "message" in answer.json()


def test_the_dashboard_hears_of_every_request(served: Site) -> None:
    with stream(served, "/dashboard/events") as events:
        assert events.next() == ("message", {})
        transform = served.service.database.transact(lambda session: submit(session, "new", ["/a.root"]))
        found: dict[str, int] = {}
        while transform.request_id not in found:  # nobody said so: it is found by looking
            found = events.next()[1]
        file = served.service.database.transact(lambda session: files_of(session, transform)[0])
        served.change(lambda session: start(session, file), transform.request_id)
        before = found[transform.request_id]
        while found.get(transform.request_id, 0) <= before:
            found = events.next()[1]


def test_streams_are_bounded_and_given_back(tmp_path: Path) -> None:
    with site(tmp_path / "data", limits={"streams": 2}) as served:
        transform = served.service.database.transact(lambda session: submit(session, "bound", ["/a.root"]))
        with stream(served, events_of(transform.request_id)) as one, stream(served, "/dashboard/events") as two:
            one.next(), two.next()
            with served.client() as client:
                refused = client.get(events_of(transform.request_id))
                assert refused.status_code == 429
                assert refused.headers["retry-after"]
                assert "2 streams" in refused.json()["message"]
                assert "skimflow_event_streams 2.0" in client.get("/metrics").text
            served.change(lambda session: finish(session, files_of(session, transform)[0]), transform.request_id)
            one.next()
            with pytest.raises(StopIteration):
                one.next()
        with stream(served, events_of(transform.request_id)) as again:
            again.next()


def test_streams_end_when_the_service_does(tmp_path: Path) -> None:
    ended = threading.Event()
    with site(tmp_path / "data") as served:
        transform = served.service.database.transact(lambda session: submit(session, "open", ["/a.root"]))
        begun = threading.Event()

        def listen() -> None:
            with stream(served, events_of(transform.request_id)) as events:
                events.next()
                begun.set()
                with pytest.raises(StopIteration):
                    events.next()
            ended.set()

        listening = threading.Thread(target=listen)
        listening.start()
        assert begun.wait(30)
    listening.join(30)
    assert ended.is_set()


def test_other_peoples_requests_are_not_told(tmp_path: Path) -> None:
    with site(tmp_path / "data", sign_in=True) as served:
        key = served.service.secret.signing_key
        with served.service.database.session() as session:
            ana, ben = users.add(session, "ana"), users.add(session, "ben")
            for user in (ana, ben):
                users.new_token(session, user, key)
            theirs = submit(session, "ana's", ["/a.root"], owner_id=ana.id)
        tokens = {user.name: sign(key, Claims("access", user.id, 1), 600) for user in (ana, ben)}
        bearer = {name: {"Authorization": f"Bearer {token}"} for name, token in tokens.items()}
        with served.client() as client:
            assert client.get(events_of(theirs.request_id)).status_code == 401
            assert client.get(events_of(theirs.request_id), headers=bearer["ben"]).status_code == 403
            one = f"/dashboard/events?request={theirs.request_id}"
            assert client.get(one, headers=bearer["ben"]).status_code == 403
        with stream(served, "/dashboard/events", **bearer["ben"]) as events:
            events.next()
            with served.service.database.session() as session:
                finish(session, files_of(session, theirs)[0])
                own = submit(session, "ben's", ["/b.root"], owner_id=ben.id)
            served.service.changes.notify(theirs.request_id)
            served.service.changes.notify(own.request_id)
            assert list(events.next()[1]) == [own.request_id]
        with stream(served, events_of(theirs.request_id), **bearer["ana"]) as events:
            assert events.next()[1]["status"]["status"] == "Complete"


def test_a_result_is_pushed_with_what_says_how_it_was_made(served: Site) -> None:
    transform = served.service.database.transact(lambda session: submit(session, "facts", ["/a.root"]))

    def work(session: Any) -> None:
        file = files_of(session, transform)[0]
        start(session, file)
        state.record_done(session, file.id, done(file, 1000, bytes=77))

    with stream(served, events_of(transform.request_id)) as events:
        events.next()
        served.change(work, transform.request_id)
        row = events.next()[1]["results"][0]
    assert (row["total-bytes"], row["transform_status"], row["events-in"]) == (77, "success", 1000)
    assert row["cutflow"][0] == ["e.leptons.Count() == 1", 231]
