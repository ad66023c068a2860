"""Which branches the filters of a sub-query let through, as uproot's own filters do.

A pattern is a name, a glob (`Jet_*`) or a regular expression between slashes (`/Jet_(pt|eta)/i`), which must match from
the beginning.
"""

import re
from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from typing import Final, TypeAlias

from delivery.engine.raw.request import BadSelection

Filter: TypeAlias = Callable[[str], bool]

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

    Raises BadSelection for a regular expression that is none.
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
    except (re.error, ValueError, OverflowError, RecursionError) as error:
        raise BadSelection(f"the filter {pattern!r} is no regular expression: {error}") from error
    return lambda name: compiled.match(name) is not None
