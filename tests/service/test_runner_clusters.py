"""A Dask scheduler by its address, with workers of several threads: processes that the runner has not started."""

import os
import re
import signal
import sys
import threading
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "delivery"))
from engine_inputs import write_tree
from remote_servers import RangeServer
from runner_service import QUERY, Bench, small_file
from topology import ROOT, Part, free_ports, listens

from delivery.engine import TransformRequest, transform
from delivery.service.settings import Inputs, Limits

THREADS = 4
HERE = Inputs(roots=(Path("/"),), schemes=("http",), hosts=("127.0.0.1",))


class Facility:
    """A scheduler and a worker, each a process with its own command line."""

    def __init__(self, folder):
        self.folder, (self._port,) = folder, free_ports(1)
        self.address = f"tcp://127.0.0.1:{self._port}"
        here = ["--host", "127.0.0.1", "--no-dashboard"]
        self.scheduler = self._part("scheduler", [*here, "--port", str(self._port)], lambda: listens(self._port))
        own = ["--nthreads", str(THREADS), "--memory-limit", "0", "--local-directory", str(folder / "worker")]
        registered = lambda: bool(re.search("Registered to:", self.worker.log_text()))  # noqa: E731
        self.worker = self._part("worker", [self.address, *here, *own], registered)

    def _part(self, name, options, ready):
        command = [sys.executable, "-m", f"distributed.cli.dask_{name}", *options]
        return Part(name, command, self.folder / f"{name}.log", {"PYTHONPATH": str(ROOT)}, ready, {"cwd": self.folder})

    def start(self):
        for part in (self.scheduler, self.worker):
            part.start()
            part.wait()

    def kill(self):
        for part in (self.worker, self.scheduler):
            part.kill()


@pytest.fixture
def facility(tmp_path):
    made = Facility(tmp_path)
    made.start()
    yield made
    made.kill()


@pytest.fixture
def bench(tmp_path, facility):
    bench = Bench(tmp_path / "service", scheduler=facility.address, inputs=HERE, limits=Limits(range_bytes=200_000))
    yield bench
    bench.close()


RAW = '[{"treename": "Events", "expressions": ["x", "n"], "cut": "x > 0"}]'


def expected(file, folder, query=QUERY, codegen="uproot"):
    request = TransformRequest(query, str(file), folder / "expected", codegen=codegen, format="parquet")
    transform(request)
    return request.output.read_bytes()


def contents(bench, request):
    return {each.file_path: bench.content(each) for each in bench.results(request) if each.status == "success"}


class Gate(RangeServer):
    """Answers nothing until it is opened; ``waiting`` is released by each who asks."""

    def __init__(self, content):
        self.open, self.waiting = threading.Event(), threading.Semaphore(0)
        super().__init__(content)

    def answer(self, handler):
        if self.open.is_set():
            super().answer(handler)
            return
        self.waiting.release()
        self.open.wait(120)
        handler.close_connection = True

    def close(self):
        self.open.set()
        super().close()


def gates(stack, folder, count):
    """So many servers of a file each, all closed."""
    made = [Gate(small_file(folder / f"gate{n}.root", seed=50 + n).read_bytes()) for n in range(count)]
    for each in made:
        stack.callback(each.close)
    return made


def test_threads_of_one_worker_give_the_same_bytes_side_by_side(bench, tmp_path):
    rng = np.random.default_rng(2)
    columns = {"x": rng.normal(size=60_000), "n": np.arange(60_000), "genWeight": rng.normal(size=60_000)}
    files = [small_file(tmp_path / f"{n}.root", seed=n) for n in range(20)]
    files.append(write_tree(tmp_path / "large.root", columns, [5000] * 11))
    with ExitStack() as stack:
        closed = gates(stack, tmp_path, THREADS)
        at_once = bench.submit([gate.url for gate in closed])
        for gate in closed:
            assert gate.waiting.acquire(timeout=60)  # all of them run now
        assert {file for worker in bench.runner.workers() for file in worker.files} >= {gate.url for gate in closed}
        for gate in closed:
            gate.open.set()
        assert bench.end_of(at_once).status == "Complete"
    request = bench.submit(files)
    assert bench.end_of(request).status == "Complete"
    assert bench.runner.health()["threads"] == THREADS
    cut = bench.submit(files[-1:], RAW, codegen="uproot-raw")
    assert bench.end_of(cut).status == "Complete"
    assert contents(bench, cut) == {str(files[-1]): expected(files[-1], tmp_path, RAW, "uproot-raw")}
    assert contents(bench, request) == {str(file): expected(file, tmp_path) for file in files}


def test_a_worker_that_dies_with_several_files_blames_none_that_another_may_have_to_answer_for(
    bench, facility, tmp_path
):
    with ExitStack() as stack:
        closed = gates(stack, tmp_path, THREADS)
        request = bench.submit([gate.url for gate in closed])
        for gate in closed:
            assert gate.waiting.acquire(timeout=60)
        (worker,) = (one for one in bench.runner.workers() if one.files)
        bench.runner._reconciler.dispatch.cluster.kill(worker.address)
        bench.until(lambda: worker.address not in {one.address for one in bench.runner.workers()})
        for gate in closed:
            gate.open.set()
        assert bench.end_of(request).status == "Complete"
    assert facility.worker.alive  # its nanny has started another process
    rows = bench.files(request)
    assert [(row.attempts, row.kills) for row in rows] == [(1, 0)] * THREADS
    assert {[each.outcome for each in bench.attempts(row)][-1] for row in rows} <= {"done", "reused"}
    assert Counter(each.outcome for row in rows for each in bench.attempts(row))["lost"] >= THREADS


class Killer(RangeServer):
    """Kills the only worker process below a nanny whenever that reads."""

    def __init__(self, content, nanny):
        self._nanny = nanny
        super().__init__(content)

    def answer(self, handler):
        self.requests.append([])
        below = [each.read_text().split() for each in Path(f"/proc/{self._nanny}/task").glob("*/children")]
        for child in (child for children in below for child in children):
            if b"resource_tracker" not in Path(f"/proc/{child}/cmdline").read_bytes():
                os.kill(int(child), signal.SIGKILL)
        handler.close_connection = True


def test_a_file_that_kills_a_shared_worker_is_found_out_alone_and_the_others_are_whole(bench, facility, tmp_path):
    others = [small_file(tmp_path / f"other{n}.root", seed=n) for n in range(4)]
    killer = Killer(others[0].read_bytes(), facility.worker.pid)
    try:
        request = bench.submit([killer.url, *others])
        ended = bench.end_of(request, 120)
    finally:
        killer.close()
    assert (ended.status, ended.files_completed, ended.files_failed) == ("Fatal", 4, 1)
    first, *rest = bench.files(request)
    assert (first.state, first.error_kind, first.kills) == ("failed", "WorkerKilled", 2)
    assert {(row.state, row.kills) for row in rest} == {("done", 0)}
    assert len(killer.requests) >= 3  # among others, twice alone; Dask itself may try again before it is told not to
    assert {str(file): expected(file, tmp_path) for file in others} == contents(bench, request)


def test_a_scheduler_that_dies_is_found_again_at_its_address(bench, facility, tmp_path):
    files = [small_file(tmp_path / f"{n}.root", seed=n) for n in range(3)]
    with ExitStack() as stack:
        (gate,) = gates(stack, tmp_path, 1)
        request = bench.submit([gate.url, *files])
        assert gate.waiting.acquire(timeout=60)
        facility.kill()
        bench.until(lambda: bench.runner.health()["problem"])
        gate.open.set()
        facility.start()
        assert bench.end_of(request).status == "Complete"
    assert [(row.state, row.kills) for row in bench.files(request)] == [("done", 0)] * 4


def test_a_worker_has_imported_the_engine_before_its_first_file(bench, facility):
    def imported():
        client = bench.runner._reconciler.dispatch.cluster._client
        found = client.run(eval, "[*__import__('sys').modules]") if client is not None else {}
        return found and all("delivery.engine.skim" in modules for modules in found.values())

    bench.until(imported)
    facility.worker.kill()
    facility.worker.start()
    facility.worker.wait()
    bench.until(imported)
