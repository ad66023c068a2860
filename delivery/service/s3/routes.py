"""The bytes of results for whoever is signed in: of one, or of several small ones in one answer."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from delivery.service.context import Caller, Service, service_of
from delivery.service.errors import NotAllowed
from delivery.service.s3 import objects
from delivery.service.s3.blobs import Gone
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
        owner = await run_in_threadpool(_bucket, service, request_id, who)
        found = await run_in_threadpool(objects.stored, service, owner, name)
        return await objects.answer(service, blobs_of(request), owner, found, request, may_redirect=True)
    except S3Error as error:
        raise HTTPException(error.status, str(error), dict(error.headers)) from error


@router.get("/servicex/transformation/{request_id}/bundle", include_in_schema=False)
def bundle(
    request: Request,
    who: Annotated[Caller, Depends(caller)],
    request_id: Annotated[str, Path(description="Of the transformation request")],
    files: Annotated[str, Query(pattern=r"^(\d{1,18}(,\d{1,18}){0,99})?$", description="file-id of results")] = "",
) -> Response:
    """The bytes of small results, one after the other as asked for; their records say where each one ends.

    All of them, or none: where one is gone, each is to be asked for by itself.
    """
    service = service_of(request)
    try:
        owner = _bucket(service, request_id, who)
        found = objects.stored_together(service, owner, [int(number) for number in files.split(",") if number])
        content = b"".join(blobs_of(request).read(version.digest, version.size) for version in found)
    except S3Error as error:
        raise HTTPException(error.status, str(error), dict(error.headers)) from error
    except Gone as error:
        raise HTTPException(404, "one of the results is gone from the store; ask for each by itself") from error
    return Response(content, media_type=objects.MEDIA_TYPE)


def _bucket(service: Service, request_id: str, who: Caller) -> objects.Bucket:
    owner = objects.bucket(service, request_id)
    if not who.may_see(owner.owner_id):
        raise NotAllowed(f"the request {request_id} is another user's")
    return owner
