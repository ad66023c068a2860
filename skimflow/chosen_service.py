"""Which service a command asks, and the commands that ask the same one."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from delivery.errors import EndpointUnreachable, UnknownEndpoint
from skimflow.cli import INTERRUPTED
from skimflow.errors import SkimflowError, UsageError
from skimflow.following import OtherResults

if TYPE_CHECKING:
    from delivery.service_client.client import ServiceClient

DEFAULT_URL = "http://127.0.0.1:5000"
"""Where `skimflow serve` serves if nothing else is said."""

_HOST_AND_PORT = re.compile(r"[\w.-]+:\d+(/.*)?")


@dataclass(frozen=True)
class ChosenService:
    """What ``--endpoint`` and ``--token-file`` say; both may be left to servicex.yaml."""

    endpoint: str | None
    token_file: Path | None

    def open(self) -> ServiceClient:
        """A client of the service, which has answered.

        Raises SkimflowError if nothing answers at the default address; else what every call of the client does.
        """
        from delivery.service_client.client import ServiceClient
        from delivery.servicex_config import choose, find_config

        token = _token(self.token_file) if self.token_file is not None else None
        nowhere = self.endpoint is None and find_config() is None
        place = DEFAULT_URL if nowhere else self.endpoint
        is_url = place is not None and "://" in place
        try:
            backend, source = choose(url=place, token=token) if is_url else choose(place)
        except UnknownEndpoint as error:
            if place is None or not _HOST_AND_PORT.fullmatch(place):
                raise
            raise UsageError(f"{error}; an address begins with http://: --endpoint http://{place}") from error
        token = token or backend.token
        if self.token_file is not None:
            source = f"the token in {self.token_file}"
        elif not token:
            source = "requests without a token (servicex.yaml has room for one, or the file of --token-file)"
        client = ServiceClient(backend.url, token, source)
        try:
            client.check()
        except EndpointUnreachable as error:
            if not nowhere:
                raise
            raise SkimflowError(
                f"no service answers at {DEFAULT_URL} and there is no servicex.yaml: start one (skimflow serve), "
                "or name one (--endpoint)"
            ) from error
        return client

    def command(self, *words: str) -> str:
        """A command of `skimflow requests` that asks the same service, to be typed."""
        options = {"--endpoint": self.endpoint, "--token-file": self.token_file and str(self.token_file)}
        given = [word for name, value in options.items() if value for word in (name, shlex.quote(value))]
        return " ".join(["skimflow requests", *words, *given])

    @contextmanager
    def going_on(self, request_id: str) -> Iterator[None]:
        """What ends the command does not end the request: say so, and what to type next.

        Raises click's Exit after Ctrl-C, UsageError instead of OtherResults.
        """
        bring = f"bring its results: {self.command('download', request_id, '--output DIR')}"
        try:
            yield
        except KeyboardInterrupt:
            stop = f"stop it: {self.command('cancel', request_id)}"
            click.echo(f"\ninterrupted; the service goes on with the request\n{bring}\n{stop}", err=True)
            raise click.exceptions.Exit(INTERRUPTED) from None
        except OtherResults as error:
            raise UsageError(f"{error}\n{bring}") from error


def _token(file: Path) -> str:
    """The token in a file. Raises UsageError if it has none."""
    token = file.read_text(errors="replace").strip()
    if not token or token.split() != [token]:
        raise UsageError(f"--token-file {file} holds no token: that is one word, as `skimflow token NAME` prints it")
    return token


def service_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say which service is meant; the function gets them as ``service``."""

    @wraps(function)
    def with_service(endpoint: str | None, token_file: Path | None, **options: Any) -> Any:
        return function(service=ChosenService(endpoint, token_file), **options)

    by_token = click.option(
        "--token-file", type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="A file with your token (default: the one in servicex.yaml).",
    )  # fmt: skip
    by_name = click.option(
        "--endpoint", metavar="NAME|URL",
        help=f"The service: a name in servicex.yaml, or a URL (default: that of servicex.yaml, else {DEFAULT_URL}).",
    )  # fmt: skip
    return by_name(by_token(with_service))


def request_id_of(client: ServiceClient, given: str) -> str:
    """The id that ``given``, an id or the beginning of one, means. Raises UsageError if it means none or several."""
    if re.fullmatch(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", given):
        return given.lower()
    found = [one.request_id for one in client.requests() if one.request_id.startswith(given.lower())]
    if len(found) == 1:
        return found[0]
    what = f"begins {len(found)} requests: {', '.join(found[:3])}" if found else "begins no request"
    raise UsageError(f"{given!r} {what}; `skimflow requests list` shows the ids")
