"""A selection of codegen uproot-raw: a JSON list of sub-queries, read into frozen values.

The keys are those of the servicex client; it always sends all of them, so null means unset.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from delivery.engine.raw.language import BadExpression
from delivery.engine.raw.texts import Text
from delivery.errors import QueryFault, nearest

KEYS = (
    "treename",
    "expressions",
    "cut",
    "filter_name",
    "filter_typename",
    "aliases",
    "fail_on_missing_trees",
    "use_standard_awkward_axis",
    "copy_histograms",
)
_EXAMPLE = '[{"treename": "Events", "filter_name": ["Jet_pt"], "cut": "nJet > 3"}]'
_BETWEEN = re.compile(r"[ \t\r\n,]*")
_BRANCH_ONLY = re.compile(r"[\w./:\- ]+")
_NOTHING: Mapping[str, str] = MappingProxyType({})


class BadSelection(QueryFault):
    """A selection of codegen uproot-raw is not the JSON that it must be."""

    hint = f"a selection is a JSON list of dictionaries, such as {_EXAMPLE}"


@dataclass(frozen=True, slots=True)
class SubQuery:
    """One dictionary of a selection.

    ``trees`` maps each tree of the input to its name in the output. ``expressions`` None means the branches that the
    filters let through; a filter None lets all through. ``copied`` are patterns of objects to copy as they are.
    ``standard_axis``: functions keep awkward's own default axes (`delivery.engine.raw.functions`).
    """

    trees: Mapping[str, str] = field(default_factory=dict)
    expressions: tuple[str, ...] | None = None
    cut: str | None = None
    filter_name: tuple[str, ...] | None = None
    filter_typename: tuple[str, ...] | None = None
    aliases: Mapping[str, str] = field(default_factory=dict)
    fail_on_missing_trees: bool = False
    standard_axis: bool = False
    copied: tuple[str, ...] = ()


def parse_selection(text: str) -> tuple[SubQuery, ...]:
    """The sub-queries of a selection, their expressions checked as far as can be without a file.

    Raises BadSelection for what is wrong with the JSON, and what `language.parse` raises.
    """
    document = _decoded(text)
    if not isinstance(document, list):
        raise BadSelection(f"the selection is {_kind(document)}, not a list of dictionaries", text, _whole(text))
    if not document:
        raise BadSelection("the selection is an empty list: it asks for nothing", text, _whole(text))
    places = list(_elements(text))
    return tuple(
        _SubQueryReader(text, place, number).read(element)
        for number, (element, place) in enumerate(zip(document, places, strict=True))
    )


def _decoded(text: str) -> Any:
    if not text.strip():
        raise BadSelection("the selection is empty", text)
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise BadSelection(f"the selection is no JSON: {error.msg}", text, (error.pos, error.pos + 1)) from error
    except (RecursionError, ValueError) as error:
        raise BadSelection(f"the selection is no JSON that can be read: {error}", text) from error


def _elements(text: str) -> Iterator[tuple[int, int]]:
    """Start and end of each element of the JSON list that `text` is."""
    decoder, place = json.JSONDecoder(), text.index("[") + 1
    while True:
        place = _BETWEEN.match(text, place).end()  # type: ignore[union-attr]
        if text[place] == "]":
            return
        _, end = decoder.raw_decode(text, place)
        yield place, end
        place = end


def _whole(text: str) -> tuple[int, int]:
    start = len(text) - len(text.lstrip())
    return start, start + 1


def _kind(value: Any) -> str:
    """What a JSON value is, in JSON's own words."""
    names = {dict: "a dictionary", list: "a list", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")


class _SubQueryReader:
    """Reads one dictionary; knows where in the selection it stands."""

    def __init__(self, text: str, place: tuple[int, int], number: int) -> None:
        self._text, self._place, self._number = text, place, number

    def read(self, element: Any) -> SubQuery:
        if not isinstance(element, dict):
            problem = f"sub-query {self._number} is {_kind(element)}, not a dictionary"
            raise BadSelection(problem, self._text, self._place)
        for key in element:
            if key not in KEYS:
                near = nearest(key, KEYS) or KEYS
                problem = f"sub-query {self._number} has an unknown key {key!r}"
                raise BadSelection(problem, self._text, self._key(key), name=key, near=near)
        given = {key: value for key, value in element.items() if value is not None}
        found = SubQuery(
            trees=self._trees(given.get("treename")),
            expressions=self._texts(given, "expressions"),
            cut=self._cut(given.get("cut")),
            filter_name=self._texts(given, "filter_name"),
            filter_typename=self._texts(given, "filter_typename"),
            aliases=self._mapping(given.get("aliases", _NOTHING), "aliases", "expressions by name"),
            fail_on_missing_trees=self._flag(given, "fail_on_missing_trees"),
            standard_axis=self._flag(given, "use_standard_awkward_axis"),
            copied=self._texts(given, "copy_histograms") or (),
        )
        if not found.trees and not found.copied:
            problem = f"sub-query {self._number} names no tree and nothing to copy: set treename or copy_histograms"
            raise BadSelection(problem, self._text, self._place)
        self._check_expressions(found)
        return found

    def _check_expressions(self, found: SubQuery) -> None:
        for text in found.expressions or ():
            try:
                Text.of(text, self._text)
            except BadExpression:
                if not _BRANCH_ONLY.fullmatch(text):  # else it may be a branch whose name is no expression, as `1st`
                    raise
        for text in (*found.aliases.values(), *([] if found.cut is None else [found.cut])):
            Text.of(text, self._text)

    def _trees(self, value: Any) -> Mapping[str, str]:
        if isinstance(value, dict):
            return self._mapping(value, "treename", "output trees by input tree")
        names = self._strings(value, "treename", "a tree's name, a list of names or a map of names")
        return {name: name for name in names or ()}

    def _texts(self, given: Mapping[str, Any], key: str) -> tuple[str, ...] | None:
        return self._strings(given.get(key), key, "a string or a list of strings")

    def _strings(self, value: Any, key: str, wanted: str) -> tuple[str, ...] | None:
        if value is None:
            return None
        items = [value] if isinstance(value, str) else value
        if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
            raise self._wrong(key, value, wanted)
        return tuple(items)

    def _cut(self, value: Any) -> str | None:
        if value is None or isinstance(value, str):
            return value
        raise self._wrong("cut", value, "one expression (join several with &)")

    def _mapping(self, value: Any, key: str, meaning: str) -> Mapping[str, str]:
        if not isinstance(value, Mapping) or not all(isinstance(item, str) for item in value.values()):
            raise self._wrong(key, value, f"a dictionary of strings ({meaning})")
        return dict(value)

    def _flag(self, given: Mapping[str, Any], key: str) -> bool:
        value = given.get(key, False)
        if not isinstance(value, bool):
            raise self._wrong(key, value, "true or false")
        return value

    def _wrong(self, key: str, value: Any, wanted: str) -> BadSelection:
        inner = " with other things than strings" if isinstance(value, list | dict) else ""
        problem = f"{key} of sub-query {self._number} is {_kind(value)}{inner}; it must be {wanted}"
        return BadSelection(problem, self._text, self._key(key))

    def _key(self, key: str) -> tuple[int, int]:
        """Where the key stands in the selection."""
        start, end = self._place
        found = re.compile(re.escape(json.dumps(key)) + r"\s*:").search(self._text, start, end)
        return (found.start(), found.start() + len(json.dumps(key))) if found else self._place
