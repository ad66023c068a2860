"""Limits on memory and time: what goes over one is tried again as may help, or ends with the true reason."""

import resource
import subprocess
import sys
import threading
from pathlib import Path

import awkward as ak
import numpy as np
import pytest
import uproot

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "delivery"))
from engine_inputs import qastle_text, write_tree
from remote_servers import RangeServer
from runner_service import QUERY, Bench, small_file

from delivery.engine import TransformRequest, transform
from delivery.service.settings import Inputs, Limits

ROOT = Path(__file__).parents[2]
MB = 1_000_000
OUTPUTS = ", ".join(f"'a{n}': e.c{n % 6} * {n} + 1" for n in range(36))
WIDE = qastle_text(f"DS.Select(lambda e: {{{OUTPUTS}}})")
TALL = qastle_text("DS.Where(lambda e: e.c > 50).Select(lambda e: {'c': e.c})")
LONG = qastle_text("DS.Select(lambda e: {'n': e.jet_pt.Where(lambda p: p > 1).Count()})")


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    """A file of which 32 MB of columns at once make 200 MB of results."""
    events = 1_500_000
    columns = {f"c{n}": (np.arange(events) % (97 + n)).astype(np.float64) for n in range(6)}
    path = tmp_path_factory.mktemp("wide") / "wide.root"
    return write_tree(path, columns, list(range(20_000, events, 20_000)), uproot.ZLIB(1))


@pytest.fixture(scope="module")
def tall(tmp_path_factory):
    """A file whose only column has 64 MB."""
    path = tmp_path_factory.mktemp("tall") / "tall.root"
    return write_tree(path, {"c": (np.arange(8 * MB) % 97).astype(np.float64)}, [200_000] * 39, uproot.ZLIB(1))


@pytest.fixture(scope="module")
def long(tmp_path_factory):
    """Two events of 160 MB each."""
    lists = ak.unflatten(np.zeros(2 * 20 * MB), [20 * MB] * 2)
    path = tmp_path_factory.mktemp("long") / "long.root"
    return write_tree(path, {"jet": ak.zip({"pt": lists})}, [1], uproot.ZLIB(1))


@pytest.fixture
def bench(tmp_path):
    """A runner with one worker, made with the settings that a test gives."""
    made = []

    def make(name="service", **changes):
        made.append(Bench(tmp_path / name, **{"inputs": HERE, **changes}))
        return made[-1]

    yield make
    for each in made:
        each.close()


HERE = Inputs(roots=(Path("/"),), schemes=("http",), hosts=("127.0.0.1",))


def expected(file, query, folder):
    request = TransformRequest(query, str(file), folder / "expected", format="parquet")
    transform(request)
    return request.output.read_bytes()


def on_workers(bench, function, *arguments):
    """What a function gives on the bench's worker."""
    client = bench.runner._reconciler.dispatch.cluster._client
    (found,) = client.run(function, *arguments).values()
    return found


def status(name):
    """A size from the process's own account of it, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


CHILD = """
import resource, sys
from pathlib import Path
from delivery.engine import TransformRequest, transform
from delivery.errors import OutOfMemory

small, tall, folder, query = sys.argv[1:]
def run(file, chunk_bytes):
    transform(TransformRequest(query, file, Path(folder) / "out", format="parquet", chunk_bytes=chunk_bytes))
    return "done"
run(small, 1 << 25)
lines = Path("/proc/self/status").read_text().splitlines()
most = next(int(line.split()[1]) for line in lines if line.startswith("VmData")) * 1024 + 45_000_000
resource.setrlimit(resource.RLIMIT_DATA, (most, most))
for shrink in (1, 8, 64):
    try:
        print(run(tall, (1 << 25) // shrink))
    except OutOfMemory as error:
        print(error.sentence())
"""


def test_the_engine_says_that_memory_did_not_suffice_and_needs_less_for_smaller_ranges(tall, tmp_path):
    few = write_tree(tmp_path / "few.root", {"c": np.arange(9.0)})
    command = [sys.executable, "-c", CHILD, few, tall, tmp_path, TALL]
    first, *others = subprocess.check_output(list(map(str, command)), text=True, cwd=ROOT).splitlines()
    assert first.startswith(f"there is not enough memory for what is asked of {tall}: Unable to allocate 30.5 MiB")
    assert others == ["done", "done"]


def limit_memory(more):
    """From now on this process gets no more than so many bytes beyond those that it has."""
    most = status("VmData") + more
    resource.setrlimit(resource.RLIMIT_DATA, (most, resource.RLIM_INFINITY))


def warmed(bench, folder):
    """The worker has imported and done what every file needs."""
    assert bench.end_of(bench.submit([small_file(folder / "warm.root")])).status == "Complete"


def test_out_of_memory_leads_to_smaller_ranges_and_the_same_bytes(bench, tall, tmp_path):
    one = bench()
    warmed(one, tmp_path)
    on_workers(one, limit_memory, 45 * MB)
    request = one.submit([tall], TALL)
    assert one.end_of(request).status == "Complete"
    (row,) = one.files(request)
    assert [(each.outcome, each.error_kind) for each in one.attempts(row)] == [
        ("failed", "OutOfMemory"),
        ("done", None),
    ]
    assert one.content(one.results(request)[0]) == expected(tall, TALL, tmp_path)


def test_what_does_not_fit_in_the_smallest_range_ends_with_that_reason(bench, long, tmp_path):
    one = bench()
    warmed(one, tmp_path)
    on_workers(one, limit_memory, 70 * MB)
    request = one.submit([long], LONG)
    assert one.end_of(request).status == "Fatal"
    (row,) = one.files(request)
    assert (row.state, row.error_kind, row.attempts) == ("failed", "OutOfMemory", 3)
    assert "there is not enough memory for what is asked of" in row.error
    assert "tried 3 times" in row.error
    on_workers(one, limit_memory, 10_000 * MB)
    assert one.end_of(one.submit([long], LONG)).status == "Complete"  # the worker itself is well


def test_a_worker_that_its_nanny_ends_over_memory_leads_to_smaller_ranges(bench, wide, long, tmp_path):
    free = bench("free")
    warmed(free, tmp_path)
    limit = int((on_workers(free, status, "VmRSS") + 150 * MB) / 0.95)  # Dask's nannies act at 95 %
    free.close()
    tight = bench("tight", worker_memory=str(limit))
    request = tight.submit([wide], WIDE)
    assert tight.end_of(request).status == "Complete"
    (row,) = tight.files(request)
    tries = tight.attempts(row)
    assert [(each.outcome, each.error_kind) for each in tries] == [("lost", "OutOfMemory"), ("done", None)]
    assert tight.content(tight.results(request)[0]) == expected(wide, WIDE, tmp_path)
    hopeless = tight.submit([long], LONG)
    assert tight.end_of(hopeless).status == "Fatal"
    (row,) = tight.files(hopeless)
    assert (row.error_kind, row.kills) == ("OutOfMemory", 2)
    assert "was ended for that" in row.error
    assert "in the smallest ranges" in row.error
    warmed(tight, tmp_path)


class Slow(RangeServer):
    """Answers the first request and, of those after it, nothing (``drip`` None) or a byte every so many seconds."""

    def __init__(self, content, drip=None):
        self.over, self.drip = threading.Event(), drip
        super().__init__(content)

    def answer(self, handler):
        if not self.requests:
            super().answer(handler)
            return
        handler.send_response(206)
        asked = handler.headers["Range"].removeprefix("bytes=")
        if "," in asked:
            handler.send_header("Content-Type", "multipart/byteranges; boundary=SEP")
        else:
            handler.send_header("Content-Range", f"bytes {asked}/{len(self.content)}")
        handler.send_header("Content-Length", str(len(self.content)))
        handler.end_headers()
        try:
            while not self.over.wait(self.drip):
                handler.wfile.write(b"x")
        except OSError:  # who asked has gone away
            pass
        handler.close_connection = True

    def close(self):
        self.over.set()
        super().close()


@pytest.fixture
def slow(tmp_path):
    """Slow servers of one file, which lies on this disk, too."""
    file = small_file(tmp_path / "slow.root", events=100_000)
    made = []

    def make(drip=None):
        made.append(Slow(file.read_bytes(), drip))
        return made[-1].url, file

    yield make
    for each in made:
        each.close()


def test_a_read_without_an_answer_is_given_up_for_the_next_replica(bench, slow, tmp_path):
    one = bench(limits=Limits(read_seconds=1, tries=2))
    warmed(one, tmp_path)
    (url, file), (second, _) = slow(), slow()
    request = one.submit([(url, str(file)), second])
    assert one.end_of(request).files_completed == 1
    near, far = one.files(request)
    tries = one.attempts(near)
    assert [(each.path, each.outcome, each.error_kind) for each in tries] == [
        (url, "failed", "InputUnreachable"),
        (str(file), "done", None),
    ]
    (made,) = (each for each in one.results(request) if each.status == "success")
    assert one.content(made) == expected(file, QUERY, tmp_path)
    assert (far.state, far.error_kind, far.attempts) == ("failed", "InputUnreachable", 2)
    assert "timed out" in far.error
    assert {each.worker for row in (near, far) for each in one.attempts(row)} == {near.worker}  # none had to die


def test_a_file_that_takes_too_long_is_given_up_for_the_next_replica_and_its_worker_is_free(bench, slow, tmp_path):
    one = bench(limits=Limits(file_seconds=6, tries=1))
    warmed(one, tmp_path)
    (url, file), (second, _) = slow(0.2), slow(0.2)
    request = one.submit([(f"{url}?authz=s3cret", str(file)), second])
    assert one.end_of(request).files_completed == 1
    near, far = one.files(request)
    assert [(each.outcome, each.error_kind) for each in one.attempts(near)] == [("failed", "TimedOut"), ("done", None)]
    (made,) = (each for each in one.results(request) if each.status == "success")
    assert one.content(made) == expected(file, QUERY, tmp_path)
    assert (far.state, far.error_kind, far.attempts, far.kills) == ("failed", "TimedOut", 1, 0)
    assert far.error.endswith("it took longer than 6 s, which one try at a file may take")
    assert "s3cret" not in f"{one.attempts(near)[0].error} {near.log}"
    warmed(one, tmp_path)
