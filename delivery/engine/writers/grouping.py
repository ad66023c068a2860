"""Rows in groups whose borders depend on the rows alone.

So neither the ranges in which a file was read nor the number of threads shows in the output.
"""

from bisect import bisect_left
from typing import TYPE_CHECKING, Any

import awkward as ak

from delivery.engine.writers.layouts import joined, normal, size_of

if TYPE_CHECKING:
    from delivery.engine.writers import Writer

# Below some ten thousand rows the fixed costs of a group show, and readers take chunks of about this many events.
GROUP_ROWS = 100_000
# While a group is written, two to three times these bytes are in use.
GROUP_BYTES = 16 * 1024 * 1024
_STEP = 1000


class Grouped:
    """Passes rows on to an output tree in groups of ``rows`` rows (the last one shorter).

    Where rows are wide a group ends earlier: after the first multiple of 1000 rows that holds ``size`` bytes.
    """

    def __init__(self, writer: "Writer", tree: str, rows: int = GROUP_ROWS, size: int = GROUP_BYTES) -> None:
        if rows < 1:
            raise ValueError(f"groups of {rows} rows")
        self._writer, self._tree, self._rows, self._size = writer, tree, rows, size
        self._begin()

    def _begin(self) -> None:
        self._waiting: list[Any] = []
        self._count = self._bytes = 0

    def add(self, rows: Any) -> None:
        """Take an ``ak.Array`` of rows."""
        layout, start = normal(ak.to_layout(rows)), 0
        while start < layout.length:
            stop, size = self._stop(layout, start)
            self._waiting.append(layout if stop - start == layout.length else normal(layout[start:stop]))
            self._count += stop - start
            self._bytes += size
            start = stop
            if self._count == self._rows or (self._bytes >= self._size and self._count % _STEP == 0):
                self.end()

    def end(self) -> None:
        """Write what is left."""
        if self._waiting:
            whole = ak.Array(joined(self._waiting))
            self._begin()
            self._writer.write(whole, self._tree)

    def _stop(self, layout: Any, start: int) -> tuple[int, int]:
        """Where the group that goes on at row ``start`` ends, or the layout if that is first; the bytes up to there."""
        last = min(layout.length, start + self._rows - self._count)
        size = size_of(layout, start, last)
        if self._bytes + size < self._size:
            return last, size
        steps = range(start + _STEP - self._count % _STEP, last, _STEP)
        full = bisect_left(steps, self._size - self._bytes, key=lambda stop: size_of(layout, start, stop))
        stop = steps[full] if full < len(steps) else last
        return stop, size_of(layout, start, stop)
