"""Lookups and the requests that wait for them, on both databases; the files are real folders."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from delivery.datasets import lookups
from delivery.service import state
from delivery.service.context import Caller
from delivery.service.database import Database
from delivery.service.protocol import catalog
from delivery.service.settings import Inputs, Settings
from delivery.service.tables import Dataset, Transform, TransformFile, utc_now

HERE = ("uproot", "uproot-raw")
EVERYBODY = Caller(None, "local", "admin")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "data"
    made.mkdir()
    for name in ("b.root", "a.root", "c.root"):
        (made / name).write_bytes(b"root")
    return made


@pytest.fixture
def settings(folder: Path, tmp_path: Path) -> Settings:
    return Settings(data=tmp_path / "service", inputs=Inputs(roots=(folder,)))


@pytest.fixture
def named(database: Database, new_request: Callable[..., Transform]) -> Callable[..., tuple[int, str]]:
    """Submit a request for a dataset's name; the dataset's number and the request's id."""

    def make(name: str, days: float = 1.0, **columns: Any) -> tuple[int, str]:
        number = database.transact(lambda session: catalog.of_name(session, name, "glob", days=days).id)
        return number, new_request(None, dataset_id=number, did=name, **columns).request_id

    return make


def transform(database: Database, request_id: str) -> Transform:
    with database.reading() as session:
        return state.by_request_id(session, request_id)


def paths(database: Database, request_id: str) -> list[str]:
    with database.reading() as session:
        found = state.files_of(session, state.by_request_id(session, request_id))
        return [file.paths[0] for file in sorted(found, key=lambda file: file.place)]


def wanted(database: Database) -> list[int]:
    with database.reading() as session:
        return lookups.wanted(session, HERE)


def test_one_lookup_serves_all_who_wait(database: Database, named: Any, settings: Settings, folder: Path) -> None:
    name = f"glob://{folder}/*.root"
    number, first = named(name)
    other, second = named(name, max_files=2)
    assert other == number
    assert wanted(database) == [number]
    assert set(lookups.look_up(database, settings, number)) == {first, second}
    assert paths(database, first) == [f"{folder}/{each}.root" for each in "abc"]
    assert paths(database, second) == [f"{folder}/{each}.root" for each in "ab"]
    assert transform(database, first).status == "Running"
    with database.reading() as session:
        dataset = session.get_one(Dataset, number)
        assert (dataset.lookup_status, dataset.n_files, dataset.size) == ("complete", 3, 12)
        assert [file.paths for file in catalog.files_of(session, dataset)] == [[f"{folder}/{x}.root"] for x in "abc"]
    assert wanted(database) == []
    assert lookups.look_up(database, settings, number) == []  # once more, as after a crash


def test_a_lookup_is_used_again_until_it_is_old(
    database: Database, named: Any, settings: Settings, folder: Path
) -> None:
    name = f"glob://{folder}/*.root"
    number, _ = named(name)
    lookups.look_up(database, settings, number)
    (folder / "d.root").write_bytes(b"root")
    again, request = named(name)
    assert again == number
    assert database.transact(lambda session: lookups.give_files(session, HERE)) == [request]
    assert len(paths(database, request)) == 3

    def age(session: Any) -> None:
        session.get_one(Dataset, number).last_updated = utc_now() - timedelta(days=2)

    database.transact(age)
    assert named(name, days=3.0)[0] == number
    newer, request = named(name, days=1.0)
    assert newer != number
    lookups.look_up(database, settings, newer)
    assert len(paths(database, request)) == 4
    with database.reading() as session:
        assert [each.id for each in catalog.listed(session, EVERYBODY, None, stale=False)] == [newer]


def test_a_deleted_dataset_is_looked_up_anew(database: Database, named: Any, settings: Settings, folder: Path) -> None:
    number, _ = named(f"glob://{folder}/*.root")
    lookups.look_up(database, settings, number)
    database.transact(lambda session: catalog.make_stale(session, catalog.by_id(session, number, EVERYBODY), EVERYBODY))
    assert named(f"glob://{folder}/*.root")[0] != number


def test_a_bad_dataset_ends_its_requests_and_is_not_used_again(
    database: Database, named: Any, settings: Settings, folder: Path
) -> None:
    name = f"glob://{folder}/*.rot"
    number, request = named(name)
    assert lookups.look_up(database, settings, number) == [request]
    ended = transform(database, request)
    assert (ended.status, ended.failure) == ("Bad Dataset", f"no file matches {folder}/*.rot")
    with database.reading() as session:
        dataset = catalog.by_id(session, number, EVERYBODY)  # the official client asks for it by its number
        assert (dataset.lookup_status, dataset.lookup_error) == ("does_not_exist", ended.failure)
    (folder / "late.rot").write_bytes(b"root")
    again, second = named(name)
    assert again != number
    lookups.look_up(database, settings, again)
    assert paths(database, second) == [f"{folder}/late.rot"]
    database.transact(lambda session: state.retry(session, state.by_request_id(session, request)))
    assert wanted(database) == [number]
    lookups.look_up(database, settings, number)
    assert paths(database, request) == [f"{folder}/late.rot"]


def test_a_canceled_request_wants_no_lookup(database: Database, named: Any, settings: Settings, folder: Path) -> None:
    number, request = named(f"glob://{folder}/*.root")
    database.transact(lambda session: state.cancel(session, state.by_request_id(session, request)))
    assert wanted(database) == []
    lookups.look_up(database, settings, number)
    assert transform(database, request).status == "Canceled"
    assert paths(database, request) == []


def test_requests_of_other_codegens_wait_elsewhere(database: Database, named: Any, folder: Path) -> None:
    named(f"glob://{folder}/*.root", codegen="atlasr22")
    assert wanted(database) == []
    with database.reading() as session:
        assert lookups.give_files(session, HERE) == []


def test_two_who_name_a_new_dataset_at_once_share_it(database: Database, folder: Path) -> None:
    name = f"glob://{folder}/*.root"

    def submit(_: int) -> int:
        return database.transact(lambda session: catalog.of_name(session, name, "glob", days=1.0).id)

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(submit, range(24)))) == 1
    with database.reading() as session:
        assert session.scalars(select(TransformFile.id)).all() == []
