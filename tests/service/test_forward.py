"""Codegens that run at another ServiceX: the other one is a second service of ours, and a server with bad days.

The front service runs `uproot-raw` alone and hands `uproot` on.
"""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pyarrow.parquet as pq
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from forwarding import Between, delivered, expected, forwarding, results, submission, until
from requesting import ended, submitted
from serving import RunningService, running_service


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory, shared_data: Path) -> Iterator[RunningService]:
    inputs = {"roots": [str(shared_data / "root")]}
    with running_service(tmp_path_factory.mktemp("upstream"), inputs=inputs) as running:
        yield running


@pytest.fixture(scope="module")
def passing(behind: RunningService) -> Iterator[Between]:
    started = Between(behind.url)
    yield started
    started.close()


@pytest.fixture
def between(passing: Between) -> Iterator[Between]:
    """What stands between, without bad days as yet."""
    passing.calls.clear()
    yield passing
    passing.answer, passing.token = lambda method, path: None, ""


@pytest.fixture(scope="module")
def front(passing: Between, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with front_of(passing.url, tmp_path_factory.mktemp("front")) as http:
        yield http


@contextmanager
def front_of(url: str, folder: Path, **more: Any) -> Iterator[httpx.Client]:
    """A service that hands requests on, only for one test."""
    with running_service(folder / "front", **forwarding(url, **more)) as service, service.client() as http:
        yield http


def test_a_forwarded_request_ends_with_results_of_our_own(
    front: httpx.Client, tmp_path: Path, shared_data: Path
) -> None:
    assert set(front.get("/servicex").json()["code-gen-image"]) == {"uproot-raw", "uproot"}
    request_id = submitted(front, submission(shared_data, "nano_dy.root", "nano_dimuon.root"))
    status = ended(front, request_id)
    assert (status["status"], status["files"], status["files-completed"]) == ("Complete", 2, 2)
    assert f"http://{status['minio-endpoint']}" == str(front.base_url).rstrip("/")
    columns = delivered(front, request_id, tmp_path)
    names = [row["s3-object-name"] for row in results(front, request_id)]
    assert columns == expected(shared_data, "nano_dy.root", "nano_dimuon.root")
    assert names == [
        str(shared_data / "root" / name).replace("/", ":") + ".parquet" for name in ("nano_dimuon.root", "nano_dy.root")
    ]


def test_a_datasets_files_become_known_with_their_results(
    front: httpx.Client, tmp_path: Path, shared_data: Path
) -> None:
    did = f"glob://{shared_data}/root/nano_{{dy,dimuon}}.root"
    request_id = submitted(front, submission(shared_data, did=did, **{"file-list": None}))
    status = ended(front, request_id)
    assert (status["status"], status["files"]) == ("Complete", 2)
    assert delivered(front, request_id, tmp_path) == expected(shared_data, "nano_dy.root", "nano_dimuon.root")
    paths = {row["paths"][0] for row in front.get(f"/servicex/transformation/{request_id}/files").json()["files"]}
    assert paths == {str(shared_data / "root" / name) for name in ("nano_dy.root", "nano_dimuon.root")}


def test_a_dataset_that_the_upstream_does_not_find(front: httpx.Client, shared_data: Path) -> None:
    did = f"glob://{shared_data}/root/nothing*.root"
    status = ended(front, submitted(front, submission(shared_data, did=did, **{"file-list": None})))
    assert status["status"] == "Bad Dataset"
    assert "no file matches" in status["failure-info"]
    assert front.get(f"/servicex/datasets/{status['did_id']}").json()["lookup_status"] == "does_not_exist"


def test_what_the_upstream_refuses_is_refused_at_once(front: httpx.Client, between: Between, shared_data: Path) -> None:
    answer = front.post("/servicex/transformation", json=submission(shared_data, "nano_dy.root", selection="(Slct"))
    assert answer.status_code == 400
    assert between.url in answer.json()["message"]
    assert "refuses it" in answer.json()["message"]
    assert "(Slct" not in {each["selection"] for each in front.get("/servicex/transformation").json()["requests"]}


def test_without_an_upstream_the_answer_names_what_runs(tmp_path: Path, shared_data: Path) -> None:
    with running_service(tmp_path / "alone", codegens=["uproot-raw"]) as service, service.client() as http:
        answer = http.post("/servicex/transformation", json=submission(shared_data, "nano_dy.root", codegen="atlasr22"))
    assert answer.status_code == 400
    assert "this endpoint runs uproot-raw" in answer.json()["message"]


def test_failed_files_say_so_and_run_again_alone(
    front: httpx.Client, behind: RunningService, shared_data: Path
) -> None:
    body = submission(shared_data, "nano_dy.root", "nano_no_such_file.root")
    request_id = submitted(front, body)
    status = ended(front, request_id)
    assert (status["status"], status["files-completed"], status["files-failed"]) == ("Fatal", 1, 1)
    assert "nano_no_such_file.root failed at the upstream ServiceX" in status["failure-info"]
    first = [row for row in results(front, request_id) if row["transform_status"] == "success"]
    assert front.post(f"/servicex/transformation/{request_id}/retry").json()["files"] == 1
    assert ended(front, request_id)["files-failed"] == 1
    again = [row for row in results(front, request_id) if row["transform_status"] == "success"]
    assert [row["id"] for row in again] == [row["id"] for row in first]
    latest = httpx.get(f"{behind.url}/servicex/transformation").json()["requests"][0]
    assert latest["files"] == 1


def test_bad_moments_of_the_upstream_pass(
    front: httpx.Client, between: Between, tmp_path: Path, shared_data: Path
) -> None:
    moments: list[tuple[int, Any] | None] = [(500, {"message": "x"}), (502, "busy"), (200, ["no", "ServiceX"]), None]

    def answer(method: str, path: str) -> tuple[int, Any] | None:
        if path.startswith("/servicex/transformation") and len(moments) > 1:
            return moments.pop(0)
        return None

    between.answer = answer
    request_id = submitted(front, submission(shared_data, "nano_dy.root"))
    assert ended(front, request_id)["status"] == "Complete"
    assert delivered(front, request_id, tmp_path) == expected(shared_data, "nano_dy.root")
    assert moments == [None]


def test_an_upstream_that_stays_away_ends_the_request_with_the_reason(tmp_path: Path, shared_data: Path) -> None:
    gone = Between("")
    gone.close()
    with front_of(gone.url, tmp_path, patience_seconds=0.5) as http:
        status = ended(http, submitted(http, submission(shared_data, "nano_dy.root")))
    assert status["status"] == "Fatal"
    assert f"for 0.5 s: {gone.url} cannot be reached" in status["failure-info"]


def test_a_request_that_the_upstream_lost_is_submitted_again(
    front: httpx.Client, between: Between, tmp_path: Path, shared_data: Path
) -> None:
    lost: list[str] = []

    def answer(method: str, path: str) -> tuple[int, Any] | None:
        _, _, request_id = path.partition("/servicex/transformation/")
        if method == "GET" and request_id and not lost:
            lost.append(request_id)
        return (404, {"message": "no such request"}) if lost and lost[0] in path else None

    between.answer = answer
    request_id = submitted(front, submission(shared_data, "nano_dy.root"))
    assert ended(front, request_id)["status"] == "Complete"
    assert delivered(front, request_id, tmp_path) == expected(shared_data, "nano_dy.root")
    assert between.calls.count("POST /servicex/transformation") == 2


def test_an_upstream_that_loses_every_request_is_given_up(
    front: httpx.Client, between: Between, shared_data: Path
) -> None:
    between.answer = lambda method, path: (404, {"message": "gone"}) if method == "GET" else None
    status = ended(front, submitted(front, submission(shared_data, "nano_dy.root")))
    assert status["status"] == "Fatal"
    assert "lost the request 3 times" in status["failure-info"]


def test_counts_that_do_not_agree_do_not_hang(front: httpx.Client, between: Between, shared_data: Path) -> None:
    did = f"glob://{shared_data}/root/nano_dy.root"
    state = {"status": "Complete", "files": 3, "request_id": "r", "did_id": 1}

    def answer(method: str, path: str) -> tuple[int, Any] | None:
        if method == "POST":
            return 200, {"request_id": "r"}
        return (200, {"results": []}) if path.partition("?")[0].endswith("/results") else (200, state)

    between.answer = answer
    status = ended(front, submitted(front, submission(shared_data, did=did, **{"file-list": None})))
    assert (status["status"], status["files"], status["files-failed"]) == ("Fatal", 3, 3)
    assert "counted 3 files and gave no result for this one" in status["failure-info"]


def test_a_restart_goes_on(between: Between, tmp_path: Path, shared_data: Path) -> None:
    holding = threading.Event()
    between.answer = lambda method, path: (
        (503, {"message": "wait"}) if method == "GET" and not holding.is_set() else None
    )
    settings = forwarding(between.url, patience_seconds=600)
    with running_service(tmp_path / "front", **settings) as service, service.client() as http:
        request_id = submitted(http, submission(shared_data, "nano_dy.root"))
        service.kill()
    holding.set()
    with running_service(tmp_path / "front", **settings) as service, service.client() as http:
        assert ended(http, request_id)["status"] == "Complete"
        assert delivered(http, request_id, tmp_path) == expected(shared_data, "nano_dy.root")
    assert between.calls.count("POST /servicex/transformation") == 1


def test_cancel_and_delete_reach_the_upstream(front: httpx.Client, between: Between, shared_data: Path) -> None:
    running = {"status": "Running", "files": 1, "request_id": "r-1", "did_id": 1}

    def answer(method: str, path: str) -> tuple[int, Any] | None:
        if method == "POST":
            return 200, {"request_id": "r-1"}
        return 200, {"results": []} if "/results" in path else running

    between.answer = answer
    request_id = submitted(front, submission(shared_data, "nano_dy.root"))
    assert front.get(f"/servicex/transformation/{request_id}/cancel").status_code == 200
    assert ended(front, request_id)["status"] == "Canceled"
    until(lambda: "GET /servicex/transformation/r-1/cancel" in between.calls, "canceled there")
    second = submitted(front, submission(shared_data, "nano_dy.root"))
    front.get(f"/servicex/transformation/{second}/cancel")
    assert front.delete(f"/servicex/transformation/{second}").status_code == 200
    until(lambda: "DELETE /servicex/transformation/r-1" in between.calls or _canceled_twice(between), "deleted there")


def _canceled_twice(between: Between) -> bool:
    """The cancel may have been handed on before the deletion came: nothing is left there to delete."""
    return between.calls.count("GET /servicex/transformation/r-1/cancel") >= 2


def test_the_upstreams_token_is_renewed(between: Between, tmp_path: Path, shared_data: Path) -> None:
    between.token = "a refresh token"
    (tmp_path / "token").write_text(between.token + "\n")
    token_file = str(tmp_path / "token")

    def answer(method: str, path: str) -> None:
        """The token is revoked once it was good for the submission."""
        if method == "POST" and path == "/servicex/transformation":
            between.access += 1

    between.answer = answer
    with front_of(between.url, tmp_path, token_file=token_file) as http:
        request_id = submitted(http, submission(shared_data, "nano_dy.root"))
        assert ended(http, request_id)["status"] == "Complete"
    assert between.calls.count("POST /token/refresh") == 2
    assert between.token not in (tmp_path / "front" / "service.log").read_text()


def test_a_refused_token_is_told_with_what_to_do(between: Between, tmp_path: Path, shared_data: Path) -> None:
    between.token = "another"
    (tmp_path / "token").write_text("old\n")
    with front_of(between.url, tmp_path, token_file=str(tmp_path / "token"), patience_seconds=0.3) as http:
        status = ended(http, submitted(http, submission(shared_data, "nano_dy.root")))
    assert status["status"] == "Fatal"
    assert "refuses this service's token: unknown token; its operator can renew it" in status["failure-info"]


def test_a_slow_upstream_holds_nobody_else_up(
    front: httpx.Client, between: Between, tmp_path: Path, shared_data: Path
) -> None:
    request_id = submitted(front, submission(shared_data, "nano_dy.root"))
    asked, go_on = threading.Event(), threading.Event()

    def answer(method: str, path: str) -> None:
        if method == "GET":
            asked.set()
            go_on.wait(30)

    between.answer = answer
    assert asked.wait(30)
    assert front.get(f"/servicex/transformation/{request_id}").json()["status"] in ("Lookup", "Running")
    assert front.get("/servicex").status_code == 200
    go_on.set()
    assert ended(front, request_id)["status"] == "Complete"


CLIENT = """
import json, sys
from servicex import dataset, deliver, query

url, config, folder, *files = sys.argv[1:]
with open(config, "w") as file:
    file.write(f"api_endpoints:\\n  - endpoint: {url}\\n    name: front\\ncache_path: {folder}\\n")
met = query.FuncADL_Uproot().FromTree("Events").Select(lambda e: {"met": e["MET_pt"]})
spec = {
    "General": {"OutputFormat": "parquet", "Delivery": "LocalCache"},
    "Sample": [{"Name": f"sample {place}", "Dataset": dataset.FileList([name]), "Query": met}
               for place, name in enumerate(files)],
}
if __name__ == "__main__":
    found = deliver(spec, config_path=config)
    print(json.dumps([list(found[f"sample {place}"]) for place in range(len(files))]))
"""


def test_the_official_client_cannot_tell(front: httpx.Client, tmp_path: Path, shared_data: Path) -> None:
    (tmp_path / "client.py").write_text(CLIENT)
    names = ("nano_dimuon.root", "nano_dy.root")
    url = str(front.base_url).rstrip("/")
    arguments = [url, tmp_path / "servicex.yaml", tmp_path / "cache", *(shared_data / "root" / name for name in names)]
    run = subprocess.run(
        [sys.executable, tmp_path / "client.py", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
        cwd=tmp_path,
    )
    assert run.returncode == 0, run.stderr
    files = json.loads(run.stdout.strip().splitlines()[-1])
    assert [pq.read_table(file)["met"].to_pylist() for (file,) in files] == expected(shared_data, *names)
