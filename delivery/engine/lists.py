"""Operators on lists inside lambdas: Where, Select, Count and the like.

Where the peer pairs all items with all (a cross product) is told by how the query is written: see `_product`. In strict
semantics every list of an outer variable that is run over inside another list's lambda makes one: see `_attached`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import awkward as ak
import numpy as np

from delivery.engine.expressions import Expression
from delivery.engine.scope import Container, Scope, Term, Unknown, least
from delivery.engine.values import Lists
from delivery.errors import DepthMismatch, UnsupportedNode
from queries.syntax import Attribute, Binary, Constant, Lambda, Linq, List, Name, Node, Unary, children

if TYPE_CHECKING:
    from delivery.engine.terms import Terms

REDUCTIONS: Mapping[str, str] = {"Count": "count", "Sum": "sum", "Min": "min", "Max": "max"}
PLACES: Mapping[str, int] = {"First": 0, "Last": -1}
MAX_CHOICE = 12  # items in a combination


class ListOperators:
    """The LINQ operators, on behalf of `Terms`."""

    def __init__(self, terms: "Terms") -> None:
        self._terms = terms
        self._operators: Mapping[str, Callable[[Linq, Scope], Term]] = {
            "Select": lambda node, scope: self._projected(node, scope)[0],
            "SelectMany": self._select_many,
            "Where": self._where,
            "Any": self._test,
            "All": self._test,
            "OrderBy": self._order,
            "OrderByDescending": self._order,
            "First": self._place,
            "Last": self._place,
            "ElementAt": self._element_at,
            "Choose": self._choose,
            "Concat": self._concat,
            "Contains": self._contains,
            "Zip": self._zip,
            "Aggregate": self._aggregate,
            **dict.fromkeys(REDUCTIONS, self._reduce),
        }

    def linq(self, node: Linq, scope: Scope) -> Term:
        """Value of an operator on a source."""
        return self._operators[node.op](node, scope)

    # ---- operators with a lambda

    def _projected(self, node: Linq, scope: Scope) -> tuple[Term, int]:
        """What the lambda gives for the items, as Select shapes it, and the depth of these items' list."""
        terms = self._terms
        source = terms.term(node.source, scope)
        if isinstance(source.value, Unknown):
            return source, source.depth or 0
        function = _lambda(node)
        inside = scope.inside(function.params[0])
        if terms.strict:
            source = self._attached(node, source, scope, always=node.op in ("Select", "SelectMany"))
        depth = self._depth(source, node)
        variables = {function.params[0]: Term(source.value, depth + 1)}
        limit = depth + 1
        if not terms.strict and _is_product(node.source, inside.stack):
            variables = self._product(source, depth, function.params[0], inside, node)
            depth, limit = depth + 1, depth + 2
        inner = inside.bound(variables)
        items = variables[function.params[0]].value
        value = terms.term(function.body, inner).value
        if isinstance(value, bool | int | float | str | None):
            value = terms.filled(value, items, function.body)
        shaped = terms.shaped(value, limit, function.body)
        if terms.strict and isinstance(shaped, Expression) and isinstance(items, Expression) and depth == 1:
            shaped = self._spread(shaped, items, node)
        return Term(shaped, depth), depth

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

    def _attached(self, node: Linq, source: Term, scope: Scope, *, always: bool) -> Term:
        """Strict semantics: lists of an outer variable, once for each item of the list that encloses this operator.

        Unless ``always``, only if the lambda uses a variable of such a list: else the answer is the same for all.
        """
        lists = [n for n in scope.stack if n in scope.variables and (scope.variables[n].depth or 0) > 1]
        if not lists or not isinstance(source.value, Expression) or source.depth is None:
            return source
        enclosing = scope.variables[lists[-1]]
        high = enclosing.depth or 0
        free = set(_names(node.args[0]))
        if source.depth >= high or not isinstance(enclosing.value, Expression):
            return source
        if not always and not free.intersection(lists):
            return source
        parameter = (source.depth, high)
        spread = self._terms.operators.apply("cross", node, enclosing.value, source.value, parameter=parameter)
        return Term(spread, high)

    def _spread(self, value: Expression, items: Expression, node: Linq) -> Expression:
        """Strict semantics: one value per row repeated for each item of the row's list."""
        if value.jagged or not items.jagged:
            return value
        return self._terms.operators.apply("broadcast", node, value, items)

    def _select_many(self, node: Linq, scope: Scope) -> Term:
        term, depth = self._projected(node, scope)
        lists = self._terms.array(term.value, node, "SelectMany")
        if not isinstance(lists, Expression):
            return Term(lists, depth)
        self.check_lists(lists, depth + 1, node)
        return Term(self._terms.operators.apply("flatten", node, lists, parameter=depth + 1), depth)

    def _test(self, node: Linq, scope: Scope) -> Term:
        term, depth = self._projected(node, scope)
        mask = self._terms.array(term.value, node, node.op)
        if not isinstance(mask, Expression):
            return Term(mask, depth)
        if ndim(mask) <= depth:
            source = self._terms.term(node.source, scope).value
            if isinstance(source, Expression):
                self.check_lists(source, depth, node)
            raise self._terms.fault(DepthMismatch, f"the predicate of {node.op} says nothing of the items", node)
        return Term(self._terms.operators.apply(node.op.lower(), node, mask, parameter=depth), depth)

    def _body(self, node: Linq, scope: Scope) -> tuple[Term, Term]:
        """The source, and the lambda's plain value for its items."""
        source = self._terms.term(node.source, scope)
        function = _lambda(node)
        inside = scope.inside(function.params[0]) if node.op == "Where" else scope
        if self._terms.strict:
            source = self._attached(node, source, scope, always=False)
        variable = Term(source.value, self._depth(source, node) + 1)
        return source, self._terms.term(function.body, inside.bound({function.params[0]: variable}))

    def _where(self, node: Linq, scope: Scope) -> Term:
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
        self.check_lists(items, depth, node)
        if terms.strict:
            mask = terms.operators.apply("fill_none", node, mask, parameter=False)
        if ndim(mask) > depth:
            return mask
        if terms.strict and depth == 1:
            return terms.operators.apply("broadcast", node, mask, items)
        raise terms.fault(DepthMismatch, "the predicate of Where says nothing of the items", node.args[0])

    def chosen(self, items: Expression, index: Expression, node: Node) -> Expression:
        """Items of lists picked by a mask (or by the numbers that argsort gives)."""
        if leaf_type(index) != "bool" and index.operation != "argsort":
            raise self._terms.fault(DepthMismatch, f"items are chosen by bool, not by {leaf_type(index)}", node)
        if ndim(index) > ndim(items):
            raise self._terms.fault(DepthMismatch, "the mask has deeper lists than what it is to choose from", node)
        return self._terms.operators.apply("index", node, items, index)

    def _order(self, node: Linq, scope: Scope) -> Term:
        source, body = self._body(node, scope)
        items = self._terms.array(source.value, node.source, node.op)
        keys = self._terms.array(body.value, node.args[0], f"the key of {node.op}")
        if not (isinstance(items, Expression) and isinstance(keys, Expression)):
            return Term(items, source.depth)
        self.check_lists(keys, source.depth or 0, node)
        ascending = node.op == "OrderBy"
        order = self._terms.operators.apply("argsort", node, keys, parameter=(source.depth, ascending))
        return Term(self._terms.operators.apply("index", node, items, order), source.depth)

    # ---- operators without

    def _source(self, node: Linq, scope: Scope) -> tuple[Term, Expression | None]:
        source = self._terms.term(node.source, scope)
        lists = self._terms.array(source.value, node.source, node.op)
        if not isinstance(lists, Expression):
            return source, None
        self.check_lists(lists, self._depth(source, node), node)
        return source, lists

    def _reduce(self, node: Linq, scope: Scope) -> Term:
        source, lists = self._source(node, scope)
        return source if lists is None else self.reduced(REDUCTIONS[node.op], lists, source, node)

    def reduced(self, operation: str, lists: Expression, source: Term, node: Node) -> Term:
        """One value for each list."""
        value = self._terms.operators.apply(operation, node, lists, parameter=source.depth or 0)
        return source._replace(value=value)

    def _place(self, node: Linq, scope: Scope) -> Term:
        source, lists = self._source(node, scope)
        return source if lists is None else self.at(source, PLACES[node.op], node)

    def _element_at(self, node: Linq, scope: Scope) -> Term:
        source, lists = self._source(node, scope)
        return source if lists is None else self.at(source, self._integer(node.args[0]), node)

    def at(self, source: Term, number: int, node: Node) -> Term:
        """The item with this number of each list; without one an error, in strict semantics a missing value."""
        lists = self._terms.array(source.value, node, "this")
        if not isinstance(lists, Expression):
            return source
        if abs(number) >= 2**31:
            raise self._terms.fault(UnsupportedNode, "no list has as many items", node)
        operation = "at_or_none" if self._terms.strict else "at"
        value = self._terms.operators.apply(operation, node, lists, parameter=(source.depth or 0, number))
        return source._replace(value=value)

    def sliced(self, source: Term, bounds: Sequence[Node], node: Node) -> Term:
        """Some items of each list by their numbers, as Python's slices count them."""
        lists = self._terms.array(source.value, node, "[…]")
        if not isinstance(lists, Expression):
            return source
        self.check_lists(lists, 1, node)
        limits = [None if b == Constant(None) else self._integer(b) for b in bounds]
        parameter = tuple(limits + [None] * (3 - len(limits)))
        return source._replace(value=self._terms.operators.apply("slice", node, lists, parameter=parameter))

    def _choose(self, node: Linq, scope: Scope) -> Term:
        source, lists = self._source(node, scope)
        n = self._integer(node.args[0])
        if not 1 <= n <= MAX_CHOICE:
            raise self._terms.fault(UnsupportedNode, f"Choose takes 1 to {MAX_CHOICE} items, not {n}", node.args[0])
        if lists is None:
            return source
        parameter = (n, source.depth or 0)
        return source._replace(value=self._terms.operators.apply("combinations", node, lists, parameter=parameter))

    def _concat(self, node: Linq, scope: Scope) -> Term:
        terms = [self._terms.term(side, scope) for side in (node.source, node.args[0])]
        depth = least(term.depth for term in terms)
        arrays = [self._terms.array(term.value, node, "Concat") for term in terms]
        known = [array for array in arrays if isinstance(array, Expression)]
        if len(known) < 2:
            return Term(arrays[0], depth)
        for array in known:
            self.check_lists(array, depth or 0, node)
        return Term(self._terms.operators.apply("concatenate", node, *known, parameter=depth or 0), depth)

    def _contains(self, node: Linq, scope: Scope) -> Term:
        value = node.args[0]
        if isinstance(node.source, List):
            return self._one_of(value, node.source.items, node, scope)
        if isinstance(value, List):
            raise self._terms.fault(UnsupportedNode, "Contains looks for one value, not for a list of them", value)
        source, lists = self._source(node, scope)
        wanted = self._terms.argument(self._terms.term(value, scope).value, value)
        if lists is None or isinstance(wanted, Unknown):
            return Term(Unknown(), source.depth)
        depth = source.depth or 0
        apply = self._terms.operators.apply
        if isinstance(wanted, Expression) and ndim(wanted) >= ndim(lists):
            pairs = apply("cartesian", node, wanted, lists, parameter=depth)
            wanted, lists = (apply("field", node, pairs, parameter=side) for side in "01")
            depth += 1
        same = self._terms.operators.elementwise("equal", node, wanted, lists)
        if not isinstance(same, Expression):
            return Term(same, source.depth)
        return Term(apply("any", node, same, parameter=depth), source.depth)

    def _one_of(self, value: Node, literals: Sequence[Node], node: Linq, scope: Scope) -> Term:
        """Whether a value equals one of a list of others."""
        if not literals:
            raise self._terms.fault(UnsupportedNode, "Contains of an empty list is always false", node)
        found: Term | None = None
        for literal in literals:
            equal = self._terms.elementwise("equal", node, (literal, value), scope)
            found = equal if found is None else self._either(found, equal, node)
        return found or equal

    def _either(self, left: Term, right: Term, node: Node) -> Term:
        sides = [self._terms.argument(term.value, node) for term in (left, right)]
        known = [side for side in sides if not isinstance(side, Unknown)]
        value = self._terms.operators.elementwise("logical_or", node, *known) if len(known) == 2 else Unknown()
        return left._replace(value=value, depth=least((left.depth, right.depth)))

    def _zip(self, node: Linq, scope: Scope) -> Term:
        source = self._terms.term(node.source, scope)
        return source._replace(value=self.zipped(source, node))

    def zipped(self, source: Term, node: Node) -> Expression | Unknown:
        """Columns side by side as lists of records."""
        terms, value = self._terms, source.value
        limit = (source.depth or 0) + 1
        if isinstance(value, Unknown):
            return value
        if isinstance(value, Expression) and value.fields:
            columns = {name: terms.operators.apply("field", node, value, parameter=name) for name in value.fields}
            names = None if value.is_tuple else tuple(value.fields)
            return terms.operators.apply("zip", node, *columns.values(), parameter=(names, limit))
        if not isinstance(value, Container):
            raise terms.fault(DepthMismatch, "Zip needs a dict or a tuple of columns", node)
        shaped = [
            terms.shaped(inner, limit, node) if isinstance(inner, Container) else inner
            for inner in value.fields.values()
        ]
        arrays = [terms.array(column, node, "Zip") for column in shaped]
        known = [array for array in arrays if isinstance(array, Expression)]
        if len(known) < len(arrays):
            return Unknown()
        names = tuple(value.fields) if value.is_dict else None
        return terms.operators.apply("zip", node, *known, parameter=(names, limit))

    def _aggregate(self, node: Linq, scope: Scope) -> Term:
        """A fold: only the ones that sums, counts and extremes are written as."""
        seed, function = node.args
        match function:
            case Lambda(params=(total, item), body=body):
                step = _step(body, total)
            case _:
                step = None
        if step is None:
            problem = "Aggregate runs sums only: (lambda total, x: total + …); use Sum, Min, Max or Count for the rest"
            raise self._terms.fault(UnsupportedNode, problem, node)
        summed = Linq(
            "Sum", Linq("Select", node.source, (Lambda((item,), step, function.span),), node.span), (), node.span
        )
        start, rest = self._terms.term(seed, scope), self._terms.term(summed, scope)
        left, right = self._terms.argument(start.value, seed), self._terms.argument(rest.value, node)
        if isinstance(left, bool | int | float | str | Expression | None) and isinstance(right, Expression):
            return Term(self._terms.operators.elementwise("add", node, left, right), rest.depth)
        return rest

    # ---- checks

    def _depth(self, source: Term, node: Linq) -> int:
        if source.depth is None:
            raise self._terms.fault(DepthMismatch, f"{node.op} needs a list, this is a literal", node.source)
        return source.depth

    def check_lists(self, lists: Expression, depth: int, node: Node, name: str = "this") -> None:
        """The value has lists where the operator (or the function of this name) acts."""
        if depth and ndim(lists) <= depth:
            op = node.op if isinstance(node, Linq) else name
            what = "columns side by side; Zip makes a list of them" if lists.fields else f"one value ({lists.type})"
            raise self._terms.fault(DepthMismatch, f"{op} needs a list, this is {what}", node)

    def _integer(self, node: Node) -> int:
        match node:
            case Constant(value=int() as number) if not isinstance(number, bool):
                return number
            case Unary(op="-", operand=Constant(value=int() as number)) if not isinstance(number, bool):
                return -number
        raise self._terms.fault(UnsupportedNode, "a whole number must be written here", node)


def ndim(expression: Expression) -> int:
    """Dimensions of a column: 1 for one value per row, 2 for lists; of records the least of their fields."""
    sample = expression.sample
    if isinstance(sample, ak.Array):
        return int(sample.layout.minmax_depth[0])
    return 2 if isinstance(sample, Lists) else 1


def leaf_type(expression: Expression) -> str:
    """Type of the numbers in a column's innermost lists."""
    sample = expression.sample
    if isinstance(sample, np.ndarray):
        return str(sample.dtype)
    if isinstance(sample, Lists):
        return str(sample.content.dtype)
    layout = sample.layout
    while not (layout.is_numpy or layout.is_record or layout.is_union or layout.is_unknown):
        layout = layout.content
    return str(layout.dtype) if layout.is_numpy else str(layout.form.type)


def _lambda(node: Linq) -> Lambda:
    """The operator's lambda, of one variable (the parser has seen to it)."""
    function = node.args[0]
    assert isinstance(function, Lambda)  # noqa: S101
    return function


def _is_product(source: Node, stack: tuple[str, ...]) -> bool:
    """Whether the peer pairs all items with all: the source is `name` or `name.attr` of a grandparent's variable."""
    if isinstance(source, Attribute):
        source = source.value
    return isinstance(source, Name) and source.id in stack[:-2]


def _step(body: Node, total: str) -> Node | None:
    """What is added to the total in each step, None if the body is no sum."""
    if not isinstance(body, Binary) or body.op != "+":
        return None
    left, right = children(body)
    for side, other in ((left, right), (right, left)):
        if side == Name(total) and total not in set(_names(other)):
            return other
    return None


def _names(node: Node) -> Iterator[str]:
    stack = [node]
    while stack:
        current = stack.pop()
        if isinstance(current, Name):
            yield current.id
        stack.extend(children(current))
