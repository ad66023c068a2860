"""Tokens for clients, and the form in which a person at a browser signs in and out."""

from dataclasses import dataclass
from typing import Annotated, Final
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import BaseModel

from delivery.service.context import Service, service_of
from delivery.service.errors import NotSignedIn
from delivery.service.pages.rendering import page
from delivery.service.sign_in.callers import COOKIE, address, bearer, user_of
from delivery.service.sign_in.tokens import ACCESS_SECONDS, SESSION_SECONDS, Claims, sign, verified

router = APIRouter(tags=["sign-in"])

_LONGEST_PLACE: Final = 2000


@dataclass(frozen=True, slots=True)
class SignIn:
    """The form: where one goes from it, and what was wrong with the last try."""

    next: str
    problem: str


class AccessToken(BaseModel):
    """What the official client asks for when its access token is missing or old."""

    access_token: str


@router.post("/token/refresh", response_model=AccessToken, dependencies=[Depends(address)])
def refresh(request: Request, service: Annotated[Service, Depends(service_of)]) -> AccessToken:
    """An access token for the refresh token of the Authorization header; where sign-in is off, for everybody.

    Always a real JWT with ``exp``: the official client reads that, and fails at any other text.
    """
    key = service.secret.signing_key
    if not service.settings.needs_sign_in:
        return AccessToken(access_token=sign(key, Claims("access", None, 0), ACCESS_SECONDS))
    claims = _refresh_claims(service, bearer(request))
    return AccessToken(access_token=sign(key, Claims("access", claims.user_id, claims.number), ACCESS_SECONDS))


@router.get("/sign-in", include_in_schema=False)
def form(request: Request, service: Annotated[Service, Depends(service_of)], next: str = "/") -> Response:  # noqa: A002
    """The page on which one signs in."""
    if not service.settings.needs_sign_in:
        return RedirectResponse(_own(next), 303)
    return _page(request, next)


@router.post("/sign-in", include_in_schema=False, dependencies=[Depends(address)])
def sign_in(
    request: Request,
    service: Annotated[Service, Depends(service_of)],
    token: Annotated[str, Form()] = "",
    next: Annotated[str, Form()] = "/",  # noqa: A002
) -> Response:
    """Begin a session for the user of the token: a cookie that no script can read and no other site can send."""
    try:
        claims = _refresh_claims(service, token.strip())
    except NotSignedIn as error:
        return _page(request, next, str(error), 401)
    answer = RedirectResponse(_own(next), 303)
    session = sign(service.secret.signing_key, Claims("session", claims.user_id, claims.number), SESSION_SECONDS)
    secure = "https" in (request.url.scheme, urlsplit(service.settings.public_url or "").scheme)
    answer.set_cookie(COOKIE, session, SESSION_SECONDS, httponly=True, samesite="strict", secure=secure)
    return answer


@router.post("/sign-out", include_in_schema=False)
def sign_out() -> Response:
    """End the browser's session."""
    answer = RedirectResponse("/sign-in", 303)
    answer.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return answer


def _refresh_claims(service: Service, token: str | None) -> Claims:
    if not token:
        raise NotSignedIn("the token of servicex.yaml is missing: ask the service's operator for one")
    claims = verified(service.secret.signing_key, token, "refresh")
    user_of(service, claims)
    return claims


def _own(place: str) -> str:
    """A place of this service, never of another site."""
    plain = len(place) <= _LONGEST_PLACE and place.isascii() and place.isprintable() and "\\" not in place
    return place if plain and place.startswith("/") and not place.startswith("//") else "/"


def _page(request: Request, place: str, problem: str = "", status: int = 200) -> HTMLResponse:
    return page(request, "sign_in.html", None, SignIn(_own(place), problem), status)
