"""Who calls: a dependency of every route that is not for everybody."""

import threading
from typing import Annotated, Final

from fastapi import Depends, Request

from delivery.service.context import Caller, Service, service_of
from delivery.service.errors import NotAllowed, NotSignedIn
from delivery.service.settings import Limits
from delivery.service.sign_in.rates import Rates
from delivery.service.sign_in.tokens import Claims, Kind, verified
from delivery.service.sign_in.users import limits_of
from delivery.service.tables import User

COOKIE: Final = "skimflow-session"
LOCAL: Final = Caller(None, "local", "admin")
_making = threading.Lock()


def caller(request: Request) -> Caller:
    """Who calls, by the bearer token or the session's cookie; `LOCAL` where sign-in is off. Counts the call.

    Raises NotSignedIn (no token, or one that is wrong, expired or revoked) and TooMany.
    """
    known = getattr(request.state, "caller", None)
    if isinstance(known, Caller):
        return known
    service = service_of(request)
    if service.settings.needs_sign_in:
        found, limits = _signed_in(request, service)
    else:
        found, limits = LOCAL, service.settings.limits
    rates_of(request).take(f"calls {found.user_id}", limits.calls_per_minute, "calls")
    request.state.caller, request.state.limits = found, limits
    return found


def admin(who: Annotated[Caller, Depends(caller)]) -> Caller:
    """The caller, who must be an admin. Raises NotAllowed."""
    if who.role != "admin":
        raise NotAllowed("only an admin may do this")
    return who


def submitter(request: Request, who: Annotated[Caller, Depends(caller)]) -> Caller:
    """The caller, whose submission is counted. Raises TooMany."""
    rates_of(request).take(f"submits {who.user_id}", limits(request).submits_per_minute, "submissions")
    return who


def limits(request: Request) -> Limits:
    """The limits of the caller, who must be known already (`caller`)."""
    found: Limits = request.state.limits
    return found


def address(request: Request) -> None:
    """Count a call without a token by the address that it comes from. Raises TooMany."""
    host = request.client.host if request.client else "unknown"
    per_minute = service_of(request).settings.limits.calls_per_minute
    rates_of(request).take(f"address {host}", per_minute, "calls from one address")


def rates_of(request: Request) -> Rates:
    """The counts of this process."""
    state = request.app.state
    with _making:
        if not hasattr(state, "rates"):
            state.rates = Rates()
        found: Rates = state.rates
    return found


def bearer(request: Request) -> str | None:
    """The token of the Authorization header, None if there is none. Raises NotSignedIn for another scheme."""
    header = request.headers.get("authorization")
    if header is None:
        return None
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise NotSignedIn("the Authorization header must be 'Bearer' and a token")
    return token.strip()


def user_of(service: Service, claims: Claims) -> User:
    """The user whom a verified token names, if the token still counts. Raises NotSignedIn."""
    with service.database.reading() as session:
        user = None if claims.user_id is None else session.get(User, claims.user_id)
        if user is None or not user.active:
            raise NotSignedIn("the token's user is not known here any more; ask the service's operator")
        if not user.tokens_from <= claims.number <= user.last_token:
            raise NotSignedIn("the token was revoked; ask the service's operator for a new one")
        session.expunge(user)
    return user


def _signed_in(request: Request, service: Service) -> tuple[Caller, Limits]:
    try:
        token, kind = _token(request)
        user = user_of(service, verified(service.secret.signing_key, token, kind))
    except NotSignedIn:
        address(request)
        raise
    who = Caller(user.id, user.name, "admin" if user.role == "admin" else "user")
    return who, limits_of(user.quota, service.settings.limits)


def _token(request: Request) -> tuple[str, Kind]:
    token = bearer(request)
    if token is not None:
        return token, "access"
    cookie = request.cookies.get(COOKIE)
    if cookie:
        return cookie, "session"
    raise NotSignedIn(
        "this service needs sign-in: put the token that its operator gave you into servicex.yaml, "
        "or sign in at /sign-in"
    )
