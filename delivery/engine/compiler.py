"""From a query's tree to its plan: names become columns, records dissolve into columns, shapes are checked.

A lambda's variable stands for the whole column (or record of columns) it runs over, and an operator inside acts on the
items of that column: this is how func_adl_uproot, whose answers we give, reads the language.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Protocol, TypeAlias

import numpy as np

from delivery.engine.expressions import Argument, Expression, Expressions, Literal
from delivery.engine.operators import Operators
from delivery.engine.plan import Plan, Record, Selection, Shape, Stage, leaves
from delivery.errors import DepthMismatch, QueryFault, UnknownColumn, UnknownName, UnsupportedNode, nearest
from queries.printer import unparse
from queries.syntax import Attribute, BoolOp, Call, Constant, Dict, Lambda, Linq, List, Name, Node, Subscript

SUPPORTED = "Where, Select, SelectMany, Count, Zip, Any, All, Sum and First"


@dataclass(frozen=True, slots=True)
class ColumnType:
    """Type of a branch: NumPy dtype, whether it has a list per event, and the branch that counts its items."""

    dtype: np.dtype[np.generic]
    jagged: bool
    counter: str | None = None


class Header(Protocol):
    """What the compiler asks of an input: its branches' names and types."""

    @property
    def file(self) -> str:
        """Name of the file, for messages."""

    @property
    def tree(self) -> str:
        """Name of the tree."""

    def names(self) -> list[str]:
        """All branches."""

    def column_type(self, name: str) -> ColumnType | str:
        """Type of a branch, or the name of a type that the engine cannot read."""


@dataclass(frozen=True, slots=True)
class Rows:
    """The event record: every branch of the tree."""


class Unknown:
    """Stands for whatever follows from a column that the file lacks, so that all such columns are found."""


Value: TypeAlias = "Expression | Literal | Record | Rows | Unknown"


@dataclass(frozen=True, slots=True)
class Variable:
    """A lambda's variable: its value, and how many list levels its items lie below the dataset."""

    value: Value
    depth: int


Scope: TypeAlias = Mapping[str, Variable]

UNKNOWN = Unknown()


def compile_query(node: Node, text: str, header: Header) -> Plan:
    """Plan of a canonical tree on a file with this header; `text` is what the spans point into.

    Raises UnknownColumn (all of them at once), UnsupportedNode, DepthMismatch, BadLiteral, UnknownName.
    """
    return Compiler(text, header).plan(node)


class Compiler:
    """Compiles one query for one file."""

    def __init__(self, text: str, header: Header) -> None:
        self._text, self._header = text, header
        self._expressions = Expressions()
        self._operators = Operators(self._expressions, self._fault)
        self._missing: dict[str, tuple[int, int]] = {}
        self._stages: list[Stage] = []
        self._selections: list[Selection] = []

    def plan(self, node: Node) -> Plan:
        """The whole query."""
        try:
            rows = self._stream(node)
            if not self._missing:
                output = self._output(rows, node)
        except QueryFault:
            if not self._missing:
                raise
        if self._missing:
            known = self._header.names()
            near = {name: nearest(name, known) for name in self._missing}
            raise UnknownColumn(self._header.file, self._header.tree, near, self._text, self._missing)
        self._end_stage({})
        return Plan(tuple(self._stages), output)

    def _fault(self, kind: type[QueryFault], problem: str, node: Node) -> QueryFault:
        return kind(problem, self._text, (node.span.start, node.span.end))

    def _end_stage(self, exploded: dict[str, Expression]) -> None:
        self._stages.append(Stage(tuple(self._selections), exploded))
        self._selections = []

    # ---- the stream of rows

    def _stream(self, node: Node) -> Value:
        """Value of one row of a dataset-level expression."""
        if isinstance(node, Call) and node.func == Name("EventDataset"):
            return Rows()
        if not isinstance(node, Linq):
            raise self._fault(UnsupportedNode, "a query must be a chain of operators on EventDataset", node)
        row = self._stream(node.source)
        if node.op not in ("Where", "Select", "SelectMany"):
            raise self._fault(
                UnsupportedNode,
                f"{node.op} of the whole dataset is not supported; on events: Where, Select, SelectMany",
                node,
            )
        lambda_ = self._lambda(node)
        scope = {lambda_.params[0]: Variable(row, 1)}
        if node.op == "Where":
            self._select_rows(lambda_, scope)
            return row
        value = self._value(lambda_.body, scope)
        return value if node.op == "Select" else self._explode(value, node)

    def _select_rows(self, lambda_: Lambda, scope: Scope) -> None:
        parts = list(_conjuncts(lambda_.body))
        conjuncts = []
        for part in parts:
            value = self._value(part, scope)
            if isinstance(value, Unknown):
                continue
            if not isinstance(value, Expression):
                raise self._fault(DepthMismatch, "the predicate is no column of the event", part)
            if value.jagged:
                raise self._fault(
                    UnsupportedNode, "the predicate has one value per object; reduce it with Any, All or Count", part
                )
            if value.dtype != np.bool_:
                if len(parts) == 1:
                    raise self._fault(DepthMismatch, f"the predicate is {value.dtype}, not bool", part)
                value = self._operators.elementwise("logical_and", part, value, True)
            if isinstance(value, Expression):
                conjuncts.append(value)
        ordered = any(conjunct.partial for conjunct in conjuncts)
        self._selections.append(Selection(unparse(lambda_.body), tuple(conjuncts), ordered))

    def _explode(self, value: Value, node: Linq) -> Value:
        """Make the items of each row's list the rows."""
        if isinstance(value, Unknown):
            return value
        lists = isinstance(value, Expression) and value.jagged
        if not lists and not (isinstance(value, Record) and value.zipped):
            what = "columns; Zip them first" if isinstance(value, Record) else "a number"
            raise self._fault(DepthMismatch, f"SelectMany needs a list in each row, this has {what}", node)
        exploded: dict[str, Expression] = {}
        stage = len(self._stages) + 1

        def flattened(shape: Shape) -> Shape:
            if isinstance(shape, Record):
                inner = {name: flattened(inner) for name, inner in shape.fields.items()}
                return replace(shape, fields=inner, zipped=False)
            name = f"{stage}:{len(exploded)}"
            exploded[name] = shape
            return self._expressions.column(name, shape.dtype, False)

        assert isinstance(value, Expression | Record)
        row = flattened(value)
        self._end_stage(exploded)
        return row

    def _output(self, value: Value, node: Node) -> Shape:
        if isinstance(value, Rows):
            names = self._header.names()
            fields = {n: self._column(n, node) for n in names if not isinstance(self._header.column_type(n), str)}
            return Record({name: v for name, v in fields.items() if isinstance(v, Expression)})
        if isinstance(value, Expression | Record):
            return value
        raise self._fault(UnsupportedNode, "the query selects a literal; select columns of the event", node)

    def _column(self, name: str, node: Node) -> Value:
        kind = self._header.column_type(name) if name in self._names() else None
        if kind is None:
            self._missing.setdefault(name, (node.span.start, node.span.end))
            return UNKNOWN
        if isinstance(kind, str):
            raise self._fault(UnsupportedNode, f"branch {name!r} is of type {kind}, which is not supported", node)
        return self._expressions.column(name, kind.dtype, kind.jagged, kind.counter)

    def _names(self) -> frozenset[str]:
        if not hasattr(self, "_known_names"):
            self._known_names = frozenset(self._header.names())
        return self._known_names

    # ---- values inside lambdas

    def _lambda(self, node: Linq) -> Lambda:
        match node.args:
            case (Lambda(params=(_,)) as lambda_,):
                return lambda_
        raise self._fault(UnsupportedNode, f"{node.op} needs a lambda of one variable", node)

    def _value(self, node: Node, scope: Scope) -> Value:
        match node:
            case Name(id=name):
                if name not in scope:
                    raise self._fault(UnknownName, f"unknown name {name!r}; known: {', '.join(scope)}", node)
                return scope[name].value
            case Constant(value=bool() | int() | float() as value):
                return value
            case Attribute(value=inner, name=name):
                return self._field(self._value(inner, scope), name, node)
            case Subscript(value=inner, index=Constant(value=str() as name)):
                return self._field(self._value(inner, scope), name, node)
            case Subscript(value=inner, index=Constant(value=int() as number)):
                return self._item(self._value(inner, scope), number, node)
            case List(items=items):
                return self._record({str(i): self._value(v, scope) for i, v in enumerate(items)}, node, True)
            case Dict(keys=keys, values=values):
                names = [self._key(key) for key in keys]
                fields = {n: self._value(v, scope) for n, v in zip(names, values, strict=True)}
                return self._record(fields, node, False)
            case Linq():
                return self._linq(node, scope)
        if (operands := self._operators.operands(node)) is None:
            known = f"operators {SUPPORTED}, abs, numpy functions, arithmetic, comparisons, and/or/not"
            raise self._fault(UnsupportedNode, f"{_describe(node)} is not supported; supported are {known}", node)
        values = [self._value(operand, scope) for operand in operands]
        if any(isinstance(value, Unknown) for value in values):
            return UNKNOWN
        return self._operators.apply(node, [self._argument(v, o) for v, o in zip(values, operands, strict=True)])

    def _argument(self, value: Value, node: Node) -> Argument:
        if isinstance(value, Record | Rows | Unknown):
            raise self._fault(DepthMismatch, "a record cannot be computed with; name one of its fields", node)
        return value

    def _key(self, node: Node) -> str:
        if isinstance(node, Constant) and isinstance(node.value, str):
            return node.value
        raise self._fault(UnsupportedNode, "a column's name must be a string", node)

    def _field(self, value: Value, name: str, node: Node) -> Value:
        match value:
            case Rows():
                return self._column(name, node)
            case Unknown():
                return value
            case Record(fields=fields, is_tuple=False):
                if name in fields:
                    return fields[name]
                near = ", ".join(nearest(name, fields) or fields)
                raise self._fault(UnknownName, f"the record has no field {name!r}; near: {near}", node)
        raise self._fault(DepthMismatch, f"there is no field {name!r} in a column of numbers", node)

    def _item(self, value: Value, number: int, node: Node) -> Value:
        if isinstance(value, Unknown):
            return value
        if not isinstance(value, Record):
            raise self._fault(UnsupportedNode, "[n] picks a field of a tuple or dict; for lists use First", node)
        if not 0 <= number < len(value.fields):
            raise self._fault(UnknownName, f"there is no field {number} of {len(value.fields)}", node)
        return list(value.fields.values())[number]

    def _record(self, fields: Mapping[str, Value], node: Node, is_tuple: bool) -> Value:
        """Columns side by side; the peer puts a lone column of lists *inside* its lists, and so do we."""
        shapes: dict[str, Shape] = {}
        for name, value in fields.items():
            if isinstance(value, Unknown):
                return value
            if not isinstance(value, Expression | Record):
                raise self._fault(UnsupportedNode, f"{name!r} is no column; literals cannot be columns", node)
            if isinstance(value, Record) and any(isinstance(f, Record) for f in value.fields.values()):
                raise self._fault(UnsupportedNode, f"{name!r} nests records more than one level deep", node)
            shapes[name] = value
        if not shapes:
            raise self._fault(UnsupportedNode, "a record needs at least one column", node)
        (lone, *more) = shapes.values()
        zipped = not more and (lone.zipped if isinstance(lone, Record) else lone.jagged)
        return Record(shapes, zipped, is_tuple)

    # ---- operators on lists

    def _linq(self, node: Linq, scope: Scope) -> Value:
        source = self._value(node.source, scope)
        if isinstance(source, Unknown):
            return source
        if node.op == "Zip" and not node.args:
            return self._zip(source, node)
        lists = self._lists(source, node, scope)
        match node.op:
            case "Count":
                return self._operators.reduce("count", node, next(leaves(lists)))
            case "Sum" | "First" if not node.args and isinstance(lists, Expression):
                return self._operators.reduce(node.op.lower(), node, lists)
            case "Where":
                return self._where(lists, node, scope)
            case "Select":
                self._refuse_cross_product(node, scope)
                return self._body(node, lists, scope)
            case "Any" | "All":
                self._refuse_cross_product(node, scope)
                mask = self._body(node, lists, scope)
                if isinstance(mask, Unknown):
                    return mask
                if not isinstance(mask, Expression) or not mask.jagged:
                    raise self._fault(DepthMismatch, f"the predicate of {node.op} says nothing of the items", node)
                return self._operators.reduce(node.op.lower(), node, mask)
        raise self._fault(
            UnsupportedNode, f"{node.op} is not supported here; supported on lists: {SUPPORTED}", node
        )

    def _lists(self, source: Value, node: Linq, scope: Scope) -> Shape:
        """The source of an operator on lists, checked to have one list of items at the depth the operator acts on."""
        if isinstance(source, Record) and source.zipped or isinstance(source, Expression) and source.jagged:
            if _depth(node.source, scope) == 1:
                return source
        elif isinstance(source, Record):
            raise self._fault(DepthMismatch, f"{node.op} needs a list; Zip makes one of columns of lists", node)
        raise self._fault(DepthMismatch, f"{node.op} needs a list, this is one number", node)

    def _body(self, node: Linq, items: Value, scope: Scope) -> Value:
        lambda_ = self._lambda(node)
        depth = _depth(node.source, scope) + 1
        return self._value(lambda_.body, {**scope, lambda_.params[0]: Variable(items, depth)})

    def _where(self, lists: Shape, node: Linq, scope: Scope) -> Value:
        mask = self._body(node, lists, scope)
        if isinstance(mask, Unknown):
            return lists
        if not isinstance(mask, Expression) or not mask.jagged:
            raise self._fault(DepthMismatch, "the predicate of Where says nothing of the items", node)
        if mask.dtype != np.bool_:
            raise self._fault(DepthMismatch, f"the predicate is {mask.dtype}, not bool", node)
        return self._map(lists, lambda item: self._operators.reduce("filter", node, item, mask))

    def _zip(self, source: Value, node: Linq) -> Value:
        if not isinstance(source, Record):
            raise self._fault(DepthMismatch, "Zip needs a dict or a tuple of columns", node)
        parts = list(leaves(source))
        lists = [part for part in parts if part.jagged]
        if not lists:
            return source
        shape = lists[0]
        for other in lists[1:]:  # equal lengths are certain, or checked when the values are there
            if other.lengths != shape.lengths:
                shape = self._operators.reduce("broadcast", node, shape, other)
        zipped = self._map(source, lambda part: self._operators.zipped(part, shape, node))
        assert isinstance(zipped, Record)
        return _zipped(zipped)

    def _map(self, shape: Shape, change: "Mapper") -> Shape:
        if isinstance(shape, Record):
            return replace(shape, fields={n: self._map(v, change) for n, v in shape.fields.items()})
        return change(shape)

    def _refuse_cross_product(self, node: Linq, scope: Scope) -> None:
        """The peer pairs every item with every other where the source is `name` or `name.attr` of an outer variable."""
        source = node.source.value if isinstance(node.source, Attribute) else node.source
        innermost = list(scope)[-1]
        if isinstance(source, Name) and source.id != innermost and scope[innermost].depth > 1:
            raise self._fault(
                UnsupportedNode, f"{node.op} over another list inside a list (a cross product) is not supported", node
            )


class Mapper(Protocol):
    """A change of one column of a record."""

    def __call__(self, part: Expression, /) -> Expression: ...


def _zipped(record: Record) -> Record:
    fields = {n: _zipped(v) if isinstance(v, Record) else v for n, v in record.fields.items()}
    return replace(record, fields=fields, zipped=True)


def _conjuncts(node: Node) -> Iterator[Node]:
    if isinstance(node, BoolOp) and node.op == "and":
        yield from _conjuncts(node.left)
        yield from _conjuncts(node.right)
    else:
        yield node


def _depth(node: Node, scope: Scope) -> int:
    """List levels between the dataset and what an operator on this source takes for the row."""
    match node:
        case Name(id=name):
            return scope[name].depth if name in scope else 1
        case Attribute(value=inner) | Subscript(value=inner):
            return _depth(inner, scope)
        case Linq(source=inner):
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
        case Constant(value=value):
            return f"the literal {value!r} here"
    return f"{type(node).__name__.lower()} here"
