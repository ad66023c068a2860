"""Tasks that are sent while the connection to the scheduler is let go: none of them is waited for in vain."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from distributed import Client, Future

sys.path.insert(0, str(Path(__file__).parent))
from topology import Part, free_ports, listens

from delivery.service.runner.dispatch import Dispatch, Lost
from delivery.service.runner.flights import Batch, Flight, Task
from delivery.service.runner.jobs import Query
from delivery.service.settings import Settings


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    """Of a scheduler without workers: what is sent waits."""
    (port,) = free_ports(1)
    options = ["--host", "127.0.0.1", "--no-dashboard", "--port", str(port)]
    command = [sys.executable, "-m", "distributed.cli.dask_scheduler", *options]
    scheduler = Part("scheduler", command, tmp_path / "scheduler.log", {}, lambda: listens(port), {"cwd": tmp_path})
    scheduler.start()
    scheduler.wait()
    made = Client(f"tcp://127.0.0.1:{port}", set_as_default=False)
    yield made
    made.close()
    scheduler.kill()


@pytest.fixture
def dispatch(client: Client, tmp_path: Path) -> Dispatch:
    made = Dispatch(Settings(data=tmp_path), str(tmp_path / "store"), {})
    made.cluster._client = client
    return made


def flight() -> Flight:
    query = Query("(call EventDataset)", "uproot", "servicex", "parquet", None)
    return Flight(
        key="k", query=query, path="/f.root", memo="", bytes=1, pace=None, alone=False, shrink=0, waiters=[]
    )  # fmt: skip


def test_a_client_that_has_closed_is_no_fault_of_the_runner(dispatch: Dispatch, client: Client) -> None:
    assert dispatch.send([flight()])
    client.close()
    assert not dispatch.send([flight()])
    assert len(dispatch.tasks) == 1
    assert [outcome for _, outcome in dispatch.lost()] == [Lost("the scheduler went away", began=False, alone=False)]
    assert dispatch.tasks == {}


def test_a_task_that_met_the_closing_client_is_lost_and_not_pending_for_ever(
    dispatch: Dispatch, client: Client
) -> None:
    """Dask takes it as long as the client is closing, tells the scheduler nothing, and has released all others."""
    client.close()
    batch = Batch(1, future=Future("skimflow-late", client))
    task = Task("late", flight(), "file", (0, 0), batch)
    dispatch.tasks["late"] = batch.tasks["late"] = task.flight.tasks["late"] = task
    assert batch.future is not None
    assert batch.future.status == "pending"
    assert [found for found, _ in dispatch.lost()] == [task]
    assert dispatch.tasks == {}
