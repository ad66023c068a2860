"""What goes wrong on the rows: lists that do not fit each other, and results too big to hold.

An operation raises these knowing nothing of files: whoever called it adds the entry and the place in the query.
"""

Span = tuple[int, int]


class UnequalLists(Exception):
    """Lists that are combined differ in length, in the row of this number where it is known."""

    def __init__(self, reason: str, span: Span | None = None, row: int | None = None) -> None:
        super().__init__(reason, span, row)
        self.reason, self.span, self.row = reason, span, row
        self.entry: int | None = None  # of the tree, found by whoever knows which entries the rows are


class EmptyLists(UnequalLists):
    """A list has no item where one is asked for."""


class Unsupported(UnequalLists):
    """awkward has no way to do it with numbers of this type."""


class TooMany(UnequalLists):
    """An operation would make more than memory should hold, so many ``times`` as much."""

    times: float = 2.0
