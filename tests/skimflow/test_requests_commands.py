"""`skimflow submit` and `skimflow requests`, as people type them, against a running service."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import uproot

sys.path.insert(0, str(Path(__file__).parents[1] / "service"))
from lifeline import on_a_lifeline

SELECTED = (
    "(Select (Where (call EventDataset 'bogus.root' 'Events') (lambda (list e) (> (attr e 'MET_pt') 25)))"
    " (lambda (list e) (dict (list 'met') (list (attr e 'MET_pt')))))"
)
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Place:
    """A folder with events, a query, and a service that serves it."""

    def __init__(self, folder: Path, events: Path) -> None:
        self.folder = folder
        shutil.copyfile(events, folder / "events.root")
        (folder / "query.qastle").write_text(SELECTED)
        self.environment = {**os.environ, "HOME": str(folder)}
        command = [sys.executable, "-m", "skimflow", "serve", "--port", "0", "--workers", "1", "--json"]
        with (folder / "log").open("w") as log:
            self.service = subprocess.Popen(
                on_a_lifeline(command), cwd=folder, stdout=subprocess.PIPE, stderr=log, text=True
            )
        assert self.service.stdout is not None
        self.url = json.loads(self.service.stdout.readline())["url"]
        (folder / "servicex.yaml").write_text(f"api_endpoints: [{{name: here, endpoint: '{self.url}'}}]\n")

    def call(self, *arguments: object, code: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "skimflow", *map(str, arguments)],
            cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == code, done.stderr + done.stdout
        assert "Traceback" not in done.stderr
        return done

    def close(self) -> None:
        self.service.send_signal(signal.SIGTERM)
        self.service.wait(60)
        assert self.service.stdout is not None
        self.service.stdout.close()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, shared_data: Path) -> Iterator[Place]:
    found = Place(tmp_path_factory.mktemp("place"), shared_data / "adl" / "Run2012B_SingleMu_1000.root")
    yield found
    found.close()


@pytest.fixture(scope="module")
def passing(shared_data: Path) -> list[float]:
    met = uproot.open(shared_data / "adl" / "Run2012B_SingleMu_1000.root")["Events"]["MET_pt"].array(library="np")
    return [float(value) for value in met[met > 25]]


def test_submit_brings_what_was_asked_for(place: Place, passing: list[float]) -> None:
    done = place.call("submit", "--selection", "query.qastle", "--output", "skim", "events.root")
    assert f"{len(passing):,} events selected of 1,000 read" in done.stdout
    assert done.stdout.startswith("Complete: 1 of 1 files")
    assert pq.read_table(place.folder / "skim" / "0000-events.root.parquet")["met"].to_pylist() == passing


def test_a_request_from_its_id_to_its_end(place: Place, passing: list[float]) -> None:
    request_id = place.call(
        "submit", "--selection", SELECTED, "--title", "mine", "--no-wait", "events.root"
    ).stdout.strip()
    assert UUID.fullmatch(request_id)
    begin = request_id[:13]
    done = json.loads(place.call("requests", "download", begin, "--output", "later", "--json").stdout)
    (row,) = done["file-rows"]
    assert pq.read_table(place.folder / row["output"])["met"].to_pylist() == passing
    assert (row["events-in"], row["events-out"], row["cutflow"][0][1]) == (1000, len(passing), len(passing))
    assert "minio-secret-key" not in done
    shown = place.call("requests", "show", begin).stdout
    assert "title      mine" in shown
    assert f"{len(passing):>13,}" in shown
    assert f"1,000 → {len(passing):,}" in place.call("requests", "files", begin).stdout
    assert "events.root" in place.call("requests", "logs", begin, 0).stdout
    assert re.search(
        f"^{request_id}  Complete +1 of 1 files .*mine$", place.call("requests", "list").stdout, re.MULTILINE
    )
    assert place.call("requests", "delete", begin).stdout == f"deleted {request_id}\n"
    assert request_id not in [one["request_id"] for one in json.loads(place.call("requests", "list", "--json").stdout)]
    assert "begins no request" in place.call("requests", "show", begin, code=2).stderr


def test_a_folder_holds_the_results_of_one_request(place: Place) -> None:
    """Another query on the same file, or the same on others, would be counted as one sample by who reads the folder."""
    other = SELECTED.replace("25", "30")
    place.call("submit", "--selection", SELECTED, "--output", "alone", "events.root")
    before = (place.folder / "alone" / "0000-events.root.parquet").read_bytes()
    assert (
        "1 known from before"
        in place.call("submit", "--selection", SELECTED, "--output", "alone", "events.root").stdout
    )
    shutil.copyfile(place.folder / "events.root", place.folder / "more.root")
    for asked in ((SELECTED, "more.root"), (other, "events.root")):
        said = place.call(
            "submit", "--endpoint", place.url, "--selection", asked[0], "--output", "alone", asked[1], code=2
        ).stderr
        request_id = said.partition("request ")[2].split()[0]
        assert f"alone/0000-events.root.parquet is no result of request {request_id}" in said
        command = f"skimflow requests download {request_id} --output DIR --endpoint {place.url}"
        assert f"bring its results: {command}\n" in said
        place.call(*shlex.split(command.replace("DIR", request_id))[1:])
        assert len(list((place.folder / request_id).iterdir())) == 1
    assert [path.name for path in (place.folder / "alone").iterdir()] == ["0000-events.root.parquet"]
    assert (place.folder / "alone" / "0000-events.root.parquet").read_bytes() == before


def test_after_ctrl_c_the_service_goes_on_and_the_next_command_is_named(place: Place) -> None:
    slow = [shutil.copyfile(place.folder / "events.root", place.folder / f"slow-{n}.root").name for n in range(30)]
    command = [sys.executable, "-m", "skimflow", "submit", "--selection", SELECTED.replace("25", "35"), *slow]
    with subprocess.Popen(
        command, cwd=place.folder, env=place.environment, stderr=subprocess.PIPE, text=True
    ) as submit:
        assert submit.stderr is not None
        request_id = submit.stderr.readline().split()[1]
        place.service.send_signal(signal.SIGSTOP)  # else it could be quicker than Ctrl-C
        submit.send_signal(signal.SIGINT)
        said = submit.stderr.read()
        place.service.send_signal(signal.SIGCONT)
        # a shell says 130 of both: Python ends by the signal itself if that came while it ran a text, as dataclasses do
        assert submit.wait(60) in (130, -signal.SIGINT)
    assert "interrupted; the service goes on with the request" in said
    (bring,) = re.findall(r"^bring its results: skimflow (.*)$", said, re.MULTILINE)
    (stop,) = re.findall(r"^stop it: skimflow (.*)$", said, re.MULTILINE)
    assert stop == f"requests cancel {request_id}"
    assert "Complete: 30 of 30 files" in place.call(*shlex.split(bring.replace("DIR", "brought"))).stdout
    assert len(list((place.folder / "brought").iterdir())) == 30


def test_a_failed_file_is_named_with_its_reason_and_tried_again(place: Place) -> None:
    late = place.folder / "late.root"
    done = place.call("submit", "--selection", "query.qastle", "--json", "events.root", "late.root", code=1)
    document = json.loads(done.stdout)
    assert [row["state"] for row in document["file-rows"]] == ["done", "failed"]
    assert "it does not exist" in document["file-rows"][1]["error"]
    request_id = document["request_id"]
    assert "it does not exist" in place.call("requests", "files", request_id).stdout
    assert "── file 1\n" in place.call("requests", "logs", request_id).stdout
    shutil.copyfile(place.folder / "events.root", late)
    assert place.call("requests", "retry", request_id).stdout.startswith("Complete: 2 of 2 files")
    late.unlink()
    assert "no file has failed: nothing to run again" in place.call("requests", "retry", request_id).stderr


def test_partial_takes_what_there_is(place: Place) -> None:
    done = place.call("submit", "--selection", "query.qastle", "--partial", "events.root", "absent.root")
    assert done.stdout.startswith("Complete: 1 of 2 files, 1 failed")


def test_what_has_ended_is_not_canceled(place: Place) -> None:
    (request_id, *_) = [one["request_id"] for one in json.loads(place.call("requests", "list", "--json").stdout)]
    assert place.call("requests", "cancel", request_id, code=2).stderr.startswith("error: ")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("submit", "--selection", "query.qastle"), "name either files or --dataset"),
        (("submit", "--selection", "query.qastle", "--dataset", "rucio://a:b", "events.root"), "not both"),
        (("submit", "--selection", "nowhere.qastle", "events.root"), "is no file and no uproot selection"),
        (("submit", "--selection", "query.qastle", "--no-wait", "--output", "x", "events.root"), "--no-wait brings"),
        (("submit", "--selection", "query.qastle", "/etc/passwd"), "is not below a folder that may be read"),
        (("submit", "--selection", "(Select", "events.root"), "is never closed"),
        (("requests", "show", "zz"), "`skimflow requests list` shows the ids"),
        (("requests", "list", "--endpoint", "ther"), "no endpoint 'ther' is in"),
        (("requests", "list", "--endpoint", "127.0.0.1:5000"), "--endpoint http://127.0.0.1:5000"),
        (("submit", "--selection", "query.qastle", "--codegen", "xaod", "events.root"), "this endpoint runs uproot"),
    ],
)
def test_bad_input_is_code_2_and_says_what_is_right(place: Place, arguments: tuple[str, ...], words: str) -> None:
    assert words in place.call(*arguments, code=2).stderr


def test_no_service_is_told_with_the_way_to_one(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "skimflow", "requests", "list", "--endpoint", "http://127.0.0.1:9"],
        cwd=tmp_path, env={**os.environ, "HOME": str(tmp_path)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith("error: cannot reach the endpoint http://127.0.0.1:9")
