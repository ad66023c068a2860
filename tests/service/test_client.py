"""Our own client against a real service, through a network that has faults."""

import hashlib
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import uproot

from delivery.errors import EndpointUnreachable
from delivery.service_client.client import ServiceClient
from delivery.service_client.errors import NoSuchRequest, RequestRefused, ResultDamaged
from delivery.service_client.records import Submission
from delivery.service_client.server_sent_events import Event, events

sys.path.insert(0, str(Path(__file__).parent))
from faulty_proxy import FaultyProxy, faulty_proxy
from serving import RunningService, running_service

QUERY = (
    "(Select (Where (call EventDataset 'bogus.root' 'Events') (lambda (list e) (> (attr e 'MET_pt') {cut})))"
    " (lambda (list e) (dict (list 'met') (list (attr e 'MET_pt')))))"
)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, shared_data: Path) -> Iterator[RunningService]:
    roots = {"roots": [str(shared_data)]}
    with running_service(tmp_path_factory.mktemp("service"), inputs=roots) as running:
        yield running


@pytest.fixture
def proxy(service: RunningService) -> Iterator[FaultyProxy]:
    with faulty_proxy(service.url) as between:
        yield between


@pytest.fixture
def client(proxy: FaultyProxy) -> Iterator[ServiceClient]:
    with ServiceClient(proxy.url) as found:
        yield found


@pytest.fixture
def file(shared_data: Path) -> Path:
    return shared_data / "adl" / "Run2012B_SingleMu_1000.root"


def asked(file: Path, cut: float = 25) -> Submission:
    return Submission(QUERY.format(cut=cut), (str(file),), title="one")


def first(fault: str, method: str, ending: str) -> Callable[[str, str], str]:
    """The fault at the first call of that kind, and none after it."""
    left = [fault]
    return lambda met, path: left.pop() if left and met == method and ending in path else ""


def ended(client: ServiceClient, request_id: str) -> Any:
    return list(client.watch(request_id))[-1]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("data: a\n\n", [Event("message", "a", "")]),
        (": still here\n\ndata: a\ndata:b\n\n", [Event("message", "a\nb", "")]),
        ("event: deleted\nid: 7\ndata: {}\n\ndata: x\n\n", [Event("deleted", "{}", "7"), Event("message", "x", "7")]),
        ("data: broken off", []),
        ("id: 1\n\nevent: none\n\ndata\n\n", [Event("message", "", "1")]),
    ],
)
def test_events_are_read_as_the_standard_says(text: str, found: list[Event]) -> None:
    assert list(events(text.split("\n"))) == found


def test_a_query_from_submission_to_verified_bytes(client: ServiceClient, file: Path, tmp_path: Path) -> None:
    request_id = client.submit(asked(file))
    updates = list(client.watch(request_id))
    assert updates[-1].status.status == "Complete"
    assert [update.status.ended for update in updates] == [False] * (len(updates) - 1) + [True]
    (result,) = [result for update in updates for result in update.results]
    path = client.download(request_id, result, tmp_path / "new" / "out.parquet")
    met = uproot.open(file)["Events"]["MET_pt"].array(library="np")
    assert pq.read_table(path)["met"].to_pylist() == met[met > 25].tolist()
    assert (result.events_in, result.events_out, result.cutflow[0].passed) == (1000, (met > 25).sum(), (met > 25).sum())
    assert hashlib.sha256(path.read_bytes()).hexdigest() == result.digest
    assert [one.name for one in path.parent.iterdir()] == ["out.parquet"]
    assert "minio-secret-key" not in updates[-1].status.document


def test_a_submission_whose_answer_was_lost_is_one_request(
    proxy: FaultyProxy, client: ServiceClient, file: Path
) -> None:
    proxy.fault = first("lost", "POST", "/servicex/transformation")
    client.info()  # a service that has answered is waited for
    submission = asked(file, 26)
    assert client.submit(submission) == submission.request_id
    assert [call[0] for call in proxy.calls].count("POST") == 2
    assert [one.request_id for one in client.requests()].count(submission.request_id) == 1
    with pytest.raises(RequestRefused, match="is taken by another request"):
        client.submit(replace(submission, selection=QUERY.format(cut=27)))


def test_where_events_do_not_come_through_the_client_asks(
    proxy: FaultyProxy, client: ServiceClient, file: Path
) -> None:
    proxy.fault = lambda method, path: "refused" if path.endswith("/events") else ""
    update = ended(client, client.submit(asked(file, 28)))
    assert (update.status.status, len(update.results), update.files[0].state) == ("Complete", 1, "done")


def test_a_stream_that_breaks_off_is_taken_up_again(proxy: FaultyProxy, client: ServiceClient, file: Path) -> None:
    request_id = client.submit(asked(file, 29))
    proxy.fault = first("cut", "GET", "/events")
    assert ended(client, request_id).status.status == "Complete"
    assert sum(path.endswith("/events") for _, path, _ in proxy.calls) > 1


def test_a_download_goes_on_where_it_broke_off(
    proxy: FaultyProxy, client: ServiceClient, file: Path, tmp_path: Path
) -> None:
    request_id = client.submit(asked(file, 20))
    (result,) = ended(client, request_id).results or client.results(request_id)
    proxy.fault = first("cut", "GET", "/objects/")
    path = client.download(request_id, result, tmp_path / "out.parquet")
    ranges = [wanted for _, called, wanted in proxy.calls if "/objects/" in called]
    assert ranges[0] == ""
    assert ranges[1].startswith("bytes=")
    assert hashlib.sha256(path.read_bytes()).hexdigest() == result.digest
    before = len(proxy.calls)
    assert client.download(request_id, result, path) == path
    assert len(proxy.calls) == before  # it is there


def test_what_a_killed_client_left_is_checked(
    proxy: FaultyProxy, client: ServiceClient, file: Path, tmp_path: Path
) -> None:
    request_id = client.submit(asked(file, 21))
    (result,) = ended(client, request_id).results or client.results(request_id)
    path, part = tmp_path / "out.parquet", tmp_path / "out.parquet.part"
    part.write_bytes(b"not the beginning of it")
    client.download(request_id, result, path)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == result.digest
    assert not part.exists()


def test_bytes_that_do_not_match_are_no_result(
    proxy: FaultyProxy, client: ServiceClient, file: Path, tmp_path: Path
) -> None:
    request_id = client.submit(asked(file, 22))
    (result,) = ended(client, request_id).results or client.results(request_id)
    proxy.fault = lambda method, path: "spoiled" if "/objects/" in path else ""
    with pytest.raises(ResultDamaged, match="came damaged"):
        client.download(request_id, result, tmp_path / "out.parquet")
    assert list(tmp_path.iterdir()) == []


def test_refusals_say_what_would_be_right(client: ServiceClient, file: Path, shared_data: Path) -> None:
    with pytest.raises(NoSuchRequest):
        client.status("00000000-0000-4000-8000-000000000000")
    with pytest.raises(NoSuchRequest):
        list(client.watch("00000000-0000-4000-8000-000000000000"))
    with pytest.raises(RequestRefused, match="is not below a folder that may be read; allowed are files below"):
        client.submit(asked(Path("/etc/passwd")))
    with pytest.raises(RequestRefused, match="this '\\(Select' is never closed"):
        client.submit(replace(asked(file), selection="(Select (call EventDataset 'a' 'Events')"))


def test_nobody_there_is_told_soon() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    with ServiceClient(url) as client, pytest.raises(EndpointUnreachable, match="cannot reach the endpoint"):
        client.info()
    with ServiceClient("ftp://nowhere") as client, pytest.raises(RequestRefused, match="no address of a service"):
        client.info()


def test_the_package_costs_nothing_until_it_is_used() -> None:
    program = "import sys, delivery.service_client, delivery.remote; print('httpx' in sys.modules)"
    assert (
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "False\n"
    )
