"""Datasets through a running service: a real XRootD server, the portal's form, and the official client."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pyarrow.parquet as pq
import pytest
import uproot

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "delivery"))
from catalogues import Catalogue, catalogue, portal
from remote_servers import NO_XROOTD, XrootdServer
from requesting import MET, ended, submitted
from serving import RunningService, running_service

NAMES = ("nano_dimuon.root", "nano_dy.root")


@pytest.fixture(scope="module")
def xrootd(tmp_path_factory: pytest.TempPathFactory, shared_data: Path) -> Iterator[XrootdServer]:
    if os.environ.get(NO_XROOTD):
        pytest.skip(f"{NO_XROOTD} is set")
    folder = tmp_path_factory.mktemp("served")
    for path in (folder, *folder.parents[:2]):  # the server runs as nobody
        path.chmod(0o755)
    for name in NAMES:
        (folder / name).write_bytes((shared_data / "root" / name).read_bytes())
    started = XrootdServer(folder, tmp_path_factory.mktemp("xrootd"))
    yield started
    started.close()


@pytest.fixture(scope="module")
def records(xrootd: XrootdServer) -> Iterator[Catalogue]:
    """The portal: record 1507 has both files."""
    files = [{"uri": f"{xrootd.url}/{name}", "size": 1, "checksum": "adler32:00c0ffee"} for name in NAMES]
    with catalogue(portal({"/api/records/1507": {"metadata": {"files": files}}})) as started:
        yield started


@pytest.fixture(scope="module")
def service(
    tmp_path_factory: pytest.TempPathFactory, shared_data: Path, records: Catalogue
) -> Iterator[RunningService]:
    inputs = {"roots": [str(shared_data / "root")], "hosts": ["127.0.0.1"]}
    with running_service(tmp_path_factory.mktemp("datasets"), inputs=inputs, open_data_url=records.url) as running:
        yield running


@pytest.fixture
def http(service: RunningService) -> Iterator[httpx.Client]:
    with service.client() as client:
        yield client


def asked(http: httpx.Client, **more: Any) -> str:
    """The id of a request for one column of a dataset."""
    body = {"title": "a sample", "selection": MET, "codegen": "uproot", "result-destination": "object-store"}
    return submitted(http, {**body, "result-format": "parquet", **more})


def read(http: httpx.Client, request_id: str) -> list[str]:
    """The names of the files that a request read, which it must have read well."""
    status = ended(http, request_id)
    assert status["status"] == "Complete", status["failure-info"]
    rows = http.get(f"/servicex/transformation/{request_id}/results").json()["results"]
    return sorted(row["file-path"].rpartition("/")[2] for row in rows)


def test_kinds_of_datasets(http: httpx.Client, xrootd: XrootdServer, shared_data: Path) -> None:
    assert read(http, asked(http, did=f"xrootd://{xrootd.url}/nano_d*.root")) == list(NAMES)
    assert read(http, asked(http, did=f"xrootd://{xrootd.url}/nano_d*.root?files=1")) == [NAMES[0]]
    assert read(http, asked(http, did="cernopendata://1507")) == list(NAMES)
    assert read(http, asked(http, did=f"glob://{shared_data}/root/nano_d{{y,imuon}}.root")) == list(NAMES)
    pattern = [f"{shared_data}/root/nano_d*.root"]
    assert read(http, asked(http, **{"file-list": pattern})) == list(NAMES)


def test_many_who_ask_for_one_new_dataset_look_it_up_once(http: httpx.Client, records: Catalogue) -> None:
    known = http.get("/servicex/datasets", params={"did-finder": "cernopendata"}).json()["datasets"]
    for dataset in known:
        assert http.delete(f"/servicex/datasets/{dataset['id']}").json() == {"stale": True}
    records.calls.clear()
    with ThreadPoolExecutor(8) as pool:
        requests = list(pool.map(lambda _: asked(http, did="cernopendata://1507"), range(8)))
    assert {tuple(read(http, request)) for request in requests} == {NAMES}
    assert records.calls == ["GET /api/records/1507"]
    (dataset,) = http.get("/servicex/datasets", params={"did-finder": "cernopendata"}).json()["datasets"]
    files = http.get(f"/servicex/datasets/{dataset['id']}").json()["files"]
    assert [file["paths"].rpartition("/")[2] for file in files] == list(NAMES)
    assert {file["adler32"] for file in files} == {"00c0ffee"}


def test_a_dataset_that_is_not_there(http: httpx.Client) -> None:
    status = ended(http, asked(http, did="cernopendata://1"))
    assert status["status"] == "Bad Dataset"
    assert "CERN Open Data has no record 1" in status["failure-info"]
    assert http.get(f"/servicex/datasets/{status['did_id']}").json()["lookup_status"] == "does_not_exist"


def test_names_that_are_none_are_refused_at_once(http: httpx.Client) -> None:
    body = {"selection": MET, "codegen": "uproot", "result-destination": "object-store", "result-format": "parquet"}
    for did, says in (("cernopendata://x", "no number"), ("rucio://a:b", "rucio"), ("glob:///etc/*", "/etc")):
        answer = http.post("/servicex/transformation", json={**body, "did": did})
        assert answer.status_code == 400
        assert says in answer.json()["message"]


CLIENT = """
import json, sys
from servicex import dataset, deliver, query

url, config, folder, pattern = sys.argv[1:]
with open(config, "w") as file:
    file.write(f"api_endpoints:\\n  - endpoint: {url}\\n    name: here\\ncache_path: {folder}\\n")
met = query.FuncADL_Uproot().FromTree("Events").Select(lambda e: {"met": e["MET_pt"]})
spec = {
    "General": {"OutputFormat": "parquet", "Delivery": "LocalCache"},
    "Sample": [
        {"Name": "record", "Dataset": dataset.CERNOpenData(1507), "Query": met},
        {"Name": "glob", "Dataset": dataset.XRootD(pattern), "NFiles": 1, "Query": met},
        {"Name": "nothing", "Dataset": dataset.CERNOpenData(1), "Query": met},
    ],
}
if __name__ == "__main__":
    found = deliver(spec, config_path=config, return_exceptions=True)
    print(json.dumps([list(found["record"]), list(found["glob"]), found["nothing"].valid()]))
"""


def test_the_official_clients_datasets(
    service: RunningService, xrootd: XrootdServer, tmp_path: Path, shared_data: Path
) -> None:
    (tmp_path / "client.py").write_text(CLIENT)
    arguments = [service.url, tmp_path / "servicex.yaml", tmp_path / "cache", f"{xrootd.url}/nano_*.root"]
    run = subprocess.run(
        [sys.executable, tmp_path / "client.py", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
        cwd=tmp_path,
    )
    assert run.returncode == 0, run.stderr
    record, some, valid = json.loads(run.stdout.strip().splitlines()[-1])
    expected = [
        uproot.open(shared_data / "root" / name)["Events"]["MET_pt"].array(library="np").tolist() for name in NAMES
    ]
    assert sorted(pq.read_table(file)["met"].to_pylist() for file in record) == sorted(expected)
    assert [pq.read_table(file)["met"].to_pylist() for file in some] == expected[:1]
    assert not valid
