"""Operators that take a lambda: Select, SelectMany, Where, Any, All, OrderBy.

Where the peer pairs all items with all (a cross product) is told by how the query is written: see `_product`. In strict
semantics every list of an outer variable that is run over inside another list's lambda makes one: see `_attached`,
and a value that does not depend on a lambda's variable is there for each of its items: see `_for_each`.
"""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from delivery.engine.expressions import Expression
from delivery.engine.scope import Container, EventRecord, Scope, Term, Unknown, Value, written
from delivery.engine.shapes import check_lists, depth_of, leaf_type, ndim
from delivery.engine.values import ROWS, no_rows
from delivery.errors import DepthMismatch, UnsupportedNode
from queries.syntax import Attribute, Lambda, Linq, Name, Node, names_in

if TYPE_CHECKING:
    from delivery.engine.terms import Terms


class LambdaOperators:
    """The operators with a lambda, on behalf of `Terms`."""

    def __init__(self, terms: "Terms") -> None:
        self._terms = terms

    def select(self, node: Linq, scope: Scope) -> Term:
        """What the lambda gives for the items."""
        return self._projected(node, scope)[0]

    def _projected(self, node: Linq, scope: Scope) -> tuple[Term, int]:
        """What the lambda gives for the items, as Select shapes it, and the depth of these items' list."""
        terms = self._terms
        source = terms.term(node.source, scope)
        if isinstance(source.value, Unknown):
            return source, source.depth or 0
        function = _lambda(node)
        inside = scope.inside(function.params[0])
        if terms.strict:
            source = self._attached(node, source, scope)
        depth = depth_of(source, node, self._terms.fault)
        variables = {function.params[0]: Term(source.value, depth + 1)}
        limit = depth + 1
        if not terms.strict and _is_product(node.source, inside.stack):
            variables = self._product(source, depth, function.params[0], inside, node)
            depth, limit = depth + 1, depth + 2
        inner = inside.bound(variables)
        items = variables[function.params[0]].value
        body = terms.term(function.body, inner)
        value = self._for_each(body, function.body, variables[function.params[0]]) if terms.strict else body.value
        if isinstance(value, bool | int | float | str | None):
            value = terms.filled(value, items, function.body)
        return Term(terms.shaped(value, limit, function.body), depth), depth

    def _product(self, source: Term, depth: int, name: str, inside: Scope, node: Linq) -> dict[str, Term]:
        """The enclosing lambda's variable and the source, all items of the one paired with all of the other."""
        enclosing = inside.stack[-2]
        outer = inside.variables[enclosing]
        left = self._terms.array(outer.value, node, "a cross product")
        right = self._terms.array(source.value, node.source, node.op)
        if isinstance(left, Unknown) or isinstance(right, Unknown):
            return {name: Term(Unknown(), depth + 1)}
        pairs = self._terms.operators.apply("cartesian", node, left, right, parameter=depth)
        sides = [self._terms.operators.apply("field", node, pairs, parameter=side) for side in "01"]
        return {enclosing: Term(sides[0], outer.depth), name: Term(sides[1], depth + 1)}

    def _attached(self, node: Linq, source: Term, scope: Scope) -> Term:
        """Strict semantics: the source once for each item of the innermost list whose variable the lambda uses.

        If it uses none, the answer is the same for all their items; `_for_each` repeats it where they are needed.
        """
        high = innermost(node.args[0], scope)
        if high is None or source.depth is None or not isinstance(source.value, Expression):
            return source
        around, depth = high
        if source.depth >= depth or not isinstance(around, Expression):
            return source
        parameter = (source.depth, depth)
        return Term(self._terms.operators.apply("cross", node, around, source.value, parameter=parameter), depth)

    def _for_each(self, given: Term, body: Node, variable: Term) -> Value:
        """Strict semantics: what a lambda gives without use of its variable, once for each item all the same."""
        (items, depth), (value, low) = variable, given
        if not isinstance(items, Expression) or depth is None or depth < 2:
            return value
        if isinstance(value, Container):
            parts = [(name, Term(inner, value.depths.get(name))) for name, inner in value.fields.items()]
            fields = {name: self._for_each(part, written(body, name), variable) for name, part in parts}
            return replace(value, fields=fields, depths=dict.fromkeys(fields, depth))
        if isinstance(value, EventRecord):
            problem = "this is the whole event, once for each item of a list; name the columns that are wanted"
            raise self._terms.fault(DepthMismatch, problem, body)
        if isinstance(value, bool | int | float):
            rows = self._terms.expressions.column(ROWS, no_rows())
            value, low = self._terms.filled(value, rows, body), 1
        if not isinstance(value, Expression):
            return value
        low = low or 1
        apply = self._terms.operators.apply
        if low == 1 and depth == 2 and isinstance(value.sample, np.ndarray):
            return apply("broadcast", body, value, items)
        return value if low >= depth else apply("cross", body, items, value, parameter=(low, depth))

    def select_many(self, node: Linq, scope: Scope) -> Term:
        """The lists that the lambda gives, those of a row put one after the other."""
        term, depth = self._projected(node, scope)
        lists = self._terms.array(term.value, node, "SelectMany")
        if not isinstance(lists, Expression):
            return Term(lists, depth)
        check_lists(lists, depth + 1, node, self._terms.fault)
        return Term(self._terms.operators.apply("flatten", node, lists, parameter=depth + 1), depth)

    def test(self, node: Linq, scope: Scope) -> Term:
        """Any and All: whether the predicate holds for one item of each list, or for all."""
        term, depth = self._projected(node, scope)
        mask = self._terms.array(term.value, node, node.op)
        if not isinstance(mask, Expression):
            return Term(mask, depth)
        if ndim(mask) <= depth:
            source = self._terms.term(node.source, scope).value
            if isinstance(source, Expression):
                check_lists(source, depth, node, self._terms.fault)
            raise self._terms.fault(DepthMismatch, f"the predicate of {node.op} says nothing of the items", node)
        self._check_one(mask, depth, node, f"the predicate of {node.op}")
        return Term(self._terms.operators.apply(node.op.lower(), node, mask, parameter=depth), depth)

    def _body(self, node: Linq, scope: Scope) -> tuple[Term, Term]:
        """The source, and the lambda's plain value for its items."""
        source = self._terms.term(node.source, scope)
        function = _lambda(node)
        inside = scope.inside(function.params[0]) if node.op == "Where" else scope
        if self._terms.strict:
            source = self._attached(node, source, scope)
        variable = Term(source.value, depth_of(source, node, self._terms.fault) + 1)
        inner = inside.bound({function.params[0]: variable})
        body = self._terms.term(function.body, inner)
        if self._terms.strict and isinstance(body.value, Expression):
            body = body._replace(value=self._for_each(body, function.body, variable))
        return source, body

    def where(self, node: Linq, scope: Scope) -> Term:
        """The items for which the predicate holds."""
        source, body = self._body(node, scope)
        items = self._terms.array(source.value, node.source, "Where")
        mask = self._terms.argument(body.value, node.args[0])
        if not isinstance(items, Expression):
            return Term(items, source.depth)
        if isinstance(mask, Expression):
            return Term(self.chosen(items, self._mask(mask, items, source, node), node), source.depth)
        if isinstance(mask, bool | int | float | str | None):
            raise self._terms.fault(UnsupportedNode, "the predicate is a literal", node.args[0])
        return Term(items, source.depth)

    def _mask(self, mask: Expression, items: Expression, source: Term, node: Linq) -> Expression:
        """The predicate of a Where, checked to say something of each item."""
        terms, depth = self._terms, source.depth or 0
        kind = leaf_type(mask)
        if kind != "bool":
            raise terms.fault(DepthMismatch, f"the predicate is {kind}, not bool", node.args[0])
        if not depth:  # the whole dataset
            return mask
        check_lists(items, depth, node, self._terms.fault)
        if terms.strict:
            mask = terms.operators.apply("fill_none", node, mask, parameter=False)
        if ndim(mask) > depth:
            return mask
        raise terms.fault(DepthMismatch, "the predicate of Where says nothing of the items", node.args[0])

    def _check_one(self, value: Expression, depth: int, node: Linq, what: str) -> None:
        """Strict semantics: a predicate or key is one value for each item, no list."""
        if self._terms.strict and ndim(value) > depth + 1:
            problem = f"{what} gives a list for each item; reduce it with Any, All, Count, Sum or the like"
            raise self._terms.fault(DepthMismatch, problem, node.args[0])

    def chosen(self, items: Expression, index: Expression, node: Node) -> Expression:
        """Items of lists picked by a mask (or by the numbers that argsort gives)."""
        if leaf_type(index) != "bool" and index.operation != "argsort":
            raise self._terms.fault(DepthMismatch, f"items are chosen by bool, not by {leaf_type(index)}", node)
        if ndim(index) > ndim(items):
            raise self._terms.fault(DepthMismatch, "the mask has deeper lists than what it is to choose from", node)
        return self._terms.operators.apply("index", node, items, index)

    def order(self, node: Linq, scope: Scope) -> Term:
        """OrderBy and OrderByDescending: the items in the order of their keys, equal ones as they stood."""
        source, body = self._body(node, scope)
        items = self._terms.array(source.value, node.source, node.op)
        keys = self._terms.array(body.value, node.args[0], f"the key of {node.op}")
        if not (isinstance(items, Expression) and isinstance(keys, Expression)):
            return Term(items, source.depth)
        check_lists(keys, source.depth or 0, node, self._terms.fault)
        self._check_one(keys, source.depth or 0, node, f"the key of {node.op}")
        ascending = node.op == "OrderBy"
        order = self._terms.operators.apply("argsort", node, keys, parameter=(source.depth, ascending))
        return Term(self._terms.operators.apply("index", node, items, order), source.depth)


def _lambda(node: Linq) -> Lambda:
    """The operator's lambda, of one variable (the parser has seen to it)."""
    function = node.args[0]
    assert isinstance(function, Lambda)  # noqa: S101
    return function


def innermost(node: Node, scope: Scope) -> tuple[Value, int] | None:
    """The deepest variable of those whose items are in lists that a node uses, and its depth."""
    terms = [scope.variables[name] for name in sorted(set(names_in(node))) if name in scope.variables]
    inside = [(part.value, part.depth or 0) for term in terms for part in parts_of(term)]
    inside = [part for part in inside if part[1] > 1]
    return max(inside, key=lambda part: part[1], default=None)


def parts_of(term: Term) -> list[Term]:
    """The columns of a dict or list of the query, each with its depth; of any other value itself."""
    if not isinstance(term.value, Container):
        return [term]
    parts = [Term(value, term.value.depths.get(name)) for name, value in term.value.fields.items()]
    return [inner for part in parts for inner in parts_of(part)]


def _is_product(source: Node, stack: tuple[str, ...]) -> bool:
    """Whether the peer pairs all items with all: the source is `name` or `name.attr` of a grandparent's variable."""
    if isinstance(source, Attribute):
        source = source.value
    return isinstance(source, Name) and source.id in stack[:-2]
