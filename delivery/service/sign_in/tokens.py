"""The service's tokens: JSON Web Tokens (RFC 7519), signed with HMAC-SHA256 and nothing else.

- refresh: long-lived, what a user keeps in servicex.yaml; it opens nothing but ``POST /token/refresh``.
- access: short, made from a refresh token; what the official client sends with each call.
- session: a browser's cookie, made from a refresh token that was pasted into the sign-in form.

All carry the number of the refresh token that they come from; raising a user's `tokens_from` voids them all at once.
"""

import re
import time
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Literal

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

from delivery.service.errors import NotSignedIn

ISSUER: Final = "skimflow"
LONGEST: Final = 4096
"""Characters of a token."""
ACCESS_SECONDS: Final = 30 * 60
"""The official client renews what has less than a minute left."""
SESSION_SECONDS: Final = 12 * 3600
REFRESH_SECONDS: Final = 365 * 86400

Kind = Literal["refresh", "access", "session"]
_ALGORITHMS: Final = ["HS256"]
_CLAIMS: Final = jwt.JWTClaimsRegistry(
    iss={"essential": True, "value": ISSUER},
    sub={"essential": True},
    exp={"essential": True},
    iat={"essential": True},
    typ={"essential": True},
    number={"essential": True},
)


@dataclass(frozen=True, slots=True)
class Claims:
    """What a verified token says: its kind, the user's id (None: nobody, where sign-in is off), its number."""

    kind: Kind
    user_id: int | None
    number: int


def sign(key: bytes, claims: Claims, seconds: float) -> str:
    """A token that is good for so many seconds from now."""
    now = int(time.time())
    content: dict[str, Any] = {
        "iss": ISSUER,
        "sub": "local" if claims.user_id is None else str(claims.user_id),
        "typ": claims.kind,
        "number": claims.number,
        "iat": now,
        "exp": now + int(seconds),
    }
    return jwt.encode({"alg": "HS256", "typ": "JWT"}, content, _key(key), algorithms=_ALGORITHMS)


def verified(key: bytes, text: str, kind: Kind) -> Claims:
    """What a token of this kind says, if it is ours, whole and not expired. Raises NotSignedIn."""
    if len(text) > LONGEST:
        raise NotSignedIn(f"the token is longer than {LONGEST} characters")
    try:
        token = jwt.decode(text, _key(key), algorithms=_ALGORITHMS)
        _CLAIMS.validate(token.claims)
        found, subject, number = token.claims["typ"], token.claims["sub"], token.claims["number"]
        claims = Claims(found, None if subject == "local" else _id(subject), _id(str(number)))
    except JoseError as error:
        why = "has expired" if error.error == "expired_token" else "is not one of this service's"
        raise NotSignedIn(f"the token {why}; sign in again, or ask for a new one") from error
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise NotSignedIn("the token is not one of this service's; sign in again, or ask for a new one") from error
    if claims.kind != kind:
        raise NotSignedIn(_MISTAKEN.get((claims.kind, kind), f"a token for {claims.kind} is no {kind} token"))
    return claims


def _id(text: str) -> int:
    if not re.fullmatch("[0-9]{1,18}", text, re.ASCII):  # what a database holds
        raise ValueError("not the number of a user or a token")
    return int(text)


_MISTAKEN: Final = {
    ("refresh", "access"): "this token is for servicex.yaml: POST /token/refresh answers the access token to call with",
    ("access", "refresh"): "this is an access token; what is renewed is the long-lived token of servicex.yaml",
}


@lru_cache(maxsize=16)
def _key(key: bytes) -> OctKey:
    return OctKey.import_key(key)
