"""/health: the process answers. /ready: it can take requests now."""

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response

from artifacts.errors import ArtifactError
from delivery.service.context import Service, service_of
from delivery.service.errors import ServiceError

router = APIRouter(tags=["health"])


@router.get("/health")
async def health() -> dict[str, str]:
    """Whether the process lives: it asks nothing else, so that a slow database does not get it killed."""
    return {"status": "alive"}


@router.get("/ready")
def ready(response: Response, service: Annotated[Service, Depends(service_of)]) -> dict[str, Any]:
    """Whether database and store can be reached: 200, or 503 with what cannot."""
    checks = {
        "database": _outcome(service.database.check),
        "store": _outcome(lambda: service.store.backend.stat("entries/00/absent.json")),
        "stopping": "yes" if service.changes.closed else "ok",
    }
    good = all(outcome == "ok" for outcome in checks.values())
    response.status_code = 200 if good else 503
    return {"status": "ready" if good else "not ready", "checks": checks, "runner": service.runner.health()}


def _outcome(check: Callable[[], object]) -> str:
    try:
        check()
    except (ServiceError, ArtifactError, OSError) as error:
        return str(error)
    return "ok"
