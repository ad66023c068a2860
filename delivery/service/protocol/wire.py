"""Rows of the database as ServiceX's clients want to read them."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from fastapi import Request

from delivery.service.context import service_of
from delivery.service.s3.access import access_for
from delivery.service.secret import Secret
from delivery.service.state import Statistics
from delivery.service.tables import Dataset, DatasetFile, Result, Transform, TransformFile
from delivery.versions import engine_versions

FILE_LIST = "File List Provided in Request"
"""The `did` of requests that bring their own files, as ServiceX has it."""

ENGINE = "skimflow"
LISTED_CHARACTERS = 4096


def app_version() -> str:
    """Of this service."""
    return engine_versions()[ENGINE]


def image(codegen: str) -> str:
    """What stands where ServiceX names the container that runs a codegen."""
    return f"{ENGINE}/{codegen}:{app_version()}"


def base_url(request: Request) -> str:
    """How the caller reaches this service, without a slash at the end."""
    public = service_of(request).settings.public_url
    if public is not None:
        return public.rstrip("/")
    host = request.headers.get("host") or "localhost"
    return f"{request.url.scheme}://{host}"


def status_of(transform: Transform, request: Request, secret: Secret, *, listed: bool = False) -> dict[str, Any]:
    """The status object of a request: complete from the first answer on.

    listed: it is one of many; a selection of more than `LISTED_CHARACTERS` is cut off.
    """
    url = base_url(request)
    store = access_for(transform.request_id, secret, url)
    selection = transform.selection
    return {
        "request_id": transform.request_id,
        "did": transform.did,
        "did_id": transform.dataset_id or 0,
        "title": transform.title,
        "selection": selection[:LISTED_CHARACTERS] if listed else selection,
        "tree-name": transform.tree,
        "image": image(transform.codegen),
        "workers": None,
        "codegen": transform.codegen,
        "code-gen-image": image(transform.codegen),
        "result-destination": transform.result_destination,
        "result-format": transform.result_format,
        "generated-code-cm": "",
        "status": transform.status,
        "failure-info": transform.failure or ("the request was canceled" if transform.status == "Canceled" else None),
        "app-version": app_version(),
        "files": transform.files,
        "files-completed": transform.files_completed,
        "files-failed": transform.files_failed,
        "files-remaining": remaining(transform),
        "submit-time": zulu(transform.submit_time),
        "finish-time": zulu(transform.finish_time) if transform.finish_time else None,
        "total-events": transform.total_events,
        "total-bytes": transform.total_bytes,
        "semantics": transform.semantics,
        "partial": transform.partial,
        "priority": transform.priority,
        "version": transform.version,
        "minio-endpoint": store.endpoint,
        "minio-secured": store.secured,
        "minio-access-key": store.access_key,
        "minio-secret-key": store.secret_key,
        "log-url": f"{url}/transformation-request/{transform.request_id}/logs",
    }


def progress_of(transform: Transform, sums: Statistics) -> dict[str, Any]:
    """The status as clients before 3.0 want it: they ask for ever, unless a request ends Complete or Fatal."""
    return {
        "status": "Fatal" if transform.status in ("Canceled", "Bad Dataset") else transform.status,
        "request-id": transform.request_id,
        "submit-time": zulu(transform.submit_time),
        "finish-time": zulu(transform.finish_time) if transform.finish_time else None,
        "files-completed": transform.files_completed,
        "files-processed": transform.files_completed,
        "files-failed": transform.files_failed,
        "files-skipped": transform.files_failed,
        "files-remaining": remaining(transform),
        "stats": _statistics(sums),
    }


def result_of(result: Result, transform: Transform) -> dict[str, Any]:
    """A row of a request's results."""
    return {
        "id": result.id,
        "request-id": transform.request_id,
        "file-id": result.file_id,
        "file-path": result.file_path,
        "transform_status": result.status,
        "transform_time": result.seconds,
        "total-events": result.events_out,
        "total-bytes": result.bytes,
        "avg-rate": _rate(result.events_in or result.events_out, result.seconds),
        "created_at": result.created_at.isoformat(),
        "s3-object-name": result.object_name,
        "events-in": result.events_in,
        "cutflow": result.cutflow,
        "warnings": result.warnings,
        "sum-of-weights": result.sum_of_weights,
        "bytes-read": result.bytes_read,
        "reused": result.reused,
        "sha256": result.digest,
    }


def file_of(file: TransformFile) -> dict[str, Any]:
    """How far one file is."""
    return {
        "place": file.place,
        "paths": file.paths,
        "object-name": file.object_name,
        "state": file.state,
        "attempts": file.attempts,
        "worker": file.worker,
        "started-at": zulu(file.started_at) if file.started_at else None,
        "finished-at": zulu(file.finished_at) if file.finished_at else None,
        "events-done": file.events_done,
        "events-total": file.events_total,
        "error-kind": file.error_kind,
        "error": file.error,
    }


def error_of(file: TransformFile) -> dict[str, Any]:
    """Why a file failed, as clients before 3.0 want it."""
    return {"file": file.paths[0], "pod-name": file.worker, "events": file.events_done, "info": file.error or ""}


def dataset_of(dataset: Dataset, files: Iterable[DatasetFile] | None = None) -> dict[str, Any]:
    """A dataset, with its files if they are given."""
    row: dict[str, Any] = {
        "id": dataset.id,
        "name": dataset.name,
        "did_finder": dataset.did_finder,
        "n_files": dataset.n_files,
        "size": dataset.size,
        "events": dataset.events,
        "last_used": zulu(dataset.last_used),
        "last_updated": zulu(dataset.last_updated),
        "lookup_status": dataset.lookup_status,
        "lookup_error": dataset.lookup_error,
        "is_stale": dataset.stale,
    }
    if files is not None:
        row["files"] = [
            {
                "id": file.id,
                "adler32": file.adler32,
                "file_size": file.size,
                "file_events": file.events,
                "paths": ",".join(file.paths),
            }
            for file in files
        ]
    return row


def zulu(moment: datetime) -> str:
    """ISO 8601 with a Z: all times of the database are UTC."""
    return f"{moment.isoformat(timespec='microseconds')}Z"


def remaining(transform: Transform) -> int | None:
    """Files that have not ended; None until the files are known."""
    return transform.files - transform.files_completed - transform.files_failed if transform.files else None


def _rate(events: int, seconds: float) -> float:
    return events / seconds if seconds > 0 else 0.0


def _statistics(sums: Statistics) -> dict[str, Any] | None:
    if not sums.results:
        return None
    return {
        "min-time": sums.min_seconds,
        "max-time": sums.max_seconds,
        "avg-time": sums.mean_seconds,
        "total-time": sums.seconds,
        "avg-rate": sums.rate,
        "total-bytes": sums.bytes,
        "total-events": sums.events_out,
    }
