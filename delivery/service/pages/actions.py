"""What the pages' forms do. Each form carries a token of this service, so that no other page can send it."""

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Path, Request
from fastapi.responses import PlainTextResponse, RedirectResponse, Response
from sqlalchemy.orm import Session

from delivery.service import state
from delivery.service.context import Caller, Service, service_of
from delivery.service.pages.rendering import HEADERS, check_form
from delivery.service.protocol import catalog
from delivery.service.protocol.configuration import with_new_token
from delivery.service.protocol.requests import allowed
from delivery.service.protocol.wire import base_url
from delivery.service.sign_in.callers import caller
from delivery.service.tables import Transform

router = APIRouter()
Here = Annotated[Service, Depends(service_of)]


def sender(request: Request, who: Annotated[Caller, Depends(caller)], token: Annotated[str, Form()] = "") -> Caller:
    """The caller, whose form came from a page of ours. Raises NotAllowed."""
    check_form(request, who, token)
    return who


Sender = Annotated[Caller, Depends(sender)]
RequestId = Annotated[str, Path(max_length=100)]


@router.post("/transformation-request/{request_id}/cancel")
def cancel(service: Here, who: Sender, request_id: RequestId) -> Response:
    """Cancel an open request."""
    return _changed(service, who, request_id, state.cancel, f"/transformation-request/{request_id}")


@router.post("/transformation-request/{request_id}/retry")
def retry(service: Here, who: Sender, request_id: RequestId) -> Response:
    """Run what failed again."""
    return _changed(service, who, request_id, state.retry, f"/transformation-request/{request_id}")


@router.post("/transformation-request/{request_id}/delete")
def delete(service: Here, who: Sender, request_id: RequestId) -> Response:
    """Delete a request and its results."""
    return _changed(service, who, request_id, state.delete, "/")


@router.post("/datasets/{dataset_id}/delete")
def delete_dataset(service: Here, who: Sender, dataset_id: Annotated[int, Path(ge=1, le=2**63 - 1)]) -> Response:
    """Have a dataset looked up anew when it is asked for again."""

    def work(session: Session) -> None:
        catalog.make_stale(session, catalog.by_id(session, dataset_id, who), who)

    service.database.transact(work)
    return RedirectResponse("/datasets", 303)


@router.post("/profile/servicex.yaml")
def configuration(request: Request, service: Here, who: Sender) -> Response:
    """A configuration file for this server with a new token of the caller's."""
    headers = {**HEADERS, "Content-Disposition": 'attachment; filename="servicex.yaml"'}
    text = with_new_token(service, base_url(request), who)
    return PlainTextResponse(text, media_type="application/yaml", headers=headers)


def _changed(
    service: Service, who: Caller, request_id: str, change: Callable[[Session, Transform], Any], then: str
) -> Response:
    service.database.transact(lambda session: change(session, allowed(session, request_id, who)))
    service.changes.notify(request_id)
    service.runner.wake()
    return RedirectResponse(then, 303)
