"""What the store says of one kept result, and its bytes on disk."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from artifacts.errors import InvalidRequest
from artifacts.keys import JSON, canonical_json

ENTRY_FORMAT = 1
DIGEST = re.compile(r"[0-9a-f]{64}")
_CHECKSUM = re.compile(rb'\{"checksum":"([0-9a-f]{64})",(.*)', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Blob:
    """Some bytes: their SHA-256 in hexadecimal, their number, and what they are (a media type)."""

    digest: str
    size: int
    media_type: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One kept result.

    `key` and the three things it is made of (`stage`, `version`, `request`: the parts); `created` (UTC, ISO
    8601); `blobs` by the name of the output; `meta`, the small facts that the stage gave along.
    """

    key: str
    stage: str
    version: int
    request: Mapping[str, Any]
    created: str
    blobs: Mapping[str, Blob]
    meta: Mapping[str, Any]

    @property
    def size(self) -> int:
        """Bytes of all outputs together."""
        return sum(blob.size for blob in self.blobs.values())

    def to_json(self) -> dict[str, JSON]:
        """The entry as a JSON document."""
        return {
            "format": ENTRY_FORMAT,
            "key": self.key,
            "stage": self.stage,
            "version": self.version,
            "request": self.request,
            "created": self.created,
            "blobs": {
                name: {"digest": blob.digest, "size": blob.size, "media_type": blob.media_type}
                for name, blob in self.blobs.items()
            },
            "meta": self.meta,
        }


def is_file_name(name: str) -> bool:
    """Whether the name is that of a file in a folder, and leads nowhere else."""
    return name not in {"", ".", ".."} and name == PurePosixPath(name).name and "\0" not in name


def encode(entry: Entry) -> bytes:
    """The entry as one JSON object whose first member is the SHA-256 of all that follows it.

    Raises `InvalidRequest` if `meta` is not plain JSON or the name of an output is no plain file name.
    """
    for name in entry.blobs:
        if not is_file_name(name):
            raise InvalidRequest(f"{name!r} names no output of {entry.stage}; give a file name without folder")
    rest = canonical_json(entry.to_json()).encode()[1:]
    return b'{"checksum":"' + hashlib.sha256(rest).hexdigest().encode() + b'",' + rest


def decode(content: bytes, key: str) -> Entry | None:
    """The entry of `encode`, or None if a bit of it is wrong, or it is of another key or format.

    The checksum is no signature: whoever can write to a shared store can name an output `../../x`, and outputs are
    written under their names elsewhere. Such an entry is None too.
    """
    match = _CHECKSUM.fullmatch(content)
    if match is None or hashlib.sha256(match[2]).hexdigest().encode() != match[1]:
        return None
    # The checksum vouches that these bytes are complete, so that only what is checked below may still be wrong.
    document = json.loads(b"{" + match[2])
    if document.get("format") != ENTRY_FORMAT or document.get("key") != key:
        return None
    if not all(is_file_name(name) for name in document["blobs"]):
        return None
    return Entry(
        key=key,
        stage=document["stage"],
        version=document["version"],
        request=document["request"],
        created=document["created"],
        blobs={name: Blob(**blob) for name, blob in document["blobs"].items()},
        meta=document["meta"],
    )
