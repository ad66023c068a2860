"""When and how often to try again: a few times, ever later, and only what may pass by itself."""

from typing import TYPE_CHECKING

from delivery.errors import DeliveryError, UnreadableFile
from delivery.urls import without_secrets

if TYPE_CHECKING:
    from tenacity import Retrying

TRIES = 3
"""How often a file is tried in all."""

PASSING_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})
"""HTTP answers that say "not now" rather than "no"."""

LASTING = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)


def is_remote(file: str) -> bool:
    """Whether reading the file crosses a network."""
    scheme, found, _ = file.partition("://")
    return bool(found) and scheme != "file"


def is_transient(error: BaseException, file: str) -> bool:
    """Whether reading ``file`` again may succeed after ``error``.

    A `DeliveryError` says so itself, or the error that caused an `UnreadableFile` does. Of other errors only those of a
    network do: an `OSError` or an HTTP answer that may pass, and only for a remote file (a local disk that fails once
    has failed).
    """
    if isinstance(error, DeliveryError):
        cause = error.__cause__ if isinstance(error, UnreadableFile) else None
        return error.transient or (cause is not None and is_transient(cause, file))
    if not is_remote(file) or isinstance(error, LASTING) or ends_early(error):
        return False
    status = getattr(error, "status", None)
    if isinstance(status, int):
        return status in PASSING_STATUS or status == 0
    return isinstance(error, OSError) or _is_broken_connection(error)


def ends_early(error: BaseException) -> bool:
    """Whether uproot met the end of a file where more should be; it has no class of its own for that."""
    return isinstance(error, OSError) and str(error).startswith("expected Chunk of length")


def _is_broken_connection(error: BaseException) -> bool:
    """Connections of aiohttp (below fsspec) break with errors of its own that are no `OSError`."""
    return any(f"{kind.__module__}.{kind.__name__}" in _BROKEN for kind in type(error).__mro__)


_BROKEN = {"aiohttp.client_exceptions.ClientConnectionError", "aiohttp.client_exceptions.ClientPayloadError"}


def attempts(file: str) -> "Retrying":
    """Attempts at reading ``file``, to loop over: at most `TRIES`, 0.5 s apart and doubling, at most 10 s.

    The last error is raised as it is.
    """
    from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_exponential_jitter

    return Retrying(
        stop=stop_after_attempt(TRIES),
        wait=wait_exponential_jitter(multiplier=0.5, max=10, jitter=0.5),
        retry=retry_if_exception(lambda error: is_transient(error, file)),
        reraise=True,
    )


def sentence(error: BaseException) -> tuple[str, str]:
    """An error's class name and its reason, for `FileFailed`. Our own errors speak for themselves."""
    kind = type(error).__name__
    if isinstance(error, DeliveryError):
        return kind, str(error).strip()
    text = without_secrets(str(error).strip())
    return kind, f"{kind}: {text}" if text else kind
