"""The protocol of a running service, field by field, as the client of any language sees it."""

import base64
import json
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import uproot
import yaml
from servicex.models import CachedDataset, ServiceXInfo, TransformStatus

sys.path.insert(0, str(Path(__file__).parent))
from requesting import MET, ended, submitted
from serving import RunningService, running_service

NOBODY = "00000000-0000-4000-8000-000000000000"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, shared_data: Path) -> Iterator[RunningService]:
    inputs = {"roots": [str(shared_data / "root")]}
    limits = {"files": 10, "query_depth": 60, "title_characters": 200, "body_bytes": 100_000}
    with running_service(tmp_path_factory.mktemp("protocol"), inputs=inputs, limits=limits) as running:
        yield running


@pytest.fixture
def http(service: RunningService) -> Iterator[httpx.Client]:
    with service.client() as client:
        yield client


@pytest.fixture
def body(shared_data: Path) -> Callable[..., dict[str, Any]]:
    """A submission; what is None is left out, as the official client does it."""

    def make(**changes: Any) -> dict[str, Any]:
        usual = {
            "title": "a sample",
            "file-list": [str(shared_data / "root" / "nano_dy.root")],
            "selection": MET,
            "codegen": "uproot",
            "result-destination": "object-store",
            "result-format": "parquet",
        }
        return {key: value for key, value in {**usual, **changes}.items() if value is not None}

    return make


def refused(answer: httpx.Response, status: int) -> str:
    """The sentence of an error."""
    assert answer.status_code == status, answer.text
    assert list(answer.json()) == ["message"]
    message: str = answer.json()["message"]
    assert message
    return message


def test_the_information_names_what_runs(http: httpx.Client) -> None:
    document = http.get("/servicex").json()
    info = ServiceXInfo(**document)
    assert set(info.code_gen_image) == {"uproot", "uproot-raw"}
    assert {"poll_local_transformation_results", "long_sample_titles_200"} <= set(info.capabilities)
    assert http.get("/multiple-codegen-list").json() == info.code_gen_image


def test_a_base_that_ends_in_a_slash_is_no_other_service(service: RunningService) -> None:
    assert httpx.get(f"{service.url}//servicex").json() == httpx.get(f"{service.url}/servicex").json()


def test_the_status_is_complete_from_the_first_answer_on(
    service: RunningService, http: httpx.Client, body: Callable[..., dict[str, Any]]
) -> None:
    request_id = submitted(http, body())
    document = http.get(f"/servicex/transformation/{request_id}").json()
    status = TransformStatus(**document)
    assert (status.request_id, status.title, status.selection, status.files) == (request_id, "a sample", MET, 1)
    assert isinstance(status.submit_time, datetime)
    assert f"http://{status.minio_endpoint}" == service.url
    assert status.minio_secured is False
    assert status.minio_access_key
    assert status.minio_secret_key
    assert status.log_url == f"{service.url}/transformation-request/{request_id}/logs"
    assert document["did"] == "File List Provided in Request"
    assert document["did_id"] > 0
    for key in ("tree-name", "image", "generated-code-cm", "app-version", "files-remaining", "finish-time"):
        assert key in document
    ended(http, request_id)


def test_a_request_runs_and_its_rows_agree_with_the_status(
    http: httpx.Client, body: Callable[..., dict[str, Any]], shared_data: Path
) -> None:
    files = [str(shared_data / "root" / name) for name in ("nano_dy.root", "nano_dimuon.root")]
    request_id = submitted(http, body(**{"file-list": files, "tree-name": "Events"}))
    status = ended(http, request_id)
    assert (status["status"], status["files"], status["files-completed"], status["files-failed"]) == (
        "Complete",
        2,
        2,
        0,
    )
    assert status["files-remaining"] == 0
    assert datetime.fromisoformat(status["finish-time"]) >= datetime.fromisoformat(status["submit-time"])
    path = f"/servicex/transformation/{request_id}"
    rows = http.get(f"{path}/results", params={"later_than": "0001-01-01T00:00:00+00:00"}).json()["results"]
    assert sorted(row["file-path"] for row in rows) == sorted(files)
    assert len({row["s3-object-name"] for row in rows}) == 2
    for row in rows:
        with uproot.open(f"{row['file-path']}:Events") as tree:
            assert row["total-events"] == row["events-in"] == tree.num_entries
        assert row["transform_status"] == "success"
        assert datetime.fromisoformat(row["created_at"]).tzinfo is None
        content = http.get(f"{path}/objects/{row['s3-object-name']}").content
        assert row["total-bytes"] == len(content)
    late = {"later_than": rows[-1]["created_at"]}
    assert http.get(f"{path}/results", params=late).json()["results"] == rows  # a row that came late is never missed


def test_older_clients_find_their_status(http: httpx.Client, body: Callable[..., dict[str, Any]]) -> None:
    request_id = submitted(http, body())
    ended(http, request_id)
    plain = http.get(f"/servicex/transformation/{request_id}/status").json()
    assert (plain["status"], plain["request-id"], plain["files-remaining"]) == ("Complete", request_id, 0)
    assert (plain["files-processed"], plain["files-skipped"], "details" in plain) == (1, 0, False)
    assert set(plain["stats"]) == {
        *("min-time", "max-time", "avg-time", "total-time", "avg-rate", "total-bytes", "total-events")
    }
    detailed = http.get(f"/servicex/transformation/{request_id}/status", params={"details": True}).json()
    assert detailed["details"] == http.get(f"/servicex/transformation/{request_id}/results").json()["results"]
    gone = http.get(f"/servicex/transformation/{request_id}/deployment-status")
    assert "Deployment not found" in refused(gone, 404)


def test_file_urls_open_without_a_token(http: httpx.Client, body: Callable[..., dict[str, Any]]) -> None:
    request_id = submitted(http, body())
    ended(http, request_id)
    (row,) = http.get(f"/servicex/transformation/{request_id}/results").json()["results"]
    asked = {"request_id": request_id, "file_list": [row["s3-object-name"]], "scheme": "http"}
    ((name, (url, headers, expires)),) = (
        http.post("/servicex/transformation/file-urls", json=asked).json()["uris"].items()
    )
    assert name == row["s3-object-name"]
    assert expires > time.time() + 3600
    assert len(httpx.get(url, headers=headers).content) == row["total-bytes"]
    unknown = http.post("/servicex/transformation/file-urls", json={**asked, "file_list": ["other"]})
    assert "no result" in refused(unknown, 404)
    assert "xrootd" in refused(http.post("/servicex/transformation/file-urls", json={**asked, "scheme": "xrootd"}), 400)


def test_files_say_how_far_they_are_and_what_went_wrong(
    http: httpx.Client, body: Callable[..., dict[str, Any]], shared_data: Path
) -> None:
    good = str(shared_data / "root" / "nano_dy.root")
    bad = str(shared_data / "root" / "PHYSLITE_example.root")
    request_id = submitted(http, body(**{"file-list": [good, bad]}))
    status = ended(http, request_id)
    assert status["status"] == "Fatal"  # the official client would take a partial list for a whole one
    assert (status["files-completed"], status["files-failed"]) == (1, 1)
    assert "Events" in status["failure-info"]
    first, second = http.get(f"/servicex/transformation/{request_id}/files").json()["files"]
    assert (first["state"], first["paths"], first["error"]) == ("done", [good], None)
    assert (second["state"], second["paths"], second["place"]) == ("failed", [bad], 1)
    assert "Events" in second["error"]
    assert (
        http.get(f"/servicex/transformation/{request_id}/files/1/log").headers["content-type"].startswith("text/plain")
    )
    assert "no file 2" in refused(http.get(f"/servicex/transformation/{request_id}/files/2/log"), 404)
    assert http.post(f"/servicex/transformation/{request_id}/retry").json() == {"request_id": request_id, "files": 1}
    assert ended(http, request_id)["files-completed"] == 1


def test_who_asks_for_partial_delivery_gets_it(
    http: httpx.Client, body: Callable[..., dict[str, Any]], shared_data: Path
) -> None:
    files = [str(shared_data / "root" / name) for name in ("nano_dy.root", "PHYSLITE_example.root")]
    status = ended(http, submitted(http, body(**{"file-list": files, "partial": True})))
    assert (status["status"], status["files-completed"], status["files-failed"]) == ("Complete", 1, 1)


def test_a_request_is_canceled_once_and_deleted_when_it_has_ended(
    http: httpx.Client, body: Callable[..., dict[str, Any]]
) -> None:
    request_id = submitted(http, body())
    path = f"/servicex/transformation/{request_id}"
    ended(http, request_id)
    assert "cannot be canceled" in refused(http.get(f"{path}/cancel"), 400)
    assert "cannot be canceled" in refused(http.post(f"{path}/cancel"), 400)
    assert http.get(path).json()["status"] == "Complete"
    assert http.delete(path).json() == {"message": f"Deleted transformation request {request_id}"}
    assert request_id in refused(http.get(path), 404)
    assert request_id not in [each["request_id"] for each in http.get("/servicex/transformation").json()["requests"]]


def test_an_open_request_is_canceled_not_deleted(
    http: httpx.Client, body: Callable[..., dict[str, Any]], shared_data: Path
) -> None:
    files = [str(path) for path in sorted((shared_data / "root").glob("nano*.root"))]
    request_id = submitted(http, body(**{"file-list": files, "priority": -100}))
    still = http.delete(f"/servicex/transformation/{request_id}")
    canceled = http.get(f"/servicex/transformation/{request_id}/cancel")
    assert "cancel it, then delete it" in refused(still, 400)
    assert canceled.json() == {"message": f"Canceled transformation request {request_id}"}
    assert ended(http, request_id)["status"] == "Canceled"
    assert http.delete(f"/servicex/transformation/{request_id}").status_code == 200


def test_cancel_all_cancels_what_has_not_ended(http: httpx.Client, body: Callable[..., dict[str, Any]]) -> None:
    done = submitted(http, body())
    ended(http, done)
    raw = json.dumps([{"treename": "Events", "filter_name": [f"Jet_{name}" for name in ("pt", "eta", "phi")]}])
    open_ones = [submitted(http, body(codegen="uproot-raw", selection=raw, title=str(n))) for n in range(3)]
    canceled = http.post("/servicex/transformation/cancel-all").json()["canceled"]
    statuses = [ended(http, request_id)["status"] for request_id in open_ones]
    assert done not in canceled
    assert canceled == [one for one, status in zip(open_ones, statuses, strict=True) if status == "Canceled"]
    assert canceled  # three requests do not end in the time of one call


def test_the_list_has_the_latest_first_and_pages(http: httpx.Client, body: Callable[..., dict[str, Any]]) -> None:
    made = [submitted(http, body(title=f"sample {n}", selection=MET + " " * 5000)) for n in range(3)]
    listed = http.get("/servicex/transformation").json()["requests"]
    assert [TransformStatus(**status).request_id for status in listed[:3]] == made[::-1]
    assert max(len(status["selection"]) for status in listed) == 4096
    page = http.get("/servicex/transformation", params={"limit": 1, "offset": 1}).json()["requests"]
    assert [status["request_id"] for status in page] == [made[1]]
    for request_id in made:
        ended(http, request_id)


def test_datasets_are_listed_shown_and_made_stale(http: httpx.Client, body: Callable[..., dict[str, Any]]) -> None:
    first, second = (ended(http, submitted(http, body())) for _ in range(2))
    number = first["did_id"]
    assert second["did_id"] == number  # the same list of files is the same dataset
    dataset = CachedDataset(**http.get(f"/servicex/datasets/{number}").json())
    assert (dataset.did_finder, dataset.n_files, dataset.lookup_status, dataset.is_stale) == (
        "user",
        1,
        "complete",
        False,
    )
    assert [file.paths for file in dataset.files or []] == body()["file-list"]
    listed = http.get("/servicex/datasets", params={"did-finder": "user"}).json()["datasets"]
    assert number in [CachedDataset(**each).id for each in listed]
    assert http.get("/servicex/datasets", params={"did-finder": "rucio"}).json() == {"datasets": []}
    assert http.delete(f"/servicex/datasets/{number}").json() == {"stale": True}
    assert number not in [each["id"] for each in http.get("/servicex/datasets").json()["datasets"]]
    shown = http.get("/servicex/datasets", params={"show-deleted": True}).json()["datasets"]
    assert [each["is_stale"] for each in shown if each["id"] == number] == [True]
    assert ended(http, submitted(http, body()))["did_id"] != number


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"selection": "(Slect (call EventDataset 'f' 't'))"}, ["line 1, column 2", "nearest: Select"]),
        ({"codegen": "uproot-raw", "selection": "[{}]"}, ["sub-query 0"]),
        ({"codegen": "python", "selection": base64.b64encode(b"def run_query(x): 1").decode()}, ["switched off"]),
        ({"codegen": "atlasr22"}, ["this endpoint runs uproot, uproot-raw"]),
        ({"result-format": "csv"}, ["result-format", "parquet"]),
        ({"result-destination": "volume"}, ["object store only"]),
        ({"title": "x" * 201}, ["201 characters"]),
        ({"file-list": None}, ["either a did or a file-list"]),
        ({"file-list": ["/etc/passwd"]}, ["allowed are files below"]),
        ({"file-list": ["https://169.254.169.254/latest"]}, ["internal address"]),
        ({"file-list": None, "did": "rucoi://a:b"}, ["did you mean rucio"]),
        ({"file-list": [1]}, ["file-list.0"]),
        ({"selection": None}, ["selection", "required"]),
        ({"priority": 10**400}, ["priority"]),
        ({"selection": "(" * 100}, ["levels deep, it may be 60"]),
    ],
)
def test_what_cannot_run_is_refused_at_once(
    http: httpx.Client, body: Callable[..., dict[str, Any]], changes: dict[str, Any], says: list[str]
) -> None:
    before = len(http.get("/servicex/transformation").json()["requests"])
    message = refused(http.post("/servicex/transformation", json=body(**changes)), 400)
    for words in says:
        assert words in message
    assert len(http.get("/servicex/transformation").json()["requests"]) == before


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"null", b'"text"', b"\xff", b"[" * 50_000, b'{"title": "\\ud800"}']
)
def test_bodies_that_are_no_submission(http: httpx.Client, content: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    refused(http.post("/servicex/transformation", content=content, headers=headers), 400)


def test_a_body_that_is_too_large_is_refused(http: httpx.Client, body: Callable[..., dict[str, Any]]) -> None:
    refused(http.post("/servicex/transformation", json=body(selection=" " * 100_001)), 413)


@pytest.mark.parametrize("request_id", [NOBODY, "1", "x" * 1000, "%00", "..%2f..", "a'b", f"{NOBODY}0"])
@pytest.mark.parametrize(
    ("method", "rest"),
    [
        *(("GET", ""), ("DELETE", ""), ("GET", "/status"), ("GET", "/results"), ("GET", "/files"), ("GET", "/cancel")),
        *(("POST", "/cancel"), ("POST", "/retry"), ("GET", "/files/0/log"), ("GET", "/deployment-status")),
    ],
)
def test_requests_that_there_are_not(http: httpx.Client, method: str, rest: str, request_id: str) -> None:
    answer = http.request(method, f"/servicex/transformation/{request_id}{rest}")
    assert answer.status_code in (404, 405)  # a path with more parts may be no route at all
    assert list(answer.json()) == ["message"]


def test_other_errors_have_a_message_too(http: httpx.Client) -> None:
    refused(http.get("/nowhere"), 404)
    wrong = http.put("/servicex")
    refused(wrong, 405)
    assert "GET" in wrong.headers["allow"]
    for number in ("0", "x", "99999999", str(2**64), "-1"):
        refused(http.get(f"/servicex/datasets/{number}"), 404)
    refused(http.get("/servicex/transformation", params={"limit": "x"}), 400)


def test_the_configuration_is_ready_to_use(service: RunningService, http: httpx.Client) -> None:
    answer = http.get("/servicex.yaml")
    assert answer.text.startswith("#")
    assert "servicex.yaml" in answer.headers["content-disposition"]
    content = yaml.safe_load(answer.text)
    assert content["api_endpoints"] == [{"name": "local", "type": "uproot", "endpoint": service.url}]
    assert content["default_endpoint"] == "local"
    port = service.url.rpartition(":")[2]
    assert content["cache_path"] == f"~/.cache/servicex-local-{port}", "results of two services are never mixed"
    for same in (http.get("/.servicex"), http.post("/servicex.yaml")):
        assert same.text == answer.text
    assert http.get("/getting-started.json").json()["configuration"] == answer.text


def test_many_submissions_at_once_are_all_kept(service: RunningService, body: Callable[..., dict[str, Any]]) -> None:
    def submit(number: int) -> str:
        with service.client() as client:
            return submitted(client, body(title=f"together {number}"))

    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(submit, range(24)))
    assert len(set(made)) == 24
    with service.client() as client:
        assert {ended(client, request_id)["status"] for request_id in made} == {"Complete"}
