"""All routes of the protocol."""

from importlib import import_module

from fastapi import APIRouter

from delivery.service.protocol import datasets, info
from delivery.service.protocol.models import Message

router = APIRouter(
    responses={
        "4XX": {"model": Message, "description": "What was asked cannot be done, and why"},
        "5XX": {"model": Message, "description": "The service cannot do it now, and why"},
    }
)
for part in (info.router, datasets.router):
    router.include_router(part)
try:  # until delivery.service.state is there
    router.include_router(import_module("delivery.service.protocol.requests").router)
except ModuleNotFoundError:
    pass
