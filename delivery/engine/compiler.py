"""From a query's tree to its plan: the chain of operators on the dataset, as stages of selections.

What stands inside the lambdas is the work of `delivery.engine.terms`.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from delivery.engine.expressions import Expression
from delivery.engine.forms import general
from delivery.engine.header import ColumnType, Header
from delivery.engine.plan import STREAM, Plan, Selection, Stage
from delivery.engine.scope import EventRecord, Scope, Term, Unknown, Value
from delivery.engine.shapes import leaf_type, ndim
from delivery.engine.terms import Terms
from delivery.engine.values import ROWS, no_rows
from delivery.errors import DepthMismatch, QueryFault, UnknownBranch, UnsupportedNode, nearest
from queries.printer import unparse
from queries.syntax import Attribute, BoolOp, Call, Constant, Lambda, Linq, List, Name, Node

STREAMING = ("Where", "Select", "SelectMany")  # operators that need one row at a time
RESULTS = {  # operators that only say what the client wants the result as, and which argument names the columns
    "ResultTTree": 1, "ResultParquet": 1, "ResultPandasDF": 1, "ResultAwkwardArray": 1,
    "AsROOTTTree": 3, "AsParquetFiles": 2, "AsPandasDF": 1, "AsAwkwardArray": 1,
}  # fmt: skip


def compile_query(node: Node, text: str, header: Header, *, strict: bool = False) -> Plan:
    """Plan of a canonical tree on a file with this header; `text` is what the spans point into.

    Raises UnknownBranch (for all unknown branches at once), UnsupportedNode, DepthMismatch, BadLiteral, UnknownName,
    NotAFunction.
    """
    return Compiler(text, header, strict=strict).plan(node)


def run_tail(plan: Plan, text: str, rows: Any, *, strict: bool) -> Any:
    """The rest of a query on all of its rows (an ``ak.Array``): an array, a record, a number or None."""
    assert plan.tail is not None  # noqa: S101
    terms = Terms(text, NoHeader(), strict=strict)
    stream = Term(terms.expressions.column(STREAM, rows), 0)
    value = terms.term(plan.tail, Scope({STREAM: stream})).value
    return general(value.sample) if isinstance(value, Expression) else value


class NoHeader:
    """What a tail knows of files: nothing."""

    file = tree = ""

    def names(self) -> list[str]:
        """No branches."""
        return []

    def column_type(self, name: str) -> ColumnType | str:
        """Never asked."""
        raise KeyError(name)


class Compiler:
    """Compiles one query for one file."""

    def __init__(self, text: str, header: Header, *, strict: bool) -> None:
        self._text, self._header, self._strict = text, header, strict
        self._terms = Terms(text, header, strict=strict)
        self._stages: list[Stage] = []
        self._selections: list[Selection] = []
        self._tail: Node | None = None

    def plan(self, node: Node) -> Plan:
        """The whole query."""
        try:
            value = self._stream(node)
            output = self._terms.array(value, node, "the result")
        except QueryFault as fault:
            self._report_missing(fault)
            raise
        self._report_missing(None)
        self._end_stage({})
        return Plan(
            tuple(self._stages),
            output,  # type: ignore[arg-type] # not Unknown: reported
            self._tail,
            self._terms.operators.warnings,
            whole=isinstance(value, EventRecord),
        )

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
        if isinstance(node, Call):
            return self._call(node)
        if not isinstance(node, Linq):
            problem = "a query must be a chain of operators on EventDataset"
            raise self._terms.fault(UnsupportedNode, problem, node)
        row = self._stream(node.source)
        if self._tail is not None or node.op not in STREAMING:
            return self._whole(row, node)
        function = node.args[0]
        assert isinstance(function, Lambda)  # noqa: S101 - the parser has seen to it
        (name,) = function.params
        scope = Scope({name: Term(row, 1)}, (name,))
        if node.op == "Where":
            return self._select_rows(row, function, scope)
        value = self._terms.term(function.body, scope).value
        if isinstance(value, bool | int | float | str | None):
            value = self._terms.filled(value, row, function.body)
        shaped = self._terms.shaped(value, 1, function.body)
        return shaped if node.op == "Select" else self._explode(shaped, node)

    def _call(self, node: Call) -> Value:
        """The dataset itself, or a call around a stream that says nothing of its values."""
        name, args = _called(node)
        if name == "EventDataset":
            if len(node.args) > 2:
                problem = f"EventDataset takes a file and a tree, not {len(node.args)} arguments"
                raise self._terms.fault(UnsupportedNode, problem, node)
            return EventRecord()
        if name in ("MetaData", "QMetaData") and args:
            return self._stream(args[0])
        if name in RESULTS and args:
            row = self._stream(args[0])
            place = RESULTS[name]
            return row if self._tail is not None or len(args) <= place else self._named(row, args[place], node)
        problem = f"a query begins with EventDataset, not with {name or 'this call'}"
        raise self._terms.fault(UnsupportedNode, problem, node)

    def _named(self, row: Value, columns: Node, node: Call) -> Value:
        """The row's columns with the names that a Result… operator gives them."""
        items = columns.items if isinstance(columns, List) else (columns,)
        names = [item.value for item in items if isinstance(item, Constant) and isinstance(item.value, str)]
        value = self._terms.array(row, node, "the result")
        if isinstance(value, Unknown) or len(names) < len(items) or not names:
            return value
        parts = [value] if not value.fields else [
            self._terms.operators.apply("field", node, value, parameter=name) for name in value.fields
        ]  # fmt: skip
        if len(parts) != len(names):
            problem = f"{len(names)} names for {len(parts)} columns"
            raise self._terms.fault(DepthMismatch, problem, columns)
        return self._terms.operators.apply("zip", node, *parts, parameter=(tuple(names), 1))

    def _whole(self, row: Value, node: Linq) -> Value:
        """An operator that needs all rows at once: from here on the query is the plan's tail."""
        if self._tail is None:
            self._tail = Name(STREAM, node.source.span)
            if node.op == "Count":
                row = self._terms.expressions.column(ROWS, no_rows())
        self._tail = replace(node, source=self._tail)
        return row

    def _select_rows(self, row: Value, function: Lambda, scope: Scope) -> Value:
        text = unparse(function.body)
        parts = list(_conjuncts(function.body))
        values = [self._terms.term(part, scope).value for part in parts]
        if any(isinstance(value, Unknown) for value in values):
            return row
        plain = [value for value in values if isinstance(value, Expression) and isinstance(value.sample, np.ndarray)]
        if len(plain) == len(parts) and (len(parts) > 1 or plain[0].dtype == np.bool_):
            conjuncts = tuple(self._truth(value, part) for value, part in zip(plain, parts, strict=True))
            self._selections.append(Selection(text, conjuncts, any(conjunct.partial for conjunct in conjuncts)))
            return row
        mask = self._terms.term(function.body, scope).value
        if not isinstance(mask, Expression):
            what = "a literal" if isinstance(mask, bool | int | float | str | None) else "no column of the event"
            raise self._terms.fault(UnsupportedNode, f"the predicate is {what}", function.body)
        if leaf_type(mask) != "bool":
            raise self._terms.fault(DepthMismatch, f"the predicate is {leaf_type(mask)}, not bool", function.body)
        return self._select_by(mask, row, text, function.body)

    def _select_by(self, mask: Expression, row: Value, text: str, node: Node) -> Value:
        """A predicate that can be missing, or that has one value per object."""
        apply = self._terms.operators.apply
        if ndim(mask) > 1:  # chooses objects of every column, no events
            if self._strict:
                problem = "the predicate has one value per object; reduce it with Any, All or Count"
                raise self._terms.fault(DepthMismatch, problem, node)
            self._selections.append(Selection(text, (), False))
            return self._indexed(row, mask, node)
        kept = apply("fill_none", node, mask, parameter=not self._strict)
        self._selections.append(Selection(text, (kept,), True))
        return row if self._strict else self._indexed(row, mask, node)

    def _indexed(self, row: Value, mask: Expression, node: Node) -> Value:
        if isinstance(row, EventRecord):
            return EventRecord((*row.indices, mask))
        value = self._terms.array(row, node, "Where")
        return value if isinstance(value, Unknown) else self._terms.operators.apply("index", node, value, mask)

    def _truth(self, value: Expression, node: Node) -> Expression:
        """One bool per row: whether the number is not 0."""
        if value.dtype == np.bool_:
            return value
        return self._terms.operators.apply("elementwise", node, value, True, parameter="logical_and")

    def _explode(self, value: Value, node: Linq) -> Value:
        """Make the items of each row's list the rows."""
        if isinstance(value, Unknown):
            return value
        lists = self._terms.array(value, node, "SelectMany")
        if isinstance(lists, Unknown):
            return lists
        if general(lists.sample).layout.purelist_depth == 1:
            what = "columns; Zip them first" if lists.fields else f"one value ({lists.type})"
            raise self._terms.fault(DepthMismatch, f"SelectMany needs a list in each row, this has {what}", node)
        apply = self._terms.operators.apply
        names = lists.fields if lists.operation == "zip" and lists.parameter[1] != 1 else []  # type: ignore[index]
        parts = [apply("field", node, lists, parameter=name) for name in names] or [lists]
        columns = {f"{len(self._stages) + 1}:{number}": part for number, part in enumerate(parts)}
        self._end_stage(columns)
        rows = [
            self._terms.expressions.column(name, apply("flatten", node, part, parameter=1).sample)
            for name, part in columns.items()
        ]
        if not names:
            return rows[0]
        return apply("zip", node, *rows, parameter=(None if lists.is_tuple else tuple(names), 1))


def _called(node: Call) -> tuple[str, tuple[Node, ...]]:
    """Name and arguments of a call, whether it is spelt as a function or as a method."""
    match node.func:
        case Name(id=name):
            return name, node.args
        case Attribute(value=source, name=name):
            return name, (source, *node.args)
    return "", ()


def _conjuncts(node: Node) -> Iterator[Node]:
    if isinstance(node, BoolOp) and node.op == "and":
        yield from _conjuncts(node.left)
        yield from _conjuncts(node.right)
    else:
        yield node
