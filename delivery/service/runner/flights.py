"""Work under way: one flight computes one result, for every file of every request that waits for it."""

import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from delivery.service.runner.jobs import Entries, Query

if TYPE_CHECKING:
    from distributed import Future


@dataclass(slots=True)
class Waiter:
    """A file of a request. ``tried`` and ``kills`` count what was before; ``request`` is the request's UUID.

    ``path`` is the replica whose turn it is, ``memo`` what is remembered of it, ``bytes`` its size if it is near,
    ``key`` names its flight; ``small``: tries before
    this, if the last ran out of memory.
    """

    file: int
    transform: int
    request: str
    paths: tuple[str, ...]
    tried: int
    kills: int
    small: int = 0
    path: str = ""
    memo: str = ""
    bytes: int | None = None
    key: str = ""


@dataclass(slots=True)
class Task:
    """A job on its way through the workers; times are of the monotonic clock."""

    token: str
    flight: "Flight"
    kind: Literal["file", "part", "merge"]
    entries: Entries
    batch: "Batch"
    began: float | None = None
    worker: str | None = None
    done: int = 0
    total: int | None = None
    stopping: float | None = None  # since when it has been asked to stop
    too_long: bool = False
    spent: float | None = None  # seconds, once it has ended


@dataclass(slots=True)
class Batch:
    """Tasks that went to the workers as one: a worker does them one after the other.

    ``size``: so many they were; ``tasks``: those that have not ended. ``worker`` is known when the first has begun.
    """

    size: int
    tasks: dict[str, Task] = field(default_factory=dict)
    future: "Future[Any] | None" = None
    worker: str | None = None


@dataclass(slots=True)
class Flight:
    """One result in the making. The first waiter's request pays for it, in turns and in tries.

    ``bytes``: of the input, if it is near; ``pace``: the seconds that it is expected to take, if others were made.
    """

    key: str
    query: Query
    path: str
    memo: str
    bytes: int | None
    pace: float | None
    alone: bool
    shrink: int
    waiters: list[Waiter]
    ranges: deque[Entries] = field(default_factory=deque)
    parts: dict[Entries, str | None] = field(default_factory=dict)
    tasks: dict[str, Task] = field(default_factory=dict)
    finished: dict[Entries, int] = field(default_factory=dict)
    merging: bool = False
    told: tuple[str, tuple[int, int | None]] | None = None
    ended: bool = False
    worker: str | None = None  # the last that told of it

    @property
    def payer(self) -> int | None:
        """The request that pays."""
        return self.waiters[0].transform if self.waiters else None

    def cut(self, ranges: tuple[Entries, ...]) -> None:
        """It is made in these ranges."""
        self.ranges = deque(ranges)
        self.parts = dict.fromkeys(ranges)

    def part_made(self, entries: Entries, key: str) -> None:
        """A range is in the store."""
        self.parts[entries] = key
        self.finished[entries] = entries[1] - entries[0]

    @property
    def whole(self) -> tuple[str, ...] | None:
        """The keys of all parts in their order, once they are all there."""
        keys = [self.parts[entries] for entries in sorted(self.parts)]
        found = tuple(key for key in keys if key is not None)
        return found if keys and len(found) == len(keys) else None

    def events(self) -> tuple[int, int | None]:
        """Entries done, and of how many (None: not known yet)."""
        if not self.parts:
            tasks = [task for task in self.tasks.values() if task.kind == "file"]
            return (tasks[0].done, tasks[0].total) if tasks else (0, None)
        total = max(stop for _, stop in self.parts)
        if self.merging:
            return total, total
        running = sum(task.done for task in self.tasks.values() if task.kind == "part")
        return min(total, sum(self.finished.values()) + running), total


def seconds() -> float:
    """This moment on a clock that nobody sets."""
    return time.monotonic()
