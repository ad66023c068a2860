"""From a view to an answer: templates, the headers that keep a page to itself, tokens of forms, static files."""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Final

from fastapi import Request
from fastapi.responses import HTMLResponse, Response
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from delivery.service.context import Caller, service_of
from delivery.service.errors import NotAllowed, NotThere
from delivery.service.pages import formats

HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""Nothing but the service's own files is loaded, nothing inline runs, no other page frames it or keeps it."""

FILTERS: Final = (
    *("size", "number", "compact", "duration", "moment", "clock", "iso", "share", "shortened"),
    *("beyond", "headline", "details", "folder", "file_name", "worker_name"),
)
"""What templates write numbers, times and texts with."""

_TYPES: Final = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}


def page(request: Request, template: str, who: Caller | None, view: object, status: int = 200) -> HTMLResponse:
    """A view drawn by a template."""
    token = form_token(request, who) if who else ""
    signs_in = service_of(request).settings.needs_sign_in
    text = (
        _templates()
        .get_template(template)
        .render(view=view, who=who, path=request.url.path, query=request.url.query, token=token, signs_in=signs_in)
    )
    return HTMLResponse(text, status, headers=dict(HEADERS))


def form_token(request: Request, who: Caller) -> str:
    """What a form of ours carries and another site's cannot know."""
    key = service_of(request).secret.derived("forms")
    return hmac.new(key, f"{who.user_id} {who.name}".encode(), hashlib.sha256).hexdigest()


def check_form(request: Request, who: Caller, token: str) -> None:
    """Raise NotAllowed unless the form came from one of this service's pages, made for this caller."""
    if not hmac.compare_digest(token.encode(), form_token(request, who).encode()):
        raise NotAllowed("the form is not from this service's own page, or was made for someone else; load it again")


@dataclass(frozen=True, slots=True)
class Asset:
    """A static file; its digest in the URL lets browsers keep it for ever."""

    content: bytes
    media_type: str
    digest: str


@lru_cache(maxsize=1)
def assets() -> Mapping[str, Asset]:
    """The static files by name."""
    found = {}
    for file in files("delivery.service.pages").joinpath("static").iterdir():
        suffix = file.name.rpartition(".")[2]
        if suffix in _TYPES:
            content = file.read_bytes()
            found[file.name] = Asset(content, _TYPES[suffix], hashlib.sha256(content).hexdigest()[:12])
    return found


def asset(name: str) -> Response:
    """A static file as an answer. Raises NotThere."""
    found = assets().get(name)
    if found is None:
        raise NotThere(f"there is no {name[:100]}; there are {', '.join(sorted(assets()))}")
    headers = {**HEADERS, "Cache-Control": "public, max-age=31536000, immutable"}
    return Response(found.content, media_type=found.media_type, headers=headers)


def _asset_url(name: str) -> str:
    return f"/static/{name}?v={assets()[name].digest}"


@lru_cache(maxsize=1)
def _templates() -> Environment:
    environment = Environment(
        loader=PackageLoader("delivery.service.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update({name: getattr(formats, name) for name in FILTERS})
    environment.globals.update(asset=_asset_url, dash=Markup("&ndash;"))
    return environment
