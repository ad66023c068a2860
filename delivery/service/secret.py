"""The one secret of a service, and the keys that are worked out from it.

Nothing derived is kept anywhere: every process that has the secret works out the same keys, so that restarts and
replicas need no exchange, and a new secret voids all tokens and all storage keys at once.
"""

import hashlib
import hmac
import os
import secrets
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self
from uuid import UUID

from delivery.service.errors import ServiceError
from delivery.service.settings import Settings

SHORTEST: Final = 32
"""Characters that a secret must have at least."""


class SecretUnusable(ServiceError):
    """The secret's file cannot be read or made, or holds too little."""


@dataclass(frozen=True, slots=True)
class Secret:
    """What signs tokens and makes the storage keys; it never shows in a `repr`."""

    root: bytes = field(repr=False)

    @classmethod
    def open(cls, settings: Settings) -> Self:
        """The secret in `settings.secret_file`, else the data folder's, which is made (mode 0600) by who comes first.

        Raises SecretUnusable.
        """
        path = settings.secret_file
        if path is None:
            path = settings.data / "secret"
            _make(path)
        try:
            text = path.read_bytes().strip()
        except OSError as error:
            raise SecretUnusable(
                f"the service's secret {path} cannot be read ({error.strerror}); make one with "
                f"`openssl rand -hex 32 > {path}` and let only the service read it"
            ) from error
        if len(text) < SHORTEST:
            raise SecretUnusable(
                f"the service's secret {path} has {len(text)} characters, it needs {SHORTEST}; "
                f"`openssl rand -hex 32` writes a good one"
            )
        return cls(text)

    @property
    def signing_key(self) -> bytes:
        """32 bytes that sign tokens."""
        return self.derived("tokens")

    def derived(self, purpose: str) -> bytes:
        """32 bytes for one purpose, from which neither the secret nor another purpose's can be told (HMAC-SHA256)."""
        return hmac.digest(self.root, purpose.encode(), hashlib.sha256)

    def s3_keys(self, request_id: str) -> tuple[str, str]:
        """Access and secret key that open the bucket of one request (a UUID) and no other."""
        canonical = UUID(request_id)
        secret_key = urlsafe_b64encode(self.derived(f"s3:{canonical}")).rstrip(b"=").decode()
        return canonical.hex.upper(), secret_key

    def request_of_access_key(self, access_key: str) -> str | None:
        """The request that an access key speaks of, None if it is no key of ours. It proves nothing by itself."""
        if len(access_key) != 32 or not access_key.isascii():
            return None
        try:
            found = UUID(access_key)
        except ValueError:
            return None
        return str(found) if found.hex.upper() == access_key else None


def _make(path: Path) -> None:
    """Write a new secret unless there is one; of several processes that start at once, one wins."""
    if path.exists():
        return
    part = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "w") as file:
                file.write(f"{secrets.token_hex(SHORTEST)}\n")
                file.flush()
                os.fsync(file.fileno())
            path.hardlink_to(part)
        finally:
            part.unlink(missing_ok=True)
    except FileExistsError:
        return
    except OSError as error:
        raise SecretUnusable(f"the service's secret cannot be written to {path} ({error.strerror})") from error
