"""Errors for people: whoever asks for a page gets one that says what is wrong and leads on; programs get the JSON."""

import json
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final
from urllib.parse import quote

from fastapi import Request
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from delivery.service.context import Caller
from delivery.service.errors import ServiceError
from delivery.service.pages.rendering import page
from delivery.service.sign_in.callers import caller

_TITLES: Final = {
    400: "That cannot be asked",
    401: "Not signed in",
    403: "Not allowed",
    404: "Not there",
    405: "Not done this way",
    409: "Not now",
    413: "Too much at once",
    429: "Too many calls",
    500: "The service made a mistake",
    503: "Not now",
}
_KEPT: Final = ("allow", "connection", "retry-after", "www-authenticate")


@dataclass(frozen=True, slots=True)
class ErrorView:
    """What went wrong: the answer's status, its name for people, the sentence."""

    status: int
    title: str
    sentence: str


class ErrorPages:
    """ASGI middleware: draws JSON errors of whatever is behind it for those who accept HTML.

    Who is not signed in and looks at a page is led to the sign-in form, and back.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the call on; hold an error back until it is whole, and draw it."""
        if scope["type"] != "http" or "text/html" not in Headers(scope=scope).get("accept", ""):
            await self._app(scope, receive, send)
            return
        error: Message | None = None
        body = b""

        async def sending(message: Message) -> None:
            nonlocal error, body
            if message["type"] == "http.response.start" and _is_ours(message):
                error = message
            elif error is None:
                await send(message)
            else:
                body += message.get("body", b"")
                if not message.get("more_body", False):
                    drawn = await run_in_threadpool(_drawn, Request(scope), error, body)
                    await drawn(scope, receive, send)

        await self._app(scope, receive, sending)


def _is_ours(message: Message) -> bool:
    kind = Headers(raw=message.get("headers", [])).get("content-type", "")
    return bool(message["status"] >= 400) and kind.startswith("application/json")


def _drawn(request: Request, error: Message, body: bytes) -> Response:
    status = int(error["status"])
    if status == 401 and request.method == "GET":
        back = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse(f"/sign-in?next={quote(back, safe='')}", 303)
    view = ErrorView(status, _TITLES.get(status, "That did not work"), _sentence(request, status, body))
    answer = page(request, "error.html", _known_caller(request), view, status)
    kept = Headers(raw=error.get("headers", []))
    answer.headers.update({name: kept[name] for name in _KEPT if name in kept})
    return answer


def _sentence(request: Request, status: int, body: bytes) -> str:
    """The error's own; the framework's bare ones are put into words."""
    said = ""
    with suppress(ValueError, AttributeError):
        said = str(json.loads(body).get("message", ""))
    if said and said != HTTPStatus(status).phrase:
        return said
    if status == 404:
        return f"There is no page at {request.url.path[:200]}."
    return f"{request.url.path[:200]} does not take {request.method}." if status == 405 else said


def _known_caller(request: Request) -> Caller | None:
    """Who calls, if that can be told: the page then has its navigation."""
    with suppress(ServiceError):
        return caller(request)
    return None
