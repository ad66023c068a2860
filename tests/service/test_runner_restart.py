"""Restart is resume: processes that are killed or stopped lose nothing, and nothing counts twice."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "delivery"))
from remote_servers import RangeServer
from runner_service import Bench, small_file

from delivery.service.settings import Inputs

CHILD = """
import sys, time
sys.path.insert(0, {tests!r})
from pathlib import Path
from runner_service import Bench
if __name__ == "__main__":
    bench = Bench(Path(sys.argv[1]))
    print("ready", flush=True)
    time.sleep(120)
"""


class Hanging(RangeServer):
    """Answers nothing until it is told to."""

    def __init__(self, content):
        self.over, self.asked = threading.Event(), threading.Semaphore(0)
        super().__init__(content)

    def answer(self, handler):
        if not self.over.is_set():
            self.asked.release()
            self.over.wait(120)
            handler.close_connection = True
            return
        super().answer(handler)

    def close(self):
        self.over.set()
        super().close()


@pytest.fixture
def hanging(tmp_path):
    server = Hanging(small_file(tmp_path / "hanging.root", seed=1).read_bytes())
    yield server
    server.close()


HERE = Inputs(roots=(Path("/"),), schemes=("http",), hosts=("127.0.0.1",))


def test_a_service_that_is_killed_is_taken_over_and_every_file_counts_once(tmp_path):
    files = [small_file(tmp_path / f"{number}.root", seed=number) for number in range(30)]
    script = tmp_path / "child.py"
    script.write_text(CHILD.format(tests=str(Path(__file__).parent)))
    child = subprocess.Popen([sys.executable, script, tmp_path / "service"], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    bench = Bench(tmp_path / "service", start=False)
    try:
        request = bench.submit(files)
        bench.until(lambda: bench.transform(request).files_completed > 2)
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        bench.runner.start()
        ended = bench.end_of(request)
        assert (ended.status, ended.files_completed, ended.files_failed) == ("Complete", 30, 0)
        assert len(bench.results(request)) == 30
        assert ended.total_events == 30 * 500
        assert {file.state for file in bench.files(request)} == {"done"}
    finally:
        child.kill()
        child.stdout.close()
        bench.close()


def test_a_stop_puts_back_what_it_cannot_wait_for(tmp_path, hanging):
    first = Bench(tmp_path / "service", inputs=HERE)
    request = first.submit([hanging.url, small_file(tmp_path / "quick.root")])
    assert hanging.asked.acquire(timeout=60)
    first.close(0.5)
    second = Bench(tmp_path / "service", start=False, inputs=HERE)
    try:
        rows = second.files(request)
        assert rows[0].state == "waiting"
        assert rows[0].attempts == 0
        hanging.over.set()
        second.runner.start()
        assert second.end_of(request).status == "Complete"
    finally:
        second.close()


def test_a_file_that_kills_its_worker_twice_is_given_up_with_the_reason(tmp_path, hanging):
    bench = Bench(tmp_path / "service", inputs=HERE)
    try:
        request = bench.submit([hanging.url])
        for _ in range(2):
            assert hanging.asked.acquire(timeout=60)
            worker = bench.until(lambda: next((one for one in bench.runner.workers() if one.files), None))
            bench.runner._reconciler.dispatch.cluster.kill(worker.address)
        ended = bench.end_of(request)
        (row,) = bench.files(request)
        tries = [one.outcome for one in bench.attempts(row)]
    finally:
        bench.close()
    assert ended.status == "Fatal"
    assert (row.state, row.kills, row.error_kind) == ("failed", 2, "WorkerKilled")
    assert "killed the 2 workers that tried it" in row.error
    assert tries == ["lost", "lost"]
