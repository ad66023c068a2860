"""What can be wrong with a query."""

from collections.abc import Iterable


class QueryError(Exception):
    """Base of all errors of this package."""


class QuerySyntaxError(QueryError):
    """Text that is not a query.

    Attributes: `reason` (one sentence), `text` (the whole query), `start` and `end` (character offsets of the
    culprit), `line` and `column` (of its start, counted from 1).
    """

    def __init__(self, reason: str, text: str, start: int, end: int) -> None:
        super().__init__(reason, text, start, end)  # all of them, so that the error survives pickling
        self.reason = reason
        self.text = text
        self.start = start
        self.end = max(end, start + 1)

    @property
    def line(self) -> int:
        """Line of the culprit, from 1."""
        return self.text.count("\n", 0, self.start) + 1

    @property
    def column(self) -> int:
        """Column of the culprit, from 1."""
        return self.start - self.text.rfind("\n", 0, self.start)

    def __str__(self) -> str:
        where = excerpt(self.text, self.start, self.end)
        return f"line {self.line}, column {self.column}: {self.reason}\n{where}"


class QueryNotFoundError(QueryError):
    """No such module, file or function."""


class QueryFunctionError(QueryError):
    """A query function was found but failed, or returned something that is no query."""


def excerpt(text: str, start: int, end: int, width: int = 96) -> str:
    """The line of `text` that holds `start`, cut to `width` characters, carets under the culprit."""
    begin = text.rfind("\n", 0, start) + 1
    stop = text.find("\n", start)
    stop = len(text) if stop < 0 else stop
    left = max(begin, min(start - width // 2, stop - width))
    right = min(stop, left + width)
    before, after = "…" * (left > begin), "…" * (right < stop)
    carets = "^" * max(1, min(end, right) - start)
    shown = text[left:right].replace("\t", " ").replace("\r", " ")
    return f"    {before}{shown}{after}\n    {' ' * (start - left + len(before))}{carets}"


def nearest(word: str, known: Iterable[str]) -> str:
    """`; nearest: a, b` for the known words most like `word`, or an empty string when none is like it."""
    import difflib

    lowered = {name.lower(): name for name in known}
    matches = difflib.get_close_matches(word.lower(), lowered, n=3, cutoff=0.5)
    return f"; nearest: {', '.join(lowered[match] for match in matches)}" if matches else ""
