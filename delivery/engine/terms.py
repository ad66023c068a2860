"""What stands inside a query's lambdas: names become columns, records dissolve into columns, shapes are checked.

A lambda's variable stands for the whole column (or record of columns) it runs over, and an operator inside acts on the
items of that column: this is how func_adl_uproot, whose answers we give, reads the language.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np

from delivery.engine.expressions import Argument, Expression, Expressions, Literal
from delivery.engine.header import Header
from delivery.engine.operators import Fault, Operators
from delivery.engine.plan import Record, Shape, leaves
from delivery.errors import DepthMismatch, QueryFault, UnknownName, UnsupportedNode, nearest
from queries.syntax import Attribute, Call, Constant, Dict, Lambda, Linq, List, Name, Node, Subscript

ON_LISTS = "Where, Select, Count, Zip, Any, All, Sum and First"


@dataclass(frozen=True, slots=True)
class EventRecord:
    """The event: every branch of the tree."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """Stands for whatever follows from a column that the file lacks, so that all such columns are found."""


Value: TypeAlias = "Expression | Literal | Record | EventRecord | Unknown"


@dataclass(frozen=True, slots=True)
class Variable:
    """A lambda's variable: its value, and how many list levels its items lie below the dataset."""

    value: Value
    depth: int


Scope: TypeAlias = Mapping[str, Variable]


def single_lambda(node: Linq, fault: Fault) -> Lambda:
    """The operator's one argument, a lambda of one variable."""
    match node.args:
        case (Lambda(params=(_,)) as function,):
            return function
    raise fault(UnsupportedNode, f"{node.op} needs a lambda of one variable", node)


class Terms:
    """Values of the expressions inside lambdas.

    `missing` collects the columns that the file lacks, with their first places in the text.
    """

    def __init__(self, text: str, header: Header) -> None:
        self._text, self._header = text, header
        self._names = frozenset(header.names())
        self.expressions = Expressions()
        self.operators = Operators(self.expressions, self.fault)
        self.missing: dict[str, tuple[int, int]] = {}
        self._kinds: Mapping[type[Node], Callable[[Any, Scope], Value]] = {
            Name: self._name,
            Constant: self._constant,
            Attribute: self._attribute,
            Subscript: self._subscript,
            List: self._list,
            Dict: self._dict,
            Linq: self._linq,
        }
        self._list_operators: Mapping[str, Callable[[Shape, Linq, Scope], Value]] = {
            "Count": self._count,
            "Sum": self._reduce,
            "First": self._reduce,
            "Where": self._where,
            "Select": self._select,
            "Any": self._test,
            "All": self._test,
        }

    def fault(self, kind: type[QueryFault], problem: str, node: Node) -> QueryFault:
        """An error at a node."""
        return kind(problem, self._text, (node.span.start, node.span.end))

    def value(self, node: Node, scope: Scope) -> Value:
        """Value of a node with these variables in scope."""
        return self._kinds.get(type(node), self._operator)(node, scope)

    def shape(self, value: Value, node: Node) -> Shape:
        """The value as something that has columns."""
        if isinstance(value, Expression | Record):
            return value
        raise self.fault(UnsupportedNode, "a literal or the event itself cannot be a column", node)

    def column(self, name: str, node: Node) -> Value:
        """A branch of the tree."""
        if name not in self._names:
            self.missing.setdefault(name, (node.span.start, node.span.end))
            return Unknown()
        kind = self._header.column_type(name)
        if isinstance(kind, str):
            raise self.fault(
                UnsupportedNode, f"branch {name!r} of {self._header.file} has the unsupported type {kind}", node
            )
        return self.expressions.column(name, kind.sample, kind.counter)

    def _name(self, node: Name, scope: Scope) -> Value:
        if node.id not in scope:
            raise self.fault(UnknownName, f"unknown name {node.id!r}; known: {', '.join(scope)}", node)
        return scope[node.id].value

    def _constant(self, node: Constant, _: Scope) -> Value:
        if node.value is None or isinstance(node.value, str):
            raise self.fault(UnsupportedNode, f"the literal {node.value!r} is not supported here", node)
        return node.value

    def _operator(self, node: Node, scope: Scope) -> Value:
        operands = self.operators.operands(node)
        if operands is None:
            known = f"{ON_LISTS} on lists, abs, numpy functions, arithmetic, comparisons, and/or/not"
            problem = f"{_describe(node)} is not supported; supported are {known}"
            raise self.fault(UnsupportedNode, problem, node)
        values = [self.value(operand, scope) for operand in operands]
        if any(isinstance(value, Unknown) for value in values):
            return Unknown()
        arguments = [self._argument(v, operand) for v, operand in zip(values, operands, strict=True)]
        return self.operators.apply(node, arguments)

    def _argument(self, value: Value, node: Node) -> Argument:
        if isinstance(value, Record | EventRecord | Unknown):
            problem = "a record cannot be computed with; name one of its fields"
            raise self.fault(DepthMismatch, problem, node)
        return value

    # ---- records

    def _attribute(self, node: Attribute, scope: Scope) -> Value:
        return self._field(self.value(node.value, scope), node.name, node)

    def _subscript(self, node: Subscript, scope: Scope) -> Value:
        value = self.value(node.value, scope)
        match node.index:
            case Constant(value=str() as name):
                return self._field(value, name, node)
            case Constant(value=int() as number) if isinstance(value, Record):
                names = list(value.fields)
                if number >= len(names):
                    raise self.fault(UnknownName, f"there is no field {number} of {len(names)}", node)
                return value.fields[names[number]]
        if isinstance(value, Unknown):
            return value
        problem = "[…] picks a field of a record by name or number; for a list's item use First"
        raise self.fault(UnsupportedNode, problem, node)

    def _field(self, value: Value, name: str, node: Node) -> Value:
        if isinstance(value, Unknown):
            return value
        if isinstance(value, EventRecord):
            return self.column(name, node)
        if not isinstance(value, Record):
            raise self.fault(DepthMismatch, f"there is no field {name!r} in a column of numbers", node)
        if name not in value.fields or value.is_tuple:
            near = ", ".join(nearest(name, value.fields) or value.fields)
            raise self.fault(UnknownName, f"the record has no field {name!r}; near: {near}", node)
        return value.fields[name]

    def _list(self, node: List, scope: Scope) -> Value:
        return self._record({str(i): item for i, item in enumerate(node.items)}, node, scope)

    def _dict(self, node: Dict, scope: Scope) -> Value:
        fields = {}
        for key, item in zip(node.keys, node.values, strict=True):
            if not isinstance(key, Constant) or not isinstance(key.value, str):
                raise self.fault(UnsupportedNode, "a column's name must be a string", key)
            fields[key.value] = item
        return self._record(fields, node, scope)

    def _record(self, fields: Mapping[str, Node], node: List | Dict, scope: Scope) -> Value:
        """Columns side by side; the peer puts a lone column of lists *inside* its lists, and so do we."""
        if not fields:
            raise self.fault(UnsupportedNode, "a record needs at least one column", node)
        values = {name: self.value(item, scope) for name, item in fields.items()}
        if any(isinstance(value, Unknown) for value in values.values()):
            return Unknown()
        shapes = {name: self.shape(value, fields[name]) for name, value in values.items()}
        for name, shape in shapes.items():
            if isinstance(shape, Record) and any(isinstance(f, Record) for f in shape.fields.values()):
                problem = f"{name!r} nests records more than one level deep"
                raise self.fault(UnsupportedNode, problem, fields[name])
        (lone, *more) = shapes.values()
        zipped = not more and (lone.zipped if isinstance(lone, Record) else lone.jagged)
        return Record(shapes, zipped, isinstance(node, List))

    # ---- operators on lists

    def _linq(self, node: Linq, scope: Scope) -> Value:
        source = self.value(node.source, scope)
        if isinstance(source, Unknown):
            return source
        if node.op == "Zip" and not node.args:
            return self._zip(source, node)
        if node.op not in self._list_operators:
            problem = f"{node.op} is not supported here; supported on lists: {ON_LISTS}"
            raise self.fault(UnsupportedNode, problem, node)
        shape = self.shape(source, node.source)
        listed = shape.zipped if isinstance(shape, Record) else shape.jagged
        if not listed or _depth(node.source, scope) != 1:
            columns = isinstance(shape, Record) and not listed
            what = "columns side by side; Zip makes a list of them" if columns else "one number"
            raise self.fault(DepthMismatch, f"{node.op} needs a list, this is {what}", node)
        return self._list_operators[node.op](shape, node, scope)

    def _count(self, lists: Shape, node: Linq, _: Scope) -> Value:
        return self.operators.reduce("count", node, next(leaves(lists)))

    def _reduce(self, lists: Shape, node: Linq, _: Scope) -> Value:
        if isinstance(lists, Record):
            problem = f"{node.op} of records is not supported; name one of their fields"
            raise self.fault(UnsupportedNode, problem, node)
        return self.operators.reduce(node.op.lower(), node, lists)

    def _select(self, lists: Shape, node: Linq, scope: Scope) -> Value:
        self._refuse_cross_product(node, scope)
        return self._body(node, lists, scope)

    def _test(self, lists: Shape, node: Linq, scope: Scope) -> Value:
        self._refuse_cross_product(node, scope)
        mask = self._mask(lists, node, scope)
        return mask if isinstance(mask, Unknown) else self.operators.reduce(node.op.lower(), node, mask)

    def _where(self, lists: Shape, node: Linq, scope: Scope) -> Value:
        mask = self._mask(lists, node, scope)
        if isinstance(mask, Unknown):
            return lists
        if mask.dtype != np.bool_:
            raise self.fault(DepthMismatch, f"the predicate is {mask.dtype}, not bool", node)
        return _map(lists, lambda column: self.operators.reduce("filter", node, column, mask))

    def _mask(self, lists: Shape, node: Linq, scope: Scope) -> Expression | Unknown:
        mask = self._body(node, lists, scope)
        if isinstance(mask, Unknown) or (isinstance(mask, Expression) and mask.jagged):
            return mask
        raise self.fault(DepthMismatch, f"the predicate of {node.op} says nothing of the items", node)

    def _body(self, node: Linq, items: Shape, scope: Scope) -> Value:
        function = single_lambda(node, self.fault)
        variable = Variable(items, _depth(node.source, scope) + 1)
        return self.value(function.body, {**scope, function.params[0]: variable})

    def _zip(self, source: Value, node: Linq) -> Value:
        if not isinstance(source, Record):
            raise self.fault(DepthMismatch, "Zip needs a dict or a tuple of columns", node)
        lists = [column for column in leaves(source) if column.jagged]
        if not lists:
            return source
        length = lists[0]
        for other in lists[1:]:  # equal lengths are certain, or checked when the values are there
            if other.lengths != length.lengths:
                length = self.operators.reduce("broadcast", node, length, other)
        return _zipped(_map(source, lambda column: self.operators.zipped(column, length, node)))

    def _refuse_cross_product(self, node: Linq, scope: Scope) -> None:
        """The peer pairs all items with all where the source is `name` or `name.attr` of an outer variable."""
        source = node.source.value if isinstance(node.source, Attribute) else node.source
        innermost = list(scope)[-1]
        if isinstance(source, Name) and source.id != innermost and scope[innermost].depth > 1:
            problem = f"{node.op} over a list inside another list's lambda (a cross product) is not supported"
            raise self.fault(UnsupportedNode, problem, node)


def _map(shape: Shape, change: Callable[[Expression], Expression]) -> Shape:
    """The shape with each of its columns changed."""
    if isinstance(shape, Record):
        return replace(shape, fields={name: _map(inner, change) for name, inner in shape.fields.items()})
    return change(shape)


def _zipped(shape: Shape) -> Shape:
    if isinstance(shape, Expression):
        return shape
    return replace(shape, fields={n: _zipped(inner) for n, inner in shape.fields.items()}, zipped=True)


def _depth(node: Node, scope: Scope) -> int:
    """List levels between the dataset and what an operator on this source takes for the row."""
    match node:
        case Name(id=name):
            return scope[name].depth if name in scope else 1
        case Attribute(value=inner) | Subscript(value=inner) | Linq(source=inner):
            return _depth(inner, scope)
        case Dict(values=items) | List(items=items):
            return max((_depth(item, scope) for item in items), default=1)
    return 1


def _describe(node: Node) -> str:
    match node:
        case Call(func=Name(id=name)):
            return f"the function {name}"
        case Call(func=Attribute(name=name)):
            return f"the method {name}"
    return f"{type(node).__name__.lower()} here"
