"""Parser of qastle text, the S-expressions that a func_adl query travels as."""

import ast
import keyword
import re
import warnings
from collections.abc import Callable, Mapping
from typing import Final, NoReturn

from queries.errors import QuerySyntaxError, nearest
from queries.linq import LINQ, call, linq
from queries.syntax import (
    BINARY_OPERATORS,
    BOOLEAN_OPERATORS,
    COMPARE_OPERATORS,
    MAX_DEPTH,
    UNARY_OPERATORS,
    Attribute,
    Binary,
    BoolOp,
    Compare,
    Constant,
    Dict,
    If,
    Lambda,
    List,
    Malformed,
    Name,
    Node,
    Span,
    Subscript,
    Unary,
    malformed,
)

_TOKEN: Final = re.compile(
    r"""[ \t\r\n]*(?:
      (?P<open>\( [ \t\r\n]* (?P<kind>[A-Za-z]+|\*\*|//|<<|>>|==|!=|<=|>=|[-+*/%&^|~<>])?)
    | (?P<close>\))
    | (?P<name>[A-Za-z_][A-Za-z_0-9]*)
    | (?P<string>'(?:[^'\\\n\r\0]|\\[^\0])*' | "(?:[^"\\\n\r\0]|\\[^\0])*")
    | (?P<number>[+-]?[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)? | \.[0-9]+(?:[eE][+-]?[0-9]+)?)
    | (?P<end>\Z)
    )""",
    re.VERBOSE,
)
_NO_TOKEN: Final = re.compile(r"[ \t\r\n]*([A-Za-z_0-9]+|.)", re.DOTALL)
_CONSTANTS: Final[Mapping[str, bool | None]] = {"True": True, "False": False, "None": None}


def parse(text: str) -> Node:
    """Read qastle text into a tree: every node with its span, LINQ operators as `Linq` however they are
    spelt.

    Takes what the reference parser (`qastle`) takes, and refuses where that one would silently change the
    query: a dict with unequal numbers of keys and values, a lambda with one variable twice, a keyword of
    Python as a name. Empty text, which the reference reads as no query, is refused too. Raises
    QuerySyntaxError, also for text nested more than MAX_DEPTH levels deep.
    """
    try:
        return _Parser(text).query()
    except Malformed as error:
        raise QuerySyntaxError(error.reason, text, *error.span) from None


class _Parser:
    """Recursive descent over the tokens of one text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0  # end of the last token
        self.depth = 0

    def query(self) -> Node:
        token = self._next()
        if token.lastgroup == "end":
            malformed("the query is empty", Span(0, 0))
        node = self._node(token)
        token = self._next()
        if token.lastgroup != "end":
            malformed("the query ended before this", Span(token.start(token.lastgroup or 0), token.end()))
        return node

    def _next(self) -> re.Match[str]:
        token = _TOKEN.match(self.text, self.position)
        if token is None:
            self._no_token()
        self.position = token.end()
        return token

    def _no_token(self) -> NoReturn:
        found = _NO_TOKEN.match(self.text, self.position)
        start, end = found.span(1) if found else (self.position, self.position + 1)
        if self.text[start] in "'\"":
            malformed("this string has no end (a newline inside it must be written \\n)", Span(start, end))
        malformed(
            f"{self.text[start:end][:40]!r} begins nothing: expected '(', a name, a number or a string",
            Span(start, end),
        )

    def _node(self, token: re.Match[str]) -> Node:
        """The node that begins with `token`; afterwards `position` is behind it."""
        kind = token.lastgroup
        if kind == "open":
            return self._composite(token)
        start, end = token.span(kind or 0)
        word, span = self.text[start:end], Span(start, end)
        if kind == "name":
            return _name(word, span)
        if kind == "string":
            return Constant(_string(word, span), span)
        if kind == "number":
            return _number(word, span)
        return malformed("expected an expression here", span)

    def _composite(self, token: re.Match[str]) -> Node:
        start, kind = token.start("open"), token["kind"]
        if kind not in _KINDS:
            _no_kind(kind, Span(token.start("kind") if kind else start, token.end()))
        self.depth += 1
        if self.depth > MAX_DEPTH:
            malformed(f"nested deeper than {MAX_DEPTH} levels", Span(start, token.end()))
        children: list[Node] = []
        while True:
            before = self.position
            token = self._next()
            group = token.lastgroup
            if group == "close":
                break
            if group == "end":
                malformed(f"this '({kind}' is never closed", Span(start, start + len(kind) + 1))
            if token.start(group or 0) == before:
                malformed("expected a space before this", Span(before, token.end()))
            children.append(self._node(token))
        self.depth -= 1
        return self._built(kind, children, Span(start, self.position))

    def _built(self, kind: str, children: list[Node], span: Span) -> Node:
        if kind == "call":
            if not children:
                malformed("'call' takes a function and its arguments, not nothing", span)
            return call(children[0], children[1:], span, self.depth)
        if kind in LINQ:
            if not children:
                malformed(f"{kind} needs a source to work on", span)
            return linq(kind, children[0], children[1:], span)
        return _BUILDERS[kind](kind, children, span)


def _no_kind(kind: str | None, span: Span) -> NoReturn:
    if kind is None:
        malformed("expected a node type after '(', such as 'call', 'attr', 'Select' or '+'", span)
    malformed(f"unknown node type {kind[:40]!r}{nearest(kind[:40], _KINDS)}", span)


def _name(word: str, span: Span) -> Node:
    if word in _CONSTANTS:
        return Constant(_CONSTANTS[word], span)
    if keyword.iskeyword(word):
        malformed(f"{word!r} is a keyword of Python and cannot be a name", span)
    return Name(word, span)


def _string(literal: str, span: Span) -> str:
    if "\\" not in literal:
        return literal[1:-1]
    try:
        with warnings.catch_warnings(action="ignore"):  # unknown escapes stay as they are, as in Python
            return str(ast.literal_eval(literal))
    except (SyntaxError, ValueError) as error:
        return malformed(f"not a string literal: {getattr(error, 'msg', error)}", span)


def _number(word: str, span: Span) -> Node:
    digits = word.lstrip("+-")
    if digits.isdigit():
        if digits[0] == "0" and digits.strip("0"):
            malformed("an integer cannot have leading zeros", span)
        try:
            number: float = int(digits)
        except ValueError:
            malformed("an integer of too many digits", span)
    else:
        number = float(digits)
    if word[0] == "-":
        return Unary("-", Constant(number, Span(span.start + 1, span.end)), span)
    return Constant(number, span)


def _expect(kind: str, children: list[Node], what: str, span: Span) -> None:
    n = len(what.split(", "))
    if len(children) != n:
        malformed(f"'{kind}' takes {n} (the {what}), not {len(children)}", span)


def _list(_kind: str, children: list[Node], span: Span) -> Node:
    return List(tuple(children), span)


def _dict(kind: str, children: list[Node], span: Span) -> Node:
    _expect(kind, children, "list of keys, list of values", span)
    keys, values = children
    if not isinstance(keys, List):
        malformed("the keys of a dict are a list: (dict (list 'a' 'b') (list x y))", keys.span)
    if not isinstance(values, List):
        malformed("the values of a dict are a list: (dict (list 'a' 'b') (list x y))", values.span)
    if len(keys.items) != len(values.items):
        malformed(f"this dict has {len(keys.items)} keys and {len(values.items)} values", span)
    return Dict(keys.items, values.items, span)


def _attr(kind: str, children: list[Node], span: Span) -> Node:
    _expect(kind, children, "object, name as a string", span)
    value, name = children
    if not (isinstance(name, Constant) and isinstance(name.value, str)):
        malformed("the name of an attribute is a string: (attr e 'Jet_pt')", name.span)
    return Attribute(value, name.value, span)


def _subscript(kind: str, children: list[Node], span: Span) -> Node:
    _expect(kind, children, "object, index", span)
    return Subscript(children[0], children[1], span)


def _if(kind: str, children: list[Node], span: Span) -> Node:
    _expect(kind, children, "test, value if true, value if false", span)
    return If(children[0], children[1], children[2], span)


def _lambda(kind: str, children: list[Node], span: Span) -> Node:
    _expect(kind, children, "list of variables, body", span)
    variables, body = children
    if not isinstance(variables, List):
        malformed("the variables of a lambda are a list of names: (lambda (list e) e)", variables.span)
    params: list[str] = []
    for variable in variables.items:
        if not isinstance(variable, Name):
            malformed("a variable of a lambda is a bare name: (lambda (list e) e)", variable.span)
        if variable.id in params:
            malformed(f"this lambda has two variables {variable.id!r}", variable.span)
        params.append(variable.id)
    return Lambda(tuple(params), body, span)


def _operator(kind: str, children: list[Node], span: Span) -> Node:
    if kind in UNARY_OPERATORS and (len(children) == 1 or kind not in BINARY_OPERATORS):
        _expect(kind, children, "operand", span)
        return Unary(kind, children[0], span)
    _expect(kind, children, "left side, right side", span)
    make = Compare if kind in COMPARE_OPERATORS else BoolOp if kind in BOOLEAN_OPERATORS else Binary
    return make(kind, children[0], children[1], span)


_BUILDERS: Final[Mapping[str, Callable[[str, list[Node], Span], Node]]] = {
    "list": _list,
    "dict": _dict,
    "attr": _attr,
    "subscript": _subscript,
    "if": _if,
    "lambda": _lambda,
    **dict.fromkeys((*UNARY_OPERATORS, *BINARY_OPERATORS, *COMPARE_OPERATORS, *BOOLEAN_OPERATORS), _operator),
}
_KINDS: Final = frozenset((*_BUILDERS, *LINQ, "call"))
