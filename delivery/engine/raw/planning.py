"""From a sub-query and a tree's header to what is read and kept: a cut on events, and the columns."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import awkward as ak
import numpy as np

from delivery.engine.expressions import Expression, Expressions
from delivery.engine.header import Header
from delivery.engine.raw.filters import filter_of, name_filter
from delivery.engine.raw.request import SubQuery
from delivery.engine.raw.terms import Terms
from delivery.engine.raw.texts import Text
from delivery.engine.values import Lists
from delivery.errors import DepthMismatch, UnknownBranch, nearest

Typenames: TypeAlias = Callable[[], Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class CompiledTree:
    """What one sub-query makes of one tree.

    ``cut`` is one bool per event (None: all events are kept); ``columns`` are evaluated on the events that are kept.
    ``filters_objects``: the cut has one value per object, so it is part of every column and no event is dropped.
    """

    cut: Expression | None
    columns: dict[str, Expression]
    filters_objects: bool = False

    def conjuncts(self) -> tuple[Expression, ...]:
        """The conditions that the cut joins with ``&``."""
        return () if self.cut is None else tuple(_conjuncts(self.cut))


def compile_raw(
    subquery: SubQuery, selection: str, header: Header, expressions: Expressions, typenames: Typenames
) -> CompiledTree:
    """The sub-query's cut and columns for a tree with this header.

    `selection` is what spans point into; `typenames` gives the C++ types of the branches, for `filter_typename`.
    Raises UnknownBranch (for all missing names at once), UnsupportedNode, DepthMismatch, BadLiteral, NotAFunction and
    what `language.parse` raises. No columns at all means that the filters fit no branch.
    """
    terms = Terms(header, expressions, subquery.aliases, selection, subquery.standard_axis)
    columns = _columns(subquery, terms, typenames)
    cut = None if subquery.cut is None else terms.compiled(subquery.cut)
    if terms.missing:
        known = [*header.names(), *subquery.aliases]
        near = {name: nearest(name, known) for name in terms.missing}
        places = {name: span for name, span in terms.missing.items() if span is not None}
        raise UnknownBranch(header.file, header.tree, near, selection, places)
    selected = _selected(columns, terms, selection)
    if subquery.cut is None or cut is None:
        return CompiledTree(selected, columns)
    if selected is not None or terms.kept(cut) is not None:
        problem = "an expression selects events (a boolean per event as subscript) beside a cut; put all into the cut"
        raise _at(subquery.cut, selection, DepthMismatch, problem)
    return _with_cut(columns, cut, subquery.cut, terms, selection)


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


def _selected(columns: dict[str, Expression], terms: Terms, selection: str) -> Expression | None:
    """The mask of the events that all columns are of."""
    masks = {terms.kept(column) for column in columns.values()}
    if len(masks) < 2:
        return next(iter(masks), None)
    text = next(name for name, column in columns.items() if terms.kept(column) is not None)
    raise _at(text, selection, DepthMismatch, "the columns are of different events; put the condition into the cut")


def _with_cut(columns: dict[str, Expression], cut: Expression, text: str, terms: Terms, selection: str) -> CompiledTree:
    """Columns under a cut: NumPy's truth of each value, per event or per object."""
    whole = _whole(text, selection)
    try:
        mask = cut if cut.dtype == np.bool_ else terms.elementwise("not_equal", cut, 0, span=whole)
    except (TypeError, ValueError) as error:
        raise _at(text, selection, DepthMismatch, f"the cut has no truth value: {error}") from error
    if mask.jagged:
        found = {}
        for name, column in columns.items():
            try:
                found[name] = terms.indexed(column, mask, whole)
            except (TypeError, ValueError, LookupError) as error:
                problem = f"the cut has one value per object, and the column {name} has none that they could select"
                raise _at(text, selection, DepthMismatch, problem) from error
        return CompiledTree(None, found, filters_objects=True)
    if isinstance(mask.sample, ak.Array):  # with missing values, whose events stay as missing rows
        found = {name: terms.indexed(column, mask, whole) for name, column in columns.items()}
        return CompiledTree(terms.true_or_missing(mask, whole), found)
    return CompiledTree(mask, columns)


def _whole(text: str, selection: str) -> tuple[int, int]:
    whole = Text.of(text, selection)
    return whole.span(whole.parsed.node)


def _at(text: str, selection: str, kind: type[DepthMismatch], problem: str) -> Exception:
    whole = Text.of(text, selection)
    return whole.fault(kind, problem, whole.parsed.node)


def _conjuncts(cut: Expression) -> Iterator[Expression]:
    if cut.operation == "elementwise" and cut.parameter == "bitwise_and":
        parts = [part for part in cut.arguments if isinstance(part, Expression)]
        if len(parts) == 2 and all(_is_event_mask(part) for part in parts):
            for part in parts:
                yield from _conjuncts(part)
            return
    yield cut


def _is_event_mask(part: Expression) -> bool:
    return not part.jagged and not isinstance(part.sample, ak.Array | Lists) and part.dtype == np.bool_
