"""Expressions of codegen uproot-raw onto the engine's: names from the file's header, types by running on no events.

A name is a branch, else an alias, else (in a call) a function. Every value has a row per event; a boolean with one
value per event as subscript (`Jet_pt[nJet > 2]`) keeps some events, and then all columns must keep the same ones.
"""

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from delivery.engine.expressions import Expression
from delivery.engine.header import Header
from delivery.engine.raw.building import (
    Builder,
    Collection,
    Value,
    columns_in,
    depth_of,
    is_bool,
    keeps_events,
    pattern_of,
)
from delivery.engine.raw.functions import (
    FUNCTIONS,
    GETITEM,
    SEVERAL,
    SIGNATURES,
    Constant,
    CrossesEvents,
    Items,
    Pattern,
    RawCall,
    Slot,
    arguments_of,
    axis_of,
)
from delivery.engine.raw.language import UFUNCS, dotted_name
from delivery.engine.raw.texts import Text
from delivery.engine.values import Lists
from delivery.errors import BadLiteral, DepthMismatch, NotAFunction, UnsupportedNode, nearest

_REDUCTIONS: Final = {"any": "any", "all": "all", "sum": "sum", "min": "min", "max": "max", "num": "count"}
GETTER: Final = "get"  # the function that gets a column by any name


@dataclass(slots=True)
class Terms:
    """Compiles the expressions of one sub-query for one tree.

    ``missing`` collects the names that the tree lacks with their first places, so that they are reported together.
    """

    header: Header
    builder: Builder
    aliases: Mapping[str, str]
    selection: str
    standard_axis: bool
    missing: dict[str, tuple[int, int] | None] = field(default_factory=dict)
    _names: frozenset[str] = frozenset()
    _opened: tuple[str, ...] = ()
    _values: dict[str, Value] = field(default_factory=dict)  # of aliases

    def __post_init__(self) -> None:
        self._names = frozenset(self.header.names())

    def column(self, name: str) -> Expression:
        """The branch of this name, known to be there; raises UnsupportedNode for a type that cannot be read."""
        found = self.header.column_type(name)
        if isinstance(found, str):
            raise UnsupportedNode(f"branch {name} is of type {found}, which cannot be read")
        return self.builder.expressions.column(name, found.sample, found.counter)

    def compiled(self, expression: str) -> Expression | None:
        """The value of an expression; None if it follows from a missing name."""
        if expression in self._names:
            return self.column(expression)
        text = Text.of(expression, self.selection)
        value = self._value(text, text.parsed.node)
        if value is _MISSING:
            return None
        if isinstance(value, Expression):
            return value
        what = f"a {value.kind} of columns" if isinstance(value, Collection) else "the same for all events"
        problem = f"the expression is {what}; a column needs one value or one list per event"
        raise text.fault(DepthMismatch, problem, text.parsed.node)

    def _value(self, text: Text, node: ast.expr) -> Value:
        match node:
            case ast.Constant(value=value):
                return value
            case ast.Name() | ast.Attribute():
                return self._attribute(text, node)
            case ast.UnaryOp() | ast.BinOp() | ast.Compare():
                return self._operation(text, node)
            case ast.Call():
                return self._call(text, node)
            case ast.Subscript(value=inner, slice=index):
                return self._subscript(text, node, self._value(text, inner), index)
        return self._display(text, node)

    def _display(self, text: Text, node: ast.expr) -> Value:
        """A list, tuple or dictionary as it is written."""
        match node:
            case ast.List(elts=items) | ast.Tuple(elts=items):
                kind = "list" if isinstance(node, ast.List) else "tuple"
                return self._collection(kind, tuple(self._value(text, item) for item in items))
            case ast.Dict(keys=keys, values=items):
                names = tuple(key.value if isinstance(key, ast.Constant) else None for key in keys)
                if not all(isinstance(name, str) for name in names):
                    raise text.fault(BadLiteral, "the keys of a dictionary must be strings", node)
                return self._collection("dict", tuple(self._value(text, item) for item in items), names)
        raise text.fault(UnsupportedNode, f"{type(node).__name__} cannot stand here", node)

    @staticmethod
    def _collection(kind: str, items: tuple[Value, ...], names: tuple[Any, ...] = ()) -> Value:
        return _MISSING if any(item is _MISSING for item in items) else Collection(kind, items, names)

    def _attribute(self, text: Text, node: ast.Name | ast.Attribute) -> Value:
        """A name, which may have dots, or a field of a value."""
        name = dotted_name(node)
        if name is not None or isinstance(node, ast.Name):
            return self._named(text, node, name or "")
        return self._field(text, node, self._value(text, node.value), node.attr)

    def _named(self, text: Text, node: ast.expr, name: str) -> Value:
        if name in self._names:
            return self.column(name)
        if name in self.aliases:
            if name not in self._values:
                self._values[name] = self._aliased(text, node, name)
            return self._values[name]
        if name in FUNCTIONS or name == GETTER:
            raise text.fault(UnsupportedNode, f"{name} is a function; call it with its arguments in parentheses", node)
        self.missing.setdefault(name, None if text.start is None else text.span(node))
        return _MISSING

    def _aliased(self, text: Text, node: ast.expr, name: str) -> Value:
        if name in self._opened:
            chain = " -> ".join([*self._opened[self._opened.index(name) :], name])
            raise text.fault(UnsupportedNode, f"aliases lead back to themselves: {chain}", node)
        opened, self._opened = self._opened, (*self._opened, name)
        try:
            inner = Text.of(self.aliases[name], self.selection)
            return self._value(inner, inner.parsed.node)
        finally:
            self._opened = opened

    def _field(self, text: Text, node: ast.expr, value: Value, name: str) -> Value:
        if value is _MISSING:
            return value
        fields = value.fields if isinstance(value, Expression) else []
        if name not in fields:
            problem = f"{name} is no field of this value" + (f" (fields: {', '.join(fields)})" if fields else "")
            raise text.fault(UnsupportedNode, f"{problem}; methods are no part of the language", node)
        return self.builder.made(text, node, "field", value, parameter=name)

    def _operation(self, text: Text, node: ast.UnaryOp | ast.BinOp | ast.Compare) -> Value:
        match node:
            case ast.UnaryOp(op=op, operand=operand):
                operands = [operand]
            case ast.BinOp(op=op, left=left, right=right) | ast.Compare(ops=[op], left=left, comparators=[right]):
                operands = [left, right]
        values = [self._value(text, operand) for operand in operands]
        return self._elementwise(text, node, UFUNCS[type(op)], values)

    def _elementwise(self, text: Text, node: ast.expr, ufunc: str, values: list[Value]) -> Value:
        if any(value is _MISSING for value in values):
            return _MISSING
        return self.builder.elementwise(text, node, ufunc, values)

    def _call(self, text: Text, node: ast.Call) -> Value:
        if not isinstance(node.func, ast.Name):
            raise text.fault(NotAFunction, "only functions are called, by their names; methods are not", node.func)
        name = node.func.id
        if name == GETTER:
            return self._got(text, node)
        function = FUNCTIONS.get(name)
        if function is None or name == GETITEM:
            near = nearest(name, (known for known in FUNCTIONS if known != GETITEM))
            raise text.fault(NotAFunction, f"there is no function {name!r}", node.func, name=name, near=near)
        positional = [self._value(text, argument) for argument in node.args]
        keywords = {str(keyword.arg): self._value(text, keyword.value) for keyword in node.keywords}
        if any(value is _MISSING for value in (*positional, *keywords.values())):
            return _MISSING
        if isinstance(function, np.ufunc):
            if keywords or len(positional) != function.nin:
                raise text.fault(UnsupportedNode, f"{name} takes {function.nin} argument(s), and no keywords", node)
            return self._elementwise(text, node, function.__name__, positional)
        return self._called(text, node, name, positional, keywords)

    def _got(self, text: Text, node: ast.Call) -> Value:
        match node:
            case ast.Call(args=[ast.Constant(value=str() as name)], keywords=[]):
                return self._named(text, node, name.removeprefix("/"))
        raise text.fault(BadLiteral, "get takes one string: the name of a branch or alias", node)

    def _called(
        self, text: Text, node: ast.Call, name: str, positional: list[Value], keywords: dict[str, Value]
    ) -> Value:
        """A call of one of awkward's functions, or of those of uproot's that are no plain NumPy functions."""
        columns = list(columns_in((*positional, *keywords.values())))
        if not columns:
            raise text.fault(DepthMismatch, f"{name} is given no column", node)
        if name in SIGNATURES:
            try:
                arguments = arguments_of(name, positional, keywords)
                if not isinstance(arguments.get("array", arguments.get("x", columns[0])), Expression):
                    raise TypeError("its first argument must be a column")
                depth, missing_rows = depth_of(columns[0]), columns[0].optional
                axis = axis_of(name, arguments, self.standard_axis, depth, missing_rows)
            except CrossesEvents as error:
                raise text.fault(DepthMismatch, str(error), node) from error
            except TypeError as error:
                raise text.fault(UnsupportedNode, f"{name}: {error}", node) from error
            if axis is not None and "axis" not in arguments:
                keywords = {**keywords, "axis": axis}
            if axis == 1:
                known = self._known(text, node, name, columns[0], arguments)
                if known is not None:
                    return known
        if name == "where" and len(positional) == 3 and not keywords:
            return self.builder.made(text, node, "where", *positional)
        return self._raw(text, node, name, positional, keywords)

    def _known(
        self, text: Text, node: ast.Call, name: str, lists: Expression, arguments: Mapping[str, Value]
    ) -> Expression | None:
        """The engine's own operation for what is done to each event's list of numbers, where it has one."""
        options = {key: value for key, value in arguments.items() if key not in ("array", "axis")}
        if not isinstance(lists.sample, Lists):
            return None
        if name == "argsort" and options.keys() <= {"ascending"}:
            order = bool(options.get("ascending", True))
            return self.builder.made(text, node, name, lists, parameter=(1, order))
        if options:
            return None
        if name == "count_nonzero":
            true = is_bool(lists)
            mask = lists if true else self.builder.made(text, node, "elementwise", lists, 0, parameter="not_equal")
            return self.builder.made(text, node, "count_true", mask)
        operation = _REDUCTIONS.get(name)
        return None if operation is None else self.builder.made(text, node, operation, lists, parameter=1)

    def _raw(
        self, text: Text, node: ast.expr, name: str, positional: list[Value], keywords: Mapping[str, Value]
    ) -> Value:
        slots: list[Expression] = []
        arguments = tuple(pattern_of(value, slots) for value in positional)
        named = tuple((key, pattern_of(value, slots)) for key, value in keywords.items())
        if name not in SEVERAL:
            return self.builder.made(text, node, "raw", *slots, parameter=RawCall(name, arguments, named))
        parts = [RawCall(name, arguments, named, pick) for pick in range(len(positional))]
        return Collection(
            "tuple", tuple(self.builder.made(text, node, "raw", *slots, parameter=part) for part in parts)
        )

    def _subscript(self, text: Text, node: ast.expr, value: Value, index: ast.expr) -> Value:
        if value is _MISSING:
            return value
        if isinstance(value, Collection):
            return self._picked(text, node, value, index)
        if not isinstance(value, Expression):
            raise text.fault(DepthMismatch, "a literal has no items", node)
        if not isinstance(index, ast.Tuple | ast.Slice):
            inner = self._value(text, index)
            if inner is _MISSING:
                return inner
            if isinstance(inner, Expression):
                return self._chosen(text, node, value, inner)
        pattern = self._index(text, index)
        if not keeps_events(pattern, value):
            problem = "this subscript picks events by their number; begin it with `:`, as in Jet_pt[:, :2]"
            raise text.fault(DepthMismatch, problem, node)
        match pattern:
            case Items(items=(Items(kind="slice"), Constant(value=int() as number))):  # one object of each event
                operation = "at_or_none" if self.builder.strict else "at"
                return self.builder.made(text, node, operation, value, parameter=(1, number))
        return self.builder.made(text, node, "raw", value, parameter=RawCall(GETITEM, (Slot(0), pattern)))

    def _picked(self, text: Text, node: ast.expr, value: Collection, index: ast.expr) -> Value:
        number = self._value(text, index)
        if type(number) is int and -len(value.items) <= number < len(value.items):
            return value.items[number]
        if isinstance(number, str) and number in value.names:
            return value.items[value.names.index(number)]
        raise text.fault(BadLiteral, f"this is no place in a {value.kind} of {len(value.items)}", node)

    def _chosen(self, text: Text, node: ast.expr, value: Expression, mask: Expression) -> Expression:
        """A subscript that is a column: objects chosen in each event, or events."""
        if mask.jagged:
            return self.builder.masked(text, node, value, mask)
        if not is_bool(mask):
            problem = "a number per event as subscript picks events, not objects; keep its list (keepdims=True)"
            raise text.fault(DepthMismatch, problem, node)
        return self.builder.events(text, node, value, mask)

    def _index(self, text: Text, index: ast.expr) -> Pattern:
        """A subscript made of literals and slices."""
        match index:
            case ast.Tuple(elts=items):
                return Items("tuple", tuple(self._index(text, item) for item in items))
            case ast.Slice(lower=lower, upper=upper, step=step):
                bounds = [None if bound is None else self._value(text, bound) for bound in (lower, upper, step)]
                if not all(bound is None or type(bound) is int for bound in bounds):
                    raise text.fault(BadLiteral, "the bounds of a slice must be integers", index)
                return Items("slice", tuple(Constant.of(bound) for bound in bounds))
        value = self._value(text, index)
        if isinstance(value, Collection) and all(isinstance(item, str) for item in value.items):
            return Items("list", tuple(Constant.of(item) for item in value.items))
        if isinstance(value, int | str | type(None) | type(Ellipsis)) and not isinstance(value, bool):
            return Constant.of(value)
        raise text.fault(UnsupportedNode, "a subscript is a column, or made of integers, slices and field names", index)


class _Missing:
    """The value of an expression that follows from a missing name."""


_MISSING: Final = _Missing()
