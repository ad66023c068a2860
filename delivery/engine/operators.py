"""Operators and functions of the language as operations on expressions, with literals folded."""

import operator
from collections.abc import Callable, Hashable, Mapping
from typing import Any

import numpy as np

from delivery.engine.accidents import Accidents
from delivery.engine.expressions import Argument, Expression, Expressions, Literal, unequal
from delivery.engine.row_errors import TooMany
from delivery.errors import BadLiteral, DepthMismatch, QueryFault, UnsupportedNode
from queries.syntax import Node

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
COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "equal": operator.eq,
    "not_equal": operator.ne,
    "less": operator.lt,
    "less_equal": operator.le,
    "greater": operator.gt,
    "greater_equal": operator.ge,
}


def _power(base: float, exponent: float) -> Literal:
    if isinstance(base, int) and isinstance(exponent, int) and base.bit_length() * abs(exponent) > MAX_DIGITS:
        raise OverflowError("the power is too large")
    result: Any = base**exponent
    if isinstance(result, complex):
        raise ValueError("the power is no real number")
    power: Literal = result
    return power


PAIRING = frozenset(("elementwise", "zip", "where", "index", "method"))  # lists meet item by item
LONGEST_TYPE = 200  # characters of a type in a message
MAX_DIGITS = 400  # of a folded integer, bits: beyond what any column can hold

# Literals combined with literals, as Python does it.
FOLDED: Mapping[str, Callable[..., Literal]] = {
    "add": operator.add,
    "subtract": operator.sub,
    "multiply": operator.mul,
    "true_divide": operator.truediv,
    "floor_divide": operator.floordiv,
    "remainder": operator.mod,
    "power": _power,
    "negative": operator.neg,
    "positive": operator.pos,
    "absolute": abs,
    "logical_and": lambda left, right: bool(left and right),
    "logical_or": lambda left, right: bool(left or right),
    "logical_not": operator.not_,
    **COMPARISONS,
}
Fault = Callable[[type[QueryFault], str, Node], QueryFault]


class Operators:
    """Applies operations to arguments; type errors come out as faults at the node, accidents as `warnings`."""

    def __init__(self, expressions: Expressions, fault: Fault, text: str, strict: bool) -> None:
        self._expressions, self._fault, self._text, self._strict = expressions, fault, text, strict
        self._accidents = Accidents()

    def elementwise(self, name: str, node: Node, *arguments: Argument) -> Argument:
        """A NumPy function, number by number."""
        ufunc = getattr(np, name)
        if len(arguments) != ufunc.nin:
            problem = f"{name} takes {ufunc.nin} argument(s), not {len(arguments)}"
            raise self._fault(UnsupportedNode, problem, node)
        if not any(isinstance(argument, Expression) for argument in arguments):
            return self._fold(name, node, arguments)
        self._refuse_words(name, node, arguments)
        beyond = self._beyond_range(name, node, arguments)
        return self.apply("elementwise", node, *arguments, parameter=name) if beyond is None else beyond

    def apply(self, operation: str, node: Node, *arguments: Argument, parameter: Hashable = "") -> Expression:
        """An operation of `delivery.engine.operations`."""
        span = (node.span.start, node.span.end)
        try:
            made = self._expressions.make(operation, *arguments, parameter=parameter, span=span)
        except OverflowError as error:
            raise self._fault(BadLiteral, f"a literal is out of range ({error})", node) from error
        except TooMany as error:
            raise self._fault(UnsupportedNode, error.reason, node) from error
        except Exception as error:  # awkward has many ways to say that it does not work
            problem = f"{describe(operation, parameter)} does not work on {', '.join(_type(a) for a in arguments)}"
            raise self._fault(DepthMismatch, problem, node) from error
        self._warn(operation, arguments, parameter, span)
        return made

    def _warn(
        self, operation: str, arguments: tuple[Argument, ...], parameter: Hashable, span: tuple[int, int]
    ) -> None:
        """Lists of two collections combined item by item: an answer only where their lengths happen to agree."""
        lists = [argument for argument in arguments if isinstance(argument, Expression)]
        if operation not in PAIRING or not unequal(operation, lists, parameter):
            return
        self._accidents.add(self._text, span[0], (name for argument in lists for name in argument.columns))

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences on answers that may not be what was meant, in the order of their places."""
        or_strict = "" if self._strict else ", or use strict semantics"
        return self._accidents.sentences(
            f". For all pairs run Select over e.name inside the other list's lambda{or_strict}"
        )

    def _refuse_words(self, name: str, node: Node, arguments: tuple[Argument, ...]) -> None:
        """None can be computed with nothing, and a string can be compared only with strings."""
        words = [argument for argument in arguments if argument is None or isinstance(argument, str)]
        numbers = [
            argument for argument in arguments if isinstance(argument, Expression) and argument.dtype is not None
        ]
        if words and (numbers or words[0] is None):
            raise self._fault(DepthMismatch, f"{name} does not work on numbers and {words[0]!r}", node)

    def _beyond_range(self, name: str, node: Node, arguments: tuple[Argument, ...]) -> Expression | None:
        """An integer column compared with a literal that it cannot hold: an error, as in the peer.

        In strict semantics, the answer of mathematics.
        """
        columns = [argument for argument in arguments if isinstance(argument, Expression)]
        kind = columns[0].dtype
        if name not in COMPARISONS or len(columns) > 1 or kind is None or kind.kind not in "iu":
            return None
        (literal,) = (argument for argument in arguments if not isinstance(argument, Expression))
        limits: Any = np.iinfo(kind)
        if type(literal) is not int or limits.min <= literal <= limits.max:
            return None
        if not self._strict:
            problem = f"{literal} is out of the range of {kind} ({limits.min} to {limits.max})"
            raise self._fault(BadLiteral, problem, node)
        sides = [0 if isinstance(argument, Expression) else argument for argument in arguments]
        return self.apply("full_like", node, columns[0], parameter=(COMPARISONS[name](*sides), "bool"))

    def _fold(self, name: str, node: Node, arguments: tuple[Argument, ...]) -> Literal:
        if any(argument is None or isinstance(argument, str) for argument in arguments):
            raise self._fault(BadLiteral, f"{name} does not work on {' and '.join(map(repr, arguments))}", node)
        if name not in FOLDED:
            return self._fold_by_numpy(name, node, arguments)
        try:
            value = FOLDED[name](*arguments)
        except (ArithmeticError, TypeError, ValueError) as error:
            raise self._fault(BadLiteral, str(error), node) from error
        if (isinstance(value, int) and value.bit_length() > MAX_DIGITS) or isinstance(value, str):
            raise self._fault(BadLiteral, "this literal is too large", node)
        return value

    def _fold_by_numpy(self, name: str, node: Node, arguments: tuple[Argument, ...]) -> Literal:
        """A NumPy function of literals: its float64 stays one (it is not weak as a literal is), as in the peer."""
        try:
            with np.errstate(all="ignore"):
                value = getattr(np, name)(*arguments)
        except (TypeError, ValueError, OverflowError) as error:
            raise self._fault(BadLiteral, f"{name} does not work on these literals", node) from error
        if isinstance(value, float):
            return value
        if not isinstance(value, np.generic) or not isinstance(value.item(), bool | int | float):
            raise self._fault(BadLiteral, f"{name} of these literals is no number", node)
        number: Literal = value.item()
        return number


def describe(operation: str, parameter: Hashable) -> str:
    """An operation in words, for messages."""
    match operation, parameter:
        case (("elementwise" | "attribute" | "method" | "field"), str(name)):
            return name
        case "index", _:
            return "selecting items"
    return operation.replace("_", " ")


def _type(argument: Argument) -> str:
    words = argument.type if isinstance(argument, Expression) else repr(argument)
    return words if len(words) <= LONGEST_TYPE else f"{words[:LONGEST_TYPE]}…"


def numpy_function(name: str) -> np.ufunc | None:
    """The NumPy function of this name if it works number by number (one result), None otherwise."""
    function = getattr(np, name, None)
    if not isinstance(function, np.ufunc) or function.signature is not None:  # matmul and its like add up rows
        return None
    return function if function.nout == 1 else None
