"""Operators on lists inside lambdas: Count, First, Choose and the like; those with a lambda stand in `lambdas`."""

from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import TYPE_CHECKING

from delivery.engine.expressions import Expression
from delivery.engine.lambdas import LambdaOperators
from delivery.engine.scope import Container, Scope, Term, Unknown
from delivery.engine.shapes import check_lists, depth_of, ndim
from delivery.errors import DepthMismatch, UnsupportedNode
from queries.syntax import Binary, Constant, Lambda, Linq, List, Name, Node, Unary, children, names_in

if TYPE_CHECKING:
    from delivery.engine.terms import Terms

REDUCTIONS: Mapping[str, str] = {"Count": "count", "Sum": "sum", "Min": "min", "Max": "max"}
PLACES: Mapping[str, int] = {"First": 0, "Last": -1}
MAX_CHOICE = 12  # items in a combination


class ListOperators:
    """The LINQ operators, on behalf of `Terms`."""

    def __init__(self, terms: "Terms") -> None:
        self._terms = terms
        lambdas = LambdaOperators(terms)
        self.chosen = lambdas.chosen
        self._operators: Mapping[str, Callable[[Linq, Scope], Term]] = {
            "Select": lambdas.select,
            "SelectMany": lambdas.select_many,
            "Where": lambdas.where,
            "Any": lambdas.test,
            "All": lambdas.test,
            "OrderBy": lambdas.order,
            "OrderByDescending": lambdas.order,
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

    def _source(self, node: Linq, scope: Scope) -> tuple[Term, Expression | None]:
        source = self._terms.term(node.source, scope)
        lists = self._terms.array(source.value, node.source, node.op)
        if not isinstance(lists, Expression):
            return source, None
        check_lists(lists, depth_of(source, node, self._terms.fault), node, self._terms.fault)
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
        check_lists(lists, 1, node, self._terms.fault)
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
        depth = self._terms.depth(term.depth for term in terms)
        if self._terms.strict and terms[0].depth != terms[1].depth:
            problem = "Concat puts a list that depends on a lambda's variable behind one that does not, or the reverse"
            raise self._terms.fault(DepthMismatch, problem, node)
        arrays = [self._terms.array(term.value, node, "Concat") for term in terms]
        known = [array for array in arrays if isinstance(array, Expression)]
        if len(known) < 2:
            return Term(arrays[0], depth)
        for array in known:
            check_lists(array, depth or 0, node, self._terms.fault)
        return Term(self._terms.operators.apply("concatenate", node, *known, parameter=depth or 0), depth)

    def _contains(self, node: Linq, scope: Scope) -> Term:
        value = node.args[0]
        if isinstance(node.source, List):
            return self._one_of(value, node.source.items, node, scope)
        if isinstance(value, List):
            raise self._terms.fault(UnsupportedNode, "Contains looks for one value, not for a list of them", value)
        source, found = self._source(node, scope)
        term = self._terms.term(value, scope)
        wanted = self._terms.argument(term.value, value)
        if found is None or isinstance(wanted, Unknown):
            return Term(Unknown(), source.depth)
        source, term = self._terms.together([source._replace(value=found), term._replace(value=wanted)], node)
        lists, wanted = source.value, self._terms.argument(term.value, value)
        if not isinstance(lists, Expression) or isinstance(wanted, Unknown):
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
        terms = self._terms.together([self._terms.term(item, scope) for item in (value, *literals)], node)
        depth = self._terms.depth(term.depth for term in terms)
        arguments = [self._terms.argument(term.value, node) for term in terms]
        wanted, *others = [argument for argument in arguments if not isinstance(argument, Unknown)] or [None]
        if len(others) < len(literals):
            return Term(Unknown(), depth)
        elementwise = self._terms.operators.elementwise
        found = [elementwise("equal", node, other, wanted) for other in others]
        return Term(reduce(lambda left, right: elementwise("logical_or", node, left, right), found), depth)

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
        arrays = terms.columns(value, node, "Zip", limit)
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
        start, rest = self._terms.together([start, rest], node)
        left, right = self._terms.argument(start.value, seed), self._terms.argument(rest.value, node)
        if isinstance(left, bool | int | float | str | Expression | None) and isinstance(right, Expression):
            return Term(self._terms.operators.elementwise("add", node, left, right), rest.depth)
        return rest

    def _integer(self, node: Node) -> int:
        match node:
            case Constant(value=int() as number) if not isinstance(number, bool):
                return number
            case Unary(op="-", operand=Constant(value=int() as number)) if not isinstance(number, bool):
                return -number
        raise self._terms.fault(UnsupportedNode, "a whole number must be written here", node)


def _step(body: Node, total: str) -> Node | None:
    """What is added to the total in each step, None if the body is no sum."""
    if not isinstance(body, Binary) or body.op != "+":
        return None
    left, right = children(body)
    for side, other in ((left, right), (right, left)):
        if side == Name(total) and total not in set(names_in(other)):
            return other
    return None
