"""From a query's tree to its plan: the chain of operators on the dataset, as stages of selections.

What stands inside the lambdas is the work of `delivery.engine.terms`.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from delivery.engine.expressions import Expression, flat
from delivery.engine.header import Header
from delivery.engine.plan import Plan, Record, Selection, Shape, Stage
from delivery.engine.terms import EventRecord, Scope, Terms, Unknown, Value, Variable, single_lambda
from delivery.errors import DepthMismatch, QueryFault, UnknownBranch, UnsupportedNode, nearest
from queries.printer import unparse
from queries.syntax import BoolOp, Call, Lambda, Linq, Name, Node


def compile_query(node: Node, text: str, header: Header) -> Plan:
    """Plan of a canonical tree on a file with this header; `text` is what the spans point into.

    Raises UnknownBranch (for all unknown columns at once), UnsupportedNode, DepthMismatch, BadLiteral, UnknownName.
    """
    return Compiler(text, header).plan(node)


class Compiler:
    """Compiles one query for one file."""

    def __init__(self, text: str, header: Header) -> None:
        self._text, self._header = text, header
        self._terms = Terms(text, header)
        self._stages: list[Stage] = []
        self._selections: list[Selection] = []

    def plan(self, node: Node) -> Plan:
        """The whole query."""
        try:
            output = self._output(self._stream(node), node)
        except QueryFault as fault:
            self._report_missing(fault)
            raise
        self._report_missing(None)
        self._end_stage({})
        return Plan(tuple(self._stages), output)

    def _report_missing(self, fault: QueryFault | None) -> None:
        """Columns that the file lacks come before any other fault, which may only follow from them."""
        missing = self._terms.missing
        if missing:
            known = self._header.names()
            near = {name: nearest(name, known) for name in missing}
            raise UnknownBranch(self._header.file, self._header.tree, near, self._text, missing) from fault

    def _end_stage(self, exploded: dict[str, Expression]) -> None:
        self._stages.append(Stage(tuple(self._selections), exploded))
        self._selections = []

    def _stream(self, node: Node) -> Value:
        """Value of one row of a dataset-level expression."""
        if isinstance(node, Call) and node.func == Name("EventDataset"):
            return EventRecord()
        if not isinstance(node, Linq):
            problem = "a query must be a chain of operators on EventDataset"
            raise self._terms.fault(UnsupportedNode, problem, node)
        row = self._stream(node.source)
        if node.op not in ("Where", "Select", "SelectMany"):
            problem = f"{node.op} of the whole dataset is not supported; on events: Where, Select, SelectMany"
            raise self._terms.fault(UnsupportedNode, problem, node)
        function = single_lambda(node, self._terms.fault)
        scope = {function.params[0]: Variable(row, 1)}
        if node.op == "Where":
            self._select_rows(function, scope)
            return row
        value = self._terms.value(function.body, scope)
        return value if node.op == "Select" else self._explode(value, node)

    def _select_rows(self, function: Lambda, scope: Scope) -> None:
        parts = list(_conjuncts(function.body))
        found = [self._predicate(part, scope, alone=len(parts) == 1) for part in parts]
        conjuncts = tuple(value for value in found if value is not None)
        ordered = any(conjunct.partial for conjunct in conjuncts)
        self._selections.append(Selection(unparse(function.body), conjuncts, ordered))

    def _predicate(self, node: Node, scope: Scope, alone: bool) -> Expression | None:
        """A conjunct as one bool per row; None if it follows from an unknown column."""
        value = self._terms.value(node, scope)
        if isinstance(value, Unknown):
            return None
        if not isinstance(value, Expression):
            raise self._terms.fault(DepthMismatch, "the predicate is no column of the event", node)
        if value.jagged:
            problem = "the predicate has one value per object; reduce it with Any, All or Count"
            raise self._terms.fault(UnsupportedNode, problem, node)
        if value.dtype == np.bool_:
            return value
        if alone:
            raise self._terms.fault(DepthMismatch, f"the predicate is {value.dtype}, not bool", node)
        return self._terms.operators.truth(value, node)

    def _explode(self, value: Value, node: Linq) -> Value:
        """Make the items of each row's list the rows."""
        if isinstance(value, Unknown):
            return value
        shape = self._terms.shape(value, node)
        if not (shape.zipped if isinstance(shape, Record) else shape.jagged):
            what = "columns; Zip them first" if isinstance(shape, Record) else "a number"
            problem = f"SelectMany needs a list in each row, this has {what}"
            raise self._terms.fault(DepthMismatch, problem, node)
        exploded: dict[str, Expression] = {}
        row = self._flattened(shape, exploded)
        self._end_stage(exploded)
        return row

    def _flattened(self, shape: Shape, exploded: dict[str, Expression]) -> Shape:
        """The shape of one item; its columns are new ones, noted in `exploded`."""
        if isinstance(shape, Record):
            inner = {name: self._flattened(inner, exploded) for name, inner in shape.fields.items()}
            return replace(shape, fields=inner, zipped=False)
        name = f"{len(self._stages) + 1}:{len(exploded)}"
        exploded[name] = shape
        return self._terms.expressions.column(name, flat(shape.sample))

    def _output(self, value: Value, node: Node) -> Shape:
        if isinstance(value, EventRecord):
            names = [n for n in self._header.names() if not isinstance(self._header.column_type(n), str)]
            return Record({name: self._terms.shape(self._terms.column(name, node), node) for name in names})
        if isinstance(value, Unknown):
            return Record({})  # never used: the unknown columns are reported
        return self._terms.shape(value, node)


def _conjuncts(node: Node) -> Iterator[Node]:
    if isinstance(node, BoolOp) and node.op == "and":
        yield from _conjuncts(node.left)
        yield from _conjuncts(node.right)
    else:
        yield node
