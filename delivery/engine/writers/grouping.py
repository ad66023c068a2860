"""Rows in groups whose borders depend on the rows alone."""

from typing import TYPE_CHECKING, Any

import awkward as ak

from delivery.engine.writers.layouts import joined, normal

if TYPE_CHECKING:
    from delivery.engine.writers import Writer


class Grouped:
    """Passes rows on to an output tree in groups of exactly ``rows`` rows (the last one shorter).

    So neither the ranges in which a file was read nor the number of threads shows in the output.
    """

    def __init__(self, writer: "Writer", tree: str, rows: int) -> None:
        if rows < 1:
            raise ValueError(f"groups of {rows} rows")
        self._writer, self._tree, self._rows = writer, tree, rows
        self._waiting: list[Any] = []
        self._count = 0

    def add(self, rows: Any) -> None:
        """Take an ``ak.Array`` of rows."""
        layout, start = ak.to_layout(rows), 0
        while start < layout.length:
            stop = min(layout.length, start + self._rows - self._count)
            self._waiting.append(normal(layout[start:stop]))
            self._count += stop - start
            start = stop
            if self._count == self._rows:
                self.end()

    def end(self) -> None:
        """Write what is left."""
        if self._waiting:
            waiting, self._waiting, self._count = self._waiting, [], 0
            self._writer.write(ak.Array(joined(waiting)), self._tree)
