"""Operators and functions of the language as NumPy operations on expressions, with literals folded."""

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from delivery.engine.expressions import Argument, Expression, Expressions, Literal, UnequalLists
from delivery.errors import BadLiteral, DepthMismatch, QueryFault, UnsupportedNode
from queries.syntax import Attribute, Binary, BoolOp, Call, Compare, Name, Node, Unary

UFUNCS: Mapping[str, str] = {
    "+": "add",
    "-": "subtract",
    "*": "multiply",
    "/": "true_divide",
    "%": "remainder",
    "**": "power",
    "//": "floor_divide",
    "&": "bitwise_and",
    "|": "bitwise_or",
    "^": "bitwise_xor",
    "<<": "left_shift",
    ">>": "right_shift",
    "==": "equal",
    "!=": "not_equal",
    "<": "less",
    "<=": "less_equal",
    ">": "greater",
    ">=": "greater_equal",
    "and": "logical_and",
    "or": "logical_or",
}
UNARY_UFUNCS: Mapping[str, str] = {
    "-": "negative",
    "+": "positive",
    "not": "logical_not",
    "~": "invert",
}
COMPARISONS = frozenset(UFUNCS[op] for op in ("==", "!=", "<", "<=", ">", ">="))

# Literals combined with literals, as Python does it; powers are left out, for 9 ** 9 ** 9 would never end.
FOLDED: Mapping[str, Callable[..., Literal]] = {
    "add": operator.add,
    "subtract": operator.sub,
    "multiply": operator.mul,
    "true_divide": operator.truediv,
    "negative": operator.neg,
    "positive": operator.pos,
    "absolute": abs,
}

Fault = Callable[[type[QueryFault], str, Node], QueryFault]


def numpy_function(name: str) -> np.ufunc | None:
    """The NumPy function of this name if it works number by number (one result), None otherwise."""
    function = getattr(np, name, None)
    return function if isinstance(function, np.ufunc) and function.nout == 1 else None


class Operators:
    """Applies operators to arguments; type errors come out as faults at the node."""

    def __init__(self, expressions: Expressions, fault: Fault) -> None:
        self._expressions, self._fault = expressions, fault

    def operands(self, node: Node) -> Sequence[Node] | None:
        """Operands of an operator or function that is known here, None for any other node."""
        match node:
            case Unary(operand=operand):
                return (operand,)
            case Binary(left=left, right=right) | Compare(left=left, right=right) | BoolOp(left=left, right=right):
                return (left, right)
            case Call(func=Name(id="abs"), args=args):
                return args
            case Call(func=Attribute(value=Name(id="np"), name=name), args=args) if numpy_function(name):
                return args
        return None

    def apply(self, node: Node, arguments: Sequence[Argument]) -> Argument:
        """The value of an operator or function that `operands` knows."""
        match node:
            case Unary(op=op):
                return self.elementwise(UNARY_UFUNCS[op], node, *arguments)
            case Binary(op=op) | Compare(op=op) | BoolOp(op=op):
                return self.elementwise(UFUNCS[op], node, *arguments)
            case Call(func=Attribute(name=name)):
                return self.elementwise(name, node, *arguments)
        return self.elementwise("absolute", node, *arguments)

    def elementwise(self, name: str, node: Node, *arguments: Argument) -> Argument:
        """A NumPy function, number by number."""
        ufunc = getattr(np, name)
        if len(arguments) != ufunc.nin:
            problem = f"{name} takes {ufunc.nin} argument(s), not {len(arguments)}"
            raise self._fault(UnsupportedNode, problem, node)
        if not any(isinstance(argument, Expression) for argument in arguments):
            return self._fold(name, node, arguments)
        self._check_range(name, node, arguments)
        return self._made("elementwise", node, *arguments, parameter=name)

    def truth(self, value: Expression, node: Node) -> Expression:
        """One bool per number: whether it is not 0."""
        return self._made("elementwise", node, value, True, parameter="logical_and")

    def reduce(self, operation: str, node: Node, *arguments: Expression) -> Expression:
        """An operation on lists."""
        return self._made(operation, node, *arguments)

    def zipped(self, part: Expression, shape: Expression, node: Node) -> Expression:
        """A column with one item for each of `shape`'s: itself if its lists are as long for certain."""
        if part.jagged and part.lengths == shape.lengths and not shape.partial:
            return part
        return self._made("broadcast", node, part, shape)

    def _made(self, operation: str, node: Node, *arguments: Argument, parameter: str = "") -> Expression:
        span = (node.span.start, node.span.end)
        try:
            return self._expressions.make(operation, *arguments, parameter=parameter, span=span)
        except OverflowError as error:
            raise self._fault(BadLiteral, f"a literal is out of range ({error})", node) from error
        except (TypeError, ValueError, UnequalLists) as error:
            types = ", ".join(str(a.dtype if isinstance(a, Expression) else a) for a in arguments)
            problem = f"{parameter or operation} does not work on {types}"
            raise self._fault(DepthMismatch, problem, node) from error

    def _check_range(self, name: str, node: Node, arguments: Sequence[Argument]) -> None:
        """Comparing an integer column with a literal that it cannot hold is an error, as in the peer."""
        if name not in COMPARISONS:
            return
        columns = [argument for argument in arguments if isinstance(argument, Expression)]
        kind = columns[0].dtype
        for literal in arguments:
            if type(literal) is int and kind.kind in "iu":
                limits: Any = np.iinfo(kind)
                if not limits.min <= literal <= limits.max:
                    problem = f"{literal} is out of the range of {kind} ({limits.min} to {limits.max})"
                    raise self._fault(BadLiteral, problem, node)

    def _fold(self, name: str, node: Node, arguments: Sequence[Argument]) -> Literal:
        if name not in FOLDED:
            raise self._fault(UnsupportedNode, f"{name} of literals alone is not supported; write its value", node)
        try:
            return FOLDED[name](*arguments)
        except ArithmeticError as error:
            raise self._fault(BadLiteral, str(error), node) from error
