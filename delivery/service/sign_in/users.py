"""The users of a service: functions on a session, which the command line and the routes share."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic import ValidationError
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from delivery.errors import nearest
from delivery.service.errors import BadRequest, Conflict, NotThere
from delivery.service.settings import Limits
from delivery.service.sign_in.tokens import REFRESH_SECONDS, Claims, sign
from delivery.service.tables import User

ROLES: Final = ("user", "admin")
QUOTAS: Final = (
    "calls_per_minute",
    "files",
    "open_requests",
    "running_files",
    "stored_bytes",
    "streams",
    "submits_per_minute",
)
"""Limits that can be other for a user."""
_NAME = re.compile(r"[\w.@+-]{1,200}", re.ASCII)


def limits_of(quota: Mapping[str, Any], limits: Limits) -> Limits:
    """The limits of a user: the settings' own with the user's in their place."""
    return limits.model_copy(update={name: quota[name] for name in QUOTAS if name in quota})


def add(session: Session, name: str, email: str = "", role: str = "user") -> User:
    """A new user. Raises BadRequest and Conflict."""
    if not _NAME.fullmatch(name):
        raise BadRequest(f"{name[:200]!r} is no user name; letters, digits and . @ + - _ are, up to 200 of them")
    if session.scalar(select(User.id).where(User.name == name)) is not None:
        raise Conflict(f"there is a user {name} already")
    user = User(name=name, email=email, role=_role(role))
    session.add(user)
    session.flush()
    return user


def by_name(session: Session, name: str) -> User:
    """The user of this name. Raises NotThere with the nearest names."""
    user = session.scalar(select(User).where(User.name == name))
    if user is not None:
        return user
    near = nearest(name, session.scalars(select(User.name)).all())
    hint = f"; did you mean {' or '.join(near)}?" if near else ", `skimflow users list` shows who there is"
    raise NotThere(f"there is no user {name}{hint}")


def listed(session: Session) -> Sequence[User]:
    """All users in the order of their names."""
    return session.scalars(select(User).order_by(User.name)).all()


def change(
    user: User,
    *,
    role: str | None = None,
    active: bool | None = None,
    email: str | None = None,
    quota: Mapping[str, int | None] | None = None,
) -> None:
    """Change what is given; `quota` maps names of limits to their value, None to the settings' own again.

    Raises BadRequest.
    """
    if role is not None:
        user.role = _role(role)
    if active is not None:
        user.active = active
    if email is not None:
        user.email = email
    if quota:
        kept = {name: value for name, value in {**user.quota, **quota}.items() if value is not None}
        user.quota = _checked(kept)


def new_token(session: Session, user: User, key: bytes, seconds: float = REFRESH_SECONDS) -> tuple[int, str]:
    """A new refresh token and its number; the service keeps only the number. Others of the user stay good."""
    raised = update(User).where(User.id == user.id).values(last_token=User.last_token + 1).returning(User.last_token)
    number = session.execute(raised).scalar_one()
    return number, sign(key, Claims("refresh", user.id, number), seconds)


def revoke(user: User, before: int | None = None) -> int:
    """Void the user's tokens with numbers smaller than `before` (None: all), and all made from them; the first good
    number.
    """
    user.tokens_from = max(user.tokens_from, user.last_token + 1 if before is None else before)
    return user.tokens_from


def _role(role: str) -> str:
    if role not in ROLES:
        raise BadRequest(f"{role!r} is no role; there are {' and '.join(ROLES)}")
    return role


def _checked(quota: Mapping[str, Any]) -> dict[str, Any]:
    for name, value in quota.items():
        if name not in QUOTAS:
            near = nearest(name, QUOTAS)
            meant = f"did you mean {near[0]}?" if near else f"there are {', '.join(QUOTAS)}"
            raise BadRequest(f"{name!r} is not a limit of a user; {meant}")
        if value < 0:
            raise BadRequest(f"{name} must not be negative, it is {value}")
    try:
        Limits.model_validate(quota)
    except ValidationError as error:
        raise BadRequest(f"a limit is not a number: {error.errors()[0]['msg']}") from error
    return dict(quota)
