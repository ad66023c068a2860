"""How often: a token bucket per key, in this process.

Several service processes each keep their own buckets, so that a user may do at most as many times more as there are
processes; sharing them would cost a database write per call.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from delivery.service.errors import TooMany

KEYS: Final = 20_000
"""Buckets that are kept; the one not used for longest goes first."""


class Rates:
    """Token buckets: a minute's calls at once at most, refilled steadily. Safe from any thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # what is left, and when that was so

    def take(self, key: str, per_minute: int, what: str) -> None:
        """Count one. Raises TooMany (with the seconds until the next) when the minute's are used up."""
        with self._lock:
            now = self._clock()
            left, before = self._buckets.pop(key, (float(per_minute), now))
            left = min(float(per_minute), left + (now - before) * per_minute / 60)
            enough = left >= 1
            self._buckets[key] = (left - 1 if enough else left, now)
            if len(self._buckets) > KEYS:
                self._buckets.popitem(last=False)
        if not enough:
            wait = 60.0 if per_minute < 1 else (1 - left) * 60 / per_minute
            raise TooMany(
                f"more than {per_minute} {what} in a minute; go on in {max(1, round(wait))} s", max(1.0, wait)
            )
