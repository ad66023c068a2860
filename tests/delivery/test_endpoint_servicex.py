"""A ServiceX asked through its official client, unmodified: every input ends delivered or failed, never lost."""

import socket
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import uproot

from delivery.endpoint import open_endpoint
from delivery.errors import EndpointUnreachable, NotAuthorized, RequestFailed, UnknownEndpoint
from delivery.remote import ServiceXEndpoint
from delivery.requests import FileDelivered, FileFailed, FileRequest

QUERY = (
    "(call Select (call Where (call EventDataset 'bogus.root' 'Events')"
    " (lambda (list e) (> (attr e 'MET_pt') 30.0)))"
    " (lambda (list e) (dict (list 'MET_pt' 'nJet') (list (attr e 'MET_pt') (attr e 'nJet')))))"
)


def request(
    sample: str, file: Path | str, index: int = 0, query: str = QUERY, output_format: str = "root-file"
) -> FileRequest:
    return FileRequest(sample, str(file), "Events", query, "uproot", output_format, index)


def quick(server: Any, **settings: Any) -> ServiceXEndpoint:
    return ServiceXEndpoint(url=server.url, poll_seconds=0.2, **settings)


@pytest.fixture(autouse=True)
def away_from_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No configuration file of the machine's user takes part."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("BEARER_TOKEN_FILE", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def files(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("inputs")
    (folder / "damaged.root").write_bytes((shared_data / "root" / "nano_dy.root").read_bytes()[:5000])
    root = shared_data / "root"
    return {
        "ttbar": root / "nanoAOD_2015_CMS_Open_Data_ttbar.root",
        "dy": root / "nano_dy.root",
        "dimuon": root / "nano_dimuon.root",
        "damaged": folder / "damaged.root",
    }


@pytest.fixture(scope="module")
def outcomes(
    servicex_server: Any, files: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[tuple[str, int], FileDelivered | FileFailed]]:
    """One delivery of many samples, each with a fate of its own, side by side."""
    endings = {"short": "short", "fatal": "Fatal", "canceled": "Canceled", "overcount": "overcount", "mute": "mute"}
    servicex_server.ending = endings
    samples = ("good", "short", "fatal", "canceled", "overcount", "mute")
    requests = [request(sample, files[name], i) for sample in samples for i, name in enumerate(("ttbar", "dy"))]
    requests += [
        request("parquet", files["dy"], output_format="parquet"),
        request("bad query", files["dy"], query="nonsense"),
    ]
    requests += [request("one bad", files[name], i) for i, name in enumerate(("ttbar", "damaged", "dy"))]
    requests += [request("all bad", files["damaged"])]
    scratch = tmp_path_factory.mktemp("scratch")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("delivery.remote.STALL_SECONDS", 12.0)
        found = {(o.request.sample, o.request.index): o for o in quick(servicex_server).deliver(requests, scratch)}
    assert set(found) == {(r.sample, r.index) for r in requests}
    assert {path.name for path in scratch.iterdir()} == {
        Path(o.path).name for o in found.values() if isinstance(o, FileDelivered)
    }
    yield found
    servicex_server.ending = {}


@cache
def passing(file: Path) -> int:
    """The answer from outside: plain uproot."""
    return int((uproot.open(file)["Events/MET_pt"].array(library="np") > 30).sum())


def test_each_result_belongs_to_its_input(outcomes: Any, files: dict[str, Path]) -> None:
    for index, name in enumerate(("ttbar", "dy")):
        outcome = outcomes["good", index]
        assert isinstance(outcome, FileDelivered)
        assert outcome.request.file == str(files[name])
        with uproot.open(outcome.path) as delivered:
            assert delivered[outcome.tree].num_entries == outcome.events_out == passing(files[name])
    assert passing(files["ttbar"]) != passing(files["dy"])


def test_rows_written_are_not_taken_for_events_read(
    outcomes: Any, servicex_server: Any, files: dict[str, Path]
) -> None:
    """Published transformers report the rows they wrote as ``total-events``; who normalised to that would be wrong."""
    reported = {row["file-path"]: row["total-events"] for rows in servicex_server.rows.values() for row in rows}
    assert reported[str(files["dy"])] == passing(files["dy"]) < uproot.open(files["dy"])["Events"].num_entries
    assert {o.events_in for o in outcomes.values() if isinstance(o, FileDelivered)} == {None}


def test_parquet_comes_as_parquet(outcomes: Any, files: dict[str, Path]) -> None:
    from pyarrow import parquet

    outcome = outcomes["parquet", 0]
    assert outcome.tree == ""
    assert parquet.read_table(outcome.path)["MET_pt"].length() == outcome.events_out == passing(files["dy"])


def test_a_failed_file_is_named_and_harms_no_other(outcomes: Any, servicex_server: Any) -> None:
    good, bad, other = (outcomes["one bad", index] for index in range(3))
    assert isinstance(good, FileDelivered)
    assert isinstance(other, FileDelivered)
    assert isinstance(bad, FileFailed)
    assert (bad.error, bad.attempts) == ("MissingResult", 2)
    assert bad.reason.startswith(f"{servicex_server.url}: it could not transform this file; request ")
    assert f"; its log: {servicex_server.url}/logs/" in bad.reason
    asked = [submitted["file-list"] for submitted in servicex_server.submitted if submitted["title"] == "one bad"]
    assert [len(names) for names in asked] == [3, 1]  # only the failed file was asked for again


def test_when_all_files_fail_none_is_asked_for_again(outcomes: Any, servicex_server: Any) -> None:
    outcome = outcomes["all bad", 0]
    assert isinstance(outcome, FileFailed)
    assert outcome.attempts == 1
    assert [s["title"] for s in servicex_server.submitted].count("all bad") == 1


def test_complete_with_too_few_results_is_not_complete(outcomes: Any) -> None:
    missing, there = outcomes["short", 0], outcomes["short", 1]
    assert isinstance(missing, FileFailed)
    assert missing.error == "MissingResult"
    assert "it gave no result for this file" in missing.reason
    assert "ended as Complete, 1 of 2 files complete" not in missing.reason  # asked for again, alone: 0 of 1
    assert "ended as Complete, 0 of 1 files complete" in missing.reason
    assert isinstance(there, FileDelivered)


@pytest.mark.parametrize("ending", ["Fatal", "Canceled"])
def test_what_was_complete_before_the_end_is_delivered(outcomes: Any, ending: str) -> None:
    assert all(isinstance(outcomes[ending.lower(), index], FileDelivered) for index in range(2))


def test_counts_that_disagree_do_not_hang(outcomes: Any) -> None:
    assert all(isinstance(outcomes["overcount", index], FileDelivered) for index in range(2))


def test_a_service_that_falls_silent_is_left(outcomes: Any) -> None:
    for index in range(2):
        outcome = outcomes["mute", index]
        assert isinstance(outcome, FileFailed)
        assert outcome.error == "EndpointUnreachable"
        assert "skimflow doctor" in outcome.reason


def test_a_refused_query_says_why(outcomes: Any) -> None:
    outcome = outcomes["bad query", 0]
    assert isinstance(outcome, FileFailed)
    assert outcome.error == "RequestFailed"
    assert "cannot parse the query at 1:1" in outcome.reason


def test_an_old_service_without_result_rows(servicex_server: Any, files: dict[str, Path], tmp_path: Path) -> None:
    new = servicex_server.capabilities
    servicex_server.capabilities = []
    rows, servicex_server.rows = servicex_server.rows, RowsHidden()
    try:
        requests = [request("old", files["ttbar"], 0), request("old", files["dy"], 1)]
        outcomes = sorted(quick(servicex_server).deliver(requests, tmp_path / "s"), key=lambda o: o.request.index)
    finally:
        servicex_server.capabilities, servicex_server.rows = new, rows
    assert [o.events_out for o in outcomes if isinstance(o, FileDelivered)] == [
        passing(files["ttbar"]),
        passing(files["dy"]),
    ]


class RowsHidden(dict[str, Any]):
    """Keeps no rows, as a service that has no results call."""

    def __getitem__(self, key: str) -> Any:
        return []


def test_an_edited_input_is_not_answered_from_memory(
    servicex_server: Any, files: dict[str, Path], tmp_path: Path
) -> None:
    """The client's own cache would: its key holds the file's name only."""
    path = tmp_path / "input.root"
    events = []
    for name in ("ttbar", "dy"):
        path.write_bytes(files[name].read_bytes())
        (outcome,) = quick(servicex_server).deliver([request("edited", path)], tmp_path / "s")
        assert isinstance(outcome, FileDelivered)
        events.append(outcome.events_out)
    assert events == [passing(files["ttbar"]), passing(files["dy"])]


def test_leaving_early_ends_the_work(servicex_server: Any, files: dict[str, Path], tmp_path: Path) -> None:
    """One sample is done, the other waits for a service that has gone dumb: closing does not wait for it."""
    servicex_server.ending["never"] = "mute"
    try:
        outcomes = quick(servicex_server).deliver(
            [request("done", files["dy"]), request("never", files["dy"])], tmp_path / "s"
        )
        first = next(outcomes)
        assert first.request.sample == "done"
        outcomes.close()  # type: ignore[attr-defined]
    finally:
        del servicex_server.ending["never"]
    assert [path.name for path in (tmp_path / "s").iterdir()] == [Path(first.path).name]  # type: ignore[union-attr]


def test_nobody_there(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(EndpointUnreachable, match=rf"{url}.*`skimflow doctor`"):
            list(open_endpoint(url).deliver([request("any", "x.root")], tmp_path))


def test_somebody_else_there(web: Any, tmp_path: Path) -> None:
    with pytest.raises(RequestFailed, match="no ServiceX"):
        list(open_endpoint(web.url).deliver([request("any", "x.root")], tmp_path))


def write_config(folder: Path, name: str, server: Any, token: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(
        f"api_endpoints:\n  - {{endpoint: 'http://localhost:1', name: other}}\n"
        f"  - {{endpoint: '{server.url}/', name: mine, token: {token}}}\ndefault_endpoint: mine\n"
    )
    return path


def test_tokens(servicex_server: Any, files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servicex_server, "token", "secret")
    path = write_config(tmp_path, ".servicex", servicex_server, "secret")
    for endpoint in (open_endpoint("servicex", poll_seconds=0.2), open_endpoint(servicex_server.url, poll_seconds=0.2)):
        (outcome,) = endpoint.deliver([request("signed in", files["dy"])], tmp_path / "s")
        assert isinstance(outcome, FileDelivered)
    write_config(tmp_path, ".servicex", servicex_server, "stolen")
    with pytest.raises(NotAuthorized, match=f"the token of 'mine' in {path}") as caught:
        list(open_endpoint("mine").deliver([request("refused", files["dy"])], tmp_path / "s"))
    assert "stolen" not in str(caught.value)


@pytest.mark.parametrize(
    "places",
    [
        ["work/.servicex"],
        ["servicex.yaml"],
        ["home/.servicex"],
        ["home/servicex.yaml"],
        ["work/servicex.yaml", "work/.servicex"],
        ["servicex.yaml", "work/.servicex"],
        ["home/servicex.yaml", "servicex.yaml"],
        [],
    ],
)
def test_the_configuration_is_the_one_that_the_client_finds(
    servicex_server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, places: list[str]
) -> None:
    from servicex.configuration import Configuration

    from delivery.servicex_config import find_config

    for place in places:
        write_config(tmp_path / Path(place).parent, Path(place).name, servicex_server, "t")
    (tmp_path / "work" / "deep").mkdir(parents=True, exist_ok=True)
    monkeypatch.chdir(tmp_path / "work" / "deep")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    ours = find_config()
    if not places:
        assert ours is None
        with pytest.raises(NameError, match="Can't find"):
            Configuration.read()
        return
    theirs = Configuration.read()
    assert ours is not None
    assert str(ours.path) == theirs.config_file
    assert ours.default == theirs.default_endpoint
    assert {b.name: (b.url, b.token) for b in ours.backends.values()} == {
        e.name: (e.endpoint.rstrip("/"), e.token) for e in theirs.api_endpoints
    }


def test_names_that_are_no_endpoint(servicex_server: Any, tmp_path: Path) -> None:
    with pytest.raises(UnknownEndpoint, match="'sevicex' is known; allowed: local, raw, servicex"):
        open_endpoint("sevicex")
    with pytest.raises(UnknownEndpoint, match="home"):
        open_endpoint("servicex")
    write_config(tmp_path, "servicex.yaml", servicex_server, "t")
    with pytest.raises(UnknownEndpoint, match="other, mine"):
        open_endpoint("minee")
    with pytest.raises(UnknownEndpoint, match=r"'yours' is in .*servicex\.yaml; allowed: other, mine"):
        open_endpoint("servicex", backend="yours")


def test_identity_asks_no_network() -> None:
    assert open_endpoint("http://localhost:1/").identity() == {"endpoint": "servicex", "url": "http://localhost:1"}
