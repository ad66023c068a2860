"""Requests: from their submission to their end."""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import delete as delete_rows
from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from delivery.service.errors import Conflict
from delivery.service.state.names import object_names
from delivery.service.state.rows import changed
from delivery.service.tables import Result, Transform, TransformFile, utc_now

OPEN: Final = ("Submitted", "Lookup", "Pending Lookup", "Running")
"""A request's states before its end."""

ENDED: Final = ("Complete", "Fatal", "Canceled", "Bad Dataset")
"""A request's last states."""


def submit(
    session: Session,
    *,
    request_id: str,
    owner_id: int | None,
    title: str | None,
    did: str,
    dataset_id: int | None,
    max_files: int | None,
    selection: str,
    codegen: str,
    semantics: str,
    tree: str | None,
    result_destination: str,
    result_format: str,
    partial: bool,
    priority: int,
    status: str = "Submitted",
) -> Transform:
    """A new request, without files as yet; the columns are described at `Transform`."""
    transform = Transform(
        request_id=request_id,
        owner_id=owner_id,
        title=title,
        did=did,
        dataset_id=dataset_id,
        max_files=max_files,
        selection=selection,
        codegen=codegen,
        semantics=semantics,
        tree=tree,
        result_destination=result_destination,
        result_format=result_format,
        partial=partial,
        priority=priority,
        status=status,
        version=1,
    )
    session.add(transform)
    session.flush()
    return transform


def locked(session: Session, transform_id: int) -> Transform | None:
    """The request as it is now; nobody else changes it before this transaction ends. None if it is gone."""
    session.flush()
    return session.get(Transform, transform_id, populate_existing=True, with_for_update=True)


def set_status(session: Session, transform: Transform, status: str) -> bool:
    """Whether an open request without files is in another open state now ("Lookup", "Pending Lookup", …)."""
    now = locked(session, transform.id)
    if now is None or now.status not in OPEN or now.files or status == now.status:
        return False
    now.status = status
    now.version += 1
    session.flush()
    return True


def set_files(session: Session, transform: Transform, paths: Sequence[Sequence[str]]) -> bool:
    """Give a request its files, once; it runs then, or is complete if there are none.

    paths: for each file its replicas, in the order in which they are to be tried.

    Returns whether it did: a request that has files or is ended keeps what it has.
    """
    now = locked(session, transform.id)
    if now is None or now.files or now.status not in OPEN:
        return False
    now.files = len(paths)
    now.status = "Running"
    now.version += 1
    if paths:
        names = object_names([replicas[0] for replicas in paths], now.result_format)
        rows = [
            {
                "transform_id": now.id,
                "place": place,
                "paths": list(replicas),
                "object_name": name,
                "version": now.version,
            }
            for place, (replicas, name) in enumerate(zip(paths, names, strict=True))
        ]
        session.execute(insert(TransformFile), rows)
    else:
        now.start_time = utc_now()
        _close(now, "Complete")
    session.flush()
    return True


def finish_if_ended(session: Session, transform: Transform) -> None:
    """End a locked request whose last file has just ended."""
    if transform.files_completed + transform.files_failed < transform.files:
        return
    if transform.files_failed == 0:
        _close(transform, "Complete")
        return
    session.flush()
    failed = TransformFile.transform_id == transform.id, TransformFile.state == "failed"
    reason = session.scalar(select(TransformFile.error).where(*failed).order_by(TransformFile.place).limit(1))
    _close(transform, "Complete" if transform.partial else "Fatal")
    transform.failure = f"{transform.files_failed} of {transform.files} files failed; the first: {reason}"


def end(session: Session, transform: Transform, status: str, failure: str | None) -> bool:
    """End an open request as a whole: "Bad Dataset", or "Fatal" for what no file is to blame for.

    failure: why, one sentence. Its open files are canceled. Returns whether it was open.
    """
    now = locked(session, transform.id)
    if now is None or now.status not in OPEN:
        return False
    now.version += 1
    _close(now, status)
    now.failure = failure
    _cancel_files(session, now)
    session.flush()
    return True


def cancel(session: Session, transform: Transform) -> None:
    """End an open request at once; its results stay. Tasks under way have nothing to record any more.

    Raises Conflict if it is ended.
    """
    now = locked(session, transform.id)
    if now is None or now.status not in OPEN:
        raise Conflict(f"request {transform.request_id} is ended ({_status(now)}) and cannot be canceled")
    now.target = "Canceled"
    now.version += 1
    _close(now, "Canceled")
    _cancel_files(session, now)
    session.flush()


def cancel_all(session: Session, owner_id: int | None) -> list[Transform]:
    """Cancel a user's open requests (None: everybody's), and return them."""
    query = select(Transform.id).where(Transform.status.in_(OPEN)).order_by(Transform.id)
    if owner_id is not None:
        query = query.where(Transform.owner_id == owner_id)
    canceled = []
    for number in session.scalars(query).all():
        transform = locked(session, number)
        if transform is not None and transform.status in OPEN:
            cancel(session, transform)
            canceled.append(transform)
    return canceled


def retry(session: Session, transform: Transform) -> int:
    """Run again what an ended request has not: its failed and canceled files. Returns how many wait now.

    One that ended before its files were known (a bad dataset, an early cancel) is looked up again. Results that there
    are stay as they are.

    Raises Conflict if the request is open.
    """
    now = locked(session, transform.id)
    if now is None or now.status not in ENDED or now.target == "Deleted":
        raise Conflict(f"request {transform.request_id} is not ended ({_status(now)}); it can be tried again then")
    if now.files == 0 and now.status != "Complete":
        _open_again(now, "Submitted")
        session.flush()
        return 0
    again = TransformFile.transform_id == now.id, TransformFile.state.in_(("failed", "canceled"))
    numbers = select(TransformFile.id).where(*again)
    changed(session, delete_rows(Result).where(Result.file_id.in_(numbers)))
    waiting = {
        "state": "waiting",
        "attempts": 0,
        "kills": 0,
        "started_at": None,
        "finished_at": None,
        "not_before": None,
        "worker": None,
        "events_done": 0,
        "error_kind": None,
        "error": None,
        "version": now.version + 1,
    }
    count = changed(session, update(TransformFile).where(*again).values(waiting))
    if count:
        now.files_failed = 0
        _open_again(now, "Running")
    session.flush()
    return count


def delete(session: Session, transform: Transform) -> None:
    """Take a request out of sight; an open one is canceled. `purge` removes it when none of its tasks runs."""
    now = locked(session, transform.id)
    if now is None or now.target == "Deleted":
        return
    if now.status in OPEN:
        cancel(session, now)
    now.target = "Deleted"
    now.version += 1
    session.flush()


def _status(transform: Transform | None) -> str:
    return "Deleted" if transform is None or transform.target == "Deleted" else transform.status


def _open_again(transform: Transform, status: str) -> None:
    transform.status = status
    transform.target = "Complete"
    transform.finish_time = None
    transform.failure = None
    transform.upstream_id = None  # what is missing is asked for anew
    transform.version += 1


def _close(transform: Transform, status: str) -> None:
    transform.status = status
    transform.finish_time = transform.last_used = utc_now()


def _cancel_files(session: Session, transform: Transform) -> None:
    """Its open files are canceled, at the request's version of now."""
    canceled = {"state": "canceled", "worker": None, "finished_at": utc_now(), "version": transform.version}
    still = TransformFile.transform_id == transform.id, TransformFile.state.in_(("waiting", "running"))
    changed(session, update(TransformFile).where(*still).values(canceled))
