"""Queries as people write them in Python; for messages and tables, which need not be read back."""

import ast
import keyword
from collections.abc import Callable, Mapping
from typing import Final

from queries.syntax import (
    Attribute,
    Binary,
    BoolOp,
    Call,
    Compare,
    Constant,
    Dict,
    If,
    Lambda,
    Linq,
    List,
    Name,
    Node,
    Subscript,
    Unary,
)

_OPERATORS: Final[Mapping[str, Callable[[], ast.AST]]] = {
    "not": ast.Not, "~": ast.Invert,
    "+": ast.Add, "-": ast.Sub, "*": ast.Mult, "/": ast.Div, "%": ast.Mod, "**": ast.Pow, "//": ast.FloorDiv,
    "&": ast.BitAnd, "|": ast.BitOr, "^": ast.BitXor, "<<": ast.LShift, ">>": ast.RShift,
    "and": ast.And, "or": ast.Or,
    "==": ast.Eq, "!=": ast.NotEq, "<": ast.Lt, "<=": ast.LtE, ">": ast.Gt, ">=": ast.GtE,
}  # fmt: skip
_SIGNS: Final[Mapping[str, Callable[[], ast.AST]]] = {"+": ast.UAdd, "-": ast.USub}


def to_python(node: Node) -> str:
    """The query as a Python expression in one line; LINQ operators are methods, lists and tuples are lists.

    A column whose name is no Python name is written as ``e['a.b']``.
    """
    return ast.unparse(_expression(node))


def _expression(node: Node) -> ast.expr:  # noqa: PLR0911, PLR0912 - one branch for each kind of node
    match node:
        case Name():
            return ast.Name(node.id)
        case Constant():
            return ast.Constant(node.value)
        case Attribute():
            return _attribute(_expression(node.value), node.name)
        case Call():
            return ast.Call(_expression(node.func), [_expression(one) for one in node.args], [])
        case Linq():
            method = ast.Attribute(_expression(node.source), node.op)
            return ast.Call(method, [_expression(one) for one in node.args], [])
        case Binary():
            return ast.BinOp(_expression(node.left), _OPERATORS[node.op](), _expression(node.right))  # type: ignore[arg-type]
        case Compare():
            return ast.Compare(_expression(node.left), [_OPERATORS[node.op]()], [_expression(node.right)])  # type: ignore[list-item]
        case BoolOp():
            return ast.BoolOp(_OPERATORS[node.op](), [_expression(one) for one in _operands(node)])  # type: ignore[arg-type]
        case Unary():
            operator = _SIGNS.get(node.op) or _OPERATORS[node.op]
            return ast.UnaryOp(operator(), _expression(node.operand))  # type: ignore[arg-type]
        case Lambda():
            parameters = ast.arguments([], [ast.arg(name) for name in node.params], None, [], [], None, [])
            return ast.Lambda(parameters, _expression(node.body))
        case List():
            return ast.List([_expression(one) for one in node.items])
        case Dict():
            return ast.Dict([_expression(one) for one in node.keys], [_expression(one) for one in node.values])
        case Subscript():
            return ast.Subscript(_expression(node.value), _expression(node.index))
        case If():
            return ast.IfExp(_expression(node.test), _expression(node.body), _expression(node.orelse))
    raise TypeError(f"not a node of a query: {node!r}")


def _operands(node: BoolOp) -> list[Node]:
    """Of ``a and b and c``, which is nested to the left: a, b, c."""
    operands, left = [node.right], node.left
    while isinstance(left, BoolOp) and left.op == node.op:
        operands.append(left.right)
        left = left.left
    return [left, *reversed(operands)]


def _attribute(value: ast.expr, name: str) -> ast.expr:
    if name.isidentifier() and not keyword.iskeyword(name):
        return ast.Attribute(value, name)
    return ast.Subscript(value, ast.Constant(name))
