"""Small results that come several in one call: whole, or each by itself."""

import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from faulty_proxy import FaultyProxy, faulty_proxy
from runner_service import QUERY, small_file
from serving import RunningService, running_service

from artifacts.store import blob_name
from delivery.service.settings import Settings
from delivery.service_client.client import ServiceClient
from delivery.service_client.downloads import BYTES_TOGETHER, MOST_TOGETHER, bundles
from delivery.service_client.records import FileResult, Submission

FILES = 6


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bundles")


@pytest.fixture(scope="module")
def service(folder: Path) -> Iterator[RunningService]:
    with running_service(folder / "service", inputs={"roots": [str(folder)]}) as running:
        yield running


@pytest.fixture
def proxy(service: RunningService) -> Iterator[FaultyProxy]:
    with faulty_proxy(service.url) as between:
        yield between


@pytest.fixture
def client(proxy: FaultyProxy) -> Iterator[ServiceClient]:
    with ServiceClient(proxy.url) as found:
        yield found


@pytest.fixture(scope="module")
def request_id(service: RunningService, folder: Path) -> str:
    files = [str(small_file(folder / f"{number}.root", seed=number)) for number in range(FILES)]
    with ServiceClient(service.url) as client:
        number = client.submit(Submission(QUERY, tuple(files)))
        assert list(client.watch(number))[-1].status.status == "Complete"
    return number


def bring(client: ServiceClient, request_id: str, folder: Path) -> list[FileResult]:
    """All results, each in the file of its number; checked."""
    results = client.results(request_id)
    client.download_together(request_id, [(one, folder / str(one.file)) for one in results])
    assert len(results) == FILES
    for one in results:
        assert hashlib.sha256((folder / str(one.file)).read_bytes()).hexdigest() == one.digest
    assert len(list(folder.iterdir())) == FILES
    return results


def calls(proxy: FaultyProxy) -> tuple[int, int]:
    """For several results, and for one."""
    paths = [path for _, path, _ in proxy.calls]
    return sum("/bundle?" in path for path in paths), sum("/objects/" in path for path in paths)


def test_one_call_brings_them_all(proxy: FaultyProxy, client: ServiceClient, request_id: str, tmp_path: Path) -> None:
    bring(client, request_id, tmp_path)
    assert calls(proxy) == (1, 0)
    bring(client, request_id, tmp_path)
    assert calls(proxy) == (1, 0)  # they are there


@pytest.mark.parametrize("fault", ["refused", "spoiled"])
def test_what_does_not_come_whole_comes_by_itself(
    proxy: FaultyProxy, client: ServiceClient, request_id: str, tmp_path: Path, fault: str
) -> None:
    proxy.fault = lambda _, path: fault if "/bundle" in path else ""
    bring(client, request_id, tmp_path)
    assert calls(proxy) == (1, FILES if fault == "refused" else 1)


@pytest.mark.parametrize("harm", ["gone", "damaged"])
def test_a_result_that_is_gone_is_made_anew(
    service: RunningService, client: ServiceClient, request_id: str, tmp_path: Path, harm: str
) -> None:
    digest = client.results(request_id)[2].digest
    blob = Path(Settings(data=service.data).store_url) / blob_name(digest)
    blob.chmod(0o600)
    content = blob.read_bytes()
    blob.write_bytes(content[:-1] + bytes([content[-1] ^ 1])) if harm == "damaged" else blob.unlink()
    assert digest in {one.digest for one in bring(client, request_id, tmp_path)}


def test_what_is_no_result_is_refused(service: RunningService, client: ServiceClient, request_id: str) -> None:
    number = client.results(request_id)[0].file
    with service.client() as http:
        for files, status in (
            ("", 200),
            (f"{number},{number + 1000}", 404),
            (f"{number},x", 400),
            (",", 400),
            ("-1", 400),
            (",".join([str(number)] * 101), 400),
            ("9" * 30, 400),
        ):
            answer = http.get(f"/servicex/transformation/{request_id}/bundle", params={"files": files})
            assert answer.status_code == status, files
        other = http.get(f"/servicex/transformation/no-such-request/bundle?files={number}")
        assert other.status_code == 404


def test_a_large_result_has_a_call_of_its_own() -> None:
    sizes = [1] * (MOST_TOGETHER + 3) + [BYTES_TOGETHER * 2, 5, BYTES_TOGETHER - 5, 1]
    found = list(bundles(sizes, lambda size: size))
    assert [one for bundle in found for one in bundle] == sizes
    assert [len(bundle) for bundle in found] == [MOST_TOGETHER, 3, 1, 2, 1]
