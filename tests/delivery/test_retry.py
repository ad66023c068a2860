"""What is tried again, how often: counted, not timed."""

import errno
from collections.abc import Callable

import pytest
from aiohttp import ClientPayloadError, ClientResponseError, RequestInfo, ServerDisconnectedError
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from delivery.errors import InputUnreachable, UnknownTree, UnreadableFile
from delivery.retry import attempts, is_remote, is_transient

REMOTE = "root://eospublic.cern.ch//a.root"


def answer(status: int) -> ClientResponseError:
    url = URL("http://x/a.root")
    return ClientResponseError(RequestInfo(url, "GET", CIMultiDictProxy(CIMultiDict()), url), (), status=status)


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "transient"),
    [
        (OSError(errno.EIO, "I/O error"), True),
        (TimeoutError(), True),
        (ConnectionResetError(), True),
        (ServerDisconnectedError(), True),
        (ClientPayloadError(), True),
        (answer(503), True),
        (answer(429), True),
        (answer(403), False),
        (answer(416), False),
        (FileNotFoundError(), False),
        (PermissionError(), False),
        (ValueError("no ROOT file"), False),
        (InputUnreachable(REMOTE, "reset"), True),
        (UnreadableFile(REMOTE, "damaged"), False),
        (UnknownTree(REMOTE, "a", ()), False),
        (caused(UnreadableFile(REMOTE, "?"), answer(502)), True),
        (caused(UnreadableFile(REMOTE, "?"), FileNotFoundError()), False),
        (caused(UnknownTree(REMOTE, "a", ()), OSError()), False),
    ],
)
def test_what_may_pass(error: Exception, transient: bool) -> None:
    assert is_transient(error, REMOTE) is transient


@pytest.mark.parametrize("file", ["/data/a.root", "file:///data/a.root", "a.root"])
def test_a_local_disk_that_fails_has_failed(file: str) -> None:
    assert not is_remote(file)
    assert not is_transient(OSError(errno.EIO, "I/O error"), file)


def failing(times: int, error: Exception) -> tuple[list[int], Callable[[], str]]:
    calls: list[int] = []

    def call() -> str:
        calls.append(1)
        if len(calls) <= times:
            raise error
        return "read"

    return calls, call


@pytest.mark.parametrize(("failures", "calls"), [(0, 1), (1, 2), (2, 3)])
def test_it_is_tried_three_times(failures: int, calls: int) -> None:
    made, call = failing(failures, OSError("reset"))
    assert attempts(REMOTE)(call) == "read"
    assert len(made) == calls


def test_then_the_error_itself_is_raised() -> None:
    error = OSError("reset")
    made, call = failing(9, error)
    with pytest.raises(OSError, match="reset") as caught:
        attempts(REMOTE)(call)
    assert caught.value is error
    assert len(made) == 3


def test_what_lasts_is_tried_once() -> None:
    made, call = failing(9, UnknownTree(REMOTE, "a", ()))
    with pytest.raises(UnknownTree):
        attempts(REMOTE)(call)
    assert len(made) == 1
