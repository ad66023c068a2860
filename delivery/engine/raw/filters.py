"""Which branches the filters of a sub-query let through, as uproot's own filters do.

A pattern is a name, a glob (`Jet_*`) or a regular expression between slashes (`/Jet_(pt|eta)/i`), which must match from
the beginning. Regular expressions come from whoever sends a request, and Python's matcher tries all ways: those that
could take for ever are refused.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from fnmatch import fnmatchcase
from re import _constants, _parser  # type: ignore[attr-defined] # Python's own parser, without public names
from typing import Any, Final, TypeAlias

from delivery.engine.raw.request import BadSelection

Filter: TypeAlias = Callable[[str], bool]

MAX_REPEATS: Final = 5  # in one regular expression: of names of n letters each multiplies the time by n
MAX_CHOICES: Final = 12  # each doubles the time

_REPEAT, _CHOICE, _NESTED = "repeat", "choice", "nested"
_REPEATS: Final = (_constants.MAX_REPEAT, _constants.MIN_REPEAT, _constants.POSSESSIVE_REPEAT)
_REGEX: Final = re.compile(r"^/(.*)/([iLmsux]*)$")
_FLAGS: Final = {
    "i": re.IGNORECASE,
    "L": re.LOCALE,
    "m": re.MULTILINE,
    "s": re.DOTALL,
    "u": re.UNICODE,
    "x": re.VERBOSE,
}


def filter_of(patterns: Iterable[str] | None) -> Filter:
    """A filter that lets through what any of the patterns fits; None lets all through.

    Raises BadSelection for a regular expression that is none, or that could take for ever.
    """
    if patterns is None:
        return lambda _: True
    exact, filters = set(), []
    for pattern in patterns:
        fits = _pattern(pattern)
        if fits is None:
            exact.add(pattern)
        else:
            filters.append(fits)
    return lambda name: name in exact or any(fits(name) for fits in filters)


def name_filter(patterns: Iterable[str] | None) -> Filter:
    """A filter on branches' names; a pattern may also fit the name as a path (`/Jet_pt`)."""
    lets_through = filter_of(patterns)
    return lambda name: lets_through(name) or lets_through(f"/{name}")


def _pattern(pattern: str) -> Filter | None:
    """A filter for a glob or a regular expression, None for a plain name."""
    regex = _REGEX.match(pattern)
    if regex is None:
        return (lambda name: fnmatchcase(name, pattern)) if set("*?[") & set(pattern) else None
    expression, letters = regex.groups()
    try:
        compiled = re.compile(expression, sum({_FLAGS[letter] for letter in letters}))
        endless = list(_choices(_parser.parse(expression), ()))
    except (re.error, ValueError, OverflowError, RecursionError) as error:
        raise BadSelection(f"the filter {pattern!r} is no regular expression: {error}") from error
    if endless.count(_NESTED) or endless.count(_REPEAT) > MAX_REPEATS or endless.count(_CHOICE) > MAX_CHOICES:
        problem = f"the filter {pattern!r} could take for ever to match: repetitions in a repetition, or too many"
        raise BadSelection(problem, hint="write several filters, or a glob")
    return lambda name: compiled.match(name) is not None


def _choices(parts: Any, outer: tuple[str, ...]) -> Iterator[str]:
    """What a matcher that tries all ways has to choose: how often to repeat, which branch to take; and these nested."""
    for kind, value in parts:
        if kind in _REPEATS:
            low, high, body = value
            choice = () if low == high else (_REPEAT if high > 1 else _CHOICE,)
            if choice and _REPEAT in outer:
                yield _NESTED
            yield from choice
            yield from _choices(body, (*outer, *choice, *([_REPEAT] if low == high > 1 else [])))
        elif kind is _constants.BRANCH:
            yield _NESTED if _REPEAT in outer else _CHOICE
            for branch in value[1]:
                yield from _choices(branch, outer)
        elif kind in (_constants.SUBPATTERN, _constants.ATOMIC_GROUP, _constants.ASSERT, _constants.ASSERT_NOT):
            yield from _choices(value[-1] if isinstance(value, tuple) else value, outer)
        elif kind is _constants.GROUPREF_EXISTS:
            for branch in value[1:]:
                yield from _choices(branch or (), outer)
