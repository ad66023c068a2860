"""Another ServiceX as its client sees it: the calls that a forwarded request needs.

Source of the calls: ServiceX's REST interface as the official client 3.3.1 uses it. Its object store is asked with
the keys that its status answers carry; they stay in this process.
"""

import base64
import json
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import httpx

from delivery.retry import PASSING_STATUS
from delivery.service.errors import BadRequest, NotThere, Unavailable
from delivery.service.s3.signatures import presigned
from delivery.service.settings import Upstream
from delivery.urls import shown, without_secrets

ANSWER_SECONDS: Final = 30.0
"""So long an answer, or the next bytes of an object, may take."""
SUBMIT_SECONDS: Final = 60.0
"""So long a submission may take: a code generator runs meanwhile."""
RENEW_SECONDS: Final = 60.0
"""An access token that lives no longer than that is renewed."""
URL_SECONDS: Final = 3600

_ANSWERS: Final = (ValueError, KeyError, TypeError, AttributeError)


class UpstreamService:
    """One ServiceX. Each call raises

    - BadRequest: it refuses what was sent, with its reason;
    - NotThere: it does not know the request, dataset or object;
    - Unavailable: it cannot be reached, fails, refuses our token, or answers what no ServiceX does.

    May be used by any number of threads.
    """

    def __init__(self, upstream: Upstream) -> None:
        self.url = upstream.url.rstrip("/")
        self._token_file = upstream.token_file
        self._http = httpx.Client(timeout=ANSWER_SECONDS)
        self._lock = threading.Lock()
        self._token, self._expires = "", 0.0

    def submit(self, body: Mapping[str, Any]) -> str:
        """Send a submission; the request's id there."""
        found = self._json("POST", "/servicex/transformation", json=body, timeout=SUBMIT_SECONDS)
        try:
            return str(found["request_id"])
        except _ANSWERS as error:
            raise self._strange("the submission", error) from error

    def status(self, request_id: str) -> dict[str, Any]:
        """The status object of a request; ``status`` and ``files`` are in it."""
        found = self._json("GET", f"/servicex/transformation/{_plain(request_id)}")
        try:
            return {**found, "status": str(found["status"]), "files": int(found["files"])}
        except _ANSWERS as error:
            raise self._strange("the status", error) from error

    def results(self, request_id: str) -> list[dict[str, Any]]:
        """The rows of all results so far; each has ``file-path``, ``transform_status`` and ``s3-object-name``."""
        later_than = {"later_than": "0001-01-01T00:00:00+00:00"}
        found = self._json("GET", f"/servicex/transformation/{_plain(request_id)}/results", params=later_than)
        try:
            return [dict(row) for row in found["results"] if row["file-path"] and row["transform_status"]]
        except _ANSWERS as error:
            raise self._strange("the results", error) from error

    def dataset(self, dataset_id: int) -> dict[str, Any]:
        """A dataset with its ``lookup_status``."""
        found = self._json("GET", f"/servicex/datasets/{int(dataset_id)}")
        return found if isinstance(found, dict) else {}

    def cancel(self, request_id: str) -> None:
        """Cancel a request; one that is ended stays as it is."""
        try:
            self._json("GET", f"/servicex/transformation/{_plain(request_id)}/cancel")
        except (BadRequest, NotThere):
            return  # it is ended

    def delete(self, request_id: str) -> None:
        """Delete a request that is ended."""
        try:
            self._json("DELETE", f"/servicex/transformation/{_plain(request_id)}")
        except (BadRequest, NotThere):
            return  # it still stops, or is gone

    def fetch(self, status: Mapping[str, Any], name: str, target: Path) -> int:
        """Copy an object of a request to a file; its bytes. status: the request's status object."""
        try:
            scheme = "https" if status["minio-secured"] else "http"
            host, keys = str(status["minio-endpoint"]), (status["minio-access-key"], status["minio-secret-key"])
            path = f"/{quote(str(status['request_id']), safe='-_.~')}/{quote(name, safe='-_.~')}"
        except _ANSWERS as error:
            raise self._strange("the status (its object store)", error) from error
        url = f"{scheme}://{host}{path}?{presigned(host, path, keys, datetime.now(UTC), URL_SECONDS)}"
        try:
            with self._http.stream("GET", url) as answer, target.open("wb") as file:
                if answer.status_code == 404:
                    raise NotThere(f"the object store of {shown(self.url)} has no {name}")
                if answer.status_code != 200:
                    raise Unavailable(f"the object store of {shown(self.url)} answers {answer.status_code} for {name}")
                for part in answer.iter_raw():
                    file.write(part)
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error
        return target.stat().st_size

    def close(self) -> None:
        """Close its connections."""
        self._http.close()

    def _json(self, method: str, path: str, **more: Any) -> Any:
        """The answer to a call; with a new access token once if the old one is refused."""
        for last in (False, True):
            answer = self._send(method, path, self._authorization(), more)
            if answer.status_code != 401 or self._token_file is None or last:
                return self._content(answer)
            self._expires = 0.0
        raise AssertionError("unreachable")

    def _send(self, method: str, path: str, headers: Mapping[str, str], more: Mapping[str, Any]) -> httpx.Response:
        try:
            return self._http.request(method, self.url + path, headers=dict(headers), **more)
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error

    def _content(self, answer: httpx.Response) -> Any:
        try:
            content: Any = answer.json() if answer.content else {}
        except ValueError:
            content = {}
        if answer.is_success:
            return content
        said = content.get("message") if isinstance(content, dict) else None
        reason = without_secrets(str(said or answer.reason_phrase or "no reason"))[:2000]
        if answer.status_code in (401, 403):
            raise Unavailable(f"{shown(self.url)} refuses this service's token: {reason}; its operator can renew it")
        if answer.status_code == 404:
            raise NotThere(f"{shown(self.url)}: {reason}")
        if answer.status_code in PASSING_STATUS or not answer.is_client_error:
            raise Unavailable(f"{shown(self.url)} answers {answer.status_code}: {reason}")
        raise BadRequest(f"{shown(self.url)} refuses it: {reason}")

    def _authorization(self) -> dict[str, str]:
        if self._token_file is None:
            return {}
        with self._lock:
            if self._expires - time.time() < RENEW_SECONDS:
                self._token = self._renewed(self._token_file)
                self._expires = _expiry(self._token)
            return {"Authorization": f"Bearer {self._token}"}

    def _renewed(self, token_file: Path) -> str:
        """A new access token for the refresh token in the file, which is read each time: it may be replaced."""
        try:
            refresh = token_file.expanduser().read_text().strip()
        except OSError as error:
            reason = f"the upstream's token_file {token_file} cannot be read: {error.strerror}"
            raise Unavailable(reason) from error
        content = self._content(self._send("POST", "/token/refresh", {"Authorization": f"Bearer {refresh}"}, {}))
        try:
            return str(content["access_token"])
        except _ANSWERS as error:
            raise self._strange("the token", error) from error

    def _unreachable(self, error: httpx.HTTPError) -> Unavailable:
        said = without_secrets(str(error)) or type(error).__name__
        return Unavailable(f"{shown(self.url)} cannot be reached: {said}")

    def _strange(self, what: str, error: Exception) -> Unavailable:
        return Unavailable(f"{shown(self.url)}: {what} is not as ServiceX answers it ({type(error).__name__}: {error})")


def _plain(request_id: str) -> str:
    return quote(request_id, safe="-_.~")


def _expiry(token: str) -> float:
    """When a JWT expires, in seconds since 1970; a token that does not say so is asked for anew each time."""
    try:
        payload = token.split(".")[1]
        return float(json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["exp"])
    except (*_ANSWERS, IndexError):
        return 0.0
