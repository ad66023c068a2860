"""Bring a database to the newest tables."""

from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Connection, Engine, text

from delivery.service.errors import ServiceError

ADVISORY_LOCK: Final = 0x736B696D
"""PostgreSQL's lock that the upgrade holds, "skim" in ASCII."""


def upgrade_to_head(engine: Engine) -> None:
    """Run the steps that are missing, all in one transaction; who comes second waits and finds nothing to do.

    Raises ServiceError if the database is at a step that this version does not know.
    """
    with engine.connect() as connection:
        if connection.dialect.name == "sqlite":
            _outside_transactions(connection, "PRAGMA journal_mode=WAL")  # is kept in the file
            # while a step copies a table and drops the old one, no row of another may go with it
            _outside_transactions(connection, "PRAGMA foreign_keys=OFF")
        try:
            with connection.begin():
                if connection.dialect.name == "postgresql":
                    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": ADVISORY_LOCK})
                _run(connection)
        finally:
            if connection.dialect.name == "sqlite":
                _outside_transactions(connection, "PRAGMA foreign_keys=ON")


def config_for(connection: Connection) -> Config:
    """alembic's configuration for a connection."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def _run(connection: Connection) -> None:
    try:
        command.upgrade(config_for(connection), "head")
    except CommandError as error:
        raise ServiceError(
            f"the database {connection.engine.url.render_as_string(hide_password=True)} was made by another version "
            f"of skimflow ({error}); start that version, or name another database"
        ) from error


def _outside_transactions(connection: Connection, pragma: str) -> None:
    raw = connection.connection.driver_connection
    if raw is not None:
        raw.execute(pragma).close()
