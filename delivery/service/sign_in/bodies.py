"""Bodies are bounded before anything else runs: in bytes, and in the time that they take to come.

Written against ASGI itself: a body is read whole here, so that a slow client holds one coroutine and no thread, and
what is behind it never sees half a body.
"""

import asyncio
from typing import Final

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from delivery.service import answers

BODY_SECONDS: Final = 30.0
"""In which a body must have come."""
DRAIN_SECONDS: Final = 5.0
"""So long what is too much is still read, for clients that read no answer before they have sent everything."""


class BodyLimit:
    """Answers 413 to a body of more than `limit` bytes and 408 to one that takes longer than `seconds`."""

    def __init__(self, app: ASGIApp, limit: int, seconds: float = BODY_SECONDS) -> None:
        self.app, self.limit, self.seconds = app, limit, seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the call on, with its whole body, or refuse it."""
        headers = Headers(scope=scope) if scope["type"] == "http" else Headers()
        declared = headers.get("content-length", "0")
        if declared == "0" and "transfer-encoding" not in headers:
            await self.app(scope, receive, send)
            return
        if int(declared) > self.limit:  # the server has checked that it is a number
            await self._refuse(scope, receive, send, drain="expect" not in headers)
            return
        try:
            async with asyncio.timeout(self.seconds):
                body = await self._read(receive)
        except TimeoutError:
            message = f"the body did not come within {self.seconds:g} s"
            await _answer(408, message)(scope, receive, send)
            return
        if body is None:
            return  # the client is gone
        if len(body) > self.limit:
            await self._refuse(scope, receive, send, drain=True)
            return
        await self.app(scope, _replayed(body, receive), send)

    async def _read(self, receive: Receive) -> bytes | None:
        """The body, one chunk beyond the limit at most; None if the client went away."""
        parts, size = [], 0
        while size <= self.limit:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if not message.get("more_body", False):
                break
        return b"".join(parts)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send, *, drain: bool) -> None:
        if drain:
            left = 4 * self.limit
            try:
                async with asyncio.timeout(DRAIN_SECONDS):
                    while left > 0:
                        message = await receive()
                        left -= len(message.get("body", b""))
                        if not message.get("more_body", False):
                            break
            except TimeoutError:
                pass
        await _answer(413, f"the body has more than the {self.limit:,} bytes that are taken")(scope, receive, send)


def _answer(status: int, message: str) -> Response:
    return answers.answer(status, message, {"Connection": "close"})


def _replayed(body: bytes, receive: Receive) -> Receive:
    """`receive` as it was before the body was read."""
    waiting = [body]

    async def replay() -> Message:
        if waiting:
            return {"type": "http.request", "body": waiting.pop(), "more_body": False}
        return await receive()

    return replay
