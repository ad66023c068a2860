"""Small files that go to a worker together: each is as if it had gone alone, whatever befalls the others."""

import sys
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from runner_service import QUERY, Bench, small_file
from worker_faults import KILLER, SLOW, STUCK, Faults

from delivery.service import state
from delivery.service.runner import batching, dispatch
from delivery.service.runner.batching import batches, paced
from delivery.service.runner.flights import Flight
from delivery.service.runner.jobs import Query
from delivery.service.settings import Inputs

ASKED = Query(QUERY, "uproot", "servicex", "parquet", None)


def flight(number, pace=0.01, size=5000, alone=False, shrink=0):
    return Flight(str(number), ASKED, f"/data/{number}", "", size, pace, alone, shrink, [])


@pytest.mark.parametrize(
    ("each", "sizes"),
    [
        ({}, [16, 16, 8]),
        ({"pace": batching.MOST_SECONDS / 4}, [4] * 10),
        ({"pace": 10.0}, [1] * 40),
        ({"pace": None}, [1] * 40),
        ({"size": None}, [1] * 40),
        ({"size": batching.MOST_BYTES // 5}, [5] * 8),
        ({"size": batching.MOST_BYTES * 2}, [1] * 40),
        ({"alone": True}, [1] * 40),
        ({"shrink": 1}, [1] * 40),
    ],
)
def test_a_batch_is_small_in_files_in_bytes_and_in_time(each, sizes):
    flights = [flight(number, **each) for number in range(40)]
    found = list(batches(flights, 100, 1))
    assert [len(batch) for batch in found] == sizes
    assert [one for batch in found for one in batch] == flights


def test_every_thread_has_its_share():
    assert [len(batch) for batch in batches([flight(n) for n in range(20)], 0, 4)] == [3, 3, 3, 3, 3, 3, 2]
    assert [len(batch) for batch in batches([flight(0)], 0, 4)] == [1]


def test_one_that_must_be_alone_leaves_the_others_together():
    flights = [flight(0), flight(1, alone=True), flight(2)]
    assert sorted(len(batch) for batch in batches(flights, 100, 1)) == [1, 2]


def test_the_pace_follows_what_files_took():
    pace = paced(None, 1.0)
    assert pace == 1.0
    assert paced(pace, 3.0) == 2.0
    for _ in range(20):
        pace = paced(pace, 0.01)
    assert pace == pytest.approx(0.01, abs=0.002)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("batches")


@pytest.fixture(scope="module")
def made(folder):
    return folder / "made.txt"


@contextmanager
def started(folder, made, workers):
    """However busy the machine is, files go together."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batching, "MOST_SECONDS", 1000.0)
        patch.setattr(dispatch, "AHEAD_SECONDS", 1000.0)
        bench = Bench(folder / f"service-{workers}", workers=workers, inputs=Inputs(roots=(folder,)))
        cluster = bench.runner._reconciler.dispatch.cluster
        bench.until(lambda: len(cluster.workers) == workers)
        cluster._client.register_plugin(Faults(made))
        bench.end_of(bench.submit([small_file(folder / "first.root", seed=1)]))
        yield bench
        bench.close()


@pytest.fixture(scope="module")
def bench(folder, made):
    with started(folder, made, 1) as bench:
        yield bench


def files(folder, name, number, seed):
    return [small_file(folder / f"{name}{each}.root", seed=seed + each) for each in range(number)]


@pytest.fixture
def sent(bench, monkeypatch):
    """The sizes of the batches that were sent."""
    there, sizes = bench.runner._reconciler.dispatch.cluster, []
    submit = type(there).submit
    monkeypatch.setattr(
        type(there), "submit", lambda one, jobs, ended: sizes.append(len(jobs)) or submit(one, jobs, ended)
    )
    return sizes


def makings(made, paths):
    counts = Counter(made.read_text().splitlines())
    return [counts[str(path)] for path in paths]


def test_a_bad_file_among_good_ones_fails_alone(bench, folder, sent):
    paths = files(folder, "good", 12, 100)
    paths[5].write_text("<html>please sign in</html>")
    request = bench.submit(paths)
    ended = bench.end_of(request)
    assert (ended.status, ended.files_completed, ended.files_failed) == ("Fatal", 11, 1)
    rows = bench.files(request)
    assert [row.state for row in rows] == ["done"] * 5 + ["failed"] + ["done"] * 6
    assert rows[5].error_kind == "NotARootFile"
    assert all(str(path) in row.log for path, row in zip(paths, rows, strict=True))
    assert [len(bench.attempts(row)) for row in rows] == [1] * 12
    assert max(sent) > 1


def test_equal_requests_share_every_file_of_a_batch(bench, folder, made, sent):
    paths = files(folder, "shared", 12, 200)
    requests = [bench.submit(paths) for _ in range(3)]
    assert {bench.end_of(request).status for request in requests} == {"Complete"}
    assert makings(made, paths) == [1] * 12
    results = [one for request in requests for one in bench.results(request)]
    assert len(results) == 36
    assert sum(not one.reused for one in results) == 12
    assert max(sent) > 1


def test_a_cancel_ends_what_of_a_batch_has_not_run_and_the_worker_lives_on(bench, folder, made, sent):
    paths = files(folder, SLOW, 16, 300)
    (worker,) = bench.runner.workers()
    request = bench.submit(paths)
    bench.until(lambda: bench.transform(request).files_completed > 1)
    assert max(sent) > 1
    bench.change(request, state.cancel)
    bench.until(lambda: bench.runner.health()["tasks"] == 0)
    assert sum(makings(made, paths)) < 16
    rows = bench.files(request)
    assert {row.state for row in rows} == {"done", "canceled"}
    assert len(bench.results(request)) == sum(row.state == "done" for row in rows)
    assert bench.end_of(bench.submit([small_file(folder / "after.root", seed=2)])).status == "Complete"
    assert [one.address for one in bench.runner.workers()] == [worker.address]


def test_a_file_that_kills_its_worker_is_given_up_alone_and_the_others_are_made_once(bench, folder, made, sent):
    paths = files(folder, "beside", 10, 400)
    paths[6] = small_file(folder / f"{KILLER}.root", seed=3)
    request = bench.submit(paths)
    ended = bench.end_of(request, 240)
    assert max(sent) > 1
    assert (ended.status, ended.files_completed, ended.files_failed) == ("Fatal", 9, 1)
    rows = bench.files(request)
    assert (rows[6].state, rows[6].error_kind, rows[6].kills) == ("failed", "WorkerKilled", 2)
    others = [row for place, row in enumerate(rows) if place != 6]
    assert {(row.state, row.kills, row.attempts) for row in others} == {("done", 0, 1)}
    for row in others:
        *before, last = [one.outcome for one in bench.attempts(row)]
        assert set(before) <= {"lost"}
        assert last in ("done", "reused")
    assert any(len(bench.attempts(row)) > 1 for row in others)  # it was a batch that died
    assert makings(made, [path for place, path in enumerate(paths) if place != 6]) == [1] * 9
    assert len(bench.results(request)) == 10


def test_a_file_that_takes_long_does_not_hold_its_batch_up(folder, made):
    with started(folder, made, 2) as bench:
        paths = files(folder, "behind", 14, 500)
        paths[4] = small_file(folder / f"{STUCK}.root", seed=4)
        request = bench.submit(paths)
        try:
            bench.until(lambda: bench.transform(request).files_completed == 13)
            assert [row.state for row in bench.files(request)].count("running") == 1
        finally:
            made.with_name("released").touch()
        assert bench.end_of(request).status == "Complete"
        assert makings(made, paths) == [1] * 14
