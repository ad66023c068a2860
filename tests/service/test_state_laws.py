"""The laws of the state hold after any calls in any order, after faults, and under many threads."""

import random
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event, select, text
from sqlalchemy.orm import Session

from delivery.service import state
from delivery.service.database import Database
from delivery.service.errors import Conflict
from delivery.service.tables import Attempt, Result, Transform, TransformFile

FILES = 3
CALLS = ("start", "done", "failed", "progress", "requeue", "lost", "cancel", "retry", "delete", "files", "end")


def done(size: int = 7) -> state.Done:
    return state.Done(
        path="/data/a.root", key="k" * 64, digest="d" * 64, bytes=size, events_in=10, events_out=4, seconds=0.5
    )


def record(database: Database, file_id: int) -> Transform | None:
    return database.transact(lambda session: state.record_done(session, file_id, done()))


def file_ids(database: Database, transform: Transform) -> list[int]:
    with database.reading() as session:
        return [file.id for file in state.files_of(session, transform)]


def call(session: Session, name: str, number: int, place: int) -> None:
    transform = session.get_one(Transform, number)
    files = session.scalars(
        select(TransformFile).where(TransformFile.transform_id == number).order_by(TransformFile.place)
    ).all()
    file = files[place % len(files)] if files else None
    match name:
        case "files":
            state.set_files(session, transform, [[f"/data/{place}/same.root"]] * FILES)
        case "cancel":
            state.cancel(session, transform)
        case "retry":
            state.retry(session, transform)
        case "delete":
            state.delete(session, transform)
        case "end":
            state.end(session, transform, "Fatal", "the upstream service has ended it")
        case "lost":
            state.requeue_running(session, "the process was killed")
        case "start" if file is not None:
            state.start_file(session, file, "tcp://127.0.0.1:1")
        case "done" if file is not None:
            state.record_done(session, file.id, done(place))
        case "failed" if file is not None:
            state.record_failed(session, file.id, "TruncatedFile", f"the file {place} ends early", "log")
        case "progress" if file is not None:
            state.progress(session, file.id, place, 10)
        case "requeue" if file is not None:
            state.requeue(session, file)


def check_laws(session: Session, number: int) -> None:
    transform = session.get_one(Transform, number, populate_existing=True)
    files = session.scalars(select(TransformFile).where(TransformFile.transform_id == number)).all()
    results = session.scalars(select(Result).where(Result.transform_id == number).order_by(Result.id)).all()
    states = Counter(file.state for file in files)
    assert set(states) <= {"waiting", "running", "done", "failed", "canceled"}
    assert transform.files == len(files)
    assert transform.files_completed == states["done"] == sum(one.status == "success" for one in results)
    assert transform.files_failed == states["failed"] == sum(one.status == "failure" for one in results)
    assert transform.total_bytes == sum(one.bytes for one in results)
    assert transform.total_events == sum(one.events_in or 0 for one in results)
    assert {one.file_id for one in results} == {file.id for file in files if file.state in {"done", "failed"}}
    assert len({file.object_name for file in files}) == len(files)
    times = [one.created_at for one in results]
    assert times == sorted(set(times))
    unended = states["waiting"] + states["running"]
    ended = transform.status in state.ENDED
    assert ended == (transform.finish_time is not None)
    if files:
        assert ended == (unended == 0)
    if transform.status == "Complete":
        assert states["canceled"] == 0
        assert transform.partial or states["failed"] == 0
    assert (transform.failure is not None) == (
        ended and transform.status != "Canceled" and (states["failed"] > 0 or transform.status == "Fatal")
    )
    assert all(file.version <= transform.version for file in files)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    calls=st.lists(st.tuples(st.sampled_from(CALLS), st.integers(0, FILES - 1)), max_size=25),
    files=st.sampled_from([None, FILES]),
    partial=st.booleans(),
)
def test_any_calls_in_any_order_keep_the_laws(
    database: Database, new_request: Callable[..., Transform], calls: list[tuple[str, int]], files: int, partial: bool
) -> None:
    number = new_request(files, partial=partial).id
    for name, place in calls:
        with database.reading() as session:
            before = session.get_one(Transform, number).version
        with suppress(Conflict):
            database.transact(lambda session, name=name, place=place: call(session, name, number, place))
        with database.reading() as session:
            check_laws(session, number)
            assert session.get_one(Transform, number).version >= before


@pytest.mark.parametrize("statement", ["INSERT INTO results", "UPDATE transforms", "UPDATE transform_files"])
@pytest.mark.parametrize("fault", ["raise", "terminate"])
def test_a_fault_beside_the_result_undoes_or_repeats_all(
    database: Database, new_request: Callable[..., Transform], statement: str, fault: str
) -> None:
    transform = new_request(1)
    (number,) = file_ids(database, transform)
    struck = []

    def strike(connection: Any, cursor: Any, sql: str, *_: Any) -> None:
        if struck or not sql.startswith(statement):
            return
        struck.append(sql)
        if fault == "raise" or database.engine.dialect.name == "sqlite":
            raise ZeroDivisionError
        with database.engine.connect() as other:
            backend = connection.connection.driver_connection.info.backend_pid
            other.execute(text("SELECT pg_terminate_backend(:n, 5000)"), {"n": backend})

    event.listen(database.engine, "after_cursor_execute", strike)
    if fault == "raise" or database.engine.dialect.name == "sqlite":
        with pytest.raises(ZeroDivisionError):
            record(database, number)
        with database.reading() as session:
            check_laws(session, transform.id)
            assert state.by_request_id(session, transform.request_id).files_completed == 0
    assert record(database, number) is not None
    assert struck
    assert record(database, number) is None
    with database.reading() as session:
        check_laws(session, transform.id)
        assert state.by_request_id(session, transform.request_id).status == "Complete"


def test_eight_threads_record_every_file_once(database: Database, new_request: Callable[..., Transform]) -> None:
    """500 files, each recorded by two threads, some failures among them, all in their own order."""
    transforms = [new_request(250), new_request(250)]
    numbers = [number for transform in transforms for number in file_ids(database, transform)]
    counted: list[int] = []

    def work(seed: int) -> None:
        mine = [number for number in numbers if number % 4 == seed % 4]
        random.Random(seed).shuffle(mine)
        counted.extend(number for number in mine if record(database, number) is not None)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(counted) == sorted(numbers)
    with database.reading() as session:
        for transform in transforms:
            check_laws(session, transform.id)
            now = state.by_request_id(session, transform.request_id)
            assert (now.status, now.files_completed) == ("Complete", 250)


def test_canceling_races_with_results(database: Database, new_request: Callable[..., Transform]) -> None:
    transforms = [new_request(20) for _ in range(5)]
    files = {transform.id: file_ids(database, transform) for transform in transforms}

    def results() -> None:
        for number in (number for some in zip(*files.values(), strict=True) for number in some):
            record(database, number)

    def cancels() -> None:
        for transform in transforms:
            with suppress(Conflict):
                database.transact(lambda session, transform=transform: state.cancel(session, transform))

    threads = [threading.Thread(target=results), threading.Thread(target=cancels)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.reading() as session:
        for transform in transforms:
            check_laws(session, transform.id)
            assert state.by_request_id(session, transform.request_id).status in state.ENDED


def test_lost_runs_are_kept_as_tries_and_not_counted(database: Database, new_request: Callable[..., Transform]) -> None:
    transform = new_request(2)
    with database.session() as session:
        first, second = state.files_of(session, transform)
        assert state.start_file(session, first, "w1")
        assert not state.start_file(session, first, "w2")
        assert state.requeue_running(session, "the service was killed") == 1
        assert state.requeue_running(session, "the service was killed") == 0
        assert (first.state, first.attempts, first.worker) == ("waiting", 0, None)
        (attempt,) = session.scalars(select(Attempt)).all()
        assert (attempt.outcome, attempt.worker, attempt.number) == ("lost", "w1", 1)
        assert second.state == "waiting"
        assert second.version < first.version
