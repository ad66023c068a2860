"""A result whose bytes are gone is made anew: its file waits again, and its request runs until it is there."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from delivery.service import state
from delivery.service.tables import Result, Transform, TransformFile


def restore(session: Session, request_id: str, object_name: str) -> bool:
    """Whether the object's file waits or runs now; False if there is no such object, or its request was deleted."""
    number = session.scalar(select(Transform.id).where(Transform.request_id == request_id))
    transform = state.locked(session, number) if number is not None else None
    if transform is None or transform.target == "Deleted":
        return False
    query = select(TransformFile).where(
        TransformFile.transform_id == transform.id, TransformFile.object_name == object_name
    )
    file = session.scalar(query.with_for_update())
    if file is None or file.state in ("failed", "canceled"):
        return False
    if file.state in ("waiting", "running"):
        return True
    result = session.scalar(select(Result).where(Result.file_id == file.id))
    if result is not None:
        transform.total_events -= result.events_in or 0
        transform.total_bytes -= result.bytes
        session.delete(result)
    transform.files_completed -= 1
    transform.status, transform.target = "Running", "Complete"
    transform.finish_time = transform.failure = None
    transform.version += 1
    file.state, file.attempts, file.kills, file.finished_at, file.version = "waiting", 0, 0, None, transform.version
    session.flush()
    return True
