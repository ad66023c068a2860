"""Forwarded requests in both databases: files that the upstream counts step by step, and what is asked of it."""

from collections.abc import Callable
from typing import Any

from delivery.service import forwarded, state
from delivery.service.database import Database
from delivery.service.forwarded import File, matched
from delivery.service.tables import Dataset, DatasetFile, Transform


def fit(database: Database, request_id: str, count: int) -> list[File]:
    return database.transact(lambda session: forwarded.fit(session, request_id, count))


def body(database: Database, request_id: str) -> dict[str, Any]:
    with database.reading() as session:
        return forwarded.submission(session, state.by_request_id(session, request_id))


def row(database: Database, request_id: str) -> Transform:
    with database.reading() as session:
        return state.by_request_id(session, request_id)


def test_a_count_that_rises_gives_more_files(database: Database, new_request: Callable[..., Transform]) -> None:
    request_id = new_request(None, codegen="atlasr22", did="rucio://a:b").request_id
    assert [file.place for file in fit(database, request_id, 1)] == [0]
    assert row(database, request_id).status == "Running"
    version = row(database, request_id).version
    files = fit(database, request_id, 3)
    assert [(file.place, file.open) for file in files] == [(0, True), (1, True), (2, True)]
    assert (row(database, request_id).files, row(database, request_id).version > version) == (3, True)
    assert fit(database, request_id, 2) == files
    assert row(database, request_id).files == 3


def test_a_lists_files_stay_as_they_are(database: Database, new_request: Callable[..., Transform]) -> None:
    request_id = new_request(2, codegen="atlasr22").request_id
    assert [file.path for file in fit(database, request_id, 5)] == ["/data/file0.root", "/data/file1.root"]
    assert row(database, request_id).files == 2


def test_names_come_with_the_results_and_are_unique(database: Database, new_request: Callable[..., Transform]) -> None:
    request_id = new_request(None, codegen="atlasr22", did="rucio://a:b").request_id
    for file, path in zip(fit(database, request_id, 3), ("root://h//f", "root://h//f", "root://h//g"), strict=True):
        number = file.id
        database.transact(lambda session, number=number, path=path: forwarded.name_file(session, number, path))
    with database.reading() as session:
        found = state.files_of(session, state.by_request_id(session, request_id))
        names = [file.object_name for file in sorted(found, key=lambda file: file.place)]
    assert names == ["root:::h::f.parquet", "1-root:::h::f.parquet", "root:::h::g.parquet"]


def test_only_what_is_missing_is_asked_for_again(database: Database, new_request: Callable[..., Transform]) -> None:
    request_id = new_request(3, codegen="atlasr22").request_id
    assert body(database, request_id)["file-list"] == [f"/data/file{place}.root" for place in range(3)]
    first = fit(database, request_id, 3)[0]
    done = state.Done("/data/file0.root", "0" * 64, "0" * 64, 1, None, 1)
    database.transact(lambda session: state.record_done(session, first.id, done))
    asked = body(database, request_id)
    assert asked["file-list"] == ["/data/file1.root", "/data/file2.root"]
    assert "did" not in asked
    assert asked["codegen"] == "atlasr22"


def test_a_dataset_is_asked_for_by_name_and_a_list_by_its_files(
    database: Database, new_request: Callable[..., Transform]
) -> None:
    def kept(session: Any) -> tuple[int, int]:
        named, listed = Dataset(name="rucio://a:b", did_finder="rucio"), Dataset(name="list", did_finder="user")
        session.add_all([named, listed])
        session.flush()
        session.add(DatasetFile(dataset_id=listed.id, place=0, paths=["root://h//f"]))
        return named.id, listed.id

    named, listed = database.transact(kept)
    did = new_request(None, codegen="atlasr22", did="rucio://a:b?files=3", dataset_id=named).request_id
    assert body(database, did)["did"] == "rucio://a:b?files=3"
    fit(database, did, 2)  # their paths are not known, so all is asked for again
    assert body(database, did)["did"] == "rucio://a:b?files=3"
    files = new_request(None, codegen="atlasr22", did="File List", dataset_id=listed).request_id
    assert body(database, files)["file-list"] == ["root://h//f"]


def test_what_is_due_is_followed(database: Database, new_request: Callable[..., Transform]) -> None:
    fresh = new_request(2, codegen="atlasr22").request_id
    new_request(2, codegen="uproot")

    def followed() -> list[str]:
        with database.reading() as session:
            return forwarded.followed(session, ("uproot",))

    assert followed() == []  # who submits it hands it on
    database.transact(lambda session: forwarded.drop_id(session, fresh, ""))
    assert followed() == [fresh]
    assert database.transact(lambda session: forwarded.keep_id(session, fresh, "there"))
    assert followed() == [fresh]
    database.transact(lambda session: state.cancel(session, state.by_request_id(session, fresh)))
    assert followed() == []
    assert not database.transact(lambda session: forwarded.keep_id(session, fresh, "again"))
    with database.reading() as session:
        assert forwarded.released(session) == [(fresh, "there", "Canceled")]
    database.transact(lambda session: state.retry(session, state.by_request_id(session, fresh)))
    assert followed() == [fresh]


def test_a_deleted_request_is_purged_when_it_is_gone_there_too(
    database: Database, new_request: Callable[..., Transform]
) -> None:
    request_id = new_request(1, codegen="atlasr22").request_id
    database.transact(lambda session: forwarded.keep_id(session, request_id, "there"))
    database.transact(lambda session: state.delete(session, state.by_request_id(session, request_id)))
    with database.reading() as session:
        assert list(state.deleted(session)) == []
        assert forwarded.released(session) == [(request_id, "there", "Deleted")]
    database.transact(lambda session: forwarded.drop_id(session, request_id))
    with database.reading() as session:
        assert [each.request_id for each in state.deleted(session)] == [request_id]


def test_results_go_to_files_by_path_and_the_rest_to_those_without_one() -> None:
    files = [File(1, 0, "a", True), File(2, 1, "upstream:1", True), File(3, 2, "c", False), File(4, 3, "d", True)]
    results = [{"file-path": path} for path in ("x", "c", "a", "x")]
    assert [(file.id, result["file-path"]) for file, result in matched(files, results)] == [(2, "x"), (1, "a")]
