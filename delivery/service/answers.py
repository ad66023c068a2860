"""Every error is answered as ``{"message": …}``, which is all that the official client reads."""

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from delivery.service.errors import ServiceError


def install(app: FastAPI) -> None:
    """Answer what routes raise."""
    app.add_exception_handler(ServiceError, _service_error)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)


def answer(status: int, message: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """An error body; characters that are none, which JSON may smuggle in, are shown as escapes."""
    shown = message.encode(errors="backslashreplace").decode()
    return JSONResponse({"message": shown}, status, headers)


async def _service_error(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ServiceError)  # noqa: S101 - it is registered for these alone
    headers = {}
    if error.retry_after is not None:
        headers["Retry-After"] = str(max(1, round(error.retry_after)))
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if error.status >= 500:
        structlog.get_logger(__name__).error("unavailable", reason=str(error))
    return answer(error.status, str(error), headers)


async def _invalid(_request: Request, error: Exception) -> JSONResponse:
    """A path that cannot be any resource's is not there; all else that is not as it must be is a bad request."""
    assert isinstance(error, RequestValidationError)  # noqa: S101 - it is registered for these alone
    found = error.errors()
    sentences = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in found[:5]]
    status = 404 if any(one["loc"][:1] == ("path",) for one in found) else 400
    return answer(status, f"the request is malformed: {'; '.join(sentences)}")


async def _http(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101 - it is registered for these alone
    return answer(error.status_code, str(error.detail), dict(error.headers or {}))


class Caught:
    """Answers what nobody foresaw with 500 and logs it; the connection stays good unless the answer had begun."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the call on."""
        begun = False

        async def sending(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, sending)
        except Exception as error:
            if begun or scope["type"] != "http":
                raise
            structlog.get_logger(__name__).error("unforeseen", exc_info=error)
            sentence = f"the service made a mistake ({type(error).__name__}); its log says more"
            await answer(500, sentence)(scope, receive, send)
