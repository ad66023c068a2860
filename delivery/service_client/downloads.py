"""Results brought to files: verified, whole or not there, and gone on with where they broke off."""

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from delivery.errors import OutputUnwritable
from delivery.service_client.errors import ResultDamaged
from delivery.service_client.records import FileResult

if TYPE_CHECKING:
    from delivery.service_client.client import ServiceClient

PART: Final = ".part"
"""What a file that is not whole yet is called in addition; what ``kill -9`` leaves of it is gone on with."""

_PARTIAL = 206


def download(client: "ServiceClient", request_id: str, result: FileResult, path: Path) -> Path:
    """Bring one result to ``path``, whose folder is made; nothing is asked for if it is there already.

    Raises ResultDamaged if what comes does not match the record's digest, OutputUnwritable, and what every call does.
    """
    if is_whole(path, result):
        return path
    part = path.with_name(path.name + PART)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        client.repeat(lambda: _bring(client, request_id, result, part))
        part.replace(path)
    except OSError as error:
        raise OutputUnwritable.because(str(path), error) from error
    return path


def is_whole(path: Path, result: FileResult) -> bool:
    """Whether the file is there and holds the result's bytes."""
    try:
        if path.stat().st_size != result.bytes:
            return False
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == result.digest
    except FileNotFoundError:
        return False


def _bring(client: "ServiceClient", request_id: str, result: FileResult, part: Path) -> None:
    """What is missing of the part; the whole, where what was there before does not fit."""
    had = part.exists()
    _append(client, request_id, result, part)
    if had and not is_whole(part, result):
        part.unlink()
        _append(client, request_id, result, part)
    if not is_whole(part, result):
        got = part.stat().st_size
        part.unlink()
        reason = f"the result {result.object_name} came damaged ({got} of {result.bytes} bytes, or another digest)"
        raise ResultDamaged(client.url, reason)


def _append(client: "ServiceClient", request_id: str, result: FileResult, part: Path) -> None:
    have = part.stat().st_size if part.exists() else 0
    if have >= result.bytes:
        have = 0
    name = quote(result.object_name, safe="")
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with client.stream(f"/servicex/transformation/{request_id}/objects/{name}", headers) as answer:
        goes_on = have > 0 and answer.status_code == _PARTIAL
        with part.open("ab" if goes_on else "wb") as file:
            for chunk in answer.iter_raw():
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
