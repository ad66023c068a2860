"""Results brought to files: verified, whole or not there, and gone on with where they broke off."""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar
from urllib.parse import quote

from delivery.errors import OutputUnwritable
from delivery.service_client.errors import NoSuchRequest, RequestRefused, ResultDamaged
from delivery.service_client.records import FileResult

if TYPE_CHECKING:
    from delivery.service_client.client import ServiceClient

PART: Final = ".part"
"""What a file that is not whole yet is called in addition; what ``kill -9`` leaves of it is gone on with."""

MOST_TOGETHER, BYTES_TOGETHER = 64, 4 << 20
"""Results in one call, and their bytes; a larger one has a call of its own."""

_PARTIAL = 206

T = TypeVar("T")


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


def bundles(wanted: Iterable[T], size: Callable[[T], int]) -> Iterator[list[T]]:
    """What is brought by one call each: in order, `BYTES_TOGETHER` by ``size`` or one alone."""
    bundle: list[T] = []
    total = 0
    for one in wanted:
        total += size(one)
        if bundle and (len(bundle) == MOST_TOGETHER or total > BYTES_TOGETHER):
            yield bundle
            bundle, total = [], size(one)
        bundle.append(one)
    if bundle:
        yield bundle


def download_bundle(client: "ServiceClient", request_id: str, wanted: Sequence[tuple[FileResult, Path]]) -> None:
    """Bring results in one call, as far as they come whole; what does not is left to `download`.

    Raises OutputUnwritable, and what every call does but for a refusal.
    """
    wanted = [(result, path) for result, path in wanted if not path.exists()]
    if len(wanted) < 2:
        return
    numbers = ",".join(str(result.file) for result, _ in wanted)
    try:
        answer = client.call("GET", f"/servicex/transformation/{request_id}/bundle", params={"files": numbers})
    except (NoSuchRequest, RequestRefused):
        return
    content, start = memoryview(answer.content), 0
    for result, path in wanted:
        piece = content[start : start + result.bytes]
        start += result.bytes
        if hashlib.sha256(piece).hexdigest() == result.digest:
            _write(path, piece)


def _write(path: Path, content: memoryview) -> None:
    part = path.with_name(path.name + PART)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        raise OutputUnwritable.because(str(path), error) from error


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
