"""What is said between client and service: plain frozen values, made from and put into the wire's JSON."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from delivery.requests import CutflowRow

ENDED = frozenset({"Complete", "Fatal", "Canceled", "Bad Dataset"})
"""Statuses that do not change any more, but by a retry."""

SECRET = ("minio-access-key", "minio-secret-key")


@dataclass(frozen=True, slots=True)
class Submission:
    """A query on files: on ``files`` (paths that the service's machine knows, URLs) or on the dataset ``did``.

    ``request_id`` is chosen here, so that a submission whose answer was lost can be sent again and is one request.
    """

    selection: str
    files: tuple[str, ...] = ()
    did: str | None = None
    title: str | None = None
    codegen: str = "uproot"
    format: str = "parquet"
    tree: str | None = None
    semantics: str = "servicex"
    partial: bool = False
    priority: int = 0
    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))

    def to_wire(self) -> dict[str, Any]:
        """The body of the call, without what is not set."""
        body = {
            "request-id": self.request_id,
            "title": self.title,
            "did": self.did,
            "file-list": list(self.files) or None,
            "selection": self.selection,
            "codegen": self.codegen,
            "result-destination": "object-store",
            "result-format": self.format,
            "tree-name": self.tree,
            "semantics": self.semantics,
            "partial": self.partial,
            "priority": self.priority,
        }
        return {name: value for name, value in body.items() if value is not None}


@dataclass(frozen=True, slots=True)
class RequestStatus:
    """How far a request is. ``files`` is 0 until they are known; ``document`` is the whole answer, without keys."""

    request_id: str
    title: str
    did: str
    codegen: str
    format: str
    status: str
    failure: str
    files: int
    completed: int
    failed: int
    events: int
    bytes: int
    submitted: str
    finished: str
    version: int
    document: Mapping[str, Any]

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen."""
        return self.status in ENDED

    @classmethod
    def from_wire(cls, row: Mapping[str, Any]) -> "RequestStatus":
        """The status object of the protocol."""
        return cls(
            request_id=row["request_id"],
            title=row.get("title") or "",
            did=row.get("did") or "",
            codegen=row.get("codegen") or "",
            format=row.get("result-format") or "",
            status=row["status"],
            failure=row.get("failure-info") or "",
            files=row["files"],
            completed=row["files-completed"],
            failed=row["files-failed"],
            events=row.get("total-events") or 0,
            bytes=row.get("total-bytes") or 0,
            submitted=row.get("submit-time") or "",
            finished=row.get("finish-time") or "",
            version=row.get("version") or 0,
            document={name: value for name, value in row.items() if name not in SECRET},
        )


@dataclass(frozen=True, slots=True)
class FileState:
    """How far one file of a request is: ``waiting``, ``running``, ``done``, ``failed`` or ``canceled``."""

    place: int
    path: str
    object_name: str
    state: str
    attempts: int
    worker: str
    events_done: int
    events_total: int | None
    error_kind: str
    error: str
    document: Mapping[str, Any]

    @classmethod
    def from_wire(cls, row: Mapping[str, Any]) -> "FileState":
        """A row of the files call."""
        return cls(
            place=row["place"],
            path=(row.get("paths") or [""])[0],
            object_name=row["object-name"],
            state=row["state"],
            attempts=row["attempts"],
            worker=row.get("worker") or "",
            events_done=row.get("events-done") or 0,
            events_total=row.get("events-total"),
            error_kind=row.get("error-kind") or "",
            error=row.get("error") or "",
            document=dict(row),
        )


@dataclass(frozen=True, slots=True)
class FileResult:
    """A file's result: its object's name, size and SHA-256, and what the engine counted when it made it.

    ``file`` is the service's number of the file.
    """

    file: int
    object_name: str
    path: str
    bytes: int
    digest: str
    events_in: int | None
    events_out: int
    cutflow: tuple[CutflowRow, ...]
    warnings: tuple[str, ...]
    sum_of_weights: float | None
    seconds: float
    bytes_read: int
    reused: bool

    @classmethod
    def from_wire(cls, row: Mapping[str, Any]) -> "FileResult | None":
        """A row of the results call; None for a failure, whose file's row says why."""
        if row["transform_status"] != "success" or not row.get("sha256"):
            return None
        return cls(
            file=row["file-id"],
            object_name=row["s3-object-name"],
            path=row["file-path"],
            bytes=row["total-bytes"],
            digest=row["sha256"],
            events_in=row.get("events-in"),
            events_out=row["total-events"],
            cutflow=tuple(CutflowRow(text, passed) for text, passed in row.get("cutflow") or ()),
            warnings=tuple(row.get("warnings") or ()),
            sum_of_weights=row.get("sum-of-weights"),
            seconds=row["transform_time"],
            bytes_read=row.get("bytes-read") or 0,
            reused=bool(row.get("reused")),
        )


@dataclass(frozen=True, slots=True)
class Update:
    """The request as it is now, and the files and results that are new or have changed since the last update."""

    status: RequestStatus
    files: tuple[FileState, ...]
    results: tuple[FileResult, ...]

    @classmethod
    def from_wire(cls, document: Mapping[str, Any]) -> "Update":
        """The data of one event."""
        results = map(FileResult.from_wire, document.get("results") or ())
        return cls(
            RequestStatus.from_wire(document["status"]),
            tuple(map(FileState.from_wire, document.get("files") or ())),
            tuple(result for result in results if result is not None),
        )
