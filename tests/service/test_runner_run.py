"""Requests run on workers: results as the engine makes them, made once, reused, split, retried, canceled, restored."""

import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "delivery"))
from engine_inputs import qastle_text, write_tree
from remote_servers import RangeServer
from runner_service import QUERY, Bench, small_file

from delivery.engine import TransformRequest, transform
from delivery.service import state
from delivery.service.settings import Inputs, Limits


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("runner")


@pytest.fixture(scope="module")
def bench(folder, shared_data):
    inputs = Inputs(roots=(folder, shared_data), schemes=("http",), hosts=("127.0.0.1",), site_replicas=("127.*",))
    bench = Bench(folder / "service", workers=2, inputs=inputs, limits=Limits(read_seconds=30, range_bytes=200_000))
    yield bench
    bench.close()


def expected(file, tmp_path, query=QUERY, form="parquet"):
    request = TransformRequest(query, str(file), tmp_path / "expected", format=form)
    transform(request)
    return request.output.read_bytes()


@pytest.mark.parametrize("form", ["parquet", "root-file", "root-rntuple"])
def test_results_are_the_engines_own(bench, folder, tmp_path, form):
    files = [small_file(folder / f"own{seed}.root", seed=seed) for seed in (1, 2)]
    request = bench.submit(files, result_format=form)
    ended = bench.end_of(request)
    assert (ended.status, ended.files_completed, ended.failure) == ("Complete", 2, None)
    for file, result in zip(files, sorted(bench.results(request), key=lambda each: each.file_path), strict=True):
        assert bench.content(result) == expected(file, tmp_path, form=form)
        assert result.events_in == 500
        assert [tuple(row)[1] for row in result.cutflow] == [result.events_out]
    row = bench.files(request)[0]
    assert (row.state, row.attempts, row.events_done) == ("done", 1, 500)
    (attempt,) = bench.attempts(row)
    assert (attempt.outcome, attempt.path) == ("done", str(files[0]))


def test_a_real_file_and_a_selection_in_json(bench, shared_data):
    file = shared_data / "root" / "nano_dimuon.root"
    text = '[{"treename": "Events", "filter_name": ["nMuon", "Muon_pt"]}]'
    request = bench.submit([file], text, codegen="uproot-raw", result_format="root-file")
    assert bench.end_of(request).status == "Complete"
    assert bench.results(request)[0].events_out == 40


def test_equal_work_is_done_once_whoever_asks_and_new_files_are_all_that_is_paid_for(bench, folder):
    old = small_file(folder / "reused.root", seed=3)
    first = bench.submit([old])
    bench.end_of(first)
    renamed = QUERY.replace("(list e)", "(list event)").replace("(attr e ", "(attr event ")
    assert renamed != QUERY
    new = small_file(folder / "new.root", seed=4)
    second = bench.submit([old, new], renamed)
    assert bench.end_of(second).status == "Complete"
    assert [one.reused for one in sorted(bench.results(second), key=lambda each: each.file_path)] == [False, True]
    copied = folder / "copy.root"
    copied.write_bytes(old.read_bytes())
    third = bench.submit([copied])
    bench.end_of(third)
    assert bench.results(third)[0].reused
    assert bench.results(third)[0].digest == bench.results(first)[0].digest


def test_known_files_end_without_a_task(bench, folder, monkeypatch):
    file = small_file(folder / "known.root", seed=5)
    time.sleep(2.1)  # what was written just now is not remembered: it may be written again within a tick of the clock
    bench.end_of(bench.submit([file]))
    monkeypatch.setattr(type(bench.runner._reconciler.dispatch), "send", lambda *_: pytest.fail("a task was sent"))
    assert bench.end_of(bench.submit([file]), 5).status == "Complete"


def test_concurrent_equal_requests_share_one_computation(bench, folder):
    file = small_file(folder / "shared.root", seed=6, events=20_000)
    requests = [bench.submit([file]) for _ in range(6)]
    assert {bench.end_of(request).status for request in requests} == {"Complete"}
    results = [bench.results(request)[0] for request in requests]
    assert len({one.digest for one in results}) == 1
    assert sum(not one.reused for one in results) == 1


def test_a_large_file_is_cut_and_put_together_and_its_parts_are_not_kept(bench, folder, tmp_path):
    rng = np.random.default_rng(1)
    columns = {"x": rng.normal(size=60_000), "n": np.arange(60_000), "genWeight": rng.normal(size=60_000)}
    file = write_tree(folder / "large.root", columns, [5000] * 11)
    bench.end_of(bench.submit([small_file(folder / "before.root", seed=8)]))
    before = len(list(bench.store.entries()))
    request = bench.submit([file])
    assert bench.end_of(request).status == "Complete"
    (result,) = bench.results(request)
    assert bench.content(result) == expected(file, tmp_path)
    assert result.sum_of_weights == float(sum(map(__import__("fractions").Fraction, columns["genWeight"])))
    assert result.bytes_read > 0
    assert [entry.stage for entry in bench.store.entries()].count("transform-part") == 0
    assert len(list(bench.store.entries())) == before + 1


def test_what_is_wrong_with_a_file_is_said_and_the_others_are_there(bench, folder):
    good, bad = small_file(folder / "good.root", seed=9), folder / "bad.root"
    bad.write_text("<html>please sign in</html>")
    request = bench.submit([good, bad, folder / "absent.root"])
    ended = bench.end_of(request)
    assert (ended.status, ended.files_completed, ended.files_failed) == ("Fatal", 1, 2)
    rows = bench.files(request)
    assert [row.state for row in rows] == ["done", "failed", "failed"]
    assert rows[1].error_kind == "NotARootFile"
    assert "no ROOT file" in rows[1].error
    assert rows[2].error_kind == "MissingFile"
    assert [row.attempts for row in rows[1:]] == [1, 1]
    bad.write_bytes(good.read_bytes())
    bench.change(request, state.retry)
    bench.until(lambda: bench.transform(request).files_completed == 2)
    assert bench.end_of(request).files_failed == 1


def test_files_outside_the_allowed_folders_are_not_read(bench):
    request = bench.submit(["/etc/passwd"])
    assert bench.end_of(request).status == "Fatal"
    (row,) = bench.files(request)
    assert row.error_kind == "NotAllowed"
    assert row.attempts == 1


def test_replicas_are_tried_in_turn_the_sites_own_first(bench, folder):
    file = small_file(folder / "replica.root", seed=10)
    server = RangeServer(file.read_bytes())
    try:
        server.status = 503
        request = bench.submit([[str(folder / "gone.root"), server.url, str(file)]])
        assert bench.end_of(request).status == "Complete"
    finally:
        server.close()
    (row,) = bench.files(request)
    tries = bench.attempts(row)
    assert [one.outcome for one in tries] == ["failed", "failed", "done"]
    assert [one.path for one in tries] == [server.url, str(folder / "gone.root"), str(file)]
    assert tries[0].error_kind == "InputUnreachable"
    assert "503" in row.log


def test_secrets_of_urls_are_nowhere(bench, folder):
    server = RangeServer(small_file(folder / "secret.root", seed=11).read_bytes())
    try:
        server.status = 403
        request = bench.submit([f"{server.url}?authz=s3cr3t"])
        bench.end_of(request)
    finally:
        server.close()
    (row,) = bench.files(request)
    told = [row.error, row.log, *(f"{one.path} {one.error}" for one in bench.attempts(row))]
    told.append(str(bench.transform(request).failure))
    assert not any("s3cr3t" in text for text in told)


class Stalled(RangeServer):
    """Answers the first request and then nothing, until it is closed; ``left``: who asked has gone away."""

    def __init__(self, content):
        self.asked, self.left, self.over = threading.Event(), threading.Event(), threading.Event()
        super().__init__(content)

    def answer(self, handler):
        if self.over.is_set() or not self.requests:
            super().answer(handler)
            return
        self.asked.set()
        handler.connection.settimeout(0.05)
        while not self.over.is_set():
            try:
                if handler.connection.recv(1) == b"":
                    self.left.set()
                    break
            except TimeoutError:
                continue
            except OSError:
                self.left.set()
                break
        handler.close_connection = True

    def close(self):
        self.over.set()
        super().close()


def test_cancel_stops_a_task_that_hangs_and_the_worker_is_of_use_again(bench, folder):
    server = Stalled(small_file(folder / "stalled.root", seed=12, events=200_000).read_bytes())
    try:
        request = bench.submit([server.url])
        assert server.asked.wait(30)
        bench.until(lambda: any(worker.files for worker in bench.runner.workers()))
        bench.change(request, state.cancel)
        assert server.left.wait(30)  # the task has ended with its worker
    finally:
        server.close()
    assert [row.state for row in bench.files(request)] == ["canceled"]
    after = bench.submit([small_file(folder / f"after{n}.root", seed=20 + n) for n in range(4)])
    assert bench.end_of(after).status == "Complete"


def test_an_evicted_result_is_made_anew_when_it_is_asked_for(bench, folder):
    request = bench.submit([small_file(folder / "evicted.root", seed=13)])
    bench.end_of(request)
    (result,) = bench.results(request)
    content = bench.content(result)
    entry = bench.store.get(result.key)
    bench.store.backend.delete(f"blobs/{result.digest[:2]}/{result.digest}")
    assert bench.store.get(result.key) is None
    assert entry is not None
    assert bench.runner.restore(request, result.object_name)
    ended = bench.until(lambda: (one := bench.transform(request)).status == "Complete" and one)
    assert (ended.files, ended.files_completed, ended.files_failed) == (1, 1, 0)
    (again,) = bench.results(request)
    assert (again.key, again.digest, bench.content(again)) == (result.key, result.digest, content)
    assert not bench.runner.restore(request, "no such object")


def test_a_small_request_overtakes_a_big_one(bench, folder):
    big = bench.submit([small_file(folder / f"big{n}.root", seed=100 + n) for n in range(60)])
    small = bench.submit([small_file(folder / "little.root", seed=99)])
    bench.end_of(small)
    assert bench.transform(big).status == "Running"
    assert bench.end_of(big).files_completed == 60


def test_a_worker_that_dies_costs_a_try_and_not_the_file(bench, folder):
    server = Stalled(small_file(folder / "slow.root", seed=14, events=200_000).read_bytes())
    try:
        request = bench.submit([server.url])
        assert server.asked.wait(30)
        worker = bench.until(lambda: next((one for one in bench.runner.workers() if one.files), None))
        bench.runner._reconciler.dispatch.cluster.kill(worker.address)
        assert server.left.wait(30)
        server.over.set()
        assert bench.end_of(request).status == "Complete"
    finally:
        server.close()
    (row,) = bench.files(request)
    outcomes = [one.outcome for one in bench.attempts(row)]
    assert outcomes[-1] == "done"
    assert set(outcomes[:-1]) <= {"lost", "failed"}
    assert outcomes[:-1]


def test_text_that_is_no_query_fails_with_its_reason(bench, folder):
    request = bench.submit([small_file(folder / "query.root", seed=15)], "(Select nonsense")
    assert bench.end_of(request).status == "Fatal"
    (row,) = bench.files(request)
    assert row.error_kind == "QuerySyntaxError"


def test_columns_that_are_not_there_are_named(bench, folder):
    query = qastle_text("DS.Select(lambda e: {'a': e.absent})")
    request = bench.submit([small_file(folder / "columns.root", seed=16)], query)
    assert bench.end_of(request).status == "Fatal"
    assert "absent" in bench.files(request)[0].error


def test_workers_tell_what_they_have_done(bench):
    workers = bench.runner.workers()
    assert len(workers) == 2
    assert all(one.threads == 1 and one.host == "127.0.0.1" for one in workers)
    assert sum(one.files_done for one in workers) > 0
    health = bench.runner.health()
    assert (health["leads"], health["problem"], health["threads"]) == (True, None, 2)
