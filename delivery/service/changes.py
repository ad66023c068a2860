"""Who watches a request is told at once when it changes in this process, and soon when it does in another."""

import threading
from collections import defaultdict
from collections.abc import Callable
from typing import TypeAlias

Listener: TypeAlias = Callable[[str], None]


class Changes:
    """Counts changes by request id, for this process, and calls who listens; safe from any thread.

    A listener gets the id of the request that changed; it must return at once and not raise. `close` is called once,
    when the process is about to end: open streams end then.
    """

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._counts: defaultdict[str, int] = defaultdict(int)
        self._listeners: defaultdict[str | None, list[Listener]] = defaultdict(list)
        self._closed = False

    def notify(self, request_id: str) -> None:
        """A request changed (its transaction is over)."""
        with self._condition:
            self._counts[request_id] += 1
            self._condition.notify_all()
            listeners = [*self._listeners.get(request_id, ()), *self._listeners.get(None, ())]
        for listener in listeners:
            listener(request_id)

    def count(self, request_id: str) -> int:
        """Changes so far."""
        with self._condition:
            return self._counts.get(request_id, 0)

    def listen(self, request_id: str | None, listener: Listener) -> Callable[[], None]:
        """Call the listener at every change of the request (None: of any). What is returned ends that."""
        with self._condition:
            self._listeners[request_id].append(listener)

        def stop() -> None:
            with self._condition:
                self._listeners[request_id].remove(listener)
                if not self._listeners[request_id]:
                    del self._listeners[request_id]

        return stop

    def watched(self) -> set[str | None]:
        """The requests that are listened to; None among them stands for all."""
        with self._condition:
            return set(self._listeners)

    @property
    def closed(self) -> bool:
        """Whether the process is about to end."""
        return self._closed

    def close(self) -> None:
        """The process is about to end: wake everyone who listens."""
        self._closed = True
        for request_id in self.watched():
            with self._condition:
                listeners = list(self._listeners.get(request_id, ()))
            for listener in listeners:
                listener(request_id or "")
