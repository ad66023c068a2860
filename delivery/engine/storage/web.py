"""A file behind an HTTP server that serves ranges of bytes."""

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx

from delivery.engine.storage.hops import GUARD
from delivery.engine.storage.patience import READ_SECONDS
from delivery.engine.storage.ranges import Range

AT_ONCE = 8  # requests in flight where the server answers one range each
RANGES = 128  # of one request: servers refuse headers above some kB, and what looks like an attack
HEAD = 256 * 1024
_CONTENT_RANGE = re.compile(r"bytes\s+(\d+)-(\d+)/(\d+)", re.IGNORECASE)
_BOUNDARY = re.compile(r'multipart/byteranges.*boundary="?([^";]+)', re.IGNORECASE)


logging.getLogger("httpx").setLevel(logging.WARNING)  # it logs every URL as it is, with the tokens in it


class StatusError(OSError):
    """The server's answer is not what was asked for; ``status`` is its code, which says whether that may pass."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class WebStorage:
    """A file at an ``http://`` or ``https://`` URL.

    Several ranges are asked for in one request; a server that does not know that is asked for one each, a few at a
    time. Raises FileNotFoundError, PermissionError, StatusError, and OSError where the network fails.
    """

    remote = True

    def __init__(self, url: str) -> None:
        limits = httpx.Limits(max_connections=AT_ONCE, max_keepalive_connections=AT_ONCE)
        self._guard = GUARD.get()
        self._client = httpx.Client(
            timeout=READ_SECONDS.get(),
            limits=limits,
            follow_redirects=True,
            event_hooks={"request": [self._before], "response": [self._connected]},
        )
        self._url, self._many = url, True
        try:
            self.head, self.size = self._open()
        except BaseException:
            self.close()
            raise

    def _open(self) -> tuple[bytes, int]:
        with self._ask([(0, HEAD)]) as answer:
            if answer.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:  # there is no byte 0
                return b"", 0
            start, stop, size = _content_range(answer)
            self._url = str(answer.url)  # where redirections have led
            return _whole(answer.read(), start, stop), size

    def _before(self, request: httpx.Request) -> None:
        if self._guard is not None:
            self._guard(request.url.scheme, request.url.host, None)

    def _connected(self, answer: httpx.Response) -> None:
        """A name may mean another address when it is connected to than when it was asked about."""
        stream = answer.extensions.get("network_stream")
        peer = stream.get_extra_info("server_addr") if stream is not None else None
        if self._guard is not None and peer:
            self._guard(answer.url.scheme, answer.url.host, str(peer[0]))

    @contextmanager
    def _ask(self, ranges: Sequence[Range]) -> Iterator[httpx.Response]:
        """The answer to one request, its content not yet read."""
        wanted = ",".join(f"{start}-{stop - 1}" for start, stop in ranges)
        headers = {"Range": f"bytes={wanted}", "Accept-Encoding": "identity"}
        try:
            with self._client.stream("GET", self._url, headers=headers) as answer:
                _check(answer)
                yield answer
        except httpx.TransportError as error:
            raise OSError(str(error) or type(error).__name__) from error

    def fetch(self, ranges: Sequence[Range]) -> list[bytes]:
        """The bytes of each range."""
        found: list[bytes] = []
        while self._many and len(ranges) - len(found) > 1:
            several = self._several(ranges[len(found) : len(found) + RANGES])
            if several is None:
                self._many = False
                break
            found += several
        rest = ranges[len(found) :]
        if len(rest) < 2:
            return found + [self._one(each) for each in rest]
        with ThreadPoolExecutor(min(AT_ONCE, len(rest)), "fetch") as pool:
            return found + list(pool.map(self._one, rest))

    def _one(self, wanted: Range) -> bytes:
        with self._ask([wanted]) as answer:
            start, stop, _ = _content_range(answer)
            if (start, stop) != wanted:
                raise OSError(f"bytes {start} to {stop} came where {wanted[0]} to {wanted[1]} were asked for")
            return _whole(answer.read(), start, stop)

    def _several(self, ranges: Sequence[Range]) -> list[bytes] | None:
        """The bytes of each range by one request; None if the server does not answer it with all of them."""
        with self._ask(ranges) as answer:
            boundary = _BOUNDARY.search(answer.headers.get("content-type", ""))
            if answer.status_code != httpx.codes.PARTIAL_CONTENT or boundary is None:
                return None
            parts = dict(_parts(answer.read(), b"--" + boundary[1].encode()))
        found = [_within(parts, start, stop) for start, stop in ranges]
        return None if None in found else [part for part in found if part is not None]

    def close(self) -> None:
        """Let go of the connections."""
        self._client.close()


def _check(answer: httpx.Response) -> None:
    """Raise what an answer that is no success means."""
    code = answer.status_code
    if code in (httpx.codes.OK, httpx.codes.PARTIAL_CONTENT, httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE):
        return
    reason = f"the server answers {code} {answer.reason_phrase}"
    if code in (httpx.codes.NOT_FOUND, httpx.codes.GONE):
        raise FileNotFoundError(reason)
    if code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        raise PermissionError(reason)
    raise StatusError(code, reason)


def _content_range(answer: httpx.Response) -> tuple[int, int, int]:
    """First byte, end and size of the file that an answer with one range tells."""
    found = _CONTENT_RANGE.fullmatch(answer.headers.get("content-range", "").strip())
    if answer.status_code != httpx.codes.PARTIAL_CONTENT or found is None:
        refusal = "the server does not serve ranges of bytes; copy the file to a disk and read it there"
        raise StatusError(answer.status_code, refusal)
    return int(found[1]), int(found[2]) + 1, int(found[3])


def _parts(body: bytes, mark: bytes) -> Iterator[tuple[Range, bytes]]:
    """The ranges of a multipart/byteranges body; how long each is says its own header, for `mark` may stand in it."""
    place = body.find(mark)
    while place >= 0 and body[place + len(mark) : place + len(mark) + 2] != b"--":
        end = body.find(b"\r\n\r\n", place)
        found = _CONTENT_RANGE.search(body[place:end].decode("latin-1")) if end >= 0 else None
        if found is None:
            return
        start, stop = int(found[1]), int(found[2]) + 1
        content = body[end + 4 : end + 4 + stop - start]
        yield (start, stop), _whole(content, start, stop)
        place = body.find(mark, end + 4 + stop - start)


def _within(parts: Mapping[Range, bytes], start: int, stop: int) -> bytes | None:
    """A range's bytes, also from a part in which the server has joined several ranges."""
    if (start, stop) in parts:
        return parts[start, stop]
    for (first, last), content in parts.items():
        if first <= start and stop <= last:
            return content[start - first : stop - first]
    return None


def _whole(content: bytes, start: int, stop: int) -> bytes:
    if len(content) != stop - start:
        raise OSError(f"{len(content)} bytes came where {start} to {stop} were asked for")
    return content
