"""What of an object a GET wants: conditions and ranges of RFC 9110, as S3 reads them. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from typing import Final

from delivery.service.s3.errors import S3Error

_RANGE: Final = re.compile(r"bytes=(\d{0,19})-(\d{0,19})")


@dataclass(frozen=True, slots=True)
class Version:
    """What tells one content of an object from another. digest: SHA-256; size: bytes; modified: aware, UTC."""

    digest: str
    size: int
    modified: datetime

    @property
    def etag(self) -> str:
        """The entity tag, in its quotation marks."""
        return f'"{self.digest}"'

    @property
    def last_modified(self) -> str:
        """As a header says it."""
        return format_datetime(self.modified.astimezone(UTC), usegmt=True)


def is_unchanged(version: Version, headers: Mapping[str, str]) -> bool:
    """Whether the client has this version already (answer 304).

    Raises S3Error PreconditionFailed if it wants another one.
    """
    wanted, since = headers.get("if-match"), headers.get("if-unmodified-since")
    if wanted is not None:
        if not _names(wanted, version):
            raise S3Error("PreconditionFailed", "the object's ETag is another than If-Match says")
    elif since is not None and _is_newer(version, since):
        raise S3Error("PreconditionFailed", "the object was modified since If-Unmodified-Since")
    known, since = headers.get("if-none-match"), headers.get("if-modified-since")
    if known is not None:
        return _names(known, version)
    return since is not None and _is_newer(version, since) is False


def wanted_range(version: Version, headers: Mapping[str, str]) -> tuple[int, int] | None:
    """Start and end (one past the last byte) of the range asked for; None for the whole object.

    What is no single range of bytes is no range, as in S3. Raises S3Error InvalidRange if nothing of it exists.
    """
    found = _RANGE.fullmatch(headers.get("range", "").replace(" ", ""))
    if found is None or not (found[1] or found[2]) or not _holds(version, headers.get("if-range")):
        return None
    if not found[1]:  # the last so many
        start, end = max(0, version.size - int(found[2])), version.size
    else:
        start, end = int(found[1]), min(int(found[2]) + 1, version.size) if found[2] else version.size
        if found[2] and int(found[2]) < start:
            return None
    if start >= version.size:
        raise S3Error(
            "InvalidRange",
            f"the object has {version.size} bytes, nothing of the range lies in it",
            {"Content-Range": f"bytes */{version.size}"},
        )
    return start, end


def _names(tags: str, version: Version) -> bool:
    named = [tag.strip().removeprefix("W/").strip('"') for tag in tags.split(",")]
    return "*" in named or version.digest in named


def _holds(version: Version, condition: str | None) -> bool:
    return condition is None or condition.strip('"') == version.digest or condition == version.last_modified


def _is_newer(version: Version, date: str) -> bool | None:
    """Whether the version is newer than the date of a header; None if that is no date."""
    try:
        found = parsedate_to_datetime(date)
    except ValueError:
        return None
    return version.modified.replace(microsecond=0) > (found if found.tzinfo else found.replace(tzinfo=UTC))
