"""The bytes of a result for whoever is signed in."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path, Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from delivery.service.context import Caller, service_of
from delivery.service.errors import NotAllowed
from delivery.service.s3 import objects
from delivery.service.s3.errors import S3Error
from delivery.service.s3.gateway import blobs_of
from delivery.service.sign_in.callers import caller

PATH: Final = "/servicex/transformation/{request_id}/objects/{name:path}"

router = APIRouter()


_ANSWERS: dict[int | str, dict[str, Any]] = {
    206: {"description": "The range asked for"},
    304: {"description": "Unchanged"},
    307: {"description": "Where the store itself has it"},
    416: {"description": "Nothing of the range exists"},
    503: {"description": "It is being made anew; ask again after Retry-After"},
}


@router.head(PATH, include_in_schema=False)
@router.get(PATH, response_class=Response, responses=_ANSWERS)
async def download(
    request: Request,
    who: Annotated[Caller, Depends(caller)],
    request_id: Annotated[str, Path(description="Of the transformation request")],
    name: Annotated[str, Path(description="s3-object-name of one of its results")],
) -> Response:
    """The bytes of a result; ranges and conditions as in RFC 9110."""
    service = service_of(request)
    try:
        owner = await run_in_threadpool(objects.bucket, service, request_id)
        if not who.may_see(owner.owner_id):
            raise NotAllowed(f"the request {request_id} is another user's")
        found = await run_in_threadpool(objects.stored, service, owner, name)
        return await objects.answer(service, blobs_of(request), owner, found, request, may_redirect=True)
    except S3Error as error:
        raise HTTPException(error.status, str(error), dict(error.headers)) from error
