"""The short form of the fault runs: parts are killed under load; nothing is lost, made twice or other than it was."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import faults
from topology import Topology

FAULTS = (faults.leader, faults.worker, faults.scheduler, faults.client, faults.database_session)


@pytest.fixture(scope="module")
def topology(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Topology]:
    folder = tmp_path_factory.mktemp("faults")
    (folder / "inputs").mkdir()
    with Topology(folder, folder / "inputs") as running:
        yield running


@pytest.mark.parametrize("fault", FAULTS)
def test_what_was_asked_for_comes_whole_and_once_whatever_is_killed(
    topology: Topology, fault: Callable[[faults.Run], str]
) -> None:
    met = faults.fault_run(topology, fault, seed=100 + FAULTS.index(fault), requests=12, files=8, seconds=150.0)
    assert met.wrong == [], "\n".join(met.wrong)
    assert met.statuses == {"Complete": 12}
