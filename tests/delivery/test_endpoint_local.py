"""The engine on Dask: every file gets its outcome, whatever happens to the workers."""

import os
import pickle
import signal
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import cloudpickle
import dask
import numpy as np
import pytest
import uproot
from distributed import Client, LocalCluster, WorkerPlugin

from delivery.endpoint import open_endpoint
from delivery.errors import EndpointUnreachable, NoWorkers
from delivery.local import LocalEndpoint, transform_file
from delivery.outputs import output_name
from delivery.requests import FileDelivered, FileFailed, FileRequest

SELECTED = (
    "(call Select (call Where (call EventDataset 'bogus.root' 'Events')"
    " (lambda (list e) (> (attr e 'MET_pt') 30.0)))"
    " (lambda (list e) (dict (list 'MET_pt' 'nJet') (list (attr e 'MET_pt') (attr e 'nJet')))))"
)


def request(file: Path | str, index: int = 0, query: str = SELECTED, output_format: str = "root-file") -> FileRequest:
    return FileRequest("sample", str(file), "Events", query, "uproot", output_format, index)


@cache
def passing(file: Path) -> int:
    """The answer from outside: plain uproot."""
    return int((uproot.open(file)["Events/MET_pt"].array(library="np") > 30).sum())


def small_file(path: Path, events: int = 10) -> Path:
    with uproot.recreate(path) as file:
        file.mktree("Events", {"MET_pt": "float32", "nJet": "int32"})
        file["Events"].extend({"MET_pt": np.arange(events, dtype="f4") * 10, "nJet": np.arange(events, dtype="i4")})
    return path


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    """Two worker processes, as the endpoint's own."""
    with LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        dashboard_address="127.0.0.1:0",
        scheduler_kwargs={"allowed_failures": 0, "dashboard": False},
    ) as running:
        yield running


@pytest.fixture
def client(cluster: LocalCluster) -> Iterator[Client]:
    with Client(cluster, set_as_default=False) as connected:
        yield connected


@pytest.fixture
def root(shared_data: Path) -> Path:
    return shared_data / "root"


def test_few_files_need_no_processes(root: Path, tmp_path: Path) -> None:
    files = [root / "nanoAOD_2015_CMS_Open_Data_ttbar.root", root / "nano_dy.root"]
    requests = [request(file, index) for index, file in enumerate(files)]
    outcomes = sorted(open_endpoint("local").deliver(requests, tmp_path / "s"), key=lambda o: o.request.index)
    for file, outcome in zip(files, outcomes, strict=True):
        assert isinstance(outcome, FileDelivered)
        assert (outcome.events_in, outcome.attempts) == (uproot.open(file)["Events"].num_entries, 1)
        with uproot.open(outcome.path) as delivered:
            assert delivered[outcome.tree].num_entries == outcome.events_out == passing(file)
        assert [row.passed for row in outcome.cutflow] == [passing(file)]
    assert {path.name for path in (tmp_path / "s").iterdir()} == {Path(o.path).name for o in outcomes}


def test_many_files_on_processes_of_its_own(root: Path, tmp_path: Path) -> None:
    files = [small_file(tmp_path / f"{i}.root", i + 1) for i in range(5)]
    requests = [request(file, i, output_format="parquet") for i, file in enumerate(files)]
    found = list(open_endpoint("local", workers=2).deliver(requests, tmp_path / "s"))
    assert {o.request.index: o.events_out for o in found if isinstance(o, FileDelivered)} == {
        i: passing(file) for i, file in enumerate(files)
    }
    assert {path.suffix for path in (tmp_path / "s").iterdir()} == {".parquet"}


def test_the_same_bytes_here_and_there(root: Path, client: Client, tmp_path: Path) -> None:
    one = request(root / "nano_dy.root")
    contents = []
    for endpoint, scratch in ((LocalEndpoint(), "threads"), (LocalEndpoint(client), "processes")):
        (outcome,) = endpoint.deliver([one], tmp_path / scratch)
        contents.append(Path(outcome.path).read_bytes() if isinstance(outcome, FileDelivered) else outcome)
    assert contents[0] == contents[1]


def test_each_failure_is_named_and_harms_no_other(root: Path, client: Client, tmp_path: Path) -> None:
    good = small_file(tmp_path / "good.root")
    (tmp_path / "text.root").write_text("no ROOT file")
    requests = [
        request(good, 0),
        request(good, 1, query=SELECTED.replace("MET_pt", "MET_pT")),
        FileRequest("sample", str(good), "Evnts", SELECTED, "uproot", "root-file", 2),
        request(tmp_path / "text.root", 3),
        request(tmp_path / "nowhere.root", 4),
        request(good, 5, query="(call Select"),
    ]
    found = {o.request.index: o for o in LocalEndpoint(client).deliver(requests, tmp_path / "s")}
    assert isinstance(found[0], FileDelivered)
    expected = {
        1: ("UnknownColumn", "MET_pt"),
        2: ("MissingTree", "'Events'"),
        3: ("UnreadableFile", "text.root"),
        4: ("UnreadableFile", "nowhere.root"),
        5: ("QuerySyntaxError", "line 1"),
    }
    for index, (error, words) in expected.items():
        outcome = found[index]
        assert isinstance(outcome, FileFailed)
        assert (outcome.error, outcome.attempts) == (error, 1)  # what lasts is not tried again
        assert words in outcome.reason


def test_a_storage_that_hiccups_is_asked_again(web: Any, client: Client, tmp_path: Path) -> None:
    """Two attempts fail in their first answer; the third is undisturbed."""
    small_file(tmp_path / "events.root")
    web.folder = tmp_path
    asked: list[str] = []

    def hiccup(path: str) -> int:
        asked.append(path)
        return 503 if len(asked) <= 2 else 200

    web.answer = hiccup
    (outcome,) = LocalEndpoint(client).deliver([request(f"{web.url}/events.root")], tmp_path / "s")
    assert isinstance(outcome, FileDelivered)
    assert (outcome.events_out, outcome.attempts) == (passing(tmp_path / "events.root"), 3)


def test_a_storage_that_stays_down_is_given_up(web: Any, client: Client, tmp_path: Path) -> None:
    web.answer = lambda path: 503
    (outcome,) = LocalEndpoint(client).deliver([request(f"{web.url}/nano_dy.root")], tmp_path / "s")
    assert isinstance(outcome, FileFailed)
    assert outcome.attempts == 3
    assert "503" in outcome.reason


def test_a_remote_file_that_is_not_there_is_not_tried_again(web: Any, client: Client, tmp_path: Path) -> None:
    (outcome,) = LocalEndpoint(client).deliver([request(f"{web.url}/no_such.root")], tmp_path / "s")
    assert isinstance(outcome, FileFailed)
    assert outcome.attempts == 1
    assert "no_such.root" in outcome.reason


class Poison(WorkerPlugin):
    """Makes a worker die, as the kernel kills it for memory, when it opens a file whose name has ``poison`` in it."""

    name = "poison"

    def __init__(self, log: Path) -> None:
        self.log = log

    def setup(self, worker: Any) -> None:
        from delivery import engine

        clean = engine.transform

        def poisoned(transform: Any) -> Any:
            with self.log.open("a") as log:
                log.write(f"{Path(transform.input).name}\n")
            if "poison" in transform.input:
                os.kill(os.getpid(), signal.SIGKILL)
            return clean(transform)

        engine.transform = poisoned


def test_a_file_that_kills_its_worker_takes_no_other_with_it(tmp_path: Path) -> None:
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    files = [small_file(tmp_path / ("poison.root" if i == 2 else f"{i}.root")) for i in range(8)]
    requests = [request(file, i) for i, file in enumerate(files)]
    with (
        LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            dashboard_address="127.0.0.1:0",
            scheduler_kwargs={"allowed_failures": 0, "dashboard": False},
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        client.register_plugin(Poison(tmp_path / "log"))
        found = {o.request.index: o for o in LocalEndpoint(client).deliver(requests, tmp_path / "s")}
        bad = found.pop(2)
        assert isinstance(bad, FileFailed)
        assert (bad.error, bad.attempts) == ("WorkerKilled", 3)
        assert "poison.root killed the 3 workers" in bad.reason
        assert [type(o) for o in found.values()] == [FileDelivered] * 7
        assert Counter((tmp_path / "log").read_text().split())["poison.root"] == 3
        assert {path.name for path in (tmp_path / "s").iterdir()} == {Path(o.path).name for o in found.values()}
        # and the cluster is still good for the next delivery
        assert isinstance(next(LocalEndpoint(client).deliver([request(files[0])], tmp_path / "s")), FileDelivered)


def test_a_cluster_without_workers_is_named(tmp_path: Path) -> None:
    with (
        LocalCluster(n_workers=0, dashboard_address="127.0.0.1:0") as cluster,
        pytest.raises(NoWorkers, match=rf"{cluster.scheduler_address}.* 1 files are left; start workers") as caught,
    ):
        list(LocalEndpoint(cluster.scheduler_address, patience=1.0).deliver([request("x.root")], tmp_path))
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_scheduler_that_is_not_there_is_named(tmp_path: Path) -> None:
    with (
        dask.config.set({"distributed.comm.timeouts.connect": "1s"}),
        pytest.raises(EndpointUnreachable, match=r"tcp://127\.0\.0\.1:1: no Dask scheduler answers"),
    ):
        list(open_endpoint("local", scheduler="tcp://127.0.0.1:1").deliver([request("x.root")], tmp_path))


def test_a_scheduler_that_goes_away_is_noticed(tmp_path: Path) -> None:
    cluster = LocalCluster(n_workers=0, dashboard_address="127.0.0.1:0")
    with Client(cluster.scheduler_address, set_as_default=False, timeout=2) as doomed:
        outcomes = LocalEndpoint(doomed).deliver([request("x.root")], tmp_path)
        closing = threading.Timer(0.5, cluster.close)
        closing.start()
        with pytest.raises(EndpointUnreachable, match="went away"):
            list(outcomes)
        closing.join()


def test_leaving_early_ends_the_work(client: Client, tmp_path: Path) -> None:
    files = [small_file(tmp_path / f"{i}.root") for i in range(6)]
    outcomes = LocalEndpoint(client).deliver([request(file, i) for i, file in enumerate(files)], tmp_path / "s")
    assert isinstance(next(outcomes), FileDelivered)
    outcomes.close()  # type: ignore[attr-defined]
    assert not any(".marker" in path.name for path in (tmp_path / "s").iterdir())


def test_a_worker_that_does_not_see_the_folder_returns_the_bytes(tmp_path: Path, client: Client) -> None:
    one = request(small_file(tmp_path / "events.root"))
    far = tmp_path / "far" / output_name(one)
    outcome, content = client.submit(transform_file, one, far, tmp_path / "no-marker").result()
    assert isinstance(outcome, FileDelivered)
    assert not far.parent.exists()
    (near,) = LocalEndpoint(client).deliver([one], tmp_path / "s")
    assert content == Path(near.path).read_bytes()  # type: ignore[union-attr]


def test_a_client_given_stays_open(client: Client, tmp_path: Path) -> None:
    list(LocalEndpoint(client).deliver([request(small_file(tmp_path / "a.root"))], tmp_path / "s"))
    assert client.status == "running"


def test_nothing_asked_starts_nothing(tmp_path: Path) -> None:
    assert list(LocalEndpoint("tcp://127.0.0.1:1").deliver([], tmp_path / "s")) == []
    assert not (tmp_path / "s").exists()


def test_output_names_are_their_own() -> None:
    one = request("a.root")
    others = [
        request("b.root"),
        request("a.root", 1),
        request("a.root", query="x"),
        request("a.root", output_format="parquet"),
        FileRequest("../sa/mple", "a.root", None, SELECTED, "uproot", "root-file", 0),
    ]
    names = {output_name(other) for other in [one, *others]}
    assert len(names) == 6
    assert all("/" not in name and not name.startswith(".") for name in names)
