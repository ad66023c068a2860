"""Records of the CERN Open Data portal, by its HTTP API (``/api/records/N``).

The record's own files stand in ``metadata.files``, those of large records in ``metadata._file_indices``; records of the
portal before 2025 name JSON indices among their files instead. A file is ``{"uri", "size", "checksum": "adler32:…"}``,
with ``"availability"`` "online" unless it lies on tape. Source of the form: cernopendata-client, opendata.cern.ch.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import urljoin

import httpx
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_exponential_jitter

from delivery.datasets.errors import DatasetError
from delivery.datasets.files import Deadline, FoundFile, FoundFiles
from delivery.datasets.identifier import Identifier
from delivery.retry import PASSING_STATUS
from delivery.service.settings import Settings

PORTAL: Final = "https://opendata.cern.ch"
SECONDS: Final = 60.0
"""So long one answer of the portal may take."""
MOST_BYTES: Final = 256 * 1024 * 1024
"""Of one answer."""
TRIES: Final = 3


def find(identifier: Identifier, settings: Settings, deadline: Deadline) -> FoundFiles:
    """The ROOT files of a record, sorted by URI. Raises DatasetError."""
    url = (settings.open_data_url or PORTAL).rstrip("/")
    try:
        with httpx.Client(base_url=url, follow_redirects=True) as client:
            portal = _Portal(client, identifier.name, deadline)
            found = sorted(portal.files(), key=lambda file: str(file["uri"]))
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        reason = f"record {identifier.name} at {url} is not of the form that we know ({type(error).__name__}: {error})"
        raise DatasetError("internal_failure", reason) from error
    return FoundFiles(_wanted(found, identifier, settings.limits.files))


class _Portal:
    """One record at the portal."""

    def __init__(self, client: httpx.Client, record: str, deadline: Deadline) -> None:
        self._client, self._record, self._deadline = client, record, deadline

    def files(self) -> Iterator[Mapping[str, Any]]:
        """All files of the record, indices unfolded."""
        metadata = self._json(f"/api/records/{self._record}")["metadata"]
        for file in metadata.get("files") or ():
            if file.get("type") == "index.json":
                yield from self._json(self._of_index(file))
            elif file.get("type") != "index.txt":  # the same files once more
                yield file
        for index in metadata.get("_file_indices") or ():
            yield from index["files"]

    def _of_index(self, file: Mapping[str, Any]) -> str:
        name = str(file["uri"]).rpartition("/")[2]
        return f"/record/{self._record}/files/{name}"

    def _json(self, path: str) -> Any:
        attempts = Retrying(
            stop=stop_after_attempt(TRIES),
            wait=wait_exponential_jitter(multiplier=0.2, max=5, jitter=0.2),
            retry=retry_if_exception(_is_passing),
            reraise=True,
        )
        url = urljoin(str(self._client.base_url), path)
        try:
            return attempts(self._get, path)
        except httpx.HTTPStatusError as error:
            if error.response.status_code in (404, 410):
                reason = f"CERN Open Data has no record {self._record} ({url} answers {error.response.status_code})"
                raise DatasetError("does_not_exist", reason) from error
            reason = f"{url} answers {error.response.status_code}; try again later"
            raise DatasetError("internal_failure", reason) from error
        except httpx.HTTPError as error:
            self._deadline.left(1.0)
            reason = f"{url} cannot be reached: {str(error) or type(error).__name__}"
            raise DatasetError("internal_failure", reason) from error

    def _get(self, path: str) -> Any:
        with self._client.stream("GET", path, timeout=self._deadline.left(SECONDS)) as answer:
            answer.raise_for_status()
            content = bytearray()
            for part in answer.iter_bytes():
                content += part
                self._deadline.left(1.0)
                if len(content) > MOST_BYTES:
                    raise ValueError(f"an answer of more than {MOST_BYTES:,} bytes")
        return httpx.Response(200, content=bytes(content)).json()


def _wanted(found: list[Mapping[str, Any]], identifier: Identifier, most: int) -> list[FoundFile]:
    """The record's ROOT files that can be read now. Raises DatasetError if there are none, or not all."""
    record = identifier.name
    files = {str(file["uri"]): file for file in found if str(file["uri"]).endswith(".root")}
    if not files:
        reason = f"record {record} of CERN Open Data has no ROOT files ({len(found)} others)"
        raise DatasetError("does_not_exist", reason)
    online = {uri: file for uri, file in files.items() if file.get("availability", "online") == "online"}
    missing = len(files) - len(online)
    if missing and (identifier.get == "all" or not online):
        hint = "add ?get=available to take the others" if online else "request them there"
        reason = f"{missing} of {len(files)} files of record {record} are not online (on demand, on tape); {hint}"
        raise DatasetError("internal_failure", reason)
    if len(online) > most:
        raise DatasetError("bad_name", f"record {record} has {len(online):,} files, a request may have {most:,}")
    return [
        FoundFile((uri,), _adler32(file.get("checksum")), int(file.get("size") or 0)) for uri, file in online.items()
    ]


def _adler32(checksum: object) -> str | None:
    kind, _, digits = str(checksum or "").partition(":")
    return digits.zfill(8) if kind == "adler32" and digits else None


def _is_passing(error: BaseException) -> bool:
    if isinstance(error, httpx.HTTPStatusError):
        return error.response.status_code in PASSING_STATUS
    return isinstance(error, httpx.TransportError)
