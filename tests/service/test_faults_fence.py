"""A service process that was held up for longer than its lease writes nothing when it goes on."""

from collections.abc import Callable

import pytest

from delivery.service import state
from delivery.service.changes import Changes
from delivery.service.database import Database
from delivery.service.runner.flights import Waiter
from delivery.service.runner.ledger import Ledger, NotLeading
from delivery.service.runner.runner import LEASE
from delivery.service.tables import Transform, TransformFile


def test_who_has_lost_the_lease_marks_no_file(database: Database, new_request: Callable[..., Transform]) -> None:
    transform = new_request(1)
    with database.reading() as session:
        (file,) = state.files_of(session, transform)
    ledger = Ledger(database, Changes(), lambda session: state.holds_lease(session, LEASE, "held up"))
    waiter = Waiter(file.id, transform.id, transform.request_id, tuple(file.paths), 0, 0)

    assert database.transact(lambda session: state.acquire_lease(session, LEASE, "held up", 0.0))
    assert database.transact(lambda session: state.acquire_lease(session, LEASE, "next", 6.0)), "it has run out"
    ledger.start(waiter, lambda _: None)
    with pytest.raises(NotLeading):
        ledger.commit()
    with database.reading() as session:
        assert session.get_one(TransformFile, file.id).state == "waiting"


def test_who_has_the_lease_does(database: Database, new_request: Callable[..., Transform]) -> None:
    transform = new_request(1)
    with database.reading() as session:
        (file,) = state.files_of(session, transform)
    assert database.transact(lambda session: state.acquire_lease(session, LEASE, "leader", 6.0))
    ledger = Ledger(database, Changes(), lambda session: state.holds_lease(session, LEASE, "leader"))
    ledger.start(Waiter(file.id, transform.id, transform.request_id, tuple(file.paths), 0, 0), lambda _: None)
    ledger.commit()
    with database.reading() as session:
        assert session.get_one(TransformFile, file.id).state == "running"


def test_one_file_that_cannot_be_sent_keeps_no_other_back(
    database: Database, new_request: Callable[..., Transform]
) -> None:
    transform = new_request(2)
    with database.reading() as session:
        files = state.files_of(session, transform)
    ledger = Ledger(database, Changes(), lambda _: True)
    sent: list[bool] = []

    def closing(_: bool) -> None:
        raise ConnectionError("closing")

    for file, then in zip(files, (closing, sent.append), strict=True):
        ledger.start(Waiter(file.id, transform.id, transform.request_id, tuple(file.paths), 0, 0), then)
    with pytest.raises(ConnectionError, match="closing"):
        ledger.commit()
    assert sent == [True]
    assert ledger.is_empty
