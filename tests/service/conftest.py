"""Databases for the tests of the service: SQLite in a file, and PostgreSQL from the system's package.

`database` is a fresh one of each kind, with the tables made. One PostgreSQL server runs for the whole session, on a
Unix socket in a folder of its own. Its programs are looked for in PATH and where Debian's package puts them.
"""

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from lifeline import on_a_lifeline

from delivery.service import state
from delivery.service.database import Database
from delivery.service.tables import Transform

NUMBERS = count(1)


def postgresql_program(name: str) -> str:
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda place: float(place.parent.name), reverse=True)
    found = shutil.which(name) or next((str(place / name) for place in places if (place / name).exists()), None)
    if found is None:
        pytest.fail(f"these tests need PostgreSQL's {name}: apt-get install postgresql")
    return found


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[Path]:
    """The folder of a running server's socket; its superuser is ``skimflow``, without a password."""
    folder = Path(tempfile.mkdtemp(prefix="skimflow-postgresql-"))
    who: dict[str, Any] = {}
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        nobody = pwd.getpwnam("nobody")
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        who = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
    cluster = folder / "cluster"
    options = ["--auth=trust", "--username=skimflow", "--no-sync", "--encoding=UTF8", "--no-locale"]
    subprocess.run([postgresql_program("initdb"), "-D", cluster, *options], cwd=folder, check=True, **who)
    settings = ["fsync=off", "listen_addresses=", f"unix_socket_directories={folder}", "max_connections=200"]
    words = [word for one in settings for word in ("-c", one)]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            on_a_lifeline([postgresql_program("postgres"), "-D", str(cluster), *words]),
            cwd=folder,
            stdout=log,
            stderr=log,
            **who,
        )
    try:
        _wait(server, folder)
        yield folder
    finally:
        server.send_signal(2)  # SIGINT: it ends sessions, and then itself
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _wait(server: "subprocess.Popen[bytes]", folder: Path) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            psycopg.connect(host=str(folder), user="skimflow", dbname="postgres").close()
        except psycopg.OperationalError:
            if server.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"PostgreSQL did not start:\n{(folder / 'log').read_text()}")
            time.sleep(0.05)
        else:
            return


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database, of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'service.sqlite'}"
    folder: Path = request.getfixturevalue("postgresql_server")
    name = f"test_{next(NUMBERS)}"
    with psycopg.connect(host=str(folder), user="skimflow", dbname="postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type]
    return f"postgresql://skimflow@/{name}?host={folder}"


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A database with the tables of this version, of each kind."""
    opened = Database(database_url)
    opened.upgrade()
    yield opened
    opened.close()


@pytest.fixture
def new_request(database: Database) -> Callable[..., Transform]:
    """Submit a request with so many files; other columns by name."""

    def make(files: int | None = 3, **columns: Any) -> Transform:
        return database.transact(lambda session: submitted(session, files, **columns))

    return make


def submitted(session: Any, files: int | None, **columns: Any) -> Transform:
    usual = {
        "request_id": f"00000000-0000-4000-8000-{next(NUMBERS):012d}",
        "owner_id": None,
        "title": "a sample",
        "did": "File List",
        "dataset_id": None,
        "max_files": None,
        "selection": "(call EventDataset)",
        "codegen": "uproot",
        "semantics": "servicex",
        "tree": None,
        "result_destination": "object-store",
        "result_format": "parquet",
        "partial": False,
        "priority": 0,
    }
    transform = state.submit(session, **{**usual, **columns})
    if files is not None:
        state.set_files(session, transform, [[f"/data/file{place}.root"] for place in range(files)])
    return transform
