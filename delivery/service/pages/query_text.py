"""A request's query as people read it: laid out in lines, and cut into pieces for colouring. Nothing of it is run."""

import base64
import binascii
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from queries.canonical import canonical
from queries.errors import QuerySyntaxError
from queries.parser import parse
from queries.printer import unparse
from queries.python_form import to_python
from queries.syntax import Lambda, Linq, Node, children

Kind: TypeAlias = Literal["plain", "operator", "word", "text", "number", "comment"]
WIDTH: Final = 76
LONGEST: Final = 200_000
"""Longer queries (in characters) are shown as they were sent."""

_FUNC_ADL: Final = ("uproot", "xaod", "atlasr21", "atlasr22", "atlasr25", "cms")
_OPERATORS = (
    "Where Select SelectMany First Last ElementAt Count Sum Min Max Any All OrderBy OrderByDescending Choose Zip Concat"
)
_PIECES = re.compile(
    r"(?P<comment>\#[^\n]*)"
    r"""|(?P<text>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')"""
    r"|(?P<number>(?<![\w.])\d[\d_]*\.?\d*(?:[eE][+-]?\d+)?)"
    rf"|(?P<operator>(?<=\.)(?:{_OPERATORS.replace(' ', '|')})\b|\bEventDataset\b)"
    r"|(?P<word>\b(?:lambda|and|or|not|if|else|def|return|import|from|for|in|is|None|True|False|true|false|null)\b)"
)


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of characters of one kind."""

    kind: Kind
    text: str


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a text: the spaces that it begins with, counted too; where it is wrapped, it goes on behind them."""

    indent: int
    pieces: tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class ShownQuery:
    """A query for people: its language in words, its text, the same in coloured lines, and the text as it was sent."""

    language: str
    text: str
    lines: tuple[Line, ...]
    sent: str


def shown(selection: str, codegen: str) -> ShownQuery:
    """The query of a request; what cannot be read as its codegen's language is shown as it was sent."""
    language, text = _read(selection, codegen) if len(selection) <= LONGEST else ("as sent", selection)
    return ShownQuery(language, text, tuple(lines(text)), selection)


def conditions(selection: str, codegen: str) -> Mapping[str, str]:
    """The query's own conditions in Python, by the canonical text that a cutflow names them with.

    A cutflow is shared by all who ask for the same, and so has no variables' names of anybody's.
    """
    if codegen not in _FUNC_ADL or len(selection) > LONGEST:
        return {}
    try:
        bodies = list(_conditions(parse(selection)))
    except QuerySyntaxError:
        return {}
    return {unparse(_body(canonical(one))): to_python(one.body) for one in bodies}


def condition(text: str, own: Mapping[str, str]) -> str:
    """A condition of a cutflow in Python: as in the query itself, else with the canonical variables."""
    if text in own:
        return own[text]
    try:
        return to_python(parse(text))
    except (QuerySyntaxError, RecursionError):
        return text  # of uproot-raw: Python as it is


def _conditions(node: Node) -> Iterator[Lambda]:
    if isinstance(node, Linq) and node.op == "Where":
        yield from (one for one in node.args if isinstance(one, Lambda))
    for child in children(node):
        yield from _conditions(child)


def _body(node: Node) -> Node:
    return node.body if isinstance(node, Lambda) else node


def _read(selection: str, codegen: str) -> tuple[str, str]:
    try:
        match codegen:
            case _ if codegen in _FUNC_ADL:
                return "func_adl, as Python", laid_out(to_python(parse(selection)))
            case "uproot-raw" | "topcp":
                return "JSON", json.dumps(_without_nulls(json.loads(selection)), indent=2, ensure_ascii=False)
            case "python":
                return "Python", base64.b64decode(selection, validate=True).decode()
    except (QuerySyntaxError, ValueError, TypeError, binascii.Error, RecursionError):
        pass
    return "as sent", selection


def _without_nulls(value: object) -> object:
    if isinstance(value, dict):
        return {name: _without_nulls(one) for name, one in value.items() if one is not None}
    return [_without_nulls(one) for one in value] if isinstance(value, list) else value


def coloured(text: str) -> Iterator[Piece]:
    """The whole text in pieces."""
    place = 0
    for found in _PIECES.finditer(text):
        if found.start() > place:
            yield Piece("plain", text[place : found.start()])
        kind: Kind = found.lastgroup or "plain"  # type: ignore[assignment] # the groups are named so
        yield Piece(kind, found[0])
        place = found.end()
    if place < len(text):
        yield Piece("plain", text[place:])


def lines(text: str) -> Iterator[Line]:
    """The text in coloured lines; together they are the whole text, each but the last with its line break."""
    row: list[Piece] = []
    for piece in coloured(text):
        for part in re.findall(r"[^\n]*\n|[^\n]+", piece.text):
            row.append(Piece(piece.kind, part))
            if part.endswith("\n"):
                yield _line(row)
                row = []
    if row:
        yield _line(row)


def _line(row: Sequence[Piece]) -> Line:
    text = "".join(piece.text for piece in row)
    return Line(len(text) - len(text.lstrip(" ")), tuple(row))


@dataclass(slots=True)
class _Group:
    """What stands between brackets: sequences divided by commas."""

    opening: str
    items: "list[_Sequence]" = field(default_factory=lambda: [[]])
    closing: str = ""


_Sequence: TypeAlias = "list[str | _Group]"

_BRACKETS = re.compile(
    r"""("(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')|([(\[{])|([)\]}])|(,\s*)|(\s(?:and|or)\s|\.(?=[A-Z]\w*\())"""
)


def laid_out(text: str, width: int = WIDTH) -> str:
    """An expression in one line broken at operators, brackets and ``and`` so that few lines are wider than `width`."""
    return _draw(_grouped(text), 0, 0, width)


def _grouped(text: str) -> _Sequence:
    root = _Group("")
    stack, place = [root], 0
    for found in _BRACKETS.finditer(text):
        string, opening, closing, comma, _link = found.groups()
        if string is not None:
            continue
        here = stack[-1].items[-1]
        if text[place : found.start()]:
            here.append(text[place : found.start()])
        place = found.end()
        if opening:
            stack.append(_Group(opening))
            here.append(stack[-1])
        elif closing and len(stack) > 1:
            stack.pop().closing = closing
        elif comma and len(stack) > 1:
            stack[-1].items.append([])
        else:
            here.append(found[0])
    if text[place:]:
        stack[-1].items[-1].append(text[place:])
    return root.items[0]


def _flat(sequence: Sequence["str | _Group"]) -> str:
    return "".join(
        part if isinstance(part, str) else f"{part.opening}{', '.join(map(_flat, part.items))}{part.closing}"
        for part in sequence
    )


def _draw(sequence: _Sequence, indent: int, column: int, width: int) -> str:
    """The sequence from `column` on, its further lines at `indent`."""
    flat = _flat(sequence)
    if column + len(flat) <= width:
        return flat
    lines, line, start = [], "", column
    for part in sequence:
        if isinstance(part, str):
            if part == "." or part.strip() in ("and", "or"):
                deeper = indent + 2
                if line.strip():
                    lines.append(line)
                    line, start = " " * deeper, 0
                part = part.lstrip()  # noqa: PLW2901 - a line begins with it
            line += part
        else:
            at = len(line) - len(line.lstrip()) if lines else indent
            line += _draw_group(part, at, start + len(line.rpartition("\n")[2]), width)
    return "\n".join([*lines, line])


def _draw_group(group: _Group, indent: int, column: int, width: int) -> str:
    flat = _flat([group])
    if column + len(flat) <= width or not any(group.items):
        return flat
    inner = indent + 2
    items = [" " * inner + _draw(item, inner, inner, width) for item in group.items]
    return "\n".join([group.opening, ",\n".join(items), " " * indent + group.closing])
