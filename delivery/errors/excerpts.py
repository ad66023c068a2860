"""How a place in a query, and a name that is not there, are told to people."""

from collections.abc import Iterable, Sequence
from typing import TypeAlias

from delivery.urls import masked

Span: TypeAlias = tuple[int, int]
"""Start and end (excluded) of a piece of a query, in characters of its text."""

LONGEST_NAME = 200


def nearest(name: str, known: Iterable[str], limit: int = 5) -> tuple[str, ...]:
    """Names that ``name`` may have meant: the most alike, those of the same collection (`Jet_…`, `Jets.…`) first.

    Upper and lower case count as alike. Names longer than `LONGEST_NAME` are like none.
    """
    if len(name) > LONGEST_NAME:
        return ()
    import difflib

    originals: dict[str, list[str]] = {}
    for other in sorted(known):
        originals.setdefault(other.lower(), []).append(other)
    wanted = name.lower()
    collection = _collection(wanted)
    same = [other for other in originals if collection and _collection(other) == collection]
    close = difflib.get_close_matches(wanted, same, limit, 0.5)
    close += difflib.get_close_matches(wanted, [o for o in originals if o not in close], limit, 0.65)
    return tuple([original for other in close for original in originals[other]][:limit])


def _collection(name: str) -> str:
    """What stands before the first `_` or `.` of a branch's name."""
    return name.replace(".", "_").split("_", maxsplit=1)[0] if "_" in name or "." in name else ""


def describe_near(name: str, near: Sequence[str]) -> str:
    """A sentence on what stands near a missing name, such as ``no jet tagger`` for b-tag discriminants."""
    what = "not in the tree"
    if "btag" in name.lower():
        what = f"the file has no jet tagger {name.removeprefix('Jet_')}"
    if not near:
        return f"{what}, and nothing near it"
    dotted = next((other for other in near if other.startswith(f"{name}.")), None)
    spelling = f"; func_adl writes a name with a dot as e[{dotted!r}]" if dotted else ""
    return f"{what}; near: {', '.join(near)}{spelling}"


def position(text: str, span: Span) -> tuple[int, int]:
    """Line and column of a span's start, both from 1."""
    return text.count("\n", 0, span[0]) + 1, span[0] - text.rfind("\n", 0, span[0])


def location(text: str, span: Span | None) -> str:
    """``line:column`` (from 1) of a span's start, empty without a span."""
    if span is None or not text:
        return ""
    line, column = position(text, span)
    return f"{line}:{column}"


def marked(text: str, span: Span, width: int = 96) -> str:
    """The query's line around a span, cut to ``width`` characters, and below it carets under the span.

    Control characters are shown as spaces and secrets of URLs as asterisks, so that every character keeps its place.
    """
    start = text.rfind("\n", 0, span[0]) + 1
    end = text.find("\n", span[0])
    line = "".join(c if c.isprintable() else " " for c in masked(text[start : end if end >= 0 else len(text)]))
    column = span[0] - start
    left = max(0, min(column - width // 2, len(line) - width))
    window = line[left : left + width]
    carets = max(1, min(span[1] - span[0], len(window) - (column - left)))
    return f"{window}\n{' ' * (column - left)}{'^' * carets}"


def excerpt(text: str, span: Span | None) -> str:
    """The place of a span and `marked`, as lines to append to a message; empty without a span."""
    if span is None or not text:
        return ""
    line, carets = marked(text, span).split("\n")
    return f"\n  query {location(text, span)}\n    {line}\n    {carets}"
