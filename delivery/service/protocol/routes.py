"""All routes of the protocol."""

from fastapi import APIRouter

from delivery.service.protocol import datasets, info, requests
from delivery.service.protocol.models import Message

router = APIRouter(
    responses={
        "4XX": {"model": Message, "description": "What was asked cannot be done, and why"},
        "5XX": {"model": Message, "description": "The service cannot do it now, and why"},
    }
)
for part in (info.router, requests.router, datasets.router):
    router.include_router(part)
