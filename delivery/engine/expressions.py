"""What is computed of a file's columns: expressions, shared wherever they are equal, and their evaluation on rows.

Semantics are those of awkward arrays as func_adl_uproot uses them: NumPy arithmetic with Python literals weak
(float32 * 1.5 is float32; float32 <= 3.3 compares with float32(3.3)), lists combined item by item, one number per row
repeated for each item of the row's list. The type of an expression is found by evaluating it on zero rows.

Fields are taken as early as can be: a field of zipped columns is that column, a field of selected records is the
selected field. So records are made only where something needs them whole.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import awkward as ak
import numpy as np

from delivery.engine.forms import general
from delivery.engine.operations import OPERATIONS
from delivery.engine.row_errors import Span, TooMany, UnequalLists, Unsupported
from delivery.engine.values import ROWS, Array, Column, Lists

Literal: TypeAlias = bool | int | float | str | None


@dataclass(frozen=True, slots=True, eq=False)
class Expression:
    """One node: an operation, its arguments, and what is known of it before anything is read.

    ``sample`` is its value on zero rows (so its type); ``lengths`` tells which expressions have lists of equal lengths
    for certain; ``partial`` says that it can fail on some rows; ``columns`` are the columns it reads.
    """

    operation: str
    arguments: "tuple[Argument, ...]"
    parameter: Hashable
    sample: Column
    lengths: Hashable
    partial: bool
    columns: frozenset[str]
    span: Span | None

    @property
    def jagged(self) -> bool:
        """Whether it has a list per row rather than one value."""
        return is_jagged(self.sample)

    @property
    def optional(self) -> bool:
        """Whether rows can be missing."""
        return isinstance(self.sample, ak.Array) and self.sample.layout.is_option

    @property
    def fields(self) -> list[str]:
        """Names of the fields, if it has records."""
        return list(self.sample.fields) if isinstance(self.sample, ak.Array) else []

    @property
    def is_tuple(self) -> bool:
        """Whether its records have numbers for names."""
        return bool(self.fields) and bool(ak.is_tuple(self.sample))

    @property
    def dtype(self) -> np.dtype[Any] | None:
        """Type of its numbers; None for anything but numbers and lists of numbers."""
        if isinstance(self.sample, Lists):
            return self.sample.content.dtype
        return self.sample.dtype if isinstance(self.sample, np.ndarray) else None

    @property
    def arguments_type(self) -> str:
        """Types of what it is made from."""
        return ", ".join(a.type if isinstance(a, Expression) else repr(a) for a in self.arguments)

    @property
    def type(self) -> str:
        """Type of one row in awkward's words."""
        sample = self.sample
        return str(general(sample).type.content) if isinstance(sample, Lists | np.ndarray | ak.Array) else str(sample)


Argument: TypeAlias = Expression | Literal


def is_jagged(sample: Any) -> bool:
    """Whether a column has a list per row (of records: in all fields)."""
    if isinstance(sample, Lists):
        return True
    if not isinstance(sample, ak.Array):
        return False
    lowest, _ = sample.layout.minmax_depth
    return bool(lowest > 1)


@dataclass(slots=True)
class Expressions:
    """Makes expressions, giving the same object for equal ones."""

    _known: dict[Hashable, Expression] = field(default_factory=dict)

    def column(self, name: str, sample: Column, counter: str | None = None) -> Expression:
        """A column of the rows at hand; columns with the same `counter` have lists of equal lengths."""
        key = ("column", name)
        if key not in self._known:
            lengths = ("counter", counter or name) if is_jagged(sample) else None
            read = frozenset[str]() if name == ROWS else frozenset([name])
            self._known[key] = Expression("column", (), name, sample, lengths, False, read, None)
        return self._known[key]

    def make(self, operation: str, *arguments: Argument, parameter: Hashable = "", span: Span) -> Expression:
        """An operation on arguments.

        Raises what NumPy and awkward raise if the types do not fit (TypeError, ValueError, OverflowError, …).
        """
        simpler = self._simpler(operation, arguments, parameter, span)
        if simpler is not None:
            return simpler
        # repr, since Python's 0.0 equals -0.0 and its 1 equals True
        key = (operation, parameter, repr(parameter), tuple(_identity(argument) for argument in arguments))
        if key not in self._known:
            self._known[key] = _typed(operation, arguments, parameter, span)
        return self._known[key]

    def _simpler(
        self, operation: str, arguments: tuple[Argument, ...], parameter: Hashable, span: Span
    ) -> Expression | None:
        """The same value from less: fields taken before records are made, counts without the lists."""
        source = arguments[0] if arguments else None
        if not isinstance(source, Expression):
            return None
        if operation == "field":
            return self._simpler_field(source, str(parameter), span)
        if operation == "at" and parameter == (1, 0):
            return self._simpler_first(source, span)
        if operation == "count" and parameter == 1:
            return self._simpler_count(source, span)
        if operation == "index" and _zipped_lists(source) and _is_mask(arguments[1]):
            return self._index_of_zip(source, arguments[1], span)
        return None

    def _simpler_field(self, source: Expression, name: str, span: Span) -> Expression | None:
        if source.operation == "zip":
            return self._field_of_zip(source, name, span)
        if source.operation not in ("index", "at", "slice", "first_in_order"):
            return None
        column = self.make("field", source.arguments[0], parameter=name, span=span)
        return self.make(source.operation, column, *source.arguments[1:], parameter=source.parameter, span=span)

    def _simpler_first(self, source: Expression, span: Span) -> Expression | None:
        """The first of lists put in order, without ordering them."""
        order = source.arguments[1] if source.operation == "index" else None
        if not isinstance(order, Expression) or order.operation != "argsort":
            return None
        parameter: Any = order.parameter
        axis, ascending = parameter
        if axis != 1:
            return None
        items, keys = source.arguments[0], order.arguments[0]
        return self.make("first_in_order", items, keys, parameter=ascending, span=span)

    def _simpler_count(self, source: Expression, span: Span) -> Expression | None:
        if source.operation == "index" and _filters(source):
            return self.make("count_true", source.arguments[1], span=span)
        if _zipped_lists(source):
            return self.make("count", self.zip_shape(source, span), parameter=1, span=span)
        return None

    def _field_of_zip(self, zipped: Expression, name: str, span: Span) -> Expression | None:
        depth_limit = zipped.parameter[1]  # type: ignore[index]
        names = zipped.fields
        if name not in names:
            return None
        column = zipped.arguments[names.index(name)]
        if not isinstance(column, Expression):
            return None
        if depth_limit == 1:
            return column
        shape = self.zip_shape(zipped, span) if _zipped_lists(zipped) else None
        if shape is None:
            return None
        if column.jagged and column.lengths == shape.lengths and not shape.partial:
            return column
        return self.make("broadcast", column, shape, span=span)

    def _index_of_zip(self, zipped: Expression, mask: Argument, span: Span) -> Expression:
        """Items of a list of records selected field by field."""
        names = zipped.fields
        fields = [self.make("field", zipped, parameter=name, span=span) for name in names]
        chosen = [self.make("index", column, mask, span=span) for column in fields]
        return self.make("zip", *chosen, parameter=zipped.parameter, span=span)

    def zip_shape(self, zipped: Expression, span: Span) -> Expression | None:
        """Lists as long as the records' lists, checked against each other where that is not certain."""
        lists = [a for a in zipped.arguments if isinstance(a, Expression) and a.jagged]
        shape = lists[0]
        for other in lists[1:]:
            if other.lengths != shape.lengths:
                shape = self.make("broadcast", shape, other, span=span)
        return shape


def _zipped_lists(source: Expression) -> bool:
    """Whether these are records in lists made of flat columns, of which at least one has lists."""
    if source.operation != "zip" or source.parameter[1] == 1:  # type: ignore[index]
        return False
    columns = [argument for argument in source.arguments if isinstance(argument, Expression)]
    flat = all(isinstance(column.sample, Lists | np.ndarray) for column in columns)
    return flat and len(columns) == len(source.arguments) and any(column.jagged for column in columns)


def _is_mask(argument: Argument) -> bool:
    return isinstance(argument, Expression) and argument.jagged and argument.dtype == np.bool_


def _filters(source: Expression) -> bool:
    """Whether a mask selects in lists that are as long as it for certain, so that it alone tells how many are left."""
    lists, mask = source.arguments
    if not isinstance(lists, Expression) or not isinstance(mask, Expression):
        return False
    return isinstance(lists.sample, Lists) and _is_mask(mask) and lists.lengths == mask.lengths


def _identity(argument: Argument) -> Hashable:
    return argument if isinstance(argument, Expression) else (type(argument), repr(argument))


def _typed(operation: str, arguments: tuple[Argument, ...], parameter: Hashable, span: Span) -> Expression:
    inner = [argument for argument in arguments if isinstance(argument, Expression)]
    samples = [a.sample if isinstance(a, Expression) else a for a in arguments]
    with np.errstate(all="ignore"):
        sample = OPERATIONS[operation](parameter, *samples)
    lengths = _lengths(operation, parameter, inner) if is_jagged(sample) else None
    partial = (
        operation in FALLIBLE or unequal(operation, inner, parameter) or any(argument.partial for argument in inner)
    )
    columns = frozenset[str]().union(*(argument.columns for argument in inner))
    return Expression(operation, arguments, parameter, sample, lengths, partial, columns, span)


FALLIBLE = frozenset(
    ("at", "first_in_order", "combinations", "method", "attribute", "cartesian", "cross", "ranges", "raw")
)
SHAPING = frozenset(
    (
        "elementwise", "broadcast", "zip", "field", "fields", "four_vectors", "attribute", "method", "where",
        "full_like", "fill_none", "argsort", "any", "all", "sum", "min",
        "max", "mean", "count", "at", "at_or_none", "flatten",
        "concatenate",
    )
)  # fmt: skip

CHANGING = frozenset(("flatten", "concatenate", "at", "at_or_none", "any", "all", "sum", "min", "max", "mean"))


def unequal(operation: str, arguments: list[Expression], parameter: Hashable = "") -> bool:
    """Whether an operation item by item meets lists whose lengths are not known to be equal."""
    lists = [argument for argument in arguments if argument.jagged]
    if operation == "where" and not arguments[0].jagged:  # chooses whole rows
        return False
    if operation == "zip" and isinstance(parameter, tuple) and parameter[1] == 1:  # columns side by side
        return False
    if operation in ("cartesian", "cross", "concatenate") or (operation == "zip" and len(lists) < 2):
        return False
    return len({argument.lengths for argument in lists}) > 1


def _lengths(operation: str, parameter: Hashable, inner: list[Expression]) -> Hashable:
    """A token that is equal for columns whose lists have equal lengths in every row."""
    own: Hashable = (operation, parameter, *inner)
    if operation == "index":
        ordered = inner[1].operation == "argsort" and inner[1].lengths == inner[0].lengths
        return inner[0].lengths if ordered else ("index", inner[0].lengths, inner[1])
    if operation in ("cartesian", "cross"):
        return inner[0].lengths if inner[0].jagged else own
    if operation == "combinations":
        return ("combinations", inner[0].lengths, parameter)
    tokens = {argument.lengths for argument in inner if argument.jagged}
    chooses = operation == "where" and not inner[0].jagged  # whole rows
    keeps = operation in SHAPING and not chooses and not _changes_lists(operation, parameter)
    return next(iter(tokens)) if keeps and len(tokens) == 1 else own


def _changes_lists(operation: str, parameter: Hashable) -> bool:
    """Whether an operation changes the rows' lists themselves rather than what is in them."""
    axis = parameter[0] if isinstance(parameter, tuple) and parameter else parameter
    return operation in CHANGING and axis == 1


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
            return self._columns(str(expression.parameter))
        arguments = [self(a) if isinstance(a, Expression) else a for a in expression.arguments]
        try:
            with np.errstate(all="ignore"):
                return OPERATIONS[expression.operation](expression.parameter, *arguments)
        except UnequalLists as error:
            error.span = error.span or expression.span
            raise
        except MemoryError as error:
            raise TooMany("there is not enough memory for what this makes", expression.span) from error
        except (KeyError, TypeError) as error:  # awkward looks its kernels up by type
            what = f"{expression.operation} cannot be done with {expression.arguments_type}"
            raise Unsupported(what, expression.span) from error
        except (ValueError, IndexError) as error:  # the types fit, so it is the lists' lengths
            raise UnequalLists(_first_line(error), expression.span) from error


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def flat(column: Column) -> Array:
    """Contents of lists one after the other."""
    return column.content if isinstance(column, Lists) else np.asarray(column)
