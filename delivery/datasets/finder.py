"""Which way of finding files goes with which identifier."""

from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import Any

from delivery.datasets.errors import DatasetError
from delivery.datasets.files import Deadline, FoundFiles
from delivery.datasets.identifier import Identifier, parse
from delivery.datasets.patterns import has_magic, split
from delivery.service import inputs
from delivery.service.errors import ServiceError
from delivery.service.settings import Settings


def find_files(did: str, settings: Settings) -> FoundFiles:
    """The files of a dataset, in an order that only the dataset decides; of ``?files=N`` the first N.

    Takes at most `settings.limits.lookup_seconds` and one answer's time.

    Raises DatasetError, whose `lookup_status` and sentence say why there are none.
    """
    identifier = parse(did)
    check(identifier, settings)
    try:
        found = _find(identifier, settings, Deadline(settings.limits.lookup_seconds))
    except DatasetError:
        raise
    except Exception as error:
        reason = f"{identifier.dataset} could not be looked up ({type(error).__name__}: {error})"
        raise DatasetError("internal_failure", reason) from error
    return FoundFiles(found.files[: identifier.files])


def check(identifier: Identifier, settings: Settings) -> None:
    """Whether this service may look a dataset up at all; asks no server but a name server.

    Raises DatasetError with what is allowed, or what its operator would have to install or set.
    """
    if identifier.scheme == "rucio":
        reason = _module("rucio_catalog").missing(settings)
        if reason is not None:
            raise DatasetError("internal_failure", reason)
    if identifier.scheme in ("xrootd", "glob"):
        base = identifier.name if identifier.scheme == "xrootd" else _folder(identifier.name)
        try:
            inputs.check(base, settings)
        except ServiceError as error:
            raise DatasetError("bad_name", str(error)) from error


def expanded(files: Iterable[str], settings: Settings) -> list[str]:
    """A list of files in which patterns and folders are replaced by their files, each sorted; the rest stays.

    A pattern is a local path with wildcards that is no file's own name, or a ``root://`` URL with a ``*``.

    Raises DatasetError.
    """
    deadline = Deadline(settings.limits.lookup_seconds)
    result: list[str] = []
    for file in files:
        kind = _kind(file, settings)
        if kind is None:
            result.append(file)
        else:
            found: FoundFiles = _module(kind).find(file.removeprefix("file://"), settings, deadline)
            result += [each.paths[0] for each in found.files]
    return result


def _kind(file: str, settings: Settings) -> str | None:
    """The module that finds the files which an entry of a list stands for; None if it is a file itself."""
    scheme, remote, _ = file.partition("://")
    if remote and scheme != "file":
        return "xrootd" if scheme in ("root", "roots") and "*" in file else None
    path = file.removeprefix("file://")
    if not path.startswith("/"):
        return None  # it is refused with the other files' rules
    try:
        checked = Path(inputs.check(path, settings))
        return "local" if checked.is_dir() or (has_magic(path) and not checked.exists()) else None
    except (ServiceError, OSError):
        return None


def _find(identifier: Identifier, settings: Settings, deadline: Deadline) -> FoundFiles:
    modules = {"glob": "local", "xrootd": "xrootd", "cernopendata": "open_data", "rucio": "rucio_catalog"}
    by_name = identifier.scheme in ("glob", "xrootd")
    asked = identifier.name if by_name else identifier
    found: FoundFiles = _module(modules[identifier.scheme]).find(asked, settings, deadline)
    return found


def _folder(pattern: str) -> str:
    """The part of a path before its first wildcard."""
    return split(pattern)[0]


def _module(name: str) -> Any:
    """Only what is asked for is imported: HTTP and XRootD clients take their time."""
    return import_module(f"delivery.datasets.{name}")
