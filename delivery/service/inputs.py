"""Which files a request may read: local ones below the operator's folders, remote ones by scheme and host.

The checks are made at submission and again right before a file is handed to a worker. What a name means can change
between check and use; `delivery.engine.storage.web` therefore asks `web_guard` at every hop of a download.
"""

import ipaddress
import os
import re
import socket
import stat
import time
from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from delivery.service.errors import BadRequest, Unavailable
from delivery.service.settings import Inputs, Settings
from delivery.urls import shown

LONGEST: Final = 4096
"""Characters of a path or URL."""
MANY_HOSTS: Final = 64
"""Different hosts in one list of files: each is looked up, and a name server can be made slow on purpose."""
TRUSTED_SECONDS: Final = 30.0
"""So long the addresses of a host are taken as known."""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<authority>[^/?#]*)(?P<rest>[/?].*)?")
_AUTHORITY = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:(?P<port>[0-9]{1,5}))?")
_LABEL = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
_UNSEEN = re.compile(r"[\x00-\x1f\x7f\u2028\u2029]")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def check(path_or_url: str, settings: Settings) -> str:
    """A path or URL that may be read, normalised: a local file as a plain absolute path, a URL with a small host.

    Raises BadRequest, whose sentence says what is allowed; Unavailable if a host's name cannot be looked up now.
    """
    if not path_or_url or len(path_or_url) > LONGEST:
        raise BadRequest(f"a file's path or URL must have 1 to {LONGEST} characters, this one has {len(path_or_url)}")
    if _UNSEEN.search(path_or_url):
        raise BadRequest(f"the path or URL {path_or_url[:200]!r} holds characters that cannot be seen")
    scheme, found, rest = path_or_url.partition("://")
    if not found:
        return _local(path_or_url, settings)
    if scheme.lower() == "file":
        return _local(_path_of(rest), settings)
    return _remote(path_or_url, settings.inputs)


def check_all(paths: Iterable[str], settings: Settings) -> list[str]:
    """`check` of each file of one request. Raises BadRequest also if they name too many different hosts."""
    found, hosts = [], set[str]()
    for path in paths:
        hosts.add(path.partition("://")[2].partition("/")[0])
        if len(hosts) > MANY_HOSTS:
            raise BadRequest(f"one request may name {MANY_HOSTS} different hosts, this one names more; split it")
        found.append(check(path, settings))
    return found


def web_guard(inputs: Inputs) -> Callable[[str, str, str | None], None]:
    """What a worker asks before each hop of a download, and after it was connected: scheme, host, peer's address.

    It raises PermissionError: a redirection must not lead where a request could not have asked for itself, and a name
    must not mean another address when it is used than when it was checked.
    """

    def guard(scheme: str, host: str, peer: str | None) -> None:
        if scheme not in inputs.schemes:
            raise PermissionError(f"the server redirects to {scheme}://, which this service does not read")
        if _named(host, inputs):
            return
        try:
            internal = _internal_host(host) if peer is None else is_internal(ipaddress.ip_address(peer))
        except (BadRequest, Unavailable, ValueError) as error:
            raise PermissionError(f"the server redirects to {host!r}, a host that cannot be asked") from error
        if internal:
            raise PermissionError(f"{host} is or redirects to an internal address, which requests may not read")

    return guard


def is_internal(address: Address) -> bool:
    """Whether an address is not one of the public internet: loopback, private, link-local, shared, reserved, multicast.

    An IPv6 address that carries an IPv4 address (mapped, NAT64, 6to4, Teredo) is judged by that one.
    """
    if isinstance(address, ipaddress.IPv6Address):
        carried = address.ipv4_mapped or address.sixtofour or (address.teredo and address.teredo[1])
        if address in _NAT64:
            carried = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if carried:
            return is_internal(carried)
    return not address.is_global or address.is_multicast or address.is_reserved


def _path_of(after_scheme: str) -> str:
    """The local path of a ``file://`` URL, from what follows the scheme."""
    host, slash, path = after_scheme.partition("/")
    if host not in ("", "localhost") or not slash or "?" in path or "#" in path:
        raise BadRequest(f"file://{after_scheme[:200]} names no local file; right is file:///folder/file.root")
    return "/" + unquote(path)


def _local(path: str, settings: Settings) -> str:
    """A local path below an allowed folder, where links lead included; never the service's own files."""
    inputs = settings.inputs
    where = ", ".join(map(str, inputs.roots))
    allowed = f"allowed are files below {where}" if where else "no local folder is allowed (inputs.roots is empty)"
    if _UNSEEN.search(path) or not path.startswith("/"):
        raise BadRequest(f"{path[:200]!r} is not an absolute path; {allowed}")
    if ".." in path.split("/"):
        raise BadRequest(f"{path[:200]!r} must not hold '..'; {allowed}")
    try:
        real = Path(path).resolve()
        mode = real.stat().st_mode if _below(real, inputs) else None
    except FileNotFoundError:
        mode = None  # whether it is there is not asked here
    except (OSError, RuntimeError, ValueError) as error:  # loops of links, names that are too long
        raise BadRequest(f"{path[:200]!r} names no file; {allowed}") from error
    if not _below(real, inputs):
        raise BadRequest(f"{path[:200]!r} is not below a folder that may be read; {allowed}")
    if any(real.is_relative_to(own) for own in _own(settings)):
        raise BadRequest(f"{path[:200]!r} belongs to the service itself; {allowed}")
    if mode is not None and not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise BadRequest(f"{path[:200]!r} is neither a file nor a folder")
    return os.path.normpath("/" + path.lstrip("/"))


def _own(settings: Settings) -> list[Path]:
    """Where the service keeps its secret, its state and other people's results."""
    database = settings.database_url.partition("sqlite:///")[2]
    store = settings.store_url.removeprefix("file://")
    own = [settings.data, settings.secret_file, Path(database) if database else None, None if "://" in store else store]
    return [Path(each).resolve() for each in own if each is not None]


def _below(real: Path, inputs: Inputs) -> bool:
    return any(real.is_relative_to(root.expanduser().resolve()) for root in inputs.roots)


def _remote(url: str, inputs: Inputs) -> str:
    """A URL of an allowed scheme whose host has public addresses only, or is named in the settings."""
    found = _URL.fullmatch(url)
    if found is None or "\\" in url or " " in url:
        raise BadRequest(f"{shown(url)[:200]!r} is not a URL such as root://host//folder/file.root")
    scheme = found["scheme"].lower()
    if scheme not in inputs.schemes:
        allowed = ", ".join(f"{each}://" for each in inputs.schemes) or "none"
        raise BadRequest(f"{scheme}:// is not read by this service; allowed are {allowed}")
    if "@" in found["authority"]:
        raise BadRequest(f"{shown(url)[:200]} must come without a user name or password")
    authority = _AUTHORITY.fullmatch(found["authority"])
    if authority is None or (authority["port"] and not 0 < int(authority["port"]) < 65536):
        raise BadRequest(f"{shown(url)[:200]!r} has no valid host; write it in letters, digits, '.' and '-' (xn--…)")
    host = authority["host"].lower().rstrip(".")
    if not _named(host, inputs) and _internal_host(host):
        raise BadRequest(f"{host} is an internal address, which requests may not read; its operator can allow it")
    port = f":{authority['port']}" if authority["port"] else ""
    return f"{scheme}://{host}{port}{found['rest'] or ''}"


def _named(host: str, inputs: Inputs) -> bool:
    return any(fnmatchcase(host.strip("[]").lower().rstrip("."), pattern.lower()) for pattern in inputs.hosts)


def _internal_host(host: str) -> bool:
    """Whether any address of a host is internal. Raises BadRequest for no host, Unavailable if it is not found."""
    plain = host.strip("[]").lower().rstrip(".")
    try:
        return is_internal(ipaddress.ip_address(plain))
    except ValueError:
        pass
    labels = plain.split(".")
    if not all(map(_LABEL.fullmatch, labels)):
        raise BadRequest(f"{host!r} is not a host's name")
    if re.fullmatch(r"[0-9]+|0x[0-9a-f]*", labels[-1]):  # 2130706433, 0177.1, 0x7f.1: libraries read them as addresses
        raise BadRequest(f"{host!r} is no IPv4 address in its usual form (four decimal numbers without leading zeros)")
    if len(labels) == 1 or labels[-1] in ("localhost", "local", "internal"):
        return True  # names of the service's own network
    return any(map(is_internal, _addresses(plain, int(time.monotonic() // TRUSTED_SECONDS))))


@lru_cache(maxsize=4096)
def _addresses(host: str, _period: int) -> tuple[Address, ...]:
    """All addresses of a host; looked up once in a period."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise Unavailable(f"no address is known for the host {host}; check its spelling, or try again later") from error
    return tuple({ipaddress.ip_address(str(each[4][0]).partition("%")[0]) for each in found})
