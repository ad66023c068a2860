"""What follows from an error: another try, and when, or the end of the file. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from urllib.parse import urlsplit

from delivery.errors import OutOfMemory, WorkerKilled
from delivery.service.runner.jobs import Failed

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 20.0  # seconds
OWN_TRIES = 20
"""Tries at a file that fail by the service's own fault (store, scratch disk, workers): about five minutes of them."""
MOST_KILLS = 2
"""A file that killed so many workers that ran nothing else is not tried again."""
SHRINK = 8
"""Ranges of a file are so many times smaller after each try that ran out of memory …"""
MOST_SHRINKS = 2
"""… but no smaller than after so many of them. A file that killed its worker has one more try, in the smallest."""


@dataclass(frozen=True, slots=True)
class Again:
    """Try again after ``pause`` seconds; ``counted``: the try that failed counts against the file."""

    pause: float
    counted: bool


@dataclass(frozen=True, slots=True)
class Over:
    """The file has failed: the error's class name and what to tell."""

    kind: str
    sentence: str


def after_failure(failed: Failed, tried: int, own: int, replicas: int, tries: int) -> Again | Over:
    """What follows from the failure of a try.

    tried: tries at the file that counted, this one included. own: those before it that failed by the service's fault.
    replicas: of the file. tries: how many the settings allow; each replica has one at least.
    """
    if failed.blame == "ours":
        return Again(pause(own), counted=False) if own < OWN_TRIES else _over(failed, own + 1)
    if failed.blame == "input" and tried < replicas:
        return Again(0.0, counted=True)
    if failed.blame in ("passing", "memory") and tried < max(tries, replicas):
        return Again(pause(tried - 1) if failed.blame == "passing" else 0.0, counted=True)
    return _over(failed, tried)


def death(path: str, worker: str | None, memory: int | None) -> Failed:
    """What to say of a try whose worker died. memory: bytes that the worker had when it was ended for them, or None."""
    if memory is None:
        return Failed("WorkerLost", f"the worker {worker} died while it had this file", "lasting")
    error = OutOfMemory(path, f"its worker took {memory / 1e6:,.0f} MB and was ended for that")
    return Failed(type(error).__name__, str(error), "memory")


def after_kill(path: str, kills: int, failed: Failed) -> Again | Over:
    """What follows when a worker died while the file ran alone on it, for the ``kills``-th time."""
    if kills < MOST_KILLS:
        return Again(0.0, counted=True)
    if failed.blame == "memory":
        return Over(failed.kind, f"{failed.sentence} (tried {kills} times, at last in the smallest ranges of events)")
    error = WorkerKilled(path, kills)
    return Over(type(error).__name__, str(error))


def shrinks(kills: int, out_of_memory: int) -> int:
    """How often a file's ranges are made smaller, after tries that killed workers or ran out of memory."""
    return min(MOST_SHRINKS, kills * MOST_SHRINKS + out_of_memory)


def pause(before: int) -> float:
    """Seconds to wait after a failure, from the number of failures before it."""
    return min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(before, 10))


def in_order(paths: Sequence[str], site: Sequence[str]) -> list[str]:
    """Replicas in the order in which they are tried: those that a pattern of the site's fits (host or URL) go first."""

    def is_near(path: str) -> bool:
        names = (path, urlsplit(path).hostname or "")
        return any(fnmatchcase(name, pattern) for pattern in site for name in names)

    return sorted(paths, key=lambda path: not is_near(path))


def _over(failed: Failed, tried: int) -> Over:
    times = f" (tried {tried} times)" if tried > 1 else ""
    return Over(failed.kind, failed.sentence + times)
