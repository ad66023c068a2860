"""Progress on stderr: bars on a terminal, a line every few seconds elsewhere, nothing when quiet."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

LINE_EVERY_S = 10.0


class Bar(Protocol):
    """Something that is told how far a stage has come."""

    def update(self, done: float, total: float | None = None, note: str = "") -> None:
        """Say that `done` of `total` units are done."""


class Reporter(Protocol):
    """Shows what a run does."""

    def say(self, text: str) -> None:
        """One line of news."""

    def bar(self, title: str, total: float, unit: str) -> AbstractContextManager[Bar]:
        """A bar for one stage."""


class QuietBar:
    """A bar that shows nothing."""

    def update(self, done: float, total: float | None = None, note: str = "") -> None:
        """Take no notice."""


class Quiet:
    """Shows nothing: for `--json --quiet` and for the Python interface."""

    def say(self, text: str) -> None:
        """Take no notice."""

    @contextmanager
    def bar(self, title: str, total: float, unit: str) -> Iterator[Bar]:  # noqa: ARG002
        """A bar that shows nothing."""
        yield QuietBar()


class Lines:
    """One line every ten seconds: for log files and pipes."""

    def say(self, text: str) -> None:
        """Print one line on stderr."""
        print(text, file=sys.stderr, flush=True)  # noqa: T201

    @contextmanager
    def bar(self, title: str, total: float, unit: str) -> Iterator[Bar]:
        """Lines such as `deliver: 12 of 18 files`."""
        yield _LineBar(self, title, total, unit)


class _LineBar:
    def __init__(self, lines: Lines, title: str, total: float, unit: str) -> None:
        self._lines, self._title, self._total, self._unit = lines, title, total, unit
        self._next = time.monotonic() + LINE_EVERY_S

    def update(self, done: float, total: float | None = None, note: str = "") -> None:
        self._total = self._total if total is None else total
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + LINE_EVERY_S
            self._lines.say(f"{self._title}: {done:,.0f} of {self._total:,.0f} {self._unit} {note}".rstrip())


class Terminal:
    """Rich bars on a terminal."""

    def __init__(self) -> None:
        from rich.console import Console

        self._console = Console(stderr=True, highlight=False)

    def say(self, text: str) -> None:
        """Print one line on stderr."""
        self._console.print(text, markup=False)

    @contextmanager
    def bar(self, title: str, total: float, unit: str) -> Iterator[Bar]:
        """A bar with the count, the time passed and the time left."""
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        columns = (
            TextColumn("{task.description:<9}"),
            BarColumn(bar_width=28),
            TextColumn("{task.completed:,.0f} of {task.total:,.0f} " + unit),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
        )
        with Progress(*columns, console=self._console, transient=True) as progress:
            yield _RichBar(progress, progress.add_task(title, total=total, note=""))


class _RichBar:
    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress, self._task = progress, task

    def update(self, done: float, total: float | None = None, note: str = "") -> None:
        self._progress.update(self._task, completed=done, total=total, note=note)


def reporter(quiet: bool = False) -> Reporter:
    """The reporter that suits where stderr goes."""
    if quiet:
        return Quiet()
    return Terminal() if sys.stderr.isatty() else Lines()


class Clock:
    """Shows that a step is at work, for how long, and how far it is once it is told so.

    On a terminal a bar that leaves nothing behind, elsewhere a line every ten seconds of a step that tells.
    """

    def __init__(self, title: str, after_s: float) -> None:
        self._title, self._terminal, self._lines = title, sys.stderr.isatty(), _LineBar(Lines(), title, 0, "")
        if not self._terminal:
            return
        from rich.console import Console
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=28),
            TextColumn("{task.fields[count]}"),
            TimeElapsedColumn(),
        )
        self._bar = Progress(*columns, console=Console(stderr=True, highlight=False), transient=True)
        self._task = self._bar.add_task(title, total=None, count="")
        self._late = threading.Timer(after_s, self._bar.start)
        self._late.start()

    def told(self, done: int, total: int) -> None:
        """Say that `done` of `total` are done."""
        if self._terminal:
            self._bar.update(self._task, completed=done, total=total, count=f"{done:,} of {total:,}")
        else:
            self._lines.update(done, total)

    def stop(self) -> None:
        """Take it away; what comes now has the terminal for itself."""
        if self._terminal:
            self._late.cancel()
            self._late.join()
            self._bar.stop()


@contextmanager
def late_clock(title: str, after_s: float = 1.0) -> Iterator[Clock]:
    """A clock that begins to show once a step has taken ``after_s`` seconds."""
    clock = Clock(title, after_s)
    try:
        yield clock
    finally:
        clock.stop()
