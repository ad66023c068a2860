"""Structured logs: a line of JSON for each event, or coloured text at a terminal; never a secret."""

import logging
import re
import sys
import time
from collections.abc import MutableMapping
from typing import Any, Final, Literal, TextIO
from uuid import uuid4

import dask.config
import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from delivery.urls import without_secrets

Event = MutableMapping[str, Any]
HIDDEN: Final = "[hidden]"

_SECRET_NAME = re.compile(
    r"token|secret|password|authorization|cookie|signature|api[-_]?key|access[-_]key", re.IGNORECASE
)
_TOKEN = re.compile(r"\beyJ[\w-]+\.[\w-]+\.[\w-]*|(?i:\bBearer\s+)\S+")
_SIGNED = re.compile(r"(?i)((?:[\w-]*(?:signature|credential|token|authz|accesskeyid))=)[^&\s\"']+")


def configure(
    level: str = "INFO", style: Literal["json", "console"] | None = None, stream: TextIO | None = None
) -> None:
    """Send structlog's events and those of all other libraries to one stream (standard error) in one form.

    Without a style it is "console" at a terminal and "json" elsewhere. Ids bound with
    ``structlog.contextvars.bound_contextvars(request_id=…, file=…)`` stand in every line of that context.
    """
    out = stream or sys.stderr
    console = (style or ("console" if out.isatty() else "json")) == "console"
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        structlog.processors.StackInfoRenderer(),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    drawing: list[structlog.typing.Processor] = (
        [structlog.dev.ConsoleRenderer(colors=out.isatty())]
        if console
        else [structlog.processors.EventRenamer("message"), structlog.processors.JSONRenderer(ensure_ascii=False)]
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            masked,
            *drawing,
        ],
    )
    lines = logging.StreamHandler(out)
    lines.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [lines]
    root.setLevel(level)
    for name in ("alembic", "distributed", "uvicorn"):  # of libraries, what somebody may have to act on
        logging.getLogger(name).setLevel(max(logging.getLevelNamesMapping()[level], logging.WARNING))
    dask.config.set({"logging.distributed": "warning"})  # it sets its own level when it is imported, later
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):  # they would write in a form of their own
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = name != "uvicorn.access"  # `Logged` writes a line for each call, with its ids


def masked(_logger: object, _method: str, event: Event) -> Event:
    """An event without what lets in whoever reads it: tokens, keys, passwords, the queries of signed URLs."""
    for name, value in list(event.items()):
        event[name] = HIDDEN if _SECRET_NAME.search(name) else _without(value)
    return event


def _without(value: Any) -> Any:
    if isinstance(value, str):
        return _SIGNED.sub(rf"\1{HIDDEN}", _TOKEN.sub(HIDDEN, without_secrets(value)))
    if isinstance(value, dict):
        return {name: HIDDEN if _SECRET_NAME.search(str(name)) else _without(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_without(one) for one in value]
    return value


class Logged:
    """ASGI middleware: every call has an id, in its answer (X-Request-ID) and in each line logged while it runs.

    A line is written when the call ends: method, path without its query, status, seconds.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._log = structlog.stdlib.get_logger("delivery.service.calls")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the call with its ids bound."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        call, status, began = uuid4().hex[:16], 500, time.perf_counter()

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", call.encode())]
            await send(message)

        with structlog.contextvars.bound_contextvars(call=call, **_ids(scope["path"])):
            try:
                await self._app(scope, receive, sending)
            finally:
                seconds = round(time.perf_counter() - began, 4)
                log = self._log.debug if scope["path"] in ("/health", "/ready", "/metrics") else self._log.info
                log("call", method=scope["method"], path=scope["path"], status=status, seconds=seconds)


_REQUEST = re.compile(r"/(?:transformation|transformation-request)/+([0-9a-f]{8}-[0-9a-f-]{27})")


def _ids(path: str) -> dict[str, str]:
    found = _REQUEST.search(path)
    return {"request_id": found[1]} if found else {}
