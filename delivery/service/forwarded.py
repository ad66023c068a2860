"""What the database holds of requests that were forwarded: steps within the caller's transaction.

`Transform.upstream_id` is NULL while `Forwarder.submit` is at it (or a retry begins), empty when the request is still
to be handed over, else the request's id at the upstream.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from delivery.service import state
from delivery.service.tables import Dataset, DatasetFile, Transform, TransformFile, utc_now
from delivery.service.upstream import SUBMIT_SECONDS

NOT_KNOWN: Final = "upstream:"
"""Begins the path of a file that only the upstream knows as yet."""


@dataclass(frozen=True, slots=True)
class File:
    """A file of a request, as it is in the database."""

    id: int
    place: int
    path: str
    open: bool


def followed(session: Session, here: Collection[str]) -> list[str]:
    """Open requests of codegens that do not run here, but for new ones that are being submitted just now."""
    settled = utc_now() - timedelta(seconds=2 * SUBMIT_SECONDS)
    ours = Transform.codegen.not_in(here), Transform.status.in_(state.OPEN)
    due = Transform.upstream_id.is_not(None) | (Transform.submit_time < settled) | (Transform.version > 2)
    return list(session.scalars(select(Transform.request_id).where(*ours, due).order_by(Transform.id)))


def released(session: Session) -> list[tuple[str, str, str]]:
    """Requests canceled or deleted here and not yet there: id, id there, "Canceled" or "Deleted"."""
    columns = select(Transform.request_id, Transform.upstream_id, Transform.target)
    gone = Transform.upstream_id.is_not(None), Transform.target.in_(("Canceled", "Deleted"))
    return [(ours, theirs or "", target) for ours, theirs, target in session.execute(columns.where(*gone))]


def submission(session: Session, transform: Transform) -> dict[str, Any]:
    """The body that asks for a request at another ServiceX; for what it has not yet, if it has something."""
    body: dict[str, Any] = {
        "title": transform.title,
        "selection": transform.selection,
        "codegen": transform.codegen,
        "tree-name": transform.tree,
        "result-destination": transform.result_destination,
        "result-format": transform.result_format,
    }
    files = files_of(session, transform.request_id)
    missing = [file.path for file in files if file.open]
    known = not any(path.startswith(NOT_KNOWN) for path in missing)
    if missing and known:
        body["file-list"] = missing
    else:
        listed = _dataset(session, transform)
        if listed is not None and listed.did_finder == "user":
            paths = select(DatasetFile.paths).where(DatasetFile.dataset_id == listed.id).order_by(DatasetFile.place)
            body["file-list"] = [replicas[0] for replicas in session.scalars(paths)]
        else:
            body["did"] = transform.did
    return {name: value for name, value in body.items() if value is not None}


def matched(files: Sequence[File], results: Sequence[Mapping[str, Any]]) -> list[tuple[File, Mapping[str, Any]]]:
    """Each open file with its result, by path; results of paths that we do not know go to files that have none."""
    by_path = {file.path: file for file in files}
    own = {str(result["file-path"]) for result in results}
    free = iter([file for file in files if file.open and file.path not in own])
    pairs = []
    for path, result in {str(result["file-path"]): result for result in results}.items():
        file = by_path.get(path) or next(free, None)
        if file is not None and file.open:
            pairs.append((file, result))
    return pairs


def number(value: Any) -> int | None:
    """A count as answers have it, if it is one."""
    return int(value) if isinstance(value, int | float) else None


def row(session: Session, request_id: str) -> Transform | None:
    """The request, locked; None if it is gone."""
    number = session.scalar(select(Transform.id).where(Transform.request_id == request_id))
    return None if number is None else state.locked(session, number)


def files_of(session: Session, request_id: str) -> list[File]:
    """The request's files in their order."""
    rows = session.scalars(
        select(TransformFile).join(Transform).where(Transform.request_id == request_id).order_by(TransformFile.place)
    )
    return [File(row.id, row.place, row.paths[0], row.state in ("waiting", "running")) for row in rows]


def keep_id(session: Session, request_id: str, upstream_id: str) -> bool:
    """Whether the request, now at the upstream under this id, is still open."""
    transform = row(session, request_id)
    if transform is None or transform.status not in state.OPEN:
        return False
    transform.upstream_id = upstream_id
    dataset = _dataset(session, transform)
    if dataset is not None and dataset.lookup_status == "created":
        dataset.stale = True  # its files are not looked up here: it is nothing to list or to use again
    state.set_status(session, transform, "Lookup")
    return True


def drop_id(session: Session, request_id: str, instead: str | None = None) -> None:
    """The request is not at the upstream (any more). instead: "" if it is to be handed over."""
    transform = row(session, request_id)
    if transform is not None:
        transform.upstream_id = instead


def forget(session: Session, request_id: str) -> None:
    """Remove a request that was never run."""
    transform = row(session, request_id)
    if transform is not None:
        state.purge(session, transform)


def fit(session: Session, request_id: str, count: int) -> list[File]:
    """Give the request as many files as the upstream counts; their paths come with their results."""
    transform = row(session, request_id)
    if transform is None or transform.status not in state.OPEN:
        return []
    names = [f"{NOT_KNOWN}{place}" for place in range(transform.files, count)]
    if transform.files == 0 and names:
        state.set_files(session, transform, [[name] for name in names])
    elif names and any(file.path.startswith(NOT_KNOWN) for file in files_of(session, request_id)):
        transform.version += 1
        rows = [
            {"transform_id": transform.id, "place": place, "paths": [name], "object_name": name}
            for place, name in enumerate(names, transform.files)
        ]
        session.execute(insert(TransformFile), [{**row, "version": transform.version} for row in rows])
        transform.files = count
        session.flush()
    return files_of(session, request_id)


def name_file(session: Session, file_id: int, path: str) -> None:
    """A file that only the upstream knew has a path now, and so a name of its result."""
    file = session.get(TransformFile, file_id)
    if file is None or not file.paths[0].startswith(NOT_KNOWN):
        return
    transform = session.get_one(Transform, file.transform_id)
    (name,) = state.object_names([path], transform.result_format)
    others = TransformFile.transform_id == file.transform_id, TransformFile.id != file.id
    if session.scalar(select(TransformFile.id).where(*others, TransformFile.object_name == name)) is not None:
        name = f"{file.place}-{name}"[:255]
    file.paths, file.object_name = [path], name
    session.flush()


def no_files(session: Session, request_id: str) -> None:
    """The request is complete without any file."""
    transform = row(session, request_id)
    if transform is not None:
        state.set_files(session, transform, [])


def bad_dataset(session: Session, request_id: str, kind: str, reason: str) -> None:
    """End the request, and tell of its dataset what clients ask for then."""
    transform = row(session, request_id)
    if transform is None:
        return
    dataset = _dataset(session, transform)
    if dataset is None or dataset.lookup_status == "complete":  # clients would ask what is wrong with it
        state.end(session, transform, "Fatal", reason)
        return
    dataset.lookup_status, dataset.lookup_error, dataset.stale = kind, reason, True
    state.end(session, transform, "Bad Dataset", reason)


def _dataset(session: Session, transform: Transform) -> Dataset | None:
    return None if transform.dataset_id is None else session.get(Dataset, transform.dataset_id)
