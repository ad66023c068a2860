"""Writer of qastle text."""

import math
from collections.abc import Iterable

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


def unparse(node: Node) -> str:  # noqa: PLR0911, PLR0912 - one branch for each kind of node
    """The qastle text of a tree, in one line: `parse(unparse(node)) == node` for every tree from `parse`.

    LINQ operators are written as nodes, `(Where src lam)`; a call that was never unified stays a call.
    """
    match node:
        case Name():
            return node.id
        case Constant():
            return _literal(node.value)
        case Attribute():
            return f"(attr {unparse(node.value)} {node.name!r})"
        case Call():
            return _composite("call", (node.func, *node.args))
        case Linq():
            return _composite(node.op, (node.source, *node.args))
        case Binary() | Compare() | BoolOp():
            return f"({node.op} {unparse(node.left)} {unparse(node.right)})"
        case Unary():
            if node.op == "-" and type(getattr(node.operand, "value", None)) in (int, float):
                return f"-{unparse(node.operand)}"  # reads as the same tree, and is what the clients write
            return f"({node.op} {unparse(node.operand)})"
        case Lambda():
            return f"(lambda {_texts('list', node.params)} {unparse(node.body)})"
        case List():
            return _composite("list", node.items)
        case Dict():
            return f"(dict {_composite('list', node.keys)} {_composite('list', node.values)})"
        case Subscript():
            return f"(subscript {unparse(node.value)} {unparse(node.index)})"
        case If():
            return _composite("if", (node.test, node.body, node.orelse))
    raise TypeError(f"not a node of a query: {node!r}")


def _composite(kind: str, children: Iterable[Node]) -> str:
    return _texts(kind, map(unparse, children))


def _texts(kind: str, children: Iterable[str]) -> str:
    return f"({' '.join((kind, *children))})"


def _literal(value: float | str | None) -> str:
    if value in (math.inf, -math.inf):  # 'inf' would read as a name
        return "1e999" if value == math.inf else "-1e999"
    return repr(value)
