"""The older generation, `servicex` 2.8 with `func-adl-servicex` 2.2, unmodified, in an environment of its own.

Signed in with a token, it is given what uproot reads; what goes wrong reaches the user as an exception that says why.
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import awkward as ak
import httpx
import pytest
import uproot
import yaml

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "service"))
sys.path.insert(0, str(Path(__file__).parents[1] / "delivery"))
from client_environments import python_of
from people import People
from remote_servers import XrootdServer, xrootd_with
from serving import running_service

NAMES = ("nano_dimuon.root", "nano_dy.root")  # in the order of the client
ERRORS = {
    "a_wrong_query": ("ServiceXException", "nearest: Select"),
    "a_missing_branch": ("ServiceXFatalTransformException", "MET_pt"),
    "a_bad_dataset": ("ServiceXFatalTransformException", "nowhere"),
    "another_codegen": ("ServiceXException", "this endpoint runs uproot"),
    "a_canceled_request": ("ServiceXFatalTransformException", "canceled"),
}


def configuration(text: str, folder: Path) -> str:
    """What the service gave, with endpoints that want ROOT files, and one of no type."""
    content = yaml.safe_load(text)
    (endpoint,) = content["api_endpoints"]
    trees = {**endpoint, "name": "trees", "return_data": "root-file"}
    untyped = {"name": "untyped", "endpoint": endpoint["endpoint"], "token": endpoint["token"]}
    return yaml.safe_dump({"api_endpoints": [endpoint, trees, untyped], "cache_path": str(folder / "cache")})


def cancel(http: httpx.Client, title: str) -> None:
    """Cancel the request of that title as soon as it is there."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for request in http.get("/servicex/transformation").json()["requests"]:
            if request["title"] == title:
                http.post(f"/servicex/transformation/{request['request_id']}/cancel").raise_for_status()
                return
        time.sleep(0.1)
    pytest.fail(f"no request came with the title {title!r}")


@pytest.fixture(scope="module")
def xrootd(shared_data: Path) -> Iterator[XrootdServer]:
    with xrootd_with(shared_data / "root" / name for name in NAMES) as server:
        yield server


@pytest.fixture(scope="module")
def cases(
    shared_data: Path, xrootd: XrootdServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Any]]:
    """Outcomes by name, and under "titles" the titles of all requests."""
    python, folder = python_of("servicex-2.8"), tmp_path_factory.mktemp("older")
    people = People.of(folder / "data")
    inputs = {"roots": [str(shared_data / "root"), "/nowhere"], "schemes": ["root"], "hosts": ["127.0.0.1"]}
    with (
        running_service(folder, sign_in=True, inputs=inputs) as service,
        service.client(headers=people.bearer("alice")) as http,
    ):
        (folder / "servicex.yaml").write_text(configuration(http.post("/servicex.yaml").text, folder))
        outcomes = run([xrootd.url, *(str(shared_data / "root" / name) for name in NAMES)], python, folder, http)
        requests = http.get("/servicex/transformation").json()["requests"]
        failed = [request["request_id"] for request in requests if request["files-failed"]]
        answers = [http.get(f"/servicex/transformation/{request_id}/errors").json() for request_id in failed]
        errors = {error["file"]: error["info"] for answer in answers for error in answer["errors"]}
        yield {**outcomes, "titles": [request["title"] for request in requests], "errors": errors}


def run(arguments: list[str], python: Path, folder: Path, http: httpx.Client) -> Any:
    """All cases, in the client's own environment."""
    program, log = Path(__file__).with_name("older_client_cases.py"), folder / "client.log"
    with (
        log.open("w") as errors,
        subprocess.Popen(
            [str(python), str(program), *arguments],
            cwd=folder, env={"HOME": str(folder)}, stdout=subprocess.PIPE, stderr=errors, text=True,
        ) as client,
    ):  # fmt: skip
        cancel(http, "older canceled")
        output = client.communicate(timeout=300)[0]
    assert client.returncode == 0, f"the client's words:\n{log.read_text()[-4000:]}"
    return {**json.loads(output), "log": log.read_text()}


@pytest.fixture(scope="module")
def truth(shared_data: Path) -> list[dict[str, Any]]:
    """The columns of each file's selected events."""
    found = []
    for name in NAMES:
        events = uproot.open(f"{shared_data / 'root' / name}:Events").arrays(["MET_pt", "Jet_pt"])
        events = events[events.MET_pt > 20]
        found.append({field: ak.to_list(events[field]) for field in events.fields})
    return found


@pytest.fixture(scope="module")
def everything(shared_data: Path) -> list[dict[str, Any]]:
    """The columns of each file's events, under other names."""
    found = []
    for name in NAMES:
        events = uproot.open(f"{shared_data / 'root' / name}:Events").arrays(["MET_pt", "Jet_pt"])
        found.append({"met": ak.to_list(events.MET_pt), "jets": ak.to_list(events.Jet_pt)})
    return found


def delivered(cases: dict[str, Any], name: str) -> Any:
    assert "delivered" in cases[name], cases[name]
    return cases[name]["delivered"]


def together(files: list[dict[str, Any]]) -> dict[str, Any]:
    return {name: [value for file in files for value in file[name]] for name in files[0]}


@pytest.mark.parametrize("name", ["value", "a_pattern_of_files", "a_pattern_of_xrootd_files", "a_codegen_by_default"])
def test_a_query_delivers_files_of_its_columns(name: str, cases: dict[str, Any], truth: list[dict[str, Any]]) -> None:
    assert delivered(cases, name) == truth


def test_arrays_and_frames_hold_all_files(
    cases: dict[str, Any], truth: list[dict[str, Any]], everything: list[dict[str, Any]]
) -> None:
    assert delivered(cases, "awkward") == together(truth)
    assert delivered(cases, "root_awkward") == together(truth)
    assert delivered(cases, "get_data_pandas_df") == together(truth)["MET_pt"]
    assert delivered(cases, "pandas") == {"met": together(everything)["met"]}
    assert delivered(cases, "awkward_of_one_column") == together(everything)["met"]


def test_columns_have_the_names_that_were_given(cases: dict[str, Any], everything: list[dict[str, Any]]) -> None:
    assert delivered(cases, "parquet_files_of_named_columns") == everything
    trees = delivered(cases, "root_tree_of_named_columns")
    assert [tree.pop("tree") for tree in trees] == ["servicex", "servicex"], "as ServiceX's uproot transformer names it"
    assert [{name: tree[name] for name in ("met", "jets")} for tree in trees] == everything


def test_files_streams_and_addresses(cases: dict[str, Any], truth: list[dict[str, Any]]) -> None:
    def chosen(files: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{name: file[name] for name in ("MET_pt", "Jet_pt")} for file in files]  # trees have counters too

    assert chosen(delivered(cases, "get_data_rootfiles")) == truth
    assert chosen(delivered(cases, "a_list_of_xrootd_files")) == truth
    stream = delivered(cases, "get_data_parquet_stream")
    assert [stream[name] for name in sorted(stream)] == truth
    assert delivered(cases, "get_data_parquet_uri") == sorted(stream)
    signed = delivered(cases, "get_data_rootfiles_signed_urls")
    assert chosen([signed[name] for name in sorted(signed)]) == truth


def test_its_cache_is_used(cases: dict[str, Any]) -> None:
    first, second = delivered(cases, "value_in_the_cache")
    assert first == second
    assert len(first) == 2
    assert cases["titles"].count("older twice") == 1


@pytest.mark.parametrize("name", ERRORS)
def test_what_goes_wrong_is_said(name: str, cases: dict[str, Any]) -> None:
    kind, words = ERRORS[name]
    assert cases[name].get("error") == kind, cases[name]
    assert words in cases[name]["message"]


def test_part_of_the_files_is_an_error(cases: dict[str, Any]) -> None:
    """Which one depends on whether the other files were still running when the client looked."""
    found = cases["a_missing_file"]
    if found.get("error") == "ServiceXFatalTransformException":
        assert "does not exist" in found["message"]
    else:
        assert found.get("error") == "ServiceXException", found
        assert "nano_dimuon.root.none: it does not exist" in cases["log"]
    (reason,) = [reason for file, reason in cases["errors"].items() if file.endswith("nano_dimuon.root.none")]
    assert "it does not exist" in reason
