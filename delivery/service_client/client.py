"""The calls of the service, each tried again while that may help."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar
from urllib.parse import quote

import httpx
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_delay, stop_when_event_set
from tenacity.wait import wait_exponential_jitter

from delivery.errors import DeliveryError, EndpointUnreachable, NotAuthorized
from delivery.remote import CAPABILITY
from delivery.retry import PASSING_STATUS
from delivery.service_client.access import Access
from delivery.service_client.errors import Busy, NoSuchRequest, NotOurService, RequestRefused
from delivery.service_client.records import FileResult, FileState, RequestStatus, Submission, Update
from delivery.urls import without_secrets

T = TypeVar("T")

PATIENCE_SECONDS: Final = 120.0
"""So long a service that has answered before may be away: it is being restarted."""

FIRST_SECONDS: Final = 2.0
"""So long one may that has never answered: it is not there."""

TIMEOUT: Final = httpx.Timeout(30.0, connect=5.0)
MOST_SECONDS: Final = 30.0
"""A service that asks for more patience between two tries is asked again after so long."""

CONNECTIONS: Final = 128

_growing = wait_exponential_jitter(multiplier=0.05, max=2.0, jitter=0.05)


def is_passing(error: BaseException) -> bool:
    """Whether the same call may succeed when it is made again."""
    return isinstance(error, DeliveryError) and error.transient


class ServiceClient:
    """A client of one service; safe from any thread. ``close`` (or the end of a with block) ends what it waits for.

    url: the service's. token: a refresh token, as servicex.yaml holds it; empty where none is needed. source: a word on
    where that comes from, for the message if it is refused.

    Every call raises EndpointUnreachable (nothing answers, for longer than a restart takes), NotAuthorized,
    NoSuchRequest, and RequestRefused with the service's own sentence.
    """

    def __init__(self, url: str, token: str = "", source: str = "requests without a token") -> None:
        self.url = url.rstrip("/")
        self._token_source = source
        self._closed = threading.Event()
        self._most = PATIENCE_SECONDS
        self._patience = FIRST_SECONDS
        limits = httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS)
        self.http = httpx.Client(
            base_url=self.url, auth=Access(self.url, token), timeout=TIMEOUT, limits=limits, follow_redirects=False
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Wait for nothing any more; calls under way in other threads end with EndpointUnreachable, or as they will."""
        self._closed.set()
        self.http.close()

    @property
    def closed(self) -> bool:
        """Whether the client was closed."""
        return self._closed.is_set()

    def pause(self, seconds: float) -> None:
        """Sleep, less if the client is closed meanwhile."""
        self._closed.wait(seconds)

    def hurry(self) -> None:
        """Be as impatient from now on as with a service that has never answered."""
        self._most = self._patience = FIRST_SECONDS

    def info(self) -> dict[str, Any]:
        """What runs there: ``app-version``, ``code-gen-image`` by codegen, ``capabilities``."""
        found: dict[str, Any] = self._json("GET", "/servicex")
        return found

    def check(self) -> None:
        """Raise NotOurService if what answers is another kind of ServiceX."""
        if CAPABILITY not in (self.info().get("capabilities") or ()):
            raise NotOurService(self.url, "this ServiceX does not push what happens")

    def submit(self, submission: Submission) -> str:
        """Ask for a query on files; the id of the request, one however often the answer was lost."""
        return str(self._json("POST", "/servicex/transformation", json=submission.to_wire())["request_id"])

    def requests(self, limit: int = 1000) -> list[RequestStatus]:
        """The caller's requests, the latest first."""
        answer = self._json("GET", "/servicex/transformation", params={"limit": limit})
        return [RequestStatus.from_wire(row) for row in answer["requests"]]

    def status(self, request_id: str) -> RequestStatus:
        """How far a request is."""
        return RequestStatus.from_wire(self._json("GET", _path(request_id)))

    def files(self, request_id: str) -> list[FileState]:
        """How far each file is, in the request's order."""
        return [FileState.from_wire(row) for row in self._json("GET", _path(request_id, "files"))["files"]]

    def results(self, request_id: str) -> list[FileResult]:
        """The results so far."""
        rows = self._json("GET", _path(request_id, "results"))["results"]
        return [result for result in map(FileResult.from_wire, rows) if result is not None]

    def log(self, request_id: str, place: int) -> str:
        """What one file's run said."""
        return self.call("GET", _path(request_id, f"files/{place}/log")).text

    def cancel(self, request_id: str) -> None:
        """Stop a request; what is finished stays."""
        self._change("POST", _path(request_id, "cancel"))

    def retry(self, request_id: str) -> int:
        """Run the failed files of a request that has ended again; how many they are."""
        return int(self._change("POST", _path(request_id, "retry")).json()["files"])

    def delete(self, request_id: str) -> None:
        """Delete a request that has ended, and its results."""
        self._change("DELETE", _path(request_id))

    def watch(self, request_id: str) -> Iterator[Update]:
        """The request as it is now, then each change when it happens, until it has ended.

        Goes on after the service was restarted; where events do not come through, asks again and again instead.
        """
        from delivery.service_client.watching import watch

        return watch(self, request_id)

    def download(self, request_id: str, result: FileResult, path: Path) -> Path:
        """Bring a result to ``path``, verified; see `delivery.service_client.downloads.download`."""
        from delivery.service_client.downloads import download

        return download(self, request_id, result, path)

    def download_together(self, request_id: str, wanted: Sequence[tuple[FileResult, Path]]) -> None:
        """Bring results to their paths, small ones in few calls; as `download` brings each."""
        from delivery.service_client.downloads import bundles, download, download_bundle

        for bundle in bundles(wanted, lambda one: one[0].bytes):
            download_bundle(self, request_id, bundle)
            for result, path in bundle:
                download(self, request_id, result, path)

    def call(self, method: str, path: str, **options: Any) -> httpx.Response:
        """One call that may be repeated without harm, until it is answered."""
        return self.repeat(lambda: self._once(method, path, **options))

    def repeat(self, work: Callable[[], T], passing: Callable[[BaseException], bool] = is_passing) -> T:
        """What ``work`` returns, which is run again while it meets faults that may pass."""
        retrying = Retrying(
            stop=stop_after_delay(self._patience) | stop_when_event_set(self._closed),
            wait=_wait,
            sleep=self.pause,
            retry=retry_if_exception(passing),
            reraise=True,
        )
        return retrying(work)

    @contextmanager
    def stream(
        self, path: str, headers: Mapping[str, str], timeout: httpx.Timeout = TIMEOUT
    ) -> Iterator[httpx.Response]:
        """A good answer whose body is still to come. Raises like every call, but tries once."""
        with (
            self._translated(),
            self.http.stream("GET", path, headers=headers, timeout=timeout, follow_redirects=True) as answer,
        ):
            if not answer.is_success:
                answer.read()
            self._check(answer)
            yield answer

    def _once(self, method: str, path: str, **options: Any) -> httpx.Response:
        with self._translated():
            answer = self.http.request(method, path, **options)
        self._check(answer)
        return answer

    def _json(self, method: str, path: str, **options: Any) -> Any:
        answer = self.call(method, path, **options)
        try:
            return answer.json()
        except ValueError as error:
            raise NotOurService(self.url, "what answers there is no ServiceX") from error

    def _change(self, method: str, path: str) -> httpx.Response:
        """A call that must not be made twice: tried again only if nothing was sent."""
        return self.repeat(lambda: self._once(method, path), _was_not_sent)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except httpx.TransportError as error:
            if isinstance(error, httpx.UnsupportedProtocol):
                raise RequestRefused(self.url, "this is no address of a service; it begins with http://") from error
            raise EndpointUnreachable(self.url, _reason(error, self.url)) from error
        except httpx.InvalidURL as error:
            raise RequestRefused(self.url, f"this is no address of a service: {error}") from error

    def _check(self, answer: httpx.Response) -> None:
        """Raise what an answer says, unless it is a good one."""
        status = answer.status_code
        if answer.is_success:
            self._patience = self._most
            return
        if status in PASSING_STATUS:
            raise Busy(self.url, f"it answers {status}: {_message(answer)}", _seconds(answer))
        if status == httpx.codes.UNAUTHORIZED:
            raise NotAuthorized(self.url, self._token_source)
        raise (NoSuchRequest if status == httpx.codes.NOT_FOUND else RequestRefused)(self.url, _message(answer))


def _was_not_sent(error: BaseException) -> bool:
    return isinstance(error.__cause__, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout) or (
        isinstance(error, Busy)  # it says that it did nothing
    )


def _wait(state: RetryCallState) -> float:
    """As long as the service asks for, else longer each time."""
    error = state.outcome.exception() if state.outcome else None
    asked = error.retry_after if isinstance(error, Busy) else None
    return _growing(state) if asked is None else min(asked, MOST_SECONDS)


def _message(answer: httpx.Response) -> str:
    """The service's own sentence."""
    try:
        found = answer.json()["message"]
    except (ValueError, KeyError, TypeError):
        found = answer.reason_phrase
    return str(found)


def _seconds(answer: httpx.Response) -> float | None:
    try:
        return float(answer.headers["Retry-After"])
    except (KeyError, ValueError):
        return None


def _reason(error: Exception, url: str) -> str:
    return without_secrets(str(error), url) or type(error).__name__


def _path(request_id: str, rest: str = "") -> str:
    return f"/servicex/transformation/{quote(request_id, safe='')}" + (f"/{rest}" if rest else "")
