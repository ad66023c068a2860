"""The expressions of codegen uproot-raw: Python's syntax, a white-list of its nodes, and never its execution.

The language is uproot's (`uproot.language.python`): columns combined with operators, calls of known functions,
subscripts. What uproot cannot do with columns either (`and`, `or`, `not`, chained comparisons, ternaries, methods) is
refused here with what to write in its place.
"""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from delivery.errors import BadLiteral, QueryFault, UnsupportedNode

MAX_CHARACTERS: Final = 200_000
MAX_DEPTH: Final = 150  # of nested operations; deeper ones would exhaust the interpreter's stack

UFUNCS: Final[Mapping[type[ast.AST], str]] = {
    ast.Add: "add",
    ast.Sub: "subtract",
    ast.Mult: "multiply",
    ast.Div: "true_divide",
    ast.FloorDiv: "floor_divide",
    ast.Mod: "remainder",
    ast.Pow: "power",
    ast.BitAnd: "bitwise_and",
    ast.BitOr: "bitwise_or",
    ast.BitXor: "bitwise_xor",
    ast.LShift: "left_shift",
    ast.RShift: "right_shift",
    ast.Eq: "equal",
    ast.NotEq: "not_equal",
    ast.Lt: "less",
    ast.LtE: "less_equal",
    ast.Gt: "greater",
    ast.GtE: "greater_equal",
    ast.USub: "negative",
    ast.UAdd: "positive",
    ast.Invert: "invert",
}
"""The NumPy function of each operator."""

_REFUSED: Final[Mapping[type[ast.AST], str]] = {
    ast.BoolOp: "`and` and `or` do not work on columns; write `(a) & (b)` or `(a) | (b)`, each side in parentheses",
    ast.Not: "`not` does not work on columns; write `~(a)`",
    ast.IfExp: "a ternary does not work on columns; write `where(test, yes, no)`",
    ast.In: "`in` does not work on columns; write `(a == 1) | (a == 2)`",
    ast.NotIn: "`not in` does not work on columns; write `(a != 1) & (a != 2)`",
    ast.Is: "`is` does not work on columns; write `==`, or `is_none(a)` for missing values",
    ast.IsNot: "`is not` does not work on columns; write `!=`, or `~is_none(a)` for missing values",
    ast.MatMult: "`@` is no operator of the language",
    ast.Lambda: "a lambda is no part of the language",
    ast.NamedExpr: "an assignment is no part of the language",
    ast.JoinedStr: "a formatted string is no part of the language",
    ast.Starred: "`*` before an argument is no part of the language",
}
_PLAIN: Final = (
    *(ast.Expression, ast.BinOp, ast.UnaryOp, ast.Compare, ast.Call, ast.keyword, ast.Name, ast.Attribute),
    *(ast.Subscript, ast.Slice, ast.Constant, ast.List, ast.Tuple, ast.Dict, ast.Load, *UFUNCS),
)


class BadExpression(QueryFault):
    """Text that is no expression at all."""

    hint = "an expression is one line of Python's syntax, such as `sqrt(MET_pt) > 5`"


@dataclass(frozen=True, slots=True)
class Parsed:
    """An expression's tree and the text that it was read from."""

    text: str
    node: ast.expr

    def span(self, node: ast.AST) -> tuple[int, int]:
        """Start and end of a node in the text, in characters."""
        if isinstance(node, ast.expr | ast.keyword) and node.end_lineno is not None:
            end_column = node.end_col_offset or 0
            return self._place(node.lineno, node.col_offset), self._place(node.end_lineno, end_column)
        return 0, len(self.text)

    def _place(self, line: int, column: int) -> int:
        """Python counts a column in bytes of UTF-8."""
        lines = self.text.split("\n")
        before = sum(len(text) + 1 for text in lines[: line - 1])
        return before + len(lines[line - 1].encode()[:column].decode(errors="ignore"))


def parse(text: str) -> Parsed:
    """The tree of an expression, made of white-listed nodes alone.

    Raises BadExpression for text that is no expression, UnsupportedNode for a part of Python that is not of the
    language, BadLiteral for a literal of another kind than number, string, True, False and None.
    """
    if len(text) > MAX_CHARACTERS:
        raise BadExpression(f"the expression has {len(text)} characters; {MAX_CHARACTERS} are allowed")
    try:
        tree = ast.parse(text, mode="eval")
    except SyntaxError as error:
        raise BadExpression(f"no expression: {error.msg}", text, _syntax_place(text, error)) from error
    except (ValueError, RecursionError, MemoryError) as error:
        raise BadExpression("no expression that can be read: null bytes, or nested too deep", text) from error
    parsed = Parsed(text, tree.body)
    for node, parent, depth in _walk(tree):
        if depth > MAX_DEPTH:
            raise BadExpression(f"the expression is nested deeper than {MAX_DEPTH} operations", text)
        _check(node, parent, parsed)
    return parsed


def _walk(tree: ast.AST) -> Iterator[tuple[ast.AST, ast.AST, int]]:
    """Each node with its parent and its depth, outer ones first."""
    waiting = [(tree, tree, 0)]
    while waiting:
        node, parent, depth = waiting.pop()
        yield node, parent, depth
        waiting += [(child, node, depth + 1) for child in ast.iter_child_nodes(node)]


def _check(node: ast.AST, parent: ast.AST, parsed: Parsed) -> None:
    place = parsed.span(node if isinstance(node, ast.expr) else parent)
    for refused, advice in _REFUSED.items():
        if isinstance(node, refused):
            raise UnsupportedNode(advice, parsed.text, place)
    if not isinstance(node, _PLAIN):
        problem = f"{type(node).__name__} is no part of the language"
        raise UnsupportedNode(problem, parsed.text, place)
    if isinstance(node, ast.Compare) and len(node.ops) > 1:
        advice = "comparisons cannot be chained on columns (& and | bind tighter than > and ==): "
        raise UnsupportedNode(advice + "write `(a > 1) & (b > 2)`", parsed.text, place)
    if isinstance(node, ast.Constant) and not isinstance(node.value, bool | int | float | str | None):
        in_subscript = node.value is Ellipsis and isinstance(parent, ast.Subscript | ast.Tuple)
        if not in_subscript:
            problem = f"{type(node.value).__name__} is no literal of the language"
            raise BadLiteral(problem, parsed.text, place)
    if isinstance(node, ast.keyword) and node.arg is None:
        raise UnsupportedNode("`**` before an argument is no part of the language", parsed.text, place)
    if isinstance(node, ast.Dict) and None in node.keys:
        raise UnsupportedNode("`**` in a dictionary is no part of the language", parsed.text, place)


def _syntax_place(text: str, error: SyntaxError) -> tuple[int, int] | None:
    if error.lineno is None or error.offset is None:
        return None
    lines = text.split("\n")
    start = sum(len(line) + 1 for line in lines[: error.lineno - 1]) + max(error.offset - 1, 0)
    start = max(0, min(start, len(text) - 1))
    return start, start + 1


def dotted_name(node: ast.expr) -> str | None:
    """``a.b.c`` for names joined by dots, None for anything else."""
    parts = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(parts)]) if isinstance(node, ast.Name) else None
