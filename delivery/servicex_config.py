"""The ServiceX configuration file, found and read as the official client does it, without importing that client."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from delivery.errors import RequestFailed, UnknownEndpoint

NAMES = (".servicex", "servicex.yaml")


@dataclass(frozen=True, slots=True)
class Backend:
    """One ServiceX: its URL (no slash at the end) and the token for it (empty where none is needed)."""

    name: str
    url: str
    token: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class ServiceXConfig:
    """A configuration file: its backends by name in the file's order, and which is meant when none is named."""

    path: Path
    backends: Mapping[str, Backend]
    default: str

    def backend(self, name: str | None = None) -> Backend:
        """The backend of a name, or the default one. Raises UnknownEndpoint, which names those that there are."""
        try:
            return self.backends[name or self.default]
        except KeyError:
            raise UnknownEndpoint(name or self.default, tuple(self.backends), f"is in {self.path}") from None


def find_config(path: Path | str | None = None) -> ServiceXConfig | None:
    """Read the given file, or the first of `NAMES` from the working directory upwards, then at home; None if none is.

    Raises RequestFailed if the file is no ServiceX configuration.
    """
    if path is not None:
        return _read(Path(path)) if Path(path).exists() else None
    here = Path.cwd()
    for folder in (here, *here.parents, Path.home()):
        for name in NAMES:
            if (folder / name).exists():
                return _read(folder / name)
    return None


def choose(
    backend: str | None = None,
    url: str | None = None,
    token: str | None = None,
    config_path: Path | str | None = None,
) -> tuple[Backend, str]:
    """Which service is meant, and a word on where its token comes from.

    backend: a name in the configuration file; None means the file's default. url: a service to ask instead; its token
    is ``token``, or that of the configuration file if it knows this URL.

    Raises UnknownEndpoint if no service is named, or none of that name is in the file.
    """
    config = find_config(config_path)
    if url is not None:
        url = url.rstrip("/")
        known = [] if config is None else [one for one in config.backends.values() if one.url == url]
        if token is None and known and config is not None:
            return known[0], f"the token of {known[0].name!r} in {config.path}"
        return Backend("endpoint", url, token or ""), "the token given" if token else "requests without a token"
    if config is None:
        where = f"can be looked up: there is no {' or '.join(NAMES)} here, above or at home; give a URL, or write one"
        raise UnknownEndpoint(backend or "servicex", (), where)
    chosen = config.backend(backend)
    return chosen, f"the token of {chosen.name!r} in {config.path}"


def _read(path: Path) -> ServiceXConfig:
    import yaml

    try:
        content: Any = yaml.safe_load(path.read_text())
        backends = [
            Backend(entry["name"], str(entry["endpoint"]).rstrip("/"), entry.get("token") or "")
            for entry in content["api_endpoints"]
        ]
        default = content.get("default_endpoint") or content.get("default-endpoint") or backends[0].name
    except (yaml.YAMLError, KeyError, TypeError, IndexError, AttributeError, OSError) as error:
        reason = f"is no ServiceX configuration: it needs api_endpoints, a list of endpoint, name, token ({error!r})"
        raise RequestFailed(str(path), reason) from error
    return ServiceXConfig(path, {backend.name: backend for backend in backends}, default)
