"""The delivery endpoint over our own service: what the engine here would say, through kills and restarts."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from delivery.endpoint import open_endpoint
from delivery.requests import FileDelivered, FileFailed, FileRequest
from delivery.service_client.client import ServiceClient

sys.path.insert(0, str(Path(__file__).parent))
from serving import RunningService, running_service

QUERY = (
    "(Select (Where (call EventDataset 'bogus.root' 'Events') (lambda (list e) (> (attr e 'MET_pt') {cut})))"
    " (lambda (list e) (dict (list 'met') (list (attr e 'MET_pt')))))"
)
PROGRAM = """
import sys
from pathlib import Path
from delivery.endpoint import open_endpoint
from delivery.requests import FileRequest
url, query, scratch, *files = sys.argv[1:]
requests = [FileRequest("killed", file, None, query, "uproot", "parquet", i) for i, file in enumerate(files)]
for outcome in open_endpoint(url).deliver(requests, Path(scratch)):
    print(type(outcome).__name__, flush=True)
"""


@pytest.fixture(scope="module")
def inputs(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    for place in range(6):
        shutil.copyfile(shared_data / "adl" / "Run2012B_SingleMu_1000.root", folder / f"events_{place}.root")
    (folder / "damaged.root").write_bytes((folder / "events_0.root").read_bytes()[:5000])
    return folder


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, inputs: Path) -> Iterator[RunningService]:
    with running_service(tmp_path_factory.mktemp("service"), inputs={"roots": [str(inputs)]}) as running:
        yield running


@pytest.fixture(autouse=True)
def away_from_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)


def requests_of(files: list[Path], query: str, sample: str = "a", form: str = "parquet") -> list[FileRequest]:
    return [FileRequest(sample, str(file), None, query, "uproot", form, index) for index, file in enumerate(files)]


def by_request(outcomes: Any) -> dict[tuple[str, int], FileDelivered | FileFailed]:
    return {(one.request.sample, one.request.index): one for one in outcomes}


def test_outcomes_are_those_of_the_engine_here(service: RunningService, inputs: Path, tmp_path: Path) -> None:
    """Counts, cutflows, warnings, bytes, and for what failed the kind and the sentence."""
    query = QUERY.format(cut=31)
    files = [inputs / "events_0.root", inputs / "damaged.root", inputs / "absent.root"]
    asked = [
        *requests_of(files, query),
        *requests_of([files[0], files[0]], query, "twice"),
        *requests_of([files[0]], query, "root", "root-file"),
        *requests_of([files[0]], QUERY.replace("MET_pt", "MTE_pt").format(cut=1), "misspelt"),
    ]
    there = by_request(open_endpoint(service.url).deliver(asked, tmp_path / "there"))
    here = by_request(open_endpoint("local").deliver(asked, tmp_path / "here"))
    assert set(there) == set(here) == {(one.sample, one.index) for one in asked}
    for name, mine in here.items():
        theirs = there[name]
        if isinstance(mine, FileFailed):
            assert isinstance(theirs, FileFailed)
            assert (theirs.error, theirs.reason) == (mine.error, mine.reason)
        else:
            assert isinstance(theirs, FileDelivered)
            assert Path(theirs.path).read_bytes() == Path(mine.path).read_bytes()
            same = replace(theirs, path=mine.path, seconds=mine.seconds)
            assert same == mine


def test_a_refused_file_harms_no_other(service: RunningService, inputs: Path, tmp_path: Path) -> None:
    files = [inputs / "events_1.root", Path("/etc/passwd"), inputs / "events_2.root", inputs / "events_3.root"]
    found = by_request(open_endpoint(service.url).deliver(requests_of(files, QUERY.format(cut=32)), tmp_path / "s"))
    refused = found["a", 1]
    assert isinstance(refused, FileFailed)
    assert "'/etc/passwd' is not below a folder that may be read" in refused.reason
    assert all(isinstance(found["a", place], FileDelivered) for place in (0, 2, 3))


def test_a_refused_query_is_refused_for_every_file_at_once(
    service: RunningService, inputs: Path, tmp_path: Path
) -> None:
    files = [inputs / f"events_{place}.root" for place in range(6)]
    with ServiceClient(service.url) as client:
        before = len(client.requests())
        found = list(open_endpoint(service.url).deliver(requests_of(files, "(Select nonsense"), tmp_path / "s"))
        assert len(client.requests()) == before
    assert [type(one) for one in found] == [FileFailed] * 6
    assert len({one.reason for one in found}) == 1


def test_closing_the_iterator_cancels(service: RunningService, inputs: Path, tmp_path: Path) -> None:
    files = [inputs / f"events_{place}.root" for place in range(6)]
    delivery = open_endpoint(service.url).deliver(requests_of(files, QUERY.format(cut=33), "closed"), tmp_path / "s")
    next(iter(delivery))
    delivery.close()
    with ServiceClient(service.url) as client:
        (request,) = [one for one in client.requests() if one.title == "closed"]
        assert list(client.watch(request.request_id))[-1].status.status in ("Canceled", "Complete")


def test_a_killed_client_takes_up_what_the_service_made(service: RunningService, inputs: Path, tmp_path: Path) -> None:
    files = [inputs / f"events_{place}.root" for place in range(6)]
    query = QUERY.format(cut=34)
    command = [sys.executable, "-c", PROGRAM, service.url, query, str(tmp_path / "s"), *map(str, files)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as killed:
        assert killed.stdout is not None
        assert killed.stdout.readline() == "FileDelivered\n"
        killed.send_signal(signal.SIGKILL)
    again = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    assert again.stdout.split() == ["FileDelivered"] * 6
    with ServiceClient(service.url) as client:
        first, second = sorted(
            (one for one in client.requests() if one.title == "killed"), key=lambda one: one.submitted
        )
        digests = []
        for request in (first, second):
            assert list(client.watch(request.request_id))[-1].status.status == "Complete"
            digests.append(sorted(one.digest for one in client.results(request.request_id)))
        assert digests[0] == digests[1]
        # the six copies are one content: it was computed once, by whichever request
        results = [one for request in (first, second) for one in client.results(request.request_id)]
        assert sum(not one.reused for one in results) == 1


def test_a_restart_of_the_service_in_the_middle(tmp_path: Path, inputs: Path) -> None:
    """The port is the same, the process another; the client waits and loses nothing."""
    folder, roots = tmp_path / "service", {"roots": [str(inputs)]}
    files = [inputs / f"events_{place}.root" for place in range(6)]
    with running_service(folder, inputs=roots) as before:
        port = int(before.url.rpartition(":")[2])
        asked = requests_of(files, QUERY.format(cut=35)) + requests_of(files, QUERY.format(cut=36), "b")
        delivery = iter(open_endpoint(before.url).deliver(asked, tmp_path / "s"))
        found = [next(delivery)]
        before.kill()
    with running_service(folder, inputs=roots, port=port):
        found += list(delivery)
    assert sorted((one.request.sample, one.request.index) for one in found) == sorted(
        (one.sample, one.index) for one in asked
    )
    assert all(isinstance(one, FileDelivered) for one in found)
