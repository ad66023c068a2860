"""What the parts of one service process share."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from fastapi import Request

from artifacts.store import Store
from delivery.service.changes import Changes
from delivery.service.database import Database
from delivery.service.secret import Secret
from delivery.service.settings import Settings

if TYPE_CHECKING:
    from delivery.service.forward import Forwarder
    from delivery.service.runner import Runner


@dataclass(frozen=True, slots=True)
class Service:
    """One process of the service; the application keeps it as ``app.state.service``."""

    settings: Settings
    database: Database
    store: Store
    secret: Secret
    changes: Changes
    runner: "Runner"
    forwarder: "Forwarder | None" = None


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls. Without sign-in everybody is ``Caller(None, "local", "admin")``."""

    user_id: int | None
    name: str
    role: Literal["user", "admin"]

    def may_see(self, owner_id: int | None) -> bool:
        """Whether what belongs to this user (None: to nobody) is the caller's to see and change."""
        return self.role == "admin" or (self.user_id is not None and self.user_id == owner_id)


def service_of(request: Request) -> Service:
    """The service that a request came to, as a dependency of routes."""
    service: Service = request.app.state.service
    return service
