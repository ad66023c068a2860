"""The official client's configuration for this service: the one text that routes and pages give."""

from typing import Final
from urllib.parse import urlsplit

import yaml
from sqlalchemy.orm import Session

from delivery.service.context import Caller, Service
from delivery.service.sign_in.users import new_token
from delivery.service.tables import User

PLACEHOLDER: Final = "PASTE-YOUR-TOKEN"
"""What stands for a token in a text that gives none."""
_LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")


def servicex_yaml(base: str, token: str | None) -> str:
    """The configuration of the service that is reached at `base`, this endpoint alone.

    It has a cache of its own: the client's default one takes results of another service for those of this. Clients
    before 3.0 find an endpoint by its type.
    """
    at = urlsplit(base)
    host = at.hostname or "skimflow"
    name = "local" if host in _LOOPBACK else _plain(host)
    endpoint = {"name": name, "type": "uproot", "endpoint": base, **({"token": token} if token else {})}
    cache = f"~/.cache/servicex-{name}" + (f"-{at.port}" if at.port else "")
    content = {"api_endpoints": [endpoint], "default_endpoint": name, "cache_path": cache}
    told = ""
    if token == PLACEHOLDER:
        told = "# Put the token that the service's operator gave you in its place.\n"
    elif token:
        told = "# Whoever has the token is you: let nobody else read this file.\n"
    return (
        "# Configuration of the ServiceX client for this service.\n"
        "# Keep it as servicex.yaml where you work, in a folder above, or in your home folder.\n"
        f"{told}{yaml.safe_dump(content, sort_keys=False)}"
    )


def with_placeholder(service: Service, base: str) -> str:
    """The configuration without anything secret."""
    return servicex_yaml(base, PLACEHOLDER if service.settings.needs_sign_in else None)


def with_new_token(service: Service, base: str, who: Caller) -> str:
    """The configuration with a new refresh token of the caller's, where one is needed."""
    user_id = who.user_id
    if user_id is None:
        return with_placeholder(service, base)

    def work(session: Session) -> str:
        return new_token(session, session.get_one(User, user_id), service.secret.signing_key)[1]

    return servicex_yaml(base, service.database.transact(work))


def _plain(host: str) -> str:
    return "".join(character if character.isalnum() else "-" for character in host)
