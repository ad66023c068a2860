"""Who watches a request is told at once when it changes in this process, and soon when it does in another."""

import threading
from collections import defaultdict


class Changes:
    """Counts changes by request id, for this process; safe from any thread."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._counts: defaultdict[str, int] = defaultdict(int)

    def notify(self, request_id: str) -> None:
        """A request changed (its transaction is over)."""
        with self._condition:
            self._counts[request_id] += 1
            self._condition.notify_all()

    def count(self, request_id: str) -> int:
        """Changes so far."""
        with self._condition:
            return self._counts[request_id]
