"""What a browser must not be made to do by another site's page.

- Another site's page may make the browser send calls here, with the session's cookie or, where sign-in is off, with no
  need of one. Calls that change something are therefore taken from this service's own pages only. Browsers say where
  a call comes from (Sec-Fetch-Site, Origin); other clients say nothing, and hold no cookie.
- Another site's name may be made to mean 127.0.0.1 (DNS rebinding): its page is then of the same origin. A service that
  listens on loopback without sign-in therefore answers to names of this machine only.
- Pages load nothing from elsewhere, run no inline scripts, and stand in no one's frame.
"""

from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from delivery.service import answers
from delivery.service.settings import Settings

READS: Final = ("GET", "HEAD", "OPTIONS")
ANSWERED_WITH: Final = {
    "Content-Security-Policy": "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


class OwnPagesOnly:
    """Refuses (403) what another site's page makes a browser send; its answers carry `ANSWERED_WITH`."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app, self.settings = app, settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the call on, or refuse it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in ANSWERED_WITH.items():
                    headers.setdefault(name, value)
            await send(message)

        why = refusal(scope["method"], scope["path"], Headers(scope=scope), self.settings)
        app = answers.answer(403, why) if why else self.app
        await app(scope, receive, answer)


def refusal(method: str, path: str, headers: Headers, settings: Settings) -> str | None:
    """Why a call is refused, in words; None if it is not."""
    host = headers.get("host", "")
    ours = urlsplit(settings.public_url or "").netloc
    if host and not settings.needs_sign_in and not _of_this_machine(host) and host != ours:
        return (
            f"this service answers without sign-in, and so only as localhost, not as {host[:100]!r}; "
            "behind a proxy, set public_url and sign_in: true"
        )
    if method in READS and not path.rstrip("/").endswith("/cancel"):  # the official client cancels by GET
        return None
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    elsewhere = site not in ("same-origin", "none") if site else bool(origin) and _place(origin) not in (host, ours)
    return "another site's page may not change anything here" if elsewhere else None


def _of_this_machine(host: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
        ip_address(name)
    except ValueError:
        name = host.partition(":")[0].lower().rstrip(".")
        return name == "localhost" or name.endswith(".localhost")
    return True  # an address is what it is; only a name can be made to mean another


def _place(origin: str | None) -> str:
    """Host and port of an Origin header; '' for ``null`` and what is none."""
    try:
        return urlsplit(origin or "").netloc or "null"
    except ValueError:
        return "null"
