"""What is computed of a file's columns: expressions, shared wherever they are equal, and their evaluation on rows.

Semantics are those of awkward arrays as func_adl_uproot uses them: NumPy arithmetic with Python literals weak
(float32 * 1.5 is float32; float32 <= 3.3 compares with float32(3.3)), lists combined item by item, one number per row
repeated for each item of the row's list. The type of an expression is found by evaluating it on zero rows.
"""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from delivery.engine.values import (
    Array,
    Column,
    Lists,
    count_true,
    keep_items,
    same_lengths,
)

Literal: TypeAlias = bool | int | float
Argument: TypeAlias = "Expression | Literal"
Span: TypeAlias = tuple[int, int]


class UnequalLists(Exception):
    """Lists that are combined differ in length, or a list that must have items is empty."""

    def __init__(self, reason: str, span: Span | None = None) -> None:
        super().__init__(reason, span)
        self.reason, self.span = reason, span


@dataclass(frozen=True, slots=True, eq=False)
class Expression:
    """One node: an operation, its arguments, and what is known of it before anything is read.

    ``sample`` is its value on zero rows (so its type); ``lengths`` tells which expressions have lists of equal lengths
    for certain; ``partial`` says that it can fail on some rows; ``columns`` are the columns it reads.
    """

    operation: str
    arguments: tuple[Argument, ...]
    parameter: str
    sample: Column
    lengths: Hashable
    partial: bool
    columns: frozenset[str]
    span: Span | None

    @property
    def jagged(self) -> bool:
        """Whether it has a list per row rather than one number."""
        return isinstance(self.sample, Lists)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of its numbers."""
        return self.sample.content.dtype if isinstance(self.sample, Lists) else self.sample.dtype


def _elementwise(name: str, *arguments: Any) -> Column:
    ufunc = getattr(np, name)
    shape = next((a for a in arguments if isinstance(a, Lists)), None)
    if shape is None:
        return np.asarray(ufunc(*arguments))
    flat = [_flat_like(shape, argument) for argument in arguments]
    return Lists(shape.offsets, ufunc(*flat))


def _flat_like(shape: Lists, argument: Any) -> Any:
    """Contents of an argument laid out like those of `shape`; literals stay literals."""
    if isinstance(argument, Lists):
        if not same_lengths(shape, argument):
            raise UnequalLists(_first_difference(shape, argument))
        return argument.content
    if isinstance(argument, np.ndarray):
        return np.repeat(argument, shape.counts)
    return argument


def _first_difference(left: Lists, right: Lists) -> str:
    row = int(np.argmax(left.counts != right.counts))
    return f"lists of different lengths meet ({left.counts[row]} and {right.counts[row]} items in one row)"


def _broadcast(_: str, value: Column, shape: Lists) -> Column:
    return Lists(shape.offsets, _flat_like(shape, value))


def _filter(_: str, lists: Lists, mask: Lists) -> Column:
    return keep_items(lists, _flat_like(lists, mask))


def _count(_: str, lists: Lists) -> Column:
    return lists.counts


def _count_true(_: str, mask: Lists) -> Column:
    return count_true(mask.offsets, mask.content)


def _any(_: str, mask: Lists) -> Column:
    found: Column = count_true(mask.offsets, mask.content.astype(np.bool_)) > 0
    return found


def _all(_: str, mask: Lists) -> Column:
    held: Column = count_true(mask.offsets, ~mask.content.astype(np.bool_)) == 0
    return held


def _sum(_: str, lists: Lists) -> Column:
    import awkward as ak  # its kernel adds float32 from left to right, as the peer does

    layout = ak.contents.ListOffsetArray(
        ak.index.Index64(lists.offsets), ak.contents.NumpyArray(np.ascontiguousarray(lists.content))
    )
    return np.asarray(ak.sum(ak.Array(layout), axis=1))


def _first(_: str, lists: Lists) -> Column:
    if len(lists) and lists.counts.min() == 0:
        raise UnequalLists("First of an empty list (guard it with a Where on Count before)")
    return lists.content[lists.offsets[:-1]]


OPERATIONS: Mapping[str, Callable[..., Column]] = {
    "elementwise": _elementwise,
    "broadcast": _broadcast,
    "filter": _filter,
    "count": _count,
    "count_true": _count_true,
    "any": _any,
    "all": _all,
    "sum": _sum,
    "first": _first,
}


@dataclass(slots=True)
class Expressions:
    """Makes expressions, giving the same object for equal ones."""

    _known: dict[Hashable, Expression] = field(default_factory=dict)

    def column(self, name: str, sample: Column, counter: str | None = None) -> Expression:
        """A column of the rows at hand; columns with the same `counter` have lists of equal lengths."""
        key = ("column", name)
        if key not in self._known:
            lengths = ("counter", counter or name) if isinstance(sample, Lists) else None
            self._known[key] = Expression("column", (), name, sample, lengths, False, frozenset([name]), None)
        return self._known[key]

    def make(self, operation: str, *arguments: Argument, parameter: str = "", span: Span) -> Expression:
        """An operation on arguments; raises what NumPy raises if the types do not fit (TypeError, OverflowError)."""
        key = (operation, parameter, tuple(_identity(argument) for argument in arguments))
        if key not in self._known:
            if operation == "count" and _is_filter(arguments[0]):
                return self.make("count_true", arguments[0].arguments[1], span=span)  # type: ignore[union-attr]
            self._known[key] = _typed(operation, arguments, parameter, span)
        return self._known[key]


def _is_filter(argument: Argument) -> bool:
    return isinstance(argument, Expression) and argument.operation == "filter"


def _identity(argument: Argument) -> Hashable:
    return argument if isinstance(argument, Expression) else (type(argument), repr(argument))


def _typed(operation: str, arguments: tuple[Argument, ...], parameter: str, span: Span) -> Expression:
    inner = [argument for argument in arguments if isinstance(argument, Expression)]
    lists = [argument for argument in inner if argument.jagged]
    samples = [a.sample if isinstance(a, Expression) else a for a in arguments]
    with np.errstate(all="ignore"):
        sample = OPERATIONS[operation](parameter, *samples)
    lengths: Hashable = None
    if isinstance(sample, Lists):
        lengths = ("filter", lists[0].lengths, lists[1]) if operation == "filter" else lists[0].lengths
    unequal = len({argument.lengths for argument in lists}) > 1
    partial = unequal or operation == "first" or any(argument.partial for argument in inner)
    columns = frozenset[str]().union(*(argument.columns for argument in inner))
    return Expression(operation, arguments, parameter, sample, lengths, partial, columns, span)


class Evaluation:
    """Values of expressions on one set of rows; each is computed once."""

    def __init__(self, columns: Callable[[str], Column]) -> None:
        self._columns = columns
        self._values: dict[Expression, Column] = {}

    def __call__(self, expression: Expression) -> Column:
        """The expression's value; raises `UnequalLists` with the place in the query."""
        if expression not in self._values:
            self._values[expression] = self._compute(expression)
        return self._values[expression]

    def _compute(self, expression: Expression) -> Column:
        if expression.operation == "column":
            return self._columns(expression.parameter)
        arguments = [self(a) if isinstance(a, Expression) else a for a in expression.arguments]
        try:
            with np.errstate(all="ignore"):
                return OPERATIONS[expression.operation](expression.parameter, *arguments)
        except UnequalLists as error:
            raise UnequalLists(error.reason, error.span or expression.span) from None


def flat(column: Column) -> Array:
    """Contents of lists one after the other."""
    return column.content if isinstance(column, Lists) else column
