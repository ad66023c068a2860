"""What goes from the store, and what stays whatever its age."""

import os
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from runner_service import Bench

from artifacts.keys import Request
from delivery.service import state
from delivery.service.runner.retention import Retention
from delivery.service.tables import Result, Transform, utc_now


@pytest.fixture
def bench(tmp_path):
    bench = Bench(tmp_path / "service", start=False, result_days=10, result_bytes=250)
    yield bench
    bench.runner.stop(0)
    bench.database.close()


def kept(bench, name, age_days, size=100):
    """A result of so many bytes in the store, last used so long ago."""
    request = Request("transform", 1, {"name": name})
    entry = bench.store.put(request, {"output": name.encode().ljust(size)}, {})
    moment = time.time() - age_days * 86400
    for place in bench.store.backend.root.rglob("*"):
        if place.is_file() and (request.key in place.name or place.name == entry.blobs["output"].digest):
            os.utime(place, (moment, moment))
    return request.key


def asked(bench, *keys, ended_days=None):
    """A request with results under these keys, running or ended so long ago."""
    request_id = bench.submit([f"/data/{number}.root" for number in range(len(keys) + (ended_days is None))])
    for file, key in zip(bench.files(request_id), keys, strict=False):
        done = state.Done(path="p", key=key, digest="0" * 64, bytes=100, events_in=1, events_out=1)
        bench.database.transact(lambda session, file=file, done=done: state.record_done(session, file.id, done))
    if ended_days is not None:
        from datetime import timedelta

        def age(session, transform):
            transform.last_used = utc_now() - timedelta(days=ended_days)

        bench.change(request_id, age)
    return request_id


def collect(bench):
    Retention(bench.settings, bench.database, bench.store).collect()
    return {entry.key for entry in bench.store.entries()}


def test_old_results_go_but_those_of_running_and_of_recently_used_requests(bench):
    kept(bench, "old", 20)
    running, recent = (kept(bench, name, 20, size=50) for name in ("running", "recent"))
    asked(bench, running)
    asked(bench, recent, ended_days=1)
    assert collect(bench) == {running, recent}


def test_beyond_the_bound_the_longest_unused_go_but_those_of_running_requests(bench):
    keys = [kept(bench, f"result{age}", age) for age in (5, 4, 3, 2)]
    asked(bench, keys[0])
    assert collect(bench) == {keys[0], keys[3]}


def test_deleted_requests_go_with_the_results_that_are_theirs_alone(bench):
    own, shared = kept(bench, "own", 0), kept(bench, "shared", 0)
    gone, stays = asked(bench, own, shared, ended_days=0), asked(bench, shared, ended_days=0)
    bench.change(gone, state.delete)
    assert collect(bench) == {shared}
    with bench.database.reading() as session:
        assert [each.request_id for each in session.query(Transform)] == [stays]
        assert session.query(Result).count() == 1
