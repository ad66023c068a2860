"""On a worker: which tasks run, what they have done, and whether they should stop."""

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Self

from delivery.service.runner.jobs import Outcome, to_message
from delivery.urls import without_secrets

TELL_SECONDS = 0.25
"""So often a task tells the service how far it is."""
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
    """A running task of Dask's, which does jobs one after the other, as it tells the service of itself.

    It tells at once that it runs, then what is new every `TELL_SECONDS`, from a thread of its own: what has ended does
    not wait for what hangs. The rest is told when it is over, which the scheduler passes on before it says so itself.
    """

    def __init__(self, topic: str, worker: Any) -> None:
        self._topic, self._worker = topic, worker
        self._lock, self._over = threading.Lock(), threading.Event()
        self._now: tuple[str, int, int | None] | None = None
        self._ended: list[tuple[str, float, list[str]]] = []
        self._began = 0.0
        self._is_news = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._tell()

    def begin(self, token: str) -> None:
        """The next job."""
        is_first = self._now is None
        self._began = time.monotonic()
        with self._lock:
            self._now, self._is_news = (token, 0, None), True
        if is_first:
            self._tell()
            threading.Thread(target=self._keep_telling, name="skimflow-telling", daemon=True).start()

    def progress(self, done: int, total: int) -> None:
        """Entries done of the job. Raises StopAsked."""
        with self._lock:
            token = self._now[0] if self._now else ""
            self._now, self._is_news = (token, done, total), True
        if token in _to_stop:
            raise StopAsked

    def end(self, outcome: Outcome) -> None:
        """What came of the job."""
        with self._lock:
            token = self._now[0] if self._now else ""
            self._ended.append((token, time.monotonic() - self._began, to_message(outcome)))
            self._is_news = True
        with _stop_lock:
            _to_stop.pop(token, None)

    def _keep_telling(self) -> None:
        while not self._over.wait(TELL_SECONDS):
            self._tell()

    def _tell(self) -> None:
        with self._lock:
            if self._is_news:
                message = {"worker": self._worker.address, "now": self._now, "ended": self._ended}
                self._worker.log_event(self._topic, message)
                self._ended, self._is_news = [], False


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
