"""Transactions are done exactly once or not at all, whatever happens to the connection."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.orm import Session

from delivery.service import database as database_module
from delivery.service import state
from delivery.service.database import Database
from delivery.service.errors import ServiceError, Unavailable
from delivery.service.tables import Transform, User


def add_user(session: Session, name: str = "ada") -> str:
    session.add(User(name=name))
    session.flush()
    return name


def users(database: Database) -> int:
    with database.reading() as session:
        return session.scalar(text("SELECT count(*) FROM users")) or 0


def terminate(session: Session, database: Database) -> None:
    """Another connection ends this session's, as an administrator or a restart would."""
    number = session.scalar(text("SELECT pg_backend_pid()"))
    with database.engine.connect() as other:
        other.execute(text("SELECT pg_terminate_backend(:n, 5000)"), {"n": number})


on_postgresql = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


def test_session_commits_at_its_end(database: Database) -> None:
    with database.session() as session:
        add_user(session)
    assert users(database) == 1


def test_an_exception_undoes_all(database: Database) -> None:
    with pytest.raises(DBAPIError, match=r"(?i)unique"), database.session() as session:
        session.add_all([User(name="ada"), User(name="ada")])
    assert users(database) == 0


def test_transact_gives_what_the_work_gave(database: Database) -> None:
    assert database.transact(add_user) == "ada"
    assert users(database) == 1


def test_an_error_of_the_work_is_not_repeated(database: Database) -> None:
    calls = []

    def work(session: Session) -> None:
        calls.append(add_user(session))
        raise Unavailable("no workers")

    with pytest.raises(Unavailable, match="no workers"):
        database.transact(work)
    assert (len(calls), users(database)) == (1, 0)


def test_reading_does_not_write(database: Database) -> None:
    with pytest.raises(DBAPIError, match=r"(?i)read.?only"), database.reading() as session:
        add_user(session)
    database.transact(add_user)
    assert users(database) == 1


def test_reading_sees_one_moment_and_waits_for_no_writer(database: Database) -> None:
    with database.reading() as session:
        before = session.scalar(text("SELECT count(*) FROM users"))
        database.transact(add_user)
        assert session.scalar(text("SELECT count(*) FROM users")) == before == 0


def test_writers_of_many_threads_lose_no_update(database: Database) -> None:
    database.transact(add_user)

    def raise_by_one(session: Session) -> None:
        user = session.query(User).with_for_update().one()
        user.last_token += 1

    threads = [threading.Thread(target=lambda: [database.transact(raise_by_one) for _ in range(25)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.reading() as session:
        assert session.query(User).one().last_token == 200


def test_a_lock_held_by_another_process_is_waited_for(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/service.sqlite"
    database = Database(url)
    database.upgrade()
    program = (
        "import sys, time; from delivery.service.database import Database; d = Database(sys.argv[1])\n"
        "with d.session():\n    print('held', flush=True); time.sleep(1)"
    )
    with subprocess.Popen([sys.executable, "-c", program, url], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        database.transact(add_user)
    assert users(database) == 1
    database.close()


def test_a_lock_that_is_not_given_back_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_module, "LOCK_SECONDS", 0.1)
    monkeypatch.setattr(database_module, "PATIENCE_SECONDS", 0.3)
    path = tmp_path / "service.sqlite"
    one, other = Database(f"sqlite:///{path}"), Database(f"sqlite:///{path}")
    one.upgrade()
    with one.session() as session:
        add_user(session, "bob")
        with pytest.raises(Unavailable, match="has held"):
            one.transact(add_user)
        with pytest.raises(Unavailable, match="database is locked"):
            other.transact(add_user)
    other.transact(add_user)
    assert users(one) == 2
    one.close()
    other.close()


@on_postgresql
def test_a_connection_lost_in_the_middle_is_repeated(database: Database) -> None:
    calls = []

    def work(session: Session) -> str:
        calls.append(add_user(session))
        if len(calls) == 1:
            terminate(session, database)
        return session.scalars(text("SELECT name FROM users")).one()

    assert database.transact(work) == "ada"
    assert (len(calls), users(database)) == (2, 1)


@on_postgresql
@pytest.mark.parametrize("committed", [True, False])
def test_a_connection_lost_while_it_commits_is_done_once(database: Database, committed: bool) -> None:
    """The answer to COMMIT never arrives: whether it was done, only the server knows."""
    calls = []

    def lose(connection) -> None:
        if len(calls) != 1:
            return
        calls.append("lost")
        raw = connection.connection.driver_connection
        if committed:
            raw.commit()
        with database.engine.connect() as other:
            other.execute(text("SELECT pg_terminate_backend(:n, 5000)"), {"n": raw.info.backend_pid})

    def work(session: Session) -> str:
        calls.append("work")
        return add_user(session)

    event.listen(database.engine, "commit", lose)
    assert database.transact(work) == "ada"
    assert calls == (["work", "lost"] if committed else ["work", "lost", "work"])
    assert users(database) == 1


@on_postgresql
def test_deadlocks_are_repeated(database: Database) -> None:
    for name in ("ada", "bob"):
        database.transact(lambda session, name=name: add_user(session, name))
    both = threading.Barrier(2)
    ended = []

    def work(names: tuple[str, str], first: list[bool]) -> Callable[[Session], None]:
        def run(session: Session) -> None:
            raising = text("UPDATE users SET last_token = last_token + 1 WHERE name = :name")
            session.execute(raising, {"name": names[0]})
            if first:
                first.clear()
                both.wait(20)
            session.execute(raising, {"name": names[1]})

        return run

    def run(*names: str) -> None:
        database.transact(work((names[0], names[1]), [True]))
        ended.append(names)

    threads = [threading.Thread(target=run, args=names) for names in (("ada", "bob"), ("bob", "ada"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.reading() as session:
        assert session.scalars(text("SELECT last_token FROM users")).all() == [2, 2]
    assert len(ended) == 2


def test_no_server_is_unavailable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_module, "PATIENCE_SECONDS", 0.2)
    database = Database(f"postgresql://someone:password@/nothing?host={tmp_path}")
    for call in (database.check, database.upgrade, lambda: database.transact(add_user)):
        with pytest.raises(Unavailable, match="does not answer") as told:
            call()
        assert "password" not in str(told.value).replace("fe_sendauth: no password supplied", "")
        assert isinstance(told.value.__cause__, OperationalError)


def test_a_full_disk_is_unavailable_until_there_is_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite's own bound on pages ends writing as a full disk does, with the same error."""
    monkeypatch.setattr(database_module, "PATIENCE_SECONDS", 0.2)
    database = Database(f"sqlite:///{tmp_path}/service.sqlite")
    database.upgrade()
    pages = [60]
    event.listen(database.engine, "checkout", lambda raw, *_: raw.execute(f"PRAGMA max_page_count={pages[0]}").close())

    def fill(session: Session) -> None:
        session.add_all(User(name=f"user {number}", email="x" * 200) for number in range(2000))

    with pytest.raises(Unavailable, match="disk is full"):
        database.transact(fill)
    database.check()
    assert users(database) == 0
    pages[0] = 100_000
    database.transact(fill)
    assert users(database) == 2000
    database.close()


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "mysql://host/name", "nothing", "oracle://x"])
def test_other_databases_are_refused(url: str) -> None:
    with pytest.raises(ServiceError, match="setting `database`"):
        Database(url)


def test_spellings_of_postgresql() -> None:
    for scheme in ("postgres", "postgresql", "postgresql+psycopg", "postgresql+psycopg2"):
        assert Database(f"{scheme}://a:secret@host/name").shown == "postgresql+psycopg://a:***@host/name"


WRITER = """
import sys
from delivery.service import state
from delivery.service.database import Database
database = Database(sys.argv[1])
print("ready", flush=True)
for number in range(1, 400):
    database.transact(lambda session: state.record_done(session, number, state.Done("p", "k", "d", 7, 10, 5)))
"""


def test_a_killed_process_leaves_whole_transactions(database_url: str, database: Database, new_request) -> None:
    transform = new_request(400)
    with subprocess.Popen([sys.executable, "-c", WRITER, database_url], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"ready\n"
        while completed(database, transform) < 20 and writer.poll() is None:
            pass
        os.kill(writer.pid, signal.SIGKILL)
    again = Database(database_url)
    again.upgrade()
    with again.session() as session:
        now = state.by_request_id(session, transform.request_id)
        files, results = state.files_of(session, now), state.results_of(session, now)
        done = [file for file in files if file.state == "done"]
        assert now.files_completed == len(results) == len(done) >= 20
        assert now.total_bytes == 7 * len(done)
        if again.engine.dialect.name == "sqlite":
            assert session.scalar(text("PRAGMA integrity_check")) == "ok"
    again.close()


def completed(database: Database, transform: Transform) -> int:
    with database.reading() as session:
        return state.by_request_id(session, transform.request_id).files_completed
