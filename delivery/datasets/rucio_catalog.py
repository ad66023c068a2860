"""Datasets, containers and files of Rucio, through its own client: server and credentials are the client's settings.

The client is no dependency of this project: an operator who wants Rucio installs ``rucio-clients``, writes its
``rucio.cfg`` and names the account in the service's settings.
"""

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from importlib import import_module
from typing import Any, Final

from delivery.datasets.errors import DatasetError
from delivery.datasets.files import Deadline, FoundFile, FoundFiles
from delivery.datasets.identifier import Identifier
from delivery.service.settings import Inputs, Settings

SCHEMES: Final = ("root", "roots", "https", "http")
"""Schemes of replicas, those first that are read best."""
SECONDS: Final = 60.0
"""So long one answer of Rucio may take."""

NOT_INSTALLED: Final = (
    "this service does not look up Rucio datasets: its operator can install rucio-clients, write its rucio.cfg "
    "(rucio_host, auth_host, auth_type) and set rucio_account"
)


def missing(settings: Settings) -> str | None:
    """What stands in the way of Rucio lookups here, as a sentence; None if nothing does."""
    try:
        import_module("rucio.client")
    except ImportError:
        return NOT_INSTALLED
    except Exception as error:  # noqa: BLE001 - the client reads its settings when it is imported
        return f"Rucio's client cannot start here: {type(error).__name__}: {error}"
    if settings.rucio_account is None:
        return "this service does not look up Rucio datasets: its operator can set rucio_account"
    return None


def find(identifier: Identifier, settings: Settings, deadline: Deadline) -> FoundFiles:
    """The files of a dataset, a container or one file, by name. Raises DatasetError."""
    reason = missing(settings)
    if reason is not None:
        raise DatasetError("internal_failure", reason)
    scope, _, name = identifier.name.partition(":")
    exceptions: Any = import_module("rucio.common.exception")
    try:
        client = import_module("rucio.client").Client(account=settings.rucio_account, timeout=deadline.left(SECONDS))
        contents = {(file["scope"], file["name"]): file for file in client.list_files(scope, name)}
        deadline.left(SECONDS)
        replicas = client.list_replicas([{"scope": scope, "name": name}], schemes=list(SCHEMES), sort="geoip")
        places = {(file["scope"], file["name"]): file for file in _in_time(replicas, deadline)}
    except (exceptions.DataIdentifierNotFound, exceptions.ScopeNotFound) as error:
        raise DatasetError("does_not_exist", f"Rucio has no {identifier.name}") from error
    except DatasetError:
        raise
    except Exception as error:  # its own errors, those of requests, of its settings: some derive from Exception alone
        said = " ".join(str(error).split()) or type(error).__name__
        raise DatasetError("internal_failure", f"Rucio cannot be asked for {identifier.name}: {said[:500]}") from error
    found = [_found(contents[key] | places.get(key, {}), contents[key], settings.inputs) for key in sorted(contents)]
    return FoundFiles(_wanted(found, identifier, settings.limits.files))


def _in_time(rows: Iterable[Mapping[str, Any]], deadline: Deadline) -> Iterable[Mapping[str, Any]]:
    for row in rows:
        deadline.left(SECONDS)
        yield row


def _found(file: Mapping[str, Any], content: Mapping[str, Any], inputs: Inputs) -> FoundFile:
    paths = in_order(file.get("pfns") or {}, inputs)
    return FoundFile(paths, content.get("adler32"), int(content.get("bytes") or 0), int(content.get("events") or 0))


def in_order(replicas: Mapping[str, Mapping[str, Any]], inputs: Inputs) -> tuple[str, ...]:
    """The replicas that can be read, in the order in which they are to be tried.

    The operator's `site_replicas` come first in their order, then XRootD before HTTP, then Rucio's own priority. Those
    on tape and those of schemes that this service does not read are left out.

    replicas: what Rucio says of each, by URL (``priority``, ``type``).
    """

    def rank(url: str) -> tuple[int, int, int, str]:
        site = next((place for place, each in enumerate(inputs.site_replicas) if fnmatchcase(url, each)), None)
        near = len(inputs.site_replicas) if site is None else site
        return near, SCHEMES.index(url.partition("://")[0]), int(replicas[url].get("priority") or 0), url

    readable = (
        url
        for url, replica in replicas.items()
        if (scheme := url.partition("://")[0]) in SCHEMES and scheme in inputs.schemes and replica.get("type") != "TAPE"
    )
    return tuple(sorted(readable, key=rank))


def _wanted(found: list[FoundFile], identifier: Identifier, most: int) -> list[FoundFile]:
    name = identifier.name
    if not found:
        raise DatasetError("does_not_exist", f"{name} has no files in Rucio")
    readable = [file for file in found if file.paths]
    lacking = len(found) - len(readable)
    if lacking and (identifier.get == "all" or not readable):
        hint = "; add ?get=available to take the others" if readable else ""
        reason = f"{lacking} of {len(found)} files of {name} have no replica on disk that this service can read{hint}"
        raise DatasetError("internal_failure", reason)
    if len(readable) > most:
        raise DatasetError("bad_name", f"{name} has {len(readable):,} files, a request may have {most:,}")
    return readable
