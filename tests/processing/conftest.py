"""Inputs, stores and workers for the tests of the run."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from artifacts.store import Store
from processing.clusters import ClusterSettings, local_cluster


@pytest.fixture(scope="module")
def faults(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parent))
        patch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=":")
        patch.setenv("FAULT_MARKS", str(tmp_path_factory.mktemp("marks")))
        yield


@pytest.fixture(scope="module")
def events(shared_data: Path) -> Path:
    return shared_data / "agc/processor-reference/events.root"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(tmp_path / "store")


@pytest.fixture(scope="module")
def scheduler(faults: None) -> Iterator[ClusterSettings]:
    import dask
    import distributed  # noqa: F401 - its settings must be there before one of them is changed and put back

    # A task is given up when two of its workers died: with Dask's default of four this would take twice as long.
    with dask.config.set({"distributed.scheduler.allowed-failures": 1}), local_cluster(2) as cluster:
        yield ClusterSettings(kind="address", address=cluster.scheduler_address, security=cluster.security)
