"""The history of the tables leads to what the code expects, however many processes walk it at once."""

import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text

from delivery.service.database import Database
from delivery.service.errors import ServiceError
from delivery.service.migrations.upgrade import config_for
from delivery.service.tables import Table


def test_newest_step_has_the_tables_of_the_code(database: Database) -> None:
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        difference = compare_metadata(context, Table.metadata)
    assert difference == [], 'write the next step: python -m delivery.service.migrations "what changed"'


def test_steps_are_one_line(database: Database) -> None:
    with database.engine.connect() as connection:
        scripts = ScriptDirectory.from_config(config_for(connection))
    assert len(scripts.get_heads()) == 1
    assert len(scripts.get_bases()) == 1


def test_four_processes_upgrade_at_once(database_url: str) -> None:
    program = "import sys; from delivery.service.database import Database; Database(sys.argv[1]).upgrade()"
    racing = [subprocess.Popen([sys.executable, "-c", program, database_url], stderr=subprocess.PIPE) for _ in range(4)]
    for process in racing:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors.decode()
    database = Database(database_url)
    assert set(inspect(database.engine).get_table_names()) == {*Table.metadata.tables, "alembic_version"}
    database.close()


def test_a_second_upgrade_changes_nothing(database: Database, new_request) -> None:
    new_request(2)
    database.upgrade()
    with database.reading() as session:
        assert session.scalar(text("SELECT count(*) FROM transform_files")) == 2


def test_a_database_of_a_newer_version_is_refused(database: Database) -> None:
    with database.session() as session:
        session.execute(text("UPDATE alembic_version SET version_num = 'step_9999'"))
    with pytest.raises(ServiceError, match=r"another version of skimflow .*step_9999"):
        database.upgrade()


def test_numbers_of_removed_rows_are_not_given_again(database: Database, new_request) -> None:
    first = new_request(1)
    with database.session() as session:
        session.execute(text("DELETE FROM transforms"))
    assert new_request(1).id > first.id


def test_sqlite_writes_ahead_and_guards_references(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/100% new/service.sqlite")
    database.upgrade()
    with database.session() as session:
        assert session.scalar(text("PRAGMA journal_mode")) == "wal"
        assert session.scalar(text("PRAGMA foreign_keys")) == 1
        assert session.scalar(text("PRAGMA synchronous")) == 1
    database.close()
