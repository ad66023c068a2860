"""Changing rows by one statement, past the session's unit of work."""

from collections.abc import Sequence
from typing import Any, Final, cast

from sqlalchemy import CursorResult, Delete, Update, bindparam, update
from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import set_committed_value

from delivery.service.tables import Transform, TransformFile

_UPDATE: Final = {
    row: update(row).where(row.id == bindparam("which")).execution_options(synchronize_session=False)
    for row in (Transform, TransformFile)
}


def changed(session: Session, statement: Update | Delete) -> int:
    """How many rows the statement changed; objects of the session that stand for them are read anew when asked."""
    session.flush()
    result = session.execute(statement.execution_options(synchronize_session=False))
    session.expire_all()
    return cast("CursorResult[tuple[()]]", result).rowcount


def write(session: Session, row: Transform, values: dict[str, Any]) -> None:
    """Set columns of one row, now, in a third of the time that a flush takes; the object shows them."""
    session.connection().execute(_UPDATE[Transform], {**values, "which": row.id})
    _show(row, values)


def write_files(session: Session, files: Sequence[TransformFile], values: Sequence[dict[str, Any]]) -> None:
    """The same for files, of which each has values of its own for the same columns."""
    session.connection().execute(
        _UPDATE[TransformFile], [{**each, "which": file.id} for file, each in zip(files, values, strict=True)]
    )
    for file, each in zip(files, values, strict=True):
        _show(file, each)


def _show(row: Transform | TransformFile, values: dict[str, Any]) -> None:
    for name, value in values.items():
        set_committed_value(row, name, value)
