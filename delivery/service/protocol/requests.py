"""Requests: submitted, watched, canceled, tried again, deleted."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from delivery.service import state
from delivery.service.context import Caller, Service, service_of
from delivery.service.errors import BadRequest, Conflict, NotAllowed, NotThere
from delivery.service.protocol import catalog, checks, models
from delivery.service.protocol.wire import base_url, error_of, file_of, progress_of, result_of, status_of
from delivery.service.s3.access import url_for
from delivery.service.sign_in import callers, quotas
from delivery.service.sign_in.callers import caller, submitter
from delivery.service.tables import Transform

router = APIRouter(prefix="/servicex/transformation", tags=["requests"])

Here = Annotated[Service, Depends(service_of)]
Who = Annotated[Caller, Depends(caller)]
RequestId = Annotated[str, Path(json_schema_extra={"format": "uuid"})]
T = TypeVar("T")


@router.post("", response_model=models.RequestId)
def submit(
    request: Request, service: Here, who: Annotated[Caller, Depends(submitter)], submission: models.Submission
) -> dict[str, str]:
    """Ask for a query on files; what cannot be run is refused at once, with its place in the query."""
    limits = callers.limits(request)
    checks.check_request(submission, limits)
    forwarded = checks.runs_upstream(submission, service.settings)
    if forwarded:
        source = checks.forwarded_source(submission, limits)
    else:
        checks.check_selection(submission.codegen, submission.selection, limits)
        source = checks.source_of(submission, service.settings, limits)
    request_id = str(submission.request_id or uuid.uuid4())

    def work(session: Session) -> None:
        if submission.request_id and _is_there(session, request_id, who, submission, source):
            return
        quotas.check_submission(session, who.user_id, limits)
        _submit(session, request_id, who, submission, source, service.settings.dataset_days)

    try:
        service.database.transact(work)
    except IntegrityError:  # it was sent twice at once, and the other was quicker: now it is there
        service.database.transact(work)
    if forwarded and service.forwarder is not None:
        service.forwarder.submit(request_id)
    _changed(service, request_id)
    return {"request_id": request_id}


@router.get("", response_model=models.TransformStatuses)
def listed(
    request: Request,
    service: Here,
    who: Who,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 1000,
    offset: Annotated[int, Query(ge=0, le=2**31)] = 0,
) -> dict[str, Any]:
    """The caller's requests (an admin's: everybody's), the latest first."""
    with service.database.reading() as session:
        found = state.listed(session, None if who.role == "admin" else who.user_id, limit, offset)
        return {"requests": [status_of(each, request, service.secret, listed=True) for each in found]}


@router.post("/cancel-all", response_model=models.Canceled)
def cancel_all(service: Here, who: Who) -> dict[str, list[str]]:
    """Cancel all of the caller's requests that have not ended."""
    canceled = service.database.transact(
        lambda session: [transform.request_id for transform in state.cancel_all(session, who.user_id)]
    )
    for request_id in canceled:
        _changed(service, request_id)
    return {"canceled": canceled}


@router.post("/file-urls", response_model=models.SignedUrls)
def file_urls(request: Request, service: Here, who: Who, wanted: models.FileUrls) -> dict[str, Any]:
    """URLs that open results without a token, for a while."""
    with service.database.reading() as session:
        transform = allowed(session, wanted.request_id, who)
    base, scheme = base_url(request), wanted.scheme or "http"
    uris = {}
    for name in wanted.file_list:
        url, headers, ends = url_for(service, transform, name, scheme, base)
        uris[name] = (url, headers, int(ends.timestamp()))
    return {"uris": uris}


@router.get("/{request_id}", response_model=models.TransformStatus)
def status(request: Request, service: Here, who: Who, request_id: RequestId) -> dict[str, Any]:
    """All about one request."""
    with service.database.reading() as session:
        return status_of(allowed(session, request_id, who), request, service.secret)


@router.delete("/{request_id}", response_model=models.Message)
def delete(service: Here, who: Who, request_id: RequestId) -> dict[str, str]:
    """Delete a request that has ended, and its results."""
    with _as_servicex():
        _change(service, request_id, who, _delete)
    return {"message": f"Deleted transformation request {request_id}"}


@router.get("/{request_id}/status", response_model=models.Progress, response_model_exclude_unset=True)
def progress(service: Here, who: Who, request_id: RequestId, details: bool = False) -> dict[str, Any]:
    """The status as clients before 3.0 ask for it; `details` adds the results."""
    with service.database.reading() as session:
        transform = allowed(session, request_id, who)
        answer = progress_of(transform, state.statistics(session, transform))
        if details:
            answer["details"] = [result_of(result, transform) for result in state.results_of(session, transform)]
        return answer


@router.get("/{request_id}/errors", response_model=models.FileErrors)
def errors(service: Here, who: Who, request_id: RequestId) -> dict[str, Any]:
    """Why files failed, as clients before 3.0 ask for it."""
    with service.database.reading() as session:
        transform = allowed(session, request_id, who)
        return {"errors": [error_of(file) for file in state.files_of(session, transform, states=("failed",))]}


@router.get("/{request_id}/results", response_model=models.Results)
def results(
    service: Here,
    who: Who,
    request_id: RequestId,
    later_than: Annotated[str | None, Query(description="Without effect: rows that came late would be missed")] = None,  # noqa: ARG001
) -> dict[str, Any]:
    """All results so far."""
    with service.database.reading() as session:
        transform = allowed(session, request_id, who)
        return {"results": [result_of(result, transform) for result in state.results_of(session, transform)]}


@router.get("/{request_id}/files", response_model=models.FileRows)
def files(service: Here, who: Who, request_id: RequestId) -> dict[str, Any]:
    """How far each file is, and what went wrong with it."""
    with service.database.reading() as session:
        transform = allowed(session, request_id, who)
        return {"files": [file_of(file) for file in state.files_of(session, transform)]}


@router.get(
    "/{request_id}/files/{place}/log",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
def file_log(service: Here, who: Who, request_id: RequestId, place: Annotated[int, Path(ge=0, le=2**31)]) -> Response:
    """What one file's run said."""
    with service.database.reading() as session:
        transform = allowed(session, request_id, who)
        for file in state.files_of(session, transform, 1, place):
            return Response(file.log, media_type="text/plain; charset=utf-8")
    raise NotThere(f"request {request_id} has no file {place}")


@router.get("/{request_id}/cancel", response_model=models.Message)
def cancel(service: Here, who: Who, request_id: RequestId) -> dict[str, str]:
    """Cancel a request; the official client does it with GET."""
    with _as_servicex():
        _change(service, request_id, who, state.cancel)
    return {"message": f"Canceled transformation request {request_id}"}


@router.post("/{request_id}/cancel", response_model=models.Message)
def post_cancel(service: Here, who: Who, request_id: RequestId) -> dict[str, str]:
    """Cancel a request, as newer clients do it."""
    return cancel(service, who, request_id)


@router.post("/{request_id}/retry", response_model=models.Retried)
def retry(service: Here, who: Who, request_id: RequestId) -> dict[str, Any]:
    """Run the failed files of a request again; what is finished stays."""
    return {"request_id": request_id, "files": _change(service, request_id, who, state.retry)}


@router.get("/{request_id}/deployment-status", response_model=models.Deployment)
def deployment(service: Here, who: Who, request_id: RequestId) -> dict[str, int]:
    """The workers, for a request that is not ended."""
    with service.database.reading() as session:
        if allowed(session, request_id, who).finish_time is not None:
            raise NotThere(f"Deployment not found: '{request_id}'")
    workers = len(service.runner.workers())
    return {"replicas": workers, "ready-replicas": workers, "available-replicas": workers}


def allowed(session: Session, request_id: str, who: Caller) -> Transform:
    """A request that the caller may see. Raises NotThere, NotAllowed."""
    try:
        canonical = str(uuid.UUID(request_id))
    except ValueError as error:
        raise NotThere(f"there is no request {request_id[:100]!r}: an id is a UUID") from error
    transform = state.by_request_id(session, canonical)
    if not who.may_see(transform.owner_id):
        raise NotAllowed("You are not authorized to access this request")
    return transform


def _change(service: Service, request_id: str, who: Caller, change: Callable[[Session, Transform], T]) -> T:
    changed = service.database.transact(lambda session: change(session, allowed(session, request_id, who)))
    _changed(service, request_id)
    return changed


def _delete(session: Session, transform: Transform) -> None:
    if transform.status in state.OPEN:
        raise Conflict(f"request {transform.request_id} is still {transform.status}; cancel it, then delete it")
    state.delete(session, transform)


@contextmanager
def _as_servicex() -> Iterator[None]:
    """What a request's state does not allow is answered with 400 where ServiceX does so."""
    try:
        yield
    except Conflict as error:
        raise BadRequest(str(error)) from error


def _changed(service: Service, request_id: str) -> None:
    service.changes.notify(request_id)
    service.runner.wake()


def _is_there(
    session: Session, request_id: str, who: Caller, submission: models.Submission, source: checks.Source
) -> bool:
    """Whether the same submission came before: its answer was lost. Raises Conflict if the id is another request's."""
    try:
        there = state.by_request_id(session, request_id)
    except NotThere:
        return False
    asked = (who.user_id, source.did, submission.selection, submission.codegen, submission.result_format)
    if asked != (there.owner_id, there.did, there.selection, there.codegen, there.result_format):
        raise Conflict(f"the request id {request_id} is taken by another request; choose a new UUID")
    return True


def _submit(
    session: Session, request_id: str, who: Caller, submission: models.Submission, source: checks.Source, days: float
) -> None:
    dataset = catalog.of_name(session, source.name, source.did_finder, source.files, days=days)
    transform = state.submit(
        session,
        request_id=request_id,
        owner_id=who.user_id,
        title=submission.title,
        did=source.did,
        dataset_id=dataset.id,
        max_files=source.max_files,
        selection=submission.selection,
        codegen=submission.codegen,
        semantics=submission.semantics,
        tree=submission.tree_name,
        result_destination=submission.result_destination,
        result_format=submission.result_format,
        partial=submission.partial,
        priority=submission.priority,
    )
    if source.files is not None:
        state.set_files(session, transform, [[path] for path in source.files])
