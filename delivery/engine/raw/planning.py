"""From a sub-query and a tree's header to what is read and kept: a cut on events, and the columns."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

from delivery.engine.expressions import FALLIBLE, Expression, Expressions, unequal
from delivery.engine.header import Header
from delivery.engine.raw.building import Builder, is_bool
from delivery.engine.raw.filters import filter_of, name_filter
from delivery.engine.raw.functions import TOTAL, RawCall
from delivery.engine.raw.request import SubQuery
from delivery.engine.raw.terms import Terms
from delivery.engine.raw.texts import Text
from delivery.errors import DeliveryError, DepthMismatch, UnknownBranch, nearest

Typenames: TypeAlias = Callable[[], Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class CompiledTree:
    """What one sub-query makes of one tree.

    ``cut`` is one bool per event (None: all events are kept); ``columns`` are evaluated on the events that are kept.
    ``filters_objects``: the cut has one value per object, so it is part of every column and no event is dropped.
    ``warnings`` are sentences on answers that may not be what was meant.
    """

    cut: Expression | None
    columns: dict[str, Expression]
    filters_objects: bool = False
    warnings: tuple[str, ...] = ()

    def conjuncts(self) -> tuple[Expression, ...]:
        """The conditions that the cut joins with ``&``."""
        return () if self.cut is None else tuple(_conjuncts(self.cut))


def compile_raw(
    subquery: SubQuery,
    selection: str,
    header: Header,
    expressions: Expressions,
    typenames: Typenames,
    *,
    strict: bool = False,
) -> CompiledTree:
    """The sub-query's cut and columns for a tree with this header.

    `selection` is what spans point into; `typenames` gives the C++ types of the branches, for `filter_typename`;
    ``strict`` as in `Builder`, and an event whose cut is missing is dropped. Raises UnknownBranch (for all missing
    names at once), UnsupportedNode, DepthMismatch, BadLiteral, NotAFunction and what `language.parse` raises. No
    columns at all means that the filters fit no branch.
    """
    terms = Terms(header, Builder(expressions, strict), subquery.aliases, selection, subquery.standard_axis)
    try:
        columns = _columns(subquery, terms, typenames)
        cut = None if subquery.cut is None else terms.compiled(subquery.cut)
    except DeliveryError as fault:
        _report_missing(subquery, terms, fault)
        raise
    _report_missing(subquery, terms, None)
    selected = _selected(columns, terms)
    if subquery.cut is None or cut is None:
        compiled = CompiledTree(selected, columns)
    else:
        text = Text.of(subquery.cut, selection)
        if selected is not None or terms.builder.kept(cut) is not None:
            problem = (
                "an expression selects events (a boolean per event as subscript) beside a cut; put all into the cut"
            )
            raise text.fault(DepthMismatch, problem, text.parsed.node)
        compiled = _with_cut(columns, cut, text, terms.builder)
    known = set(header.names())
    hidden = [f"the alias {name!r} is not used: a branch has this name" for name in subquery.aliases if name in known]
    return replace(compiled, warnings=(*hidden, *terms.builder.accidents.sentences()))


def _report_missing(subquery: SubQuery, terms: Terms, fault: DeliveryError | None) -> None:
    """Names that the file lacks come before any other fault, which may only follow from them."""
    if terms.missing:
        known = [*terms.header.names(), *subquery.aliases]
        near = {name: nearest(name, known) for name in terms.missing}
        places = {name: span for name, span in terms.missing.items() if span is not None}
        raise UnknownBranch(terms.header.file, terms.header.tree, near, terms.selection, places) from fault


def _columns(subquery: SubQuery, terms: Terms, typenames: Typenames) -> dict[str, Expression]:
    """The columns by name; those that follow from a missing name are left out."""
    if subquery.expressions is None:
        return {name: terms.column(name) for name in _let_through(subquery, terms.header, typenames)}
    found = {text: terms.compiled(text) for text in subquery.expressions}
    return {text: value for text, value in found.items() if value is not None}


def _let_through(subquery: SubQuery, header: Header, typenames: Typenames) -> Iterator[str]:
    """Branches that the filters let through and that can be read."""
    by_name, by_type = name_filter(subquery.filter_name), filter_of(subquery.filter_typename)
    types = {} if subquery.filter_typename is None else typenames()
    for name in header.names():
        if by_name(name) and by_type(types.get(name, "")) and not isinstance(header.column_type(name), str):
            yield name


def _selected(columns: dict[str, Expression], terms: Terms) -> Expression | None:
    """The mask of the events that all columns are of."""
    masks = {terms.builder.kept(column) for column in columns.values()}
    if len(masks) < 2:
        return next(iter(masks), None)
    name = next(name for name, column in columns.items() if terms.builder.kept(column) is not None)
    text = Text.of(name, terms.selection)
    problem = "the columns are of different events; put the condition into the cut"
    raise text.fault(DepthMismatch, problem, text.parsed.node)


def _with_cut(columns: dict[str, Expression], cut: Expression, text: Text, builder: Builder) -> CompiledTree:
    """Columns under a cut: NumPy's truth of each value, per event or per object."""
    node = text.parsed.node
    mask = cut if is_bool(cut) else builder.elementwise(text, node, "not_equal", [cut, 0])
    if mask.jagged:
        found = {}
        for name, column in columns.items():
            if not column.jagged:
                problem = f"the cut has one value per object, and the column {name} has none that it could select"
                raise text.fault(DepthMismatch, problem, node)
            found[name] = builder.masked(text, node, column, mask)
        return CompiledTree(None, found, filters_objects=True)
    if is_bool(mask):
        return CompiledTree(mask, columns)
    if not mask.optional:
        raise text.fault(DepthMismatch, f"the cut is {cut.type}, which is no truth for each event", node)
    if builder.strict:
        return CompiledTree(builder.filled(text, node, mask, False), columns)
    # An event whose cut is missing stays as a missing row, as in ServiceX.
    found = {name: builder.made(text, node, "index", column, mask) for name, column in columns.items()}
    return CompiledTree(builder.filled(text, node, mask, True), found)


def _conjuncts(cut: Expression) -> Iterator[Expression]:
    waiting, seen = [cut], {cut}
    while waiting:
        whole = waiting.pop()
        parts = [part for part in whole.arguments if isinstance(part, Expression)]
        joins = whole.operation == "elementwise" and whole.parameter == "bitwise_and" and len(parts) == 2
        if not joins or not all(is_bool(part) and not part.jagged for part in parts):
            yield whole
            continue
        fresh = [part for part in dict.fromkeys(reversed(parts)) if part not in seen]
        seen.update(fresh)
        waiting += fresh


def may_fail(expression: Expression) -> bool:
    """Whether an expression can fail on some events, so that conditions beside it must not be tried without it."""
    waiting, seen = [expression], {expression}
    while waiting:
        inner = [argument for argument in waiting[-1].arguments if isinstance(argument, Expression)]
        if _may_fail(waiting.pop(), inner):
            return True
        fresh = [argument for argument in dict.fromkeys(inner) if argument not in seen]
        seen.update(fresh)
        waiting += fresh
    return False


def _may_fail(expression: Expression, inner: list[Expression]) -> bool:
    if expression.operation != "raw":
        return expression.operation in FALLIBLE or unequal(expression.operation, inner)
    total = isinstance(expression.parameter, RawCall) and expression.parameter.function in TOTAL
    return not total or len({argument.lengths for argument in inner if argument.jagged}) > 1
