"""All routes of the protocol."""

from typing import Any

from fastapi import APIRouter

from delivery.service.protocol import datasets, info, requests
from delivery.service.protocol.models import Message

ERRORS: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": Message, "description": "What was asked cannot be done, and why"},
    "5XX": {"model": Message, "description": "The service cannot do it now, and why"},
}
"""Documented answers that any route may give."""

router = APIRouter()
for part in (info.router, requests.router, datasets.router):
    router.include_router(part)
