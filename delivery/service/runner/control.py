"""On a worker: which tasks run, what they have done, and whether they should stop."""

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from delivery.service.runner.jobs import Job, Outcome, to_message
from delivery.urls import without_secrets

PROGRESS_SECONDS = 0.5
LOG_CHARACTERS = 64 * 1024
REMEMBERED = 10_000

_to_stop: dict[str, None] = {}
_stop_lock = threading.Lock()


class StopAsked(Exception):
    """The task was told to stop."""


def stop_tasks(tokens: Sequence[str]) -> None:
    """Tell tasks of this worker to stop at their next range; those that have not begun stop when they do."""
    with _stop_lock:
        _to_stop.update(dict.fromkeys(tokens))
        while len(_to_stop) > REMEMBERED:
            _to_stop.pop(next(iter(_to_stop)))


class Task:
    """A running task, as it tells the service of itself."""

    def __init__(self, job: Job, worker: Any) -> None:
        self._token, self._topic, self._worker = job.token, job.topic, worker
        self._told = 0.0

    def began(self) -> None:
        """Tell which worker has it."""
        self._tell(done=0, total=None)

    def progress(self, done: int, total: int) -> None:
        """Tell the entries done, at most twice a second. Raises StopAsked."""
        if self._token in _to_stop:
            raise StopAsked
        now = time.monotonic()
        if now - self._told >= PROGRESS_SECONDS:
            self._told = now
            self._tell(done=done, total=total)

    def outcome(self, outcome: Outcome) -> None:
        """Tell what came of it. The scheduler passes this on before it says that the task has ended."""
        self._tell(outcome=to_message(outcome))

    def _tell(self, **message: Any) -> None:
        self._worker.log_event(self._topic, {"token": self._token, "worker": self._worker.address, **message})

    def ended(self) -> None:
        """Forget that it was to stop."""
        with _stop_lock:
            _to_stop.pop(self._token, None)


class Turns:
    """The tasks on one worker run side by side, but for those that must be alone; these are let in before others."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._inside = self._waiting_alone = 0
        self._one_alone = False

    @contextmanager
    def taken(self, *, alone: bool) -> Iterator[None]:
        """A turn; waits for it."""
        with self._changed:
            if alone:
                self._waiting_alone += 1
                self._changed.wait_for(lambda: self._inside == 0)
                self._waiting_alone -= 1
                self._one_alone = True
            else:
                self._changed.wait_for(lambda: not self._one_alone and not self._waiting_alone)
            self._inside += 1
        try:
            yield
        finally:
            with self._changed:
                self._inside -= 1
                self._one_alone = False
                self._changed.notify_all()


TURNS = Turns()


class Lines(logging.Handler):
    """The last lines that this thread logged, without secrets."""

    def __init__(self, path: str) -> None:
        super().__init__(logging.INFO)
        self._path, self._thread = path, threading.get_ident()
        self._lines: list[str] = []
        self._size = 0
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the line, and so many before it as there is room for."""
        if record.thread == self._thread:
            line = without_secrets(self.format(record), self._path)[:LOG_CHARACTERS]
            self._lines.append(line)
            self._size += len(line) + 1
            while self._size > LOG_CHARACTERS:
                self._size -= len(self._lines.pop(0)) + 1

    @property
    def text(self) -> str:
        """The lines so far."""
        return "\n".join(self._lines)


@contextmanager
def logged(path: str) -> Iterator[Lines]:
    """Keep what this thread logs within the block."""
    lines, root, ours = Lines(path), logging.getLogger(), logging.getLogger("delivery")
    if ours.level == logging.NOTSET:
        ours.setLevel(logging.INFO)
    root.addHandler(lines)
    try:
        yield lines
    finally:
        root.removeHandler(lines)
