"""Whose turn it is: fair between users, then between the requests of a user. Pure; the caller keeps the counts."""

import heapq
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Queue:
    """The work of one request: so many tasks wait, so many run, and when one was last begun.

    `last` numbers the turns of all requests: the smaller, the longer ago; 0 for never. Of a user's requests those of
    the highest `priority` go first.
    """

    request: int
    user: int | None
    priority: int
    waiting: int
    running: int
    last: int


def choose(queues: Sequence[Queue], free: int, most: Mapping[int | None, int] | None = None) -> list[int]:
    """The requests whose next tasks are to begin, one entry for each of at most ``free`` tasks, in order.

    The turn is always of the user with the fewest tasks running, then of the one who has waited longest for a turn; of
    his requests of the highest priority that have work, of the one with the fewest tasks running, then of the one that
    has waited longest. So a small request overtakes a large one, and nobody with work waits for ever but behind his own
    requests of higher priority. ``most`` bounds the tasks of a user that run at once; who is not in it has no bound.
    """
    by_user: defaultdict[int | None, list[Queue]] = defaultdict(list)
    for queue in queues:
        by_user[queue.user].append(queue)
    bounds = most or {}
    turns = [_Turns(queues, bounds.get(user)) for user, queues in by_user.items()]
    users = [(*turn.place, number) for number, turn in enumerate(turns) if turn.has_work]
    heapq.heapify(users)
    latest = max((queue.last for queue in queues), default=0)
    chosen: list[int] = []
    while users and len(chosen) < free:
        *_, number = heapq.heappop(users)
        latest += 1
        chosen.append(turns[number].take(latest))
        if turns[number].has_work:
            heapq.heappush(users, (*turns[number].place, number))
    return chosen


class _Turns:
    """The requests of one user in the order of their turns."""

    def __init__(self, queues: Sequence[Queue], most: int | None) -> None:
        self._running = sum(queue.running for queue in queues)
        self._last = max(queue.last for queue in queues)
        self._room = None if most is None else most - self._running
        self._waiting = {queue.request: queue.waiting for queue in queues}
        self._heap = [(-q.priority, q.running, q.last, q.request) for q in queues if q.waiting > 0]
        heapq.heapify(self._heap)

    @property
    def has_work(self) -> bool:
        """Whether there is a task that may begin."""
        return bool(self._heap) and (self._room is None or self._room > 0)

    @property
    def place(self) -> tuple[int, int]:
        """The smaller, the sooner it is this user's turn."""
        return self._running, self._last

    def take(self, turn: int) -> int:
        """The request whose task begins now."""
        priority, running, _, request = heapq.heappop(self._heap)
        self._waiting[request] -= 1
        if self._waiting[request]:
            heapq.heappush(self._heap, (priority, running + 1, turn, request))
        self._running += 1
        self._last = turn
        if self._room is not None:
            self._room -= 1
        return request
