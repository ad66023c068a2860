"""`skimflow serve`: a ServiceX endpoint on this machine."""

from __future__ import annotations

import json
import os
import signal
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from skimflow.cli import json_option, print_json
from skimflow.errors import SkimflowError, UsageError

if TYPE_CHECKING:
    from delivery.service.settings import Settings

EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - compared, not bound
CODEGENS = ("uproot", "uproot-raw", "python")


@click.command()
@click.option("--host", help="Address to serve at (default: 127.0.0.1; any other wants users and tokens).")
@click.option("--port", type=click.IntRange(0, 65535), help="Port (default: 5000; 0: any free one).")
@click.option(
    "--data", type=click.Path(file_okay=False, path_type=Path),
    help="Folder of database, results and secret (default: skimflow-service).",
)  # fmt: skip
@click.option(
    "--config", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Settings in YAML (docs/service.md lists them); options and SKIMFLOW_… variables go before it.",
)  # fmt: skip
@click.option(
    "--root", "roots", multiple=True, type=click.Path(exists=True, file_okay=False, path_type=Path), metavar="DIR",
    help="Requests may read local files below DIR (default on 127.0.0.1: the current folder); may be repeated.",
)  # fmt: skip
@click.option(
    "--codegen", "codegens", multiple=True, type=click.Choice(CODEGENS),
    help="Query languages to run (default: uproot, uproot-raw; python runs requests' own code); may be repeated.",
)  # fmt: skip
@click.option("--scheduler", metavar="ADDRESS", help="Dask scheduler whose workers run requests (default: our own).")
@click.option("--workers", type=click.IntRange(1), help="Workers of our own (default: one per core).")
@click.option("--store", metavar="URL", help="Where results are kept: FOLDER or s3://BUCKET/PREFIX.")
@click.option("--database", metavar="URL", help="sqlite:///FILE or postgresql://USER@HOST/NAME.")
@click.option("--upstream", metavar="URL", help="A ServiceX that runs the codegens which this service does not.")
@click.option("--print-config", is_flag=True, help="Print all settings as YAML, and serve nothing.")
@json_option
def serve(
    config: Path | None, roots: tuple[Path, ...], codegens: tuple[str, ...], upstream: str | None,
    print_config: bool, as_json: bool, **options: Any,
) -> None:  # fmt: skip
    """Serve a ServiceX endpoint until Ctrl-C; started again, it goes on with what was asked for.

    Any ServiceX client can use it, and `skimflow submit`. With --json, one line says when it is ready.
    """
    given: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
    given |= {"inputs": {"roots": [root.resolve() for root in roots]}} if roots else {}
    given |= {"codegens": codegens} if codegens else {}
    given |= {"upstream": {"url": upstream}} if upstream else {}
    from delivery.service.settings import load

    if config is not None and not config.is_file():
        raise UsageError(f"--config {config} is no plain file")

    settings = with_roots(load(config, **given))
    if print_config:
        _print_config(settings, as_json)
        return
    _check(settings)
    _serve(settings, as_json)


def with_roots(settings: Settings) -> Settings:
    """On loopback without folders named: local files below the current one may be read."""
    if settings.inputs.roots or not settings.loopback:
        return settings
    return settings.model_copy(update={"inputs": settings.inputs.model_copy(update={"roots": (Path.cwd(),)})})


def _check(settings: Settings) -> None:
    """Raise now, as one sentence, what would be a traceback of the service later."""
    from artifacts.store import Store
    from delivery.service.database import Database
    from delivery.service.secret import Secret

    try:
        settings.data.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise UsageError(
            f"the folder {settings.data} cannot be made ({error.strerror}); choose another: --data"
        ) from error
    if not os.access(settings.data, os.W_OK | os.X_OK):
        raise UsageError(f"the folder {settings.data} cannot be written to; choose another: --data")
    Store.open(settings.store_url)
    Secret.open(settings)
    database = Database(settings.database_url)
    database.upgrade()
    database.close()


def _serve(settings: Settings, as_json: bool) -> None:
    from delivery.service import main

    said = []

    def started(url: str) -> None:
        said.append(url)
        facts = _facts(settings, url)
        click.echo(json.dumps(facts) if as_json else "\n".join(_banner(settings, facts)))

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # after the service has ended by itself
    try:
        main.serve(settings, started)
    except main.AddressUnusable as error:
        raise UsageError(str(error)) from error
    except KeyboardInterrupt:
        pass
    if not said:
        raise SkimflowError("the service did not start; its log, above, says why")
    click.echo("stopped: what was asked for goes on at the next start", err=True)


def _facts(settings: Settings, url: str) -> dict[str, Any]:
    return {
        "url": settings.public_url or url,
        "pid": os.getpid(),
        "data": str(settings.data),
        "roots": [str(root) for root in settings.inputs.roots],
        "codegens": list(settings.codegens),
        "sign_in": settings.needs_sign_in,
    }


def _banner(settings: Settings, facts: dict[str, Any]) -> list[str]:
    url, roots = facts["url"], facts["roots"]
    below = f"local files below {', '.join(roots)} (--root names others), " if roots else ""
    remote = ", ".join(f"{scheme}://" for scheme in settings.inputs.schemes)
    upstream = f"; {', '.join(settings.upstream.codegens)} at {settings.upstream.url}" if settings.upstream else ""
    workers = (
        f"of the scheduler {settings.scheduler}" if settings.scheduler else f"{settings.workers or os.cpu_count()} here"
    )
    sign_in = (
        "needed: `skimflow users add NAME` prints a token" if settings.needs_sign_in else "none, for this machine only"
    )
    lines = {
        **({"address": _reached_as(url)} if settings.host in EVERYWHERE and not settings.public_url else {}),
        "data": str(settings.data),
        "inputs": f"{below}{remote}",
        "codegens": ", ".join(settings.codegens) + upstream,
        "workers": workers,
        "sign-in": sign_in,
        "client": (
            "who is signed in gets the configuration of the ServiceX client from the pages"
            if settings.needs_sign_in
            else f"{url}/servicex.yaml is the configuration of the ServiceX client"
        ),
        "try": "skimflow submit --help",
        "stop": "Ctrl-C; started again, it goes on",
    }
    return [f"skimflow serves a ServiceX endpoint at {url}", *(f"  {name:<9} {text}" for name, text in lines.items())]


def _reached_as(url: str) -> str:
    """What to type for an address that stands for all of the machine's."""
    port = url.rpartition(":")[2]
    return f"http://127.0.0.1:{port} here, http://{socket.gethostname()}:{port} from elsewhere, or as public_url says"


def _print_config(settings: Settings, as_json: bool) -> None:
    from delivery.urls import shown

    document = settings.model_dump(mode="json")
    document["database"] = shown(document["database"]) if document["database"] else None
    if as_json:
        print_json(document)
        return
    import yaml

    click.echo(yaml.safe_dump(document, sort_keys=False), nl=False)
