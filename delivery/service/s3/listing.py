"""One page of a bucket's listing: which names and which common prefixes stand on it, and where the next one begins.

Pure; names come in the order of their UTF-8 bytes, from where the page may begin.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from delivery.service.s3.errors import S3Error

MOST: Final = 1000
"""Names and prefixes on one page at most."""


@dataclass(frozen=True, slots=True)
class Listed:
    """An object in a listing. size: bytes; digest: SHA-256; modified: UTC without a zone."""

    name: str
    size: int
    digest: str
    modified: datetime


@dataclass(frozen=True, slots=True)
class Asked:
    """What a listing is asked for.

    after: only names behind it; if it is a common prefix that an earlier page showed, none of those under it.
    version: 1 (marker) or 2 (continuation tokens).
    """

    version: int
    prefix: str = ""
    delimiter: str = ""
    max_keys: int = MOST
    after: str = ""
    token: str | None = None
    start_after: str = ""
    encoded: bool = False
    owners: bool = False

    def is_shown(self, name: str) -> bool:
        """Whether an earlier page showed the name, alone or under a prefix."""
        folded = bool(self.delimiter) and self.after.endswith(self.delimiter) and self.after != self.prefix
        return name <= self.after or (folded and name.startswith(self.after))


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a listing. last: the name or common prefix that stands on it last, if there is more."""

    objects: tuple[Listed, ...]
    prefixes: tuple[str, ...]
    last: str | None


def asked(query: Mapping[str, str]) -> Asked:
    """Read the parameters of ListObjects and ListObjectsV2. Raises S3Error InvalidArgument."""
    version = 2 if "list-type" in query else 1
    if query.get("list-type", "2") != "2":
        raise S3Error("InvalidArgument", "list-type is 2, or absent for the older listing")
    if query.get("encoding-type", "url") != "url":
        raise S3Error("InvalidArgument", "encoding-type can only be url")
    text = query.get("max-keys", str(MOST))
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise S3Error("InvalidArgument", "max-keys must be a number of 0 or more")
    token = query.get("continuation-token") if version == 2 else None
    start_after = query.get("start-after" if version == 2 else "marker", "")
    return Asked(
        version=version,
        prefix=query.get("prefix", ""),
        delimiter=query.get("delimiter", ""),
        max_keys=min(int(text), MOST),
        after=start_after if token is None else from_token(token),
        token=token,
        start_after=start_after,
        encoded="encoding-type" in query,
        owners=query.get("fetch-owner") == "true",
    )


def page(names: Iterable[Listed], wanted: Asked) -> Page:
    """The page that begins behind `wanted.after`; reads one name more than it shows."""
    objects: list[Listed] = []
    prefixes: list[str] = []
    last = ""
    for listed in names:
        if wanted.max_keys == 0 or (listed.name > wanted.prefix and not listed.name.startswith(wanted.prefix)):
            break
        if not listed.name.startswith(wanted.prefix) or wanted.is_shown(listed.name):
            continue
        folder, found, _ = listed.name[len(wanted.prefix) :].partition(wanted.delimiter or "\0")
        common = wanted.prefix + folder + wanted.delimiter if found else ""
        if common and prefixes and prefixes[-1] == common:
            continue
        if len(objects) + len(prefixes) == wanted.max_keys:
            return Page(tuple(objects), tuple(prefixes), last)
        if common:
            prefixes.append(common)
        else:
            objects.append(listed)
        last = common or listed.name
    return Page(tuple(objects), tuple(prefixes), None)


def to_token(last: str) -> str:
    """A continuation token for what stood last on a page."""
    return urlsafe_b64encode(last.encode()).decode()


def from_token(token: str) -> str:
    """The inverse of `to_token`. Raises S3Error InvalidArgument."""
    try:
        last = urlsafe_b64decode(token.encode("ascii")).decode()
    except ValueError:
        last = ""
    if not last or to_token(last) != token:
        raise S3Error("InvalidArgument", "the continuation token is none of this storage's")
    return last
