"""`skimflow users` and `skimflow token`: who may use a service. They work on its database, where the service runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from skimflow.cli import json_option, print_json
from skimflow.errors import UsageError

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from delivery.service.settings import Settings
    from delivery.service.tables import User

_DAY = 86400.0


def located(command: Callable[..., None]) -> Callable[..., None]:
    """The options that say which service: its settings, its folder."""
    config = click.option(
        "--config", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="The service's settings (YAML)."
    )
    data = click.option(
        "--data", type=click.Path(file_okay=False, path_type=Path),
        help="The service's folder, as `skimflow serve --data` names it (default: skimflow-service).",
    )  # fmt: skip

    @wraps(command)
    def with_settings(config: Path | None, data: Path | None, **options: Any) -> None:
        from delivery.service.settings import load

        command(settings=load(config, **({} if data is None else {"data": data})), **options)

    return config(data(with_settings))


@click.group()
def users() -> None:
    """Users of a service: who may sign in, with which role and limits; every command has --json."""


@users.command()
@click.argument("name")
@click.option("--email", default="", help="Where to reach them.")
@click.option("--admin", "role", flag_value="admin", help="May see and change everybody's requests.")
@located
@json_option
def add(name: str, email: str, role: str | None, settings: Settings, as_json: bool) -> None:
    """Add user NAME and print their first token, which is kept nowhere else."""
    from delivery.service.secret import Secret
    from delivery.service.sign_in import users as service_users

    with _session(settings) as session:
        user = service_users.add(session, name, email, role or "user")
        number, token = service_users.new_token(session, user, Secret.open(settings).signing_key)
        document = _document(user)
    if as_json:
        print_json({**document, "number": number, "token": token})
        return
    click.echo(f"added {document['role']} {name}; their token, for servicex.yaml:", err=True)
    click.echo(token)
    click.echo("the service's pages want it at sign-in, and give the whole servicex.yaml then", err=True)


@users.command("list")
@located
@json_option
def list_users(settings: Settings, as_json: bool) -> None:
    """List all users."""
    from delivery.service.sign_in import users as service_users

    with _session(settings) as session:
        found = [_document(user) for user in service_users.listed(session)]
    if as_json:
        print_json(found)
        return
    for user in found:
        quota = " ".join(f"{name}={value}" for name, value in user["quota"].items())
        tokens = _good_tokens(max(user["tokens_from"], 1), user["last_token"])
        state = "" if user["active"] else "inactive"
        click.echo("  ".join(filter(None, (user["name"], user["role"], state, tokens, user["email"], quota))))
    if not found:
        click.echo("no users yet: `skimflow users add NAME` adds one", err=True)


@users.command()
@click.argument("name")
@click.option("--before", type=click.IntRange(1), metavar="NUMBER", help="Only tokens with smaller numbers.")
@located
@json_option
def revoke(name: str, before: int | None, settings: Settings, as_json: bool) -> None:
    """Void the tokens of user NAME, and the sessions made from them, from this moment on."""
    from delivery.service.sign_in import users as service_users

    with _session(settings) as session:
        user = service_users.by_name(session, name)
        service_users.revoke(user, before)
        document = _document(user)
    if as_json:
        print_json(document)
        return
    click.echo(f"tokens of {name} before number {document['tokens_from']} are void", err=True)


@users.command("set")
@click.argument("name")
@click.argument("quota", nargs=-1, metavar="[LIMIT=NUMBER]...")
@click.option("--role", type=click.Choice(["user", "admin"]))
@click.option("--active/--inactive", default=None, help="Whether they may sign in.")
@click.option("--email", help="Where to reach them.")
@located
@json_option
def set_user(
    name: str, quota: tuple[str, ...], role: str | None, active: bool | None, email: str | None,
    settings: Settings, as_json: bool,
) -> None:  # fmt: skip
    """Change user NAME. LIMIT= (without a number) is the service's own limit again."""
    from delivery.service.sign_in import users as service_users

    with _session(settings) as session:
        user = service_users.by_name(session, name)
        limits = dict(map(_limit, quota))
        service_users.change(user, role=role, active=active, email=email, quota=limits)
        document = _document(user)
    if as_json:
        print_json(document)


@click.command()
@click.argument("name")
@click.option("--days", type=click.FloatRange(0, min_open=True), default=365, show_default=True, help="Good for.")
@located
@json_option
def token(name: str, days: float, settings: Settings, as_json: bool) -> None:
    """Print a new token of user NAME, for servicex.yaml. The others stay good."""
    from delivery.service.secret import Secret
    from delivery.service.sign_in import users as service_users

    with _session(settings) as session:
        user = service_users.by_name(session, name)
        number, text = service_users.new_token(session, user, Secret.open(settings).signing_key, days * _DAY)
    if as_json:
        print_json({"name": name, "number": number, "token": text})
    else:
        click.echo(text)


@contextmanager
def _session(settings: Settings) -> Iterator[Session]:
    """One transaction on the service's database, whose tables are made if it has not run yet."""
    from delivery.service.database import Database

    settings.data.mkdir(parents=True, exist_ok=True, mode=0o700)
    database = Database(settings.database_url)
    try:
        database.upgrade()
        with database.session() as session:
            yield session
    finally:
        database.close()


def _limit(text: str) -> tuple[str, int | None]:
    name, equals, number = text.partition("=")
    try:
        return name, int(number) if number or not equals else None
    except ValueError as error:
        raise UsageError(f"{text!r} is not LIMIT=NUMBER, such as open_requests=20") from error


def _good_tokens(first: int, last: int) -> str:
    """The numbers of the tokens that count."""
    return "no token" if first > last else f"token {last}" if first == last else f"tokens {first} to {last}"


def _document(user: User) -> dict[str, Any]:
    return {
        "name": user.name,
        "email": user.email,
        "role": user.role,
        "active": user.active,
        "tokens_from": user.tokens_from,
        "last_token": user.last_token,
        "quota": user.quota,
    }
