"""CERN Open Data and Rucio: from their answers to files."""

import sys
from pathlib import Path
from typing import Any

import pytest

from delivery.datasets import DatasetError, find_files
from delivery.datasets.rucio_catalog import in_order
from delivery.service.settings import Inputs, Limits, Settings

sys.path.insert(0, str(Path(__file__).parent))
from catalogues import catalogue, portal, portal_file, rucio, rucio_client, rucio_file

EOS = "root://eospublic.cern.ch//eos/opendata/cms/"


def open_data(url: str, **limits: Any) -> Settings:
    return Settings(open_data_url=url, limits=Limits(**limits))


def record(*files: dict[str, Any], indices: list[list[dict[str, Any]]] | None = None) -> dict[str, Any]:
    found = [{"key": f"i{n}_file_index.json", "files": part, "size": 1} for n, part in enumerate(indices or [])]
    return {"id": "1507", "metadata": {"recid": "1507", "files": list(files), "_file_indices": found}}


def test_a_records_files_and_those_of_its_indices() -> None:
    listed = record(
        portal_file("b.root", 7), portal_file("readme.txt"), indices=[[portal_file("c.root")], [portal_file("a.root")]]
    )
    with catalogue(portal({"/api/records/1507": listed})) as server:
        found = find_files("cernopendata://1507", open_data(server.url))
        first = find_files("cernopendata://1507?files=2", open_data(server.url))
    assert [file.paths for file in found.files] == [(f"{EOS}{name}.root",) for name in "abc"]
    assert (found.files[1].size, found.files[1].adler32, found.size) == (7, "1a2b3c4d", 207)
    assert list(first.files) == list(found.files[:2])


def test_an_older_records_indices_are_files_of_their_own() -> None:
    index = portal_file("CMS_mc_file_index.json", type="index.json")
    text = portal_file("CMS_mc_file_index.txt", type="index.txt")
    answers = {
        "/api/records/1507": record(index, text),
        "/record/1507/files/CMS_mc_file_index.json": [portal_file("y.root"), portal_file("x.root")],
    }
    with catalogue(portal(answers)) as server:
        found = find_files("cernopendata://1507", open_data(server.url))
    assert [file.paths for file in found.files] == [(f"{EOS}x.root",), (f"{EOS}y.root",)]


def test_files_on_tape_are_an_error_unless_those_that_are_there_do() -> None:
    listed = record(portal_file("a.root"), portal_file("b.root", availability="on demand"))
    with catalogue(portal({"/api/records/1507": listed})) as server:
        with pytest.raises(DatasetError, match=r"1 of 2 files .*get=available") as failed:
            find_files("cernopendata://1507", open_data(server.url))
        found = find_files("cernopendata://1507?get=available", open_data(server.url))
    assert failed.value.lookup_status == "internal_failure"
    assert [file.paths for file in found.files] == [(f"{EOS}a.root",)]


@pytest.mark.parametrize(
    ("answer", "status", "says"),
    [
        (404, "does_not_exist", "no record 1507"),
        (record(portal_file("a.txt")), "does_not_exist", "no ROOT files"),
        (500, "internal_failure", "answers 500"),
        ({"hits": 0}, "internal_failure", "not of the form"),
        ({"metadata": {"files": [{"size": 1}]}}, "internal_failure", "not of the form"),
        ({"metadata": []}, "internal_failure", "not of the form"),
    ],
)
def test_what_the_portal_answers_instead(answer: Any, status: str, says: str) -> None:
    with (
        catalogue(portal({"/api/records/1507": answer})) as server,
        pytest.raises(DatasetError, match=says) as failed,
    ):
        find_files("cernopendata://1507", open_data(server.url))
    assert failed.value.lookup_status == status


def test_the_portals_bad_moment_passes() -> None:
    pages: list[Any] = [503, 502, 200]
    whole = portal({"/api/records/1507": record(portal_file("a.root"))})

    def answer(method: str, path: str, body: bytes) -> Any:
        status = pages.pop(0)
        return whole(method, path, body) if status == 200 else (status, {}, b"busy")

    with catalogue(answer) as server:
        assert len(find_files("cernopendata://1507", open_data(server.url)).files) == 1
        assert len(server.calls) == 3


def test_a_portal_that_is_not_there() -> None:
    with catalogue(portal({})) as server:
        url = server.url
    with pytest.raises(DatasetError, match="cannot be reached") as failed:
        find_files("cernopendata://1507", open_data(url))
    assert failed.value.lookup_status == "internal_failure"


def test_without_rucios_client_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rucio.client", None)  # as Python has it for what cannot be imported
    with pytest.raises(DatasetError, match=r"install rucio-clients, write its rucio.cfg .* rucio_account"):
        find_files("rucio://user.me:ds", Settings(rucio_account="me"))


def test_replicas_are_tried_near_first_then_xrootd_then_by_priority() -> None:
    replicas = {
        "https://far.org/f": {"priority": 1, "type": "DISK"},
        "root://far.org//f": {"priority": 2, "type": "DISK"},
        "root://farther.org//f": {"priority": 3},
        "https://near.org/f": {"priority": 4, "type": "DISK"},
        "root://tape.org//f": {"priority": 5, "type": "TAPE"},
        "http://plain.org/f": {"priority": 6},
        "srm://old.org/f": {"priority": 7},
    }
    site = Inputs(schemes=("root", "https"), site_replicas=("*near.org/*",))
    assert in_order(replicas, site) == (
        "https://near.org/f",
        "root://far.org//f",
        "root://farther.org//f",
        "https://far.org/f",
    )


PASSWORD = "a-test's-own"


@pytest.fixture
def rucio_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Rucio's own client, configured for a server as an operator would."""

    def configured(url: str) -> Settings:
        for name, value in rucio_client(url, tmp_path, PASSWORD).items():
            monkeypatch.setenv(name, value)
        from rucio.common import config

        config.clean_cached_config()
        return Settings(rucio_account="me", inputs=Inputs(schemes=("root", "https")))

    return configured


DATASETS = {
    "data:whole": [
        rucio_file("2.root", "https://h/2.root", "root://h//2.root"),
        rucio_file("1.root", "root://h//1.root"),
    ],
    "data:gap": [rucio_file("1.root", "root://h//1.root"), rucio_file("2.root")],
    "data:empty": [],
}


def test_a_rucio_dataset_is_its_files_by_name(rucio_settings: Any) -> None:
    with catalogue(rucio(DATASETS, PASSWORD)) as server:
        found = find_files("rucio://data:whole", rucio_settings(server.url))
    assert [file.paths for file in found.files] == [("root://h//1.root",), ("root://h//2.root", "https://h/2.root")]
    assert [(file.size, file.events, file.adler32) for file in found.files] == [(10, 5, "00c0ffee")] * 2
    assert (found.size, found.events) == (20, 10)


def test_files_without_a_replica_are_an_error_unless_the_others_do(rucio_settings: Any) -> None:
    with catalogue(rucio(DATASETS, PASSWORD)) as server:
        settings = rucio_settings(server.url)
        with pytest.raises(DatasetError, match=r"1 of 2 files of data:gap have no replica .*get=available") as failed:
            find_files("rucio://data:gap", settings)
        assert failed.value.lookup_status == "internal_failure"
        assert len(find_files("rucio://data:gap?get=available", settings).files) == 1


@pytest.mark.parametrize(("name", "says"), [("nothing", "Rucio has no data:nothing"), ("empty", "has no files")])
def test_what_rucio_does_not_have(rucio_settings: Any, name: str, says: str) -> None:
    with catalogue(rucio(DATASETS, PASSWORD)) as server, pytest.raises(DatasetError, match=says) as failed:
        find_files(f"rucio://data:{name}", rucio_settings(server.url))
    assert failed.value.lookup_status == "does_not_exist"


def test_a_rucio_that_is_not_there(rucio_settings: Any) -> None:
    with catalogue(rucio(DATASETS, PASSWORD)) as server:
        url = server.url
    with pytest.raises(DatasetError, match="cannot be asked for data:whole") as failed:
        find_files("rucio://data:whole", rucio_settings(url))
    assert failed.value.lookup_status == "internal_failure"
