"""The service as a facility runs it: parts as processes of their own, restarted one after the other under load."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from faults import Client
from topology import SERVICES, WORKERS, Topology
from workload import Load, make_load, seen_by_official_client


@pytest.fixture(scope="module")
def topology(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Topology]:
    folder = tmp_path_factory.mktemp("topology")
    (folder / "inputs").mkdir()
    with Topology(folder, folder / "inputs") as running:
        yield running


def load(topology: Topology, requests: int, seed: int) -> Load:
    return make_load(
        topology.folder, topology.inputs, topology.urls, topology.inputs_url, requests=requests, files=12, seed=seed
    )


def test_both_services_see_all_requests_and_one_of_them_runs_the_files(topology: Topology) -> None:
    made = load(topology, 8, seed=1)
    with Client(made.plan.write(topology.folder / "plan")) as client:
        assert client.process.wait(120) == 0
    assert list(made.faults(topology.sql)) == []
    for url in topology.urls:
        assert seen_by_official_client(made, url, sample=2, seed=1) == []
    leading = [httpx.get(f"{url}/ready").json()["runner"]["leads"] for url in topology.urls]
    assert sorted(leading) == [False, True]
    assert [name for name in WORKERS if made_on(topology, name)] == list(WORKERS), "both have run files"


def made_on(topology: Topology, worker: str) -> bool:
    address = topology.parts[worker].log_text().rpartition("Start worker at:")[2].split()[0]
    return bool(topology.sql(f"SELECT 1 FROM attempts WHERE worker = '{address}' LIMIT 1"))


def test_a_rolling_restart_under_load_loses_nothing(topology: Topology) -> None:
    made = load(topology, 60, seed=2)
    restarted_at = []
    with Client(made.plan.write(topology.folder / "plan")) as client:
        for name in SERVICES:
            wait_for_outcomes(made, client.process, len(made.plan.came()) + 4)
            pid = topology.parts[name].pid
            assert topology.parts[name].end() in (0, -signal.SIGTERM)  # uvicorn passes the signal on when it is done
            holders = [holder for (holder,) in topology.sql("SELECT holder FROM leases")]
            assert not any(f":{pid}:" in holder for holder in holders), "it has given back what only one may do"
            topology.restart(name)
            restarted_at.append(len(made.plan.came()))
        assert client.process.wait(120) == 0
    assert restarted_at[0] < 60, "the load was over before the restart was"
    assert list(made.faults(topology.sql)) == []
    assert seen_by_official_client(made, topology.urls[0], sample=3, seed=2) == []
    tried = topology.sql("SELECT error FROM attempts WHERE outcome = 'failed'")
    assert tried == [], "a restart that was asked for costs no file a try"


def wait_for_outcomes(made: Load, process: "subprocess.Popen[bytes]", count: int) -> None:
    deadline = time.monotonic() + 60
    while len(made.plan.came()) < count and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
