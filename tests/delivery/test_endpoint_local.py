"""The engine on Dask: every file gets its outcome, whatever happens to the workers."""

import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import pytest
import uproot
from distributed import Client, LocalCluster, WorkerPlugin

from delivery.endpoint import open_endpoint
from delivery.errors import EndpointUnreachable, NoWorkers, WorkerDiffers
from delivery.local import LocalEndpoint, transform_file
from delivery.outputs import output_name
from delivery.requests import FileDelivered, FileFailed, FileRequest
from delivery.versions import engine_versions

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
    """Two worker processes."""
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


def test_files_in_this_process(root: Path, tmp_path: Path) -> None:
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


def test_without_a_cluster_nothing_of_dask_is_started(tmp_path: Path) -> None:
    small_file(tmp_path / "a.root")
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from delivery.endpoint import open_endpoint\n"
        "from delivery.requests import FileRequest\n"
        f"one = FileRequest('sample', 'a.root', 'Events', {SELECTED!r}, 'uproot', 'root-file', 0)\n"
        "(outcome,) = open_endpoint('local').deliver([one], Path('s'))\n"
        "print(outcome.events_out, 'distributed' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(passing(tmp_path / "a.root")), "False"]


def test_the_same_bytes_here_and_there(root: Path, client: Client, tmp_path: Path) -> None:
    one = request(root / "nano_dy.root")
    contents = []
    for endpoint, scratch in ((LocalEndpoint(), "threads"), (LocalEndpoint(client), "processes")):
        (outcome,) = endpoint.deliver([one], tmp_path / scratch)
        contents.append(Path(outcome.path).read_bytes() if isinstance(outcome, FileDelivered) else outcome)
    assert contents[0] == contents[1]


@pytest.mark.parametrize("here", [True, False])
def test_each_failure_is_named_and_harms_no_other(root: Path, client: Client, tmp_path: Path, here: bool) -> None:
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
    found = {o.request.index: o for o in LocalEndpoint(None if here else client).deliver(requests, tmp_path / "s")}
    assert isinstance(found[0], FileDelivered)
    assert [path.name for path in (tmp_path / "s").iterdir()] == [Path(found[0].path).name]
    expected = {
        1: ("UnknownBranch", "MET_pt"),
        2: ("UnknownTree", "'Events'"),
        3: ("NotARootFile", "text.root"),
        4: ("MissingFile", "nowhere.root"),
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


def test_a_cluster_without_workers_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("delivery.local.PATIENCE_SECONDS", 1.0)
    with (
        LocalCluster(n_workers=0, dashboard_address="127.0.0.1:0") as cluster,
        Client(cluster, set_as_default=False) as client,
        pytest.raises(NoWorkers, match=rf"{cluster.scheduler_address}.* 1 files are left; start workers") as caught,
    ):
        list(LocalEndpoint(client).deliver([request("x.root")], tmp_path))
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
    assert list(tmp_path.iterdir()) == []


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
    files = [small_file(tmp_path / f"{i}.root") for i in range(20)]
    requests = [request(file, i) for i, file in enumerate(files)]
    for endpoint, scratch in ((LocalEndpoint(client), tmp_path / "there"), (LocalEndpoint(), tmp_path / "here")):
        outcomes = endpoint.deliver(requests, scratch)
        assert isinstance(next(outcomes), FileDelivered)
        outcomes.close()  # type: ignore[attr-defined]
        assert not any(".marker" in path.name for path in scratch.iterdir())
    assert len(list((tmp_path / "here").iterdir())) < len(files)


def test_a_worker_that_does_not_see_the_folder_returns_the_bytes(tmp_path: Path, client: Client) -> None:
    one = request(small_file(tmp_path / "events.root"))
    far = tmp_path / "far" / output_name(one)
    outcome, content = client.submit(transform_file, one, far, tmp_path / "no-marker", engine_versions()).result()
    assert isinstance(outcome, FileDelivered)
    assert not far.parent.exists()
    (near,) = LocalEndpoint(client).deliver([one], tmp_path / "s")
    assert content == Path(near.path).read_bytes()  # type: ignore[union-attr]


def keys_held(dask_worker: Any) -> list[str]:
    return list(dask_worker.data)


def test_workers_keep_no_result_that_was_taken(tmp_path: Path, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that does not see the folder holds whole files until they are let go."""
    monkeypatch.setattr("delivery.local._marker", lambda scratch: nullcontext(scratch / "nowhere" / "marker"))
    files = [small_file(tmp_path / f"{i}.root") for i in range(6)]
    taken = 0
    for outcome in LocalEndpoint(client).deliver([request(file, i) for i, file in enumerate(files)], tmp_path / "s"):
        assert isinstance(outcome, FileDelivered)
        taken += 1
        for _ in range(100):  # a word to the scheduler, and one from there to the worker
            held = sum(map(len, client.run(keys_held).values()))
            if held <= len(files) - taken:
                break
            time.sleep(0.05)
        assert held <= len(files) - taken
    assert taken == len(files)


def test_a_result_that_died_with_its_worker_is_made_again(
    tmp_path: Path, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("delivery.local._marker", lambda scratch: nullcontext(scratch / "nowhere" / "marker"))
    files = [small_file(tmp_path / f"{i}.root", i + 1) for i in range(6)]
    outcomes = LocalEndpoint(client).deliver([request(file, i) for i, file in enumerate(files)], tmp_path / "s")
    found = [next(outcomes)]
    while sum(map(len, client.run(keys_held).values())) < len(files) - 1:
        time.sleep(0.05)
    for pid in client.run(os.getpid).values():  # new workers take a while to start: meanwhile the results are lost
        os.kill(pid, signal.SIGKILL)
    while all(state.status == "finished" for state in client.futures.values()):  # until the death is known here
        time.sleep(0.01)
    found += outcomes
    assert {o.request.index: o.events_out for o in found if isinstance(o, FileDelivered)} == {
        i: passing(file) for i, file in enumerate(files)
    }


def older(name: str, version: str) -> None:
    """Run on a worker: pretend that another version is installed."""
    from delivery import versions

    installed = versions._version
    versions._version = lambda asked: version if asked == name else installed(asked)  # type: ignore[assignment]


@pytest.mark.parametrize("library", ["skimflow", "numpy"])
def test_a_worker_with_other_versions_ends_the_delivery(tmp_path: Path, library: str) -> None:
    """Its bytes would be kept under the versions of this process."""
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    files = [small_file(tmp_path / f"{i}.root") for i in range(3)]
    ours = metadata.version(library)
    with (
        LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address="127.0.0.1:0") as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        client.run(older, library, "0.0.1")
        (address,) = client.scheduler_info()["workers"]
        with pytest.raises(WorkerDiffers, match=f"{address} has {library} 0.0.1 and this process has {ours}") as caught:
            list(LocalEndpoint(client).deliver([request(file, i) for i, file in enumerate(files)], tmp_path / "s"))
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
    assert list((tmp_path / "s").iterdir()) == []


def test_identity_is_what_decides_the_bytes() -> None:
    names = ("skimflow", "numpy", "awkward", "uproot", "pyarrow", "vector")
    assert LocalEndpoint().identity() == {"endpoint": "engine", **{name: metadata.version(name) for name in names}}


def test_a_client_given_stays_open(client: Client, tmp_path: Path) -> None:
    list(LocalEndpoint(client).deliver([request(small_file(tmp_path / "a.root"))], tmp_path / "s"))
    assert client.status == "running"


def test_nothing_asked_starts_nothing(tmp_path: Path) -> None:
    assert list(LocalEndpoint().deliver([], tmp_path / "s")) == []
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
