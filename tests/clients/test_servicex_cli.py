"""Every command of the official client 3.3.1, with the configuration that the service gives."""

import importlib.util
import json
import os
import re
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

SERVING = Path(__file__).parents[1] / "service" / "serving.py"
INPUT = "nano_dy.root"
QASTLE = "(Select (call EventDataset 'f' 'Events') (lambda (list e) (dict (list 'x') (list (attr e 'run')))))"
QUERY = "FromTree('Events').Select(lambda e: {'MET_pt': e.MET_pt})"


@pytest.fixture(scope="module")
def service(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    spec = importlib.util.spec_from_file_location("serving", SERVING)
    assert spec is not None
    assert spec.loader is not None
    serving = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(serving)
    folder = tmp_path_factory.mktemp("service")
    with serving.running_service(folder, inputs={"roots": [str(shared_data / "root")]}) as running:
        yield running


@pytest.fixture
def here(service: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with the service's configuration."""
    content = yaml.safe_load(httpx.get(f"{service.url}/servicex.yaml").text)
    (tmp_path / "servicex.yaml").write_text(yaml.safe_dump({**content, "cache_path": str(tmp_path / "cache")}))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "400")
    monkeypatch.setenv("BROWSER", "true")
    return tmp_path


def run(*command: str) -> str:
    """What a command prints."""
    program = Path(sys.executable).with_name("servicex")
    done = subprocess.run([program, *command], capture_output=True, text=True, timeout=120, env=os.environ, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def run_flawed(*command: str) -> str:
    """What a command says that the client ends with an error of its own, after the service did what was asked."""
    program = Path(sys.executable).with_name("servicex")
    done = subprocess.run([program, *command], capture_output=True, text=True, timeout=120, env=os.environ, check=False)
    return done.stderr


def submit(service: Any, file: Path, title: str) -> str:
    """A request that is made without the client, so that nothing of it is cached."""
    body = {
        "title": title,
        "file-list": [str(file)],
        "selection": QASTLE,
        "result-format": "parquet",
    }
    request_id: str = httpx.post(f"{service.url}/servicex/transformation", json=body).json()["request_id"]
    return request_id


def end(service: Any, request_id: str) -> str:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        status: str = httpx.get(f"{service.url}/servicex/transformation/{request_id}").json()["status"]
        if status not in ("Submitted", "Lookup", "Pending Lookup", "Running"):
            return status
        time.sleep(0.1)
    pytest.fail(f"request {request_id} did not end")


def test_deliver_then_the_local_cache(here: Path, shared_data: Path) -> None:
    (here / "spec.yaml").write_text(
        "General: {OutputFormat: parquet}\n"
        "Sample:\n"
        "  - Name: by command\n"
        f"    Dataset: !FileList [{shared_data / 'root' / INPUT}]\n"
        f"    Query: !FuncADL_Uproot |\n      {QUERY}\n"
    )
    assert "Total files delivered: 1" in run("deliver", "spec.yaml")
    (delivered,) = (here / "cache").rglob("*.parquet")
    right = uproot.open(f"{shared_data / 'root' / INPUT}:Events")["MET_pt"].array()
    assert ak.to_list(ak.from_parquet(delivered).MET_pt) == ak.to_list(right)
    (request_id,) = re.findall(r"[0-9a-f]{8}-[0-9a-f-]{27}", run("cache", "list"))
    assert request_id in run("transforms", "list")
    run("cache", "delete", request_id)
    assert not delivered.exists()
    assert request_id not in run("cache", "list")
    assert "Cache cleared" in run("cache", "clear", "-y")


def test_transforms(service: Any, here: Path, shared_data: Path) -> None:
    request_id = submit(service, shared_data / "root" / INPUT, "listed")
    assert end(service, request_id) == "Complete"
    listed = run("transforms", "list", "--complete")
    assert request_id in listed
    assert "listed" in listed
    assert INPUT in run("transforms", "files", request_id)
    (path,) = run("transforms", "download", "-d", str(here / "out"), request_id).strip().splitlines()[-1:]
    right = uproot.open(f"{shared_data / 'root' / INPUT}:Events")["run"].array()
    assert ak.to_list(ak.from_parquet(path.strip()).x) == ak.to_list(right)
    assert f"{service.url}/transformation-request/{request_id}/logs" in run("transforms", "logs", request_id)
    assert "a coroutine was expected, got None" in run_flawed("transforms", "delete", request_id)
    assert request_id not in run("transforms", "list")


def test_cancel(service: Any, here: Path, shared_data: Path) -> None:
    files = [str(path) for path in sorted((shared_data / "root").glob("nano*.root"))]
    for number in range(20):  # the request may end before the client has started
        names = ["*_pt", "*_eta", "*_phi", "*_mass", f"nothing_{number}"]
        selection = json.dumps([{"treename": "Events", "filter_name": names}])
        body = {"file-list": files, "codegen": "uproot-raw", "selection": selection}
        request_id = httpx.post(f"{service.url}/servicex/transformation", json=body).json()["request_id"]
        said = run_flawed("transforms", "cancel", request_id)
        if "is ended (Complete) and cannot be canceled" not in said:
            assert "a coroutine was expected, got None" in said
            assert end(service, request_id) == "Canceled"
            return
    pytest.fail("no request was open for as long as it takes to cancel it")


def test_codegens_and_datasets(service: Any, here: Path, shared_data: Path) -> None:
    assert set(json.loads(run("codegen", "list"))) == {"uproot", "uproot-raw"}
    request_id = submit(service, shared_data / "root" / "nano_dimuon.root", "dataset")
    number = httpx.get(f"{service.url}/servicex/transformation/{request_id}").json()["did_id"]
    assert "File list" in run("datasets", "list", "--did-finder", "user")
    shown = json.loads(run("datasets", "get", str(number)))["dataset"]
    assert [file["paths"] for file in shown["files"]] == [[str(shared_data / "root" / "nano_dimuon.root")]]
    run("datasets", "delete", str(number))
    assert httpx.get(f"{service.url}/servicex/datasets/{number}").json()["is_stale"] is True
    end(service, request_id)
