"""What happens to requests, files and leases, one thing at a time."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import event, func, select, update

from delivery.service import state
from delivery.service.database import Database
from delivery.service.errors import BadRequest, Conflict, NotThere
from delivery.service.tables import Lease, Result, Transform, TransformFile, User, utc_now

NewRequest = Callable[..., Transform]
HOUR = timedelta(hours=1)


def done(key: str = "k", **other: object) -> state.Done:
    return state.Done(**{"path": "p", "key": key, "digest": "d", "bytes": 7, "events_in": 10, "events_out": 4} | other)


def test_names_are_the_paths_as_servicex_writes_them() -> None:
    path = "root://eospublic.cern.ch//eos/opendata/file.root"
    assert state.object_names([path], "parquet") == ["root:::eospublic.cern.ch::eos:opendata:file.root.parquet"]
    assert state.object_names([path], "root-file") == ["root:::eospublic.cern.ch::eos:opendata:file.root"]


def test_names_hold_no_secret() -> None:
    (name,) = state.object_names(["https://user:word@host/a.root?authz=token"], "root-file")
    assert name == "https:::host:a.root"


@given(st.lists(st.text(max_size=300), max_size=12), st.sampled_from(["parquet", "root-file", "root-rntuple"]))
def test_names_are_safe_and_no_two_alike(paths: list[str], result_format: str) -> None:
    names = state.object_names(paths, result_format)
    assert len(names) == len(paths)
    on_disk = {name.replace("*", "_").replace(";", "_").replace(":", "_").casefold() for name in names}
    assert len(on_disk) == len(names)
    for name in names:
        assert 0 < len(name.encode()) <= 255
        assert "/" not in name
        assert "\\" not in name
        assert name.isprintable()
        assert name.strip(". ")
        assert result_format != "parquet" or name.endswith(".parquet")


def test_like_names_keep_a_readable_end() -> None:
    first, second, long = state.object_names(["/a/b.root", "/a:b.root", "/" + "x" * 300 + ".root"], "parquet")
    assert first == ":a:b.root.parquet"
    assert second.endswith("-:a:b.root.parquet")
    assert long.endswith("xxx.root.parquet")
    assert len(long) == 255


def test_a_request_runs_to_its_end(database: Database, new_request: NewRequest) -> None:
    transform = new_request(2)
    assert (transform.status, transform.files) == ("Running", 2)
    with database.session() as session:
        for file in state.files_of(session, transform):
            assert state.start_file(session, file, "w")
            state.progress(session, file.id, 5, 10)
            now = state.record_done(
                session, file.id, done(cutflow=[("all", 10)], warnings=["w"], sum_of_weights=1.5, log="line")
            )
    assert now is not None
    with database.reading() as session:
        now = state.by_request_id(session, transform.request_id)
        assert (now.status, now.files_completed, now.total_bytes, now.total_events) == ("Complete", 2, 14, 20)
        assert now.start_time is not None
        assert now.finish_time is not None
        assert now.start_time <= now.finish_time
        results = state.results_of(session, now)
        assert [one.cutflow for one in results] == [[["all", 10]]] * 2
        assert [one.object_name for one in results] == [":data:file0.root.parquet", ":data:file1.root.parquet"]
        assert [one.log for one in state.files_of(session, now)] == ["line"] * 2
        assert state.statistics(session, now).events_out == 8


def test_no_files_is_complete(new_request: NewRequest) -> None:
    transform = new_request(0)
    assert (transform.status, transform.files, transform.failure) == ("Complete", 0, None)


def test_files_are_set_once(database: Database, new_request: NewRequest) -> None:
    transform = new_request(2)
    assert not database.transact(lambda session: state.set_files(session, transform, [["/other.root"]]))


@pytest.mark.parametrize(("partial", "status"), [(False, "Fatal"), (True, "Complete")])
def test_failures_end_a_request_and_are_told(
    database: Database, new_request: NewRequest, partial: bool, status: str
) -> None:
    transform = new_request(3, partial=partial)
    with database.session() as session:
        one, two, three = state.files_of(session, transform)
        state.record_failed(session, three.id, "TruncatedFile", "file2 ends early", "")
        state.record_failed(session, two.id, "UnknownBranch", "file1 has no branch Muonpt", "")
        state.record_done(session, one.id, done())
    with database.session() as session:
        now = state.by_request_id(session, transform.request_id)
        assert (now.status, now.files_completed, now.files_failed) == (status, 1, 2)
        assert now.failure == "2 of 3 files failed; the first: file1 has no branch Muonpt"
        assert [row.status for row in state.results_of(session, now)] == ["failure", "failure", "success"]
        assert state.retry(session, now) == 2
        assert (now.status, now.files_failed, now.failure, now.finish_time) == ("Running", 0, None, None)
        assert state.count_files(session, now) == {"done": 1, "waiting": 2}
        with pytest.raises(Conflict, match="not ended"):
            state.retry(session, now)
        for file in (two, three):
            state.record_done(session, file.id, done())
        assert (now.status, now.files_completed) == ("Complete", 3)
        assert state.retry(session, now) == 0


def test_a_canceled_request_takes_no_result(database: Database, new_request: NewRequest) -> None:
    transform = new_request(2)
    with database.session() as session:
        first, second = state.files_of(session, transform)
        state.record_done(session, first.id, done())
        state.cancel(session, transform)
        assert state.record_done(session, second.id, done()) is None
        assert not state.start_file(session, second, "w")
        assert state.count_files(session, transform) == {"done": 1, "canceled": 1}
        with pytest.raises(Conflict, match="is ended"):
            state.cancel(session, transform)
        assert state.retry(session, transform) == 1


def test_a_bad_dataset_is_looked_up_again(database: Database, new_request: NewRequest) -> None:
    number = new_request(None).id
    with database.session() as session:
        transform = session.get_one(Transform, number)
        assert state.set_status(session, transform, "Lookup")
        assert state.end(session, transform, "Bad Dataset", "no such record")
        assert not state.end(session, transform, "Fatal", "late")
        assert not state.set_files(session, transform, [["/a.root"]])
        assert (transform.status, transform.failure) == ("Bad Dataset", "no such record")
        assert state.retry(session, transform) == 0
        assert transform.status == "Submitted"


def test_all_of_a_user_are_canceled(database: Database, new_request: NewRequest) -> None:
    with database.session() as session:
        session.add(User(id=1, name="ada"))
    mine, other = (
        [new_request(1, owner_id=1), new_request(None, owner_id=1), new_request(0, owner_id=1)],
        new_request(1),
    )
    with database.session() as session:
        assert [one.id for one in state.cancel_all(session, 1)] == [one.id for one in mine[:2]]
        assert [one.id for one in state.cancel_all(session, None)] == [other.id]


def test_a_deleted_request_is_gone_for_its_user(database: Database, new_request: NewRequest) -> None:
    transform = new_request(2)
    with database.session() as session:
        number = state.files_of(session, transform)[0].id
        state.delete(session, transform)
        with pytest.raises(NotThere, match=transform.request_id):
            state.by_request_id(session, transform.request_id)
        assert state.listed(session) == []
        assert state.record_done(session, number, done()) is None
        assert [one.id for one in state.deleted(session)] == [transform.id]
        state.purge(session, transform)
        assert session.scalar(select(func.count()).select_from(TransformFile)) == 0
        assert state.record_done(session, number, done()) is None


def test_results_never_go_back_in_time(database: Database, new_request: NewRequest) -> None:
    """The clock is set back between two results."""
    transform = new_request(2)
    future = utc_now() + HOUR
    with database.session() as session:
        first, second = state.files_of(session, transform)
        state.record_done(session, first.id, done())
        session.execute(update(Result).values(created_at=future))
        state.record_done(session, second.id, done())
        assert [one.created_at for one in state.results_of(session, transform)] == [
            future,
            future + timedelta(microseconds=1),
        ]


def test_lists_are_filtered_sorted_and_paged(database: Database, new_request: NewRequest) -> None:
    made = [
        new_request(count, title=title) for count, title in ((0, "ttbar"), (2, "W+jets 100%"), (1, "Ttbar nominal"))
    ]
    with database.reading() as session:

        def places(**which: object) -> list[int]:
            return [[one.id for one in made].index(row.id) for row in state.listed(session, **which)]

        assert places() == [2, 1, 0]
        assert places(limit=1, offset=1) == [1]
        assert places(statuses=["Running"]) == [2, 1]
        assert places(text="TTBAR", sort="submitted") == [0, 2]
        assert places(text="100%") == [1]
        assert places(text="%") == [1]
        assert places(sort="files") == [0, 2, 1]
        assert places(sort="-title") == [1, 2, 0]
        assert places(owner_id=5) == []
        assert state.count_listed(session, text="ttbar") == 2
        assert state.count_by_status(session) == {"Complete": 1, "Running": 2}
        with pytest.raises(BadRequest, match="submitted, started"):
            state.listed(session, sort="selection; DROP TABLE users")


def test_changed_files_are_found_by_version(database: Database, new_request: NewRequest) -> None:
    transform = new_request(3)
    with database.session() as session:
        seen = transform.version
        state.start_file(session, state.files_of(session, transform)[1], "w")
        assert [file.place for file in state.files_of(session, transform, after_version=seen)] == [1]
        assert [file.place for file in state.files_of(session, transform, states=["waiting"])] == [0, 2]


def test_what_nobody_used_goes_first(database: Database, new_request: NewRequest) -> None:
    old, new, running = new_request(0), new_request(0), new_request(1)
    with database.session() as session:
        session.get_one(Transform, old.id).last_used = utc_now() - timedelta(days=40)
        session.get_one(Transform, running.id).last_used = utc_now() - timedelta(days=50)
        assert [one.id for one in state.expired(session, 30)] == [old.id]
        assert [one.id for one in state.least_recently_used(session)] == [old.id, new.id]
        state.touched(session, session.get_one(Transform, old.id))
        assert state.expired(session, 30) == []
        assert [one.id for one in state.least_recently_used(session, limit=1)] == [new.id]


def test_shared_keys_stay_in_the_store(database: Database, new_request: NewRequest) -> None:
    one, other = new_request(2), new_request(1)
    with database.session() as session:
        for file, key in zip(state.files_of(session, one), ("own", "shared"), strict=True):
            state.record_done(session, file.id, done(key))
        state.record_done(session, state.files_of(session, other)[0].id, done("shared"))
        assert state.keys_of_one_only(session, one) == {"own"}
        assert state.keys_of_one_only(session, other) == set()


def test_a_lease_is_one_holders(database: Database) -> None:
    def asks(holder: str) -> bool:
        return database.transact(lambda session: state.acquire_lease(session, "runner", holder, 30))

    assert [asks("a"), asks("b"), asks("a")] == [True, False, True]
    database.transact(lambda session: state.release_lease(session, "runner", "b"))
    assert not asks("b")
    database.transact(lambda session: state.release_lease(session, "runner", "a"))
    assert asks("b")


def expiry(database: Database) -> datetime:
    with database.reading() as session:
        return session.get_one(Lease, "runner").expires_at


def test_a_lease_that_ran_out_is_free(database: Database) -> None:
    assert database.transact(lambda session: state.acquire_lease(session, "runner", "a", 30))
    assert timedelta(seconds=20) < expiry(database) - utc_now() <= timedelta(seconds=31)
    database.transact(lambda session: session.execute(update(Lease).values(expires_at=utc_now() - HOUR)))
    assert database.transact(lambda session: state.acquire_lease(session, "runner", "b", 30))
    assert not database.transact(lambda session: state.acquire_lease(session, "runner", "a", 30))


def test_a_clock_set_back_delays_the_next_holder_by_one_length(database: Database) -> None:
    assert database.transact(lambda session: state.acquire_lease(session, "runner", "a", 30))
    database.transact(lambda session: session.execute(update(Lease).values(expires_at=utc_now() + 24 * HOUR)))
    assert not database.transact(lambda session: state.acquire_lease(session, "runner", "b", 30))
    assert expiry(database) - utc_now() <= timedelta(seconds=31)


def test_leases_ask_only_the_databases_clock(database: Database) -> None:
    """Whatever the process takes for the time, it sends none."""
    sent: list[object] = []
    event.listen(database.engine, "before_cursor_execute", lambda _1, _2, _3, values, _4, _5: sent.append(values))
    for holder in ("a", "b"):
        database.transact(lambda session, holder=holder: state.acquire_lease(session, "runner", holder, 30))
    values = {value for one in sent for value in (one.values() if isinstance(one, dict) else one)}
    assert {type(value) for value in values} == {str, float, int}
    assert {value for value in values if isinstance(value, str)} == {"a", "b", "runner"}
