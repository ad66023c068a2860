"""Makes the engine's expressions for uproot-raw's: types checked, errors and warnings with their places.

A boolean with one value per event as subscript keeps some events; what is made of such a column is of these events too.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

import awkward as ak
import numpy as np

from delivery.engine.accidents import Accidents
from delivery.engine.expressions import Expression, Expressions, unequal
from delivery.engine.raw.functions import GETITEM, UFUNC, Constant, Items, Pattern, RawCall, Slot
from delivery.engine.raw.literals import folded, out_of_range
from delivery.engine.raw.texts import Text
from delivery.engine.row_errors import UnequalLists
from delivery.engine.values import Lists
from delivery.errors import BadLiteral, DepthMismatch, UnsupportedNode

Value: TypeAlias = Any
"""An `Expression`, a literal, or a `Collection` of values."""

MAX_HEIGHT: Final = 200  # of operations on operations; more would exhaust the interpreter's stack
_SMALLEST, _LARGEST = -(2**63), 2**64 - 1
_REFUSALS = (
    *(TypeError, ValueError, LookupError, AttributeError, AssertionError, RuntimeError, UnequalLists),
)  # what NumPy and awkward raise for types that do not fit


@dataclass(frozen=True, slots=True)
class Collection:
    """Values side by side, as the arguments of zip and cartesian are written; ``names`` are a dict's keys."""

    kind: str
    items: tuple[Value, ...]
    names: tuple[str, ...] = ()


@dataclass(slots=True)
class Builder:
    """Makes expressions for one tree.

    ``strict``: lists of different lengths never meet, comparisons with a literal out of range answer as mathematics
    does, and a missing object is missing rather than fatal. ``accidents`` are told as warnings.
    """

    expressions: Expressions
    strict: bool
    accidents: Accidents = field(default_factory=Accidents)
    _kept: dict[Expression, Expression] = field(default_factory=dict)
    _heights: dict[Expression, int] = field(default_factory=dict)

    def kept(self, value: Expression) -> Expression | None:
        """The mask of the events that the value is of; None: all."""
        return self._kept.get(value)

    def made(self, text: Text, node: ast.expr, operation: str, *arguments: Value, parameter: Any = "") -> Expression:
        """An operation of the engine; raises DepthMismatch or BadLiteral if it does not fit its arguments."""
        inner = [argument for argument in arguments if isinstance(argument, Expression)]
        kept = {self._kept.get(argument) for argument in inner}
        if len(kept) > 1:
            raise text.fault(DepthMismatch, "columns of different events meet: only one of them selects events", node)
        if any(type(argument) is int and not _SMALLEST <= argument <= _LARGEST for argument in arguments):
            raise text.fault(BadLiteral, "an integer is out of the range of 64 bits", node)
        height = 1 + max((self._heights.get(argument, 0) for argument in inner), default=0)
        if height > MAX_HEIGHT:
            raise text.fault(UnsupportedNode, f"more than {MAX_HEIGHT} operations stand one on the other", node)
        if operation in ("elementwise", "where", "raw") and _meet_across(inner):
            problem = "one value per event meets lists of one fixed length: awkward would combine it across events"
            raise text.fault(DepthMismatch, problem, node)
        try:
            made = self.expressions.make(operation, *arguments, parameter=parameter, span=text.span(node))
        except OverflowError as error:
            raise text.fault(BadLiteral, f"a literal is out of range ({error})", node) from error
        except _REFUSALS as error:
            what = getattr(parameter, "function", parameter if operation == "elementwise" else operation)
            types = ", ".join(a.type if isinstance(a, Expression) else repr(a) for a in arguments)
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise text.fault(DepthMismatch, f"{what} does not work on {types}: {reason}", node) from error
        if not isinstance(made.sample, np.ndarray | Lists | ak.Array):
            raise text.fault(DepthMismatch, "this is one value for all events together; give axis=1", node)
        self._heights.setdefault(made, height)
        if kept and None not in kept:
            self._kept[made] = next(mask for mask in kept if mask is not None)
        self._warn(text, node, operation, inner)
        return made

    def elementwise(self, text: Text, node: ast.expr, ufunc: str, values: list[Value]) -> Value:
        """A NumPy function number by number, of columns and literals."""
        for value in values:
            if isinstance(value, Collection) or value is None:
                what = "None" if value is None else f"a {value.kind}"
                raise text.fault(DepthMismatch, f"{ufunc} works on columns and numbers, not on {what}", node)
        columns = [value for value in values if isinstance(value, Expression)]
        if not columns:
            try:
                return folded(ufunc, values)
            except (ArithmeticError, TypeError, ValueError) as error:
                problem = f"{ufunc} of these literals has no value ({error})"
                raise text.fault(BadLiteral, problem, node) from error
        beyond = out_of_range(ufunc, [column.dtype for column in columns if column.dtype is not None], values)
        if any(_is_mixed(column) for column in columns):
            slots: list[Expression] = []
            call = RawCall(f"{UFUNC}{ufunc}", tuple(pattern_of(value, slots) for value in values))
            return self.made(text, node, "raw", *slots, parameter=call)
        if beyond is None:
            return self.made(text, node, "elementwise", *values, parameter=ufunc)
        if not self.strict:
            raise text.fault(BadLiteral, beyond, node)
        answer = bool(folded(ufunc, [0 if isinstance(value, Expression) else value for value in values]))
        return self.made(text, node, "full_like", columns[0], parameter=(answer, "bool"))

    def masked(self, text: Text, node: ast.expr, value: Expression, mask: Expression) -> Expression:
        """``value[mask]`` for a mask (or objects' numbers) with a list per event: objects chosen in each event.

        awkward takes a mask that is shorter than the list, and so does ServiceX; strict semantics do not.
        """
        sample = mask.sample
        if isinstance(sample, ak.Array) and sample.layout.is_regular and not sample.layout.content.is_option:
            problem = "a list of fixed length as subscript picks events; compare it with the objects instead"
            raise text.fault(DepthMismatch, problem, node)
        if is_bool(mask) and (self.strict or value.lengths == mask.lengths):
            return self.made(text, node, "index", value, mask)
        call = RawCall(GETITEM, (Slot(0), Slot(1)))
        return self.made(text, node, "raw", value, mask, parameter=call)

    def events(self, text: Text, node: ast.expr, value: Expression, mask: Expression) -> Expression:
        """``value[mask]`` for a mask with a boolean per event."""
        if self.kept(value) is not None or self.kept(mask) is not None:
            raise text.fault(UnsupportedNode, "events are selected twice; join the conditions with &", node)
        made = self.made(text, node, "index", value, mask)
        self._kept[made] = mask
        return made

    def filled(self, text: Text, node: ast.expr, mask: Expression, value: bool) -> Expression:
        """The mask with `value` where it is missing."""
        return self.made(text, node, "raw", mask, parameter=RawCall("fill_none", (Slot(0), Constant.of(value))))

    def _warn(self, text: Text, node: ast.expr, operation: str, inner: list[Expression]) -> None:
        """Lists of several collections that meet item by item: an answer that rests on lengths equal by accident."""
        selects = operation == "raw" and len(inner) == 2 and is_bool(inner[1]) and inner[0].lengths != inner[1].lengths
        if not selects and (operation not in ("elementwise", "zip", "where") or not unequal(operation, inner)):
            return
        names = sorted({name for argument in inner for name in argument.columns})
        if len({_collection(name) for name in names}) < 2:
            return
        self.accidents.add(text.selection, text.span(node)[0], names)


def _collection(branch: str) -> str:
    """The collection that a branch is of: `Jet` of `Jet_pt`, `Jets` of `Jets.pt`."""
    return branch.rpartition(".")[0] or branch.split("_", maxsplit=1)[0]


def is_bool(value: Expression) -> bool:
    """Whether a column is of booleans or of lists of them, none of them missing."""
    return isinstance(value.sample, np.ndarray | Lists) and value.dtype == np.bool_


def _meet_across(inner: list[Expression]) -> bool:
    """Whether awkward would broadcast as NumPy does, from the right: a value per event along lists of fixed length."""
    layouts = [column.sample.layout for column in inner if isinstance(column.sample, ak.Array)]
    inside = [layout.content if layout.is_option else layout for layout in layouts]
    return any(depth_of(column) == 1 for column in inner) and any(layout.is_regular for layout in inside)


def _is_mixed(value: Expression) -> bool:
    return isinstance(value.sample, ak.Array) and "union[" in str(value.sample.type)


def depth_of(value: Expression) -> int:
    """1 for a value per event, 2 for a list per event, and so on; of records, that of their shallowest field."""
    if isinstance(value.sample, ak.Array):
        return int(value.sample.layout.minmax_depth[0])
    return 2 if value.jagged else 1


def columns_in(values: tuple[Value, ...]) -> Iterator[Expression]:
    """The columns among values and in collections of them."""
    for value in values:
        if isinstance(value, Expression):
            yield value
        elif isinstance(value, Collection):
            yield from columns_in(value.items)


def pattern_of(value: Value, slots: list[Expression]) -> Pattern:
    """A value as an argument of a `RawCall`; the columns in it are added to `slots`."""
    if isinstance(value, Expression):
        slots.append(value)
        return Slot(len(slots) - 1)
    if isinstance(value, Collection):
        return Items(value.kind, tuple(pattern_of(item, slots) for item in value.items), value.names)
    return Constant.of(value)


def keeps_events(pattern: Pattern, value: Expression) -> bool:
    """Whether a subscript leaves the events alone: its first place is `:`, or `...` that stands for it."""
    places = pattern.items if isinstance(pattern, Items) and pattern.kind == "tuple" else (pattern,)
    places = tuple(place for place in places if not _is_field(place))
    if not places:
        return True
    first, *rest = places
    if isinstance(first, Items):
        return all(isinstance(bound, Constant) and bound.value is None for bound in first.items)
    inner = [place for place in rest if not (isinstance(place, Constant) and place.value is None)]
    return isinstance(first, Constant) and first.value is Ellipsis and len(inner) < depth_of(value)


def _is_field(place: Pattern) -> bool:
    if isinstance(place, Constant):
        return isinstance(place.value, str)
    return isinstance(place, Items) and place.kind == "list"
