"""Checks of an installation: each says what it found and, where that is bad, what to do."""

from __future__ import annotations

import importlib.metadata
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from skimflow.code import ROOMS

PACKAGES = (*ROOMS, "artifacts", "skimflow")
TIMEOUT_S = 5.0


@dataclass(frozen=True)
class Finding:
    """One check: `ok`, what was found, and what to do about it (empty when all is well)."""

    check: str
    ok: bool
    found: str
    advice: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def examine(store: str) -> Iterator[Finding]:
    """All checks, one after the other."""
    yield check_python()
    yield from check_versions()
    yield from check_clashes(importlib.metadata.packages_distributions())
    yield check_store(store)
    yield from check_endpoints(find_configuration(Path.cwd()))


def check_python() -> Finding:
    """Python itself."""
    version = ".".join(str(part) for part in sys.version_info[:3])
    return Finding("python", sys.version_info >= (3, 11), version, "skimflow needs Python 3.11 or newer")


def check_versions() -> Iterator[Finding]:
    """Every direct dependency is there and not older than what was tried."""
    from packaging.requirements import Requirement

    for text in importlib.metadata.requires("skimflow") or ():
        requirement = Requirement(text)
        try:
            version = importlib.metadata.version(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            yield Finding(requirement.name, False, "not installed", f"pip install '{requirement}'")
            continue
        ok = requirement.specifier.contains(version, prereleases=True)
        yield Finding(requirement.name, ok, version, "" if ok else f"pip install '{requirement}'")


def check_clashes(owners: Mapping[str, Sequence[str]]) -> Iterator[Finding]:
    """Nobody else owns one of our top-level names (`inference` and `queries` are also others' packages)."""
    for package in PACKAGES:
        others = sorted(set(owners.get(package, ())) - {"skimflow"})
        advice = f"pip uninstall {' '.join(others)}, or give skimflow an environment of its own" if others else ""
        found = f"also owned by {', '.join(others)}" if others else "ours alone"
        yield Finding(f"package {package}", not others, found, advice)


def check_store(url: str) -> Finding:
    """The store can be written and read."""
    from artifacts.errors import ArtifactError
    from artifacts.keys import Request
    from artifacts.maintenance import remove
    from artifacts.store import Store

    try:
        store = Store.open(url)
        request = Request("doctor", 1, {"pid": os.getpid()})
        entry = store.put(request, {"probe": b"probe"}, {})
        read = store.read(entry.blobs["probe"])
        remove(store, request.key)
    except ArtifactError as error:
        return Finding("store", False, str(error), "name a folder you may write to with --store")
    return Finding("store", read == b"probe", f"{url} can be written and read")


def find_configuration(folder: Path) -> Path | None:
    """The ServiceX client's configuration file, looked for as that client does: from here upwards, then home."""
    from delivery.servicex_config import NAMES

    for place in (folder, *folder.parents, Path.home()):
        for name in NAMES:
            if (place / name).is_file():
                return place / name
    return None


def check_endpoints(configuration: Path | None, get: Callable[[str], int] | None = None) -> Iterator[Finding]:
    """Every ServiceX endpoint of the configuration file answers."""
    import yaml

    if configuration is None:
        yield Finding(
            "servicex",
            True,
            "no configuration file; only `endpoint: servicex` needs one (servicex init writes it)",
        )
        return
    try:
        document = yaml.safe_load(configuration.read_text(encoding="utf-8"))
        endpoints = [(str(one["name"]), str(one["endpoint"])) for one in document["api_endpoints"]]
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        yield Finding("servicex", False, f"{configuration} cannot be used: {error!r}", "write it anew: servicex init")
        return
    for name, url in endpoints:
        yield _reach(name, url, get or _status)


def _reach(name: str, url: str, get: Callable[[str], int]) -> Finding:
    import httpx

    shown = re.sub(r"//[^@/]*@", "//", url)
    try:
        status = get(url.rstrip("/") + "/servicex")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return Finding(f"servicex {name}", False, f"{shown}: {error}", "is it running, and is its address right?")
    advice = {
        401: "its token is missing or expired: download servicex.yaml again",
        403: "its token is not accepted",
    }
    what_to_do = advice.get(status, "is this the address of a ServiceX? its log says more") if status >= 400 else ""
    return Finding(f"servicex {name}", status < 400, f"{shown} answers {status}", what_to_do)


def _status(url: str) -> int:
    import httpx

    return httpx.get(url, timeout=TIMEOUT_S).status_code
