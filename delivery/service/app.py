"""The application: all routes on one port, what every call goes through, and what starts and stops with it."""

import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

from artifacts.store import Store
from delivery.service import answers, health, metrics, pages, protocol, s3
from delivery.service.changes import Changes
from delivery.service.context import Service
from delivery.service.database import Database
from delivery.service.forward import Forwarder
from delivery.service.logs import Logged
from delivery.service.pages.error_pages import ErrorPages
from delivery.service.protocol.wire import app_version
from delivery.service.runner import Runner
from delivery.service.secret import Secret
from delivery.service.settings import Settings
from delivery.service.sign_in import routes as sign_in
from delivery.service.sign_in.bodies import BodyLimit
from delivery.service.sign_in.browsers import OwnPagesOnly

TITLE: Final = "skimflow: a ServiceX endpoint"
_SLASHES: Final = re.compile("//+")


def create_app(settings: Settings) -> FastAPI:
    """The service as an ASGI application; database, store and runner are opened when it starts."""
    app = FastAPI(
        title=TITLE,
        version=app_version(),
        lifespan=_lifespan(settings),
        docs_url=None,
        redoc_url=None,
        separate_input_output_schemas=False,
    )
    app.state.settings = settings
    answers.install(app)
    for router in (protocol.router, sign_in.router, s3.router, pages.router, health.router, metrics.router):
        app.include_router(router, responses=protocol.ERRORS)
    app.openapi = lambda: _document(app)  # type: ignore[method-assign]
    for added in (  # the last is the outermost
        Middleware(Collapsed),
        Middleware(s3.Gateway),
        Middleware(BodyLimit, limit=settings.limits.body_bytes),
        Middleware(OwnPagesOnly, settings=settings),
        Middleware(answers.Caught),
        Middleware(ErrorPages),
        Middleware(metrics.Measured),
        Middleware(Logged),
    ):
        app.add_middleware(added.cls, *added.args, **added.kwargs)
    return app


class Collapsed:
    """Takes several slashes in a path for one: clients join a base that ends in one to paths that begin with one."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the call on."""
        if scope["type"] == "http" and "//" in scope["path"]:
            scope["path"] = _SLASHES.sub("/", scope["path"])  # of this very scope: who measures finds the route in it
        await self._app(scope, receive, send)


def _lifespan(settings: Settings) -> Callable[[FastAPI], Any]:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        service = await run_in_threadpool(open_service, settings)
        app.state.service = service
        app.state.metrics = metrics.Metrics(service)
        try:
            await run_in_threadpool(service.runner.start)
            if service.forwarder is not None:
                service.forwarder.start()
            yield
        finally:
            service.changes.close()
            if service.forwarder is not None:
                await run_in_threadpool(service.forwarder.stop)
            await run_in_threadpool(service.runner.stop, settings.shutdown_seconds)
            service.database.close()

    return lifespan


def open_service(settings: Settings) -> Service:
    """Open what the process needs; the runner is not started. Raises ServiceError where something cannot be used."""
    settings.data.mkdir(parents=True, exist_ok=True, mode=0o700)
    secret = Secret.open(settings)
    database = Database(settings.database_url)
    database.upgrade()
    store, changes = Store.open(settings.store_url), Changes()
    runner = Runner(settings, database, store, changes)
    forwarder = Forwarder(settings.upstream, settings, database, store, changes) if settings.upstream else None
    return Service(settings, database, store, secret, changes, runner, forwarder)


def _document(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document: tokens are bearer tokens, and none is needed where sign-in is off."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=TITLE, version=app_version(), routes=app.routes, separate_input_output_schemas=False
        )
        schemes = {"token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}}
        document.setdefault("components", {})["securitySchemes"] = schemes
        document["security"] = [{"token": []}, {}]
        app.openapi_schema = document
    return app.openapi_schema
