"""Functions that a query may call: a closed list. NumPy's functions number by number, and Python's own on lists."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from delivery.engine.expressions import Argument, Expression
from delivery.engine.four_vectors import METHODS, is_vector
from delivery.engine.operators import numpy_function
from delivery.engine.scope import Container, Scope, Term, Unknown
from delivery.engine.shapes import check_lists
from delivery.engine.values import ROWS, no_rows
from delivery.errors import DepthMismatch, NotAFunction, QueryFault, UnknownName, UnsupportedNode, nearest
from queries.linq import LINQ
from queries.syntax import Attribute, Call, If, Lambda, Linq, List, Name, Node

if TYPE_CHECKING:
    from delivery.engine.terms import Terms

NUMPY_FUNCTIONS = tuple(name for name in vars(np) if numpy_function(name))
MODULES = ("np", "numpy", "math")
CONSTANTS: Mapping[str, float] = {"pi": np.pi, "e": np.e, "inf": np.inf, "nan": np.nan, "tau": 2 * np.pi}

# Names that `math` has and NumPy spells otherwise, and names that the engine's other front ends use.
ALIASES: Mapping[str, str] = {
    "acos": "arccos", "acosh": "arccosh", "asin": "arcsin", "asinh": "arcsinh", "atan": "arctan", "atan2": "arctan2",
    "atanh": "arctanh", "pow": "power", "abs": "absolute", "degrees": "degrees", "radians": "radians",
    "concat": "concatenate", "round": "rint",
}  # fmt: skip
REDUCTIONS: Mapping[str, str] = {
    "sum": "sum", "min": "min", "max": "max", "any": "any", "all": "all", "amin": "min", "amax": "max", "mean": "mean",
    "len": "count",
}  # fmt: skip
PAIRWISE: Mapping[str, str] = {"min": "minimum", "max": "maximum"}


class Calls:
    """Calls inside lambdas, on behalf of `Terms`."""

    def __init__(self, terms: "Terms") -> None:
        self._terms = terms
        self._functions: Mapping[str, Callable[[Call, Scope], Term]] = {
            "where": self._where,
            "clip": self._clip,
            "list": self._list,
            "zip": self._zip,
            "range": self._range,
            "Range": self._range,
        }

    def call(self, node: Call, scope: Scope) -> Term:
        """Value of a call that is no LINQ operator."""
        match node.func:
            case Name(id=name):
                return self._function(name, node, scope)
            case Attribute(value=Name(id=module), name=name) if module in MODULES and module not in scope.variables:
                return self._function(name, node, scope)
            case Attribute(value=source, name=name):
                return self._method(source, name, node, scope)
            case Lambda(params=params, body=body):
                self._arity(node, len(params), f"{len(params)} argument(s)")
                values = [self._terms.term(arg, scope) for arg in node.args]
                return self._terms.term(body, scope.bound(dict(zip(params, values, strict=True))))
        raise self._terms.fault(NotAFunction, "only a function's name or a method can be called", node.func)

    def _function(self, name: str, node: Call, scope: Scope) -> Term:
        if name in scope.variables:
            raise self._terms.fault(NotAFunction, f"{name!r} is a variable, which cannot be called", node.func)
        if name == "EventDataset":
            raise self._terms.fault(UnsupportedNode, "EventDataset can stand only at the query's beginning", node)
        if name in self._functions:
            return self._functions[name](node, scope)
        if name in REDUCTIONS and len(node.args) == 1:
            return self._reduce(REDUCTIONS[name], node, scope)
        ufunc = PAIRWISE.get(name) if len(node.args) == 2 else None
        ufunc = ufunc or ALIASES.get(name, name)
        if numpy_function(ufunc):
            return self._terms.elementwise(ufunc, node, node.args, scope)
        spelt = name if isinstance(node.func, Name) else f"{node.func.value.id}.{name}"  # type: ignore[attr-defined]
        if name in CONSTANTS and "." in spelt:
            raise self._terms.fault(NotAFunction, f"{spelt!r} is a number, which cannot be called", node.func)
        known = [*LINQ, *self._functions, *REDUCTIONS, *ALIASES, *NUMPY_FUNCTIONS]
        near = nearest(name, known)
        raise self._terms.fault(NotAFunction, f"unknown function {spelt!r}", node.func, spelt, near)

    def _method(self, source: Node, name: str, node: Call, scope: Scope) -> Term:
        term = self._terms.term(source, scope)
        if name in ("ToFourMomentum", "ToFourMomenta"):
            return self._vectors(term, name, node)
        if isinstance(term.value, Expression) and name not in METHODS:
            raise self._no_method(name, node)
        others = [self._terms.term(arg, scope) for arg in node.args]
        term, *others = self._terms.together([term, *others], node)
        arguments = [self._terms.argument(other.value, arg) for other, arg in zip(others, node.args, strict=True)]
        if isinstance(term.value, Unknown) or any(isinstance(argument, Unknown) for argument in arguments):
            return term._replace(value=Unknown())
        if not (isinstance(term.value, Expression) and is_vector(term.value.sample)):
            raise self._no_method(name, node)
        known_arguments = [argument for argument in arguments if not isinstance(argument, Unknown | Container)]
        value = self._terms.operators.apply("method", node, term.value, *known_arguments, parameter=name)
        depth = others[0].depth if others else None
        if self._terms.strict:
            depth = self._terms.depth(each.depth for each in (term, *others))
        return term._replace(value=value, depth=term.depth if depth is None else depth)

    def _no_method(self, name: str, node: Call) -> QueryFault:
        problem = f"there is no operator or method {name!r} here"
        if name in METHODS:
            problem += "; it is one of four-vectors, which ToFourMomentum() makes of records"
        elif numpy_function(ALIASES.get(name, name)):
            problem += f"; write np.{name}(…)"
        near = nearest(name, [*LINQ, *METHODS, "ToFourMomentum", "ToFourMomenta"])
        return self._terms.fault(NotAFunction, problem, node.func, name, near if name not in METHODS else ())

    def _vectors(self, term: Term, name: str, node: Call) -> Term:
        terms, value = self._terms, term.value
        if isinstance(value, Container) and name == "ToFourMomentum":
            columns = terms.columns(value, node, name, None)
            known = [column for column in columns if isinstance(column, Expression)]
            names = tuple(value.fields) if value.is_dict else None
            if len(known) < len(columns):
                return term._replace(value=Unknown())
            value = terms.operators.apply("zip", node, *known, parameter=(names, None))
        if isinstance(value, Unknown):
            return term
        if not isinstance(value, Expression) or not value.fields:
            problem = f"{name} needs records of pt, eta, phi and mass (or the like); Zip() makes them of columns"
            raise terms.fault(DepthMismatch, problem, node)
        return term._replace(value=terms.operators.apply("four_vectors", node, value))

    def _reduce(self, operation: str, node: Call, scope: Scope) -> Term:
        source = self._terms.term(node.args[0], scope)
        spelt = node.func.id if isinstance(node.func, Name) else operation
        lists = self._terms.array(source.value, node, spelt)
        if isinstance(lists, Unknown):
            return source
        check_lists(lists, source.depth or 0, node, self._terms.fault, spelt)
        return self._terms.lists.reduced(operation, lists, source, node)

    def _where(self, node: Call, scope: Scope) -> Term:
        self._arity(node, 3, "a condition and two values")
        test, yes, no = node.args
        return self._terms.term(If(test, yes, no, node.span), scope)

    def _clip(self, node: Call, scope: Scope) -> Term:
        self._arity(node, 3, "a column and two limits")
        column, low, high = node.args
        raised = Call(Attribute(Name("np"), "maximum"), (column, low), node.span)
        return self._terms.elementwise("minimum", node, (raised, high), scope)

    def _list(self, node: Call, scope: Scope) -> Term:
        self._arity(node, 1, "a list")
        return self._terms.term(node.args[0], scope)

    def _zip(self, node: Call, scope: Scope) -> Term:
        return self._terms.term(Linq("Zip", List(node.args, node.span), (), node.span), scope)

    def _range(self, node: Call, scope: Scope) -> Term:
        """Whole numbers from 0 (or the first argument) to before the last."""

        if not 1 <= len(node.args) <= 2:
            raise self._terms.fault(UnsupportedNode, "Range takes a start and a stop", node)
        terms = [self._terms.term(arg, scope) for arg in node.args]
        bounds = [self._terms.argument(term.value, arg) for term, arg in zip(terms, node.args, strict=True)]
        known = [bound for bound in bounds if not isinstance(bound, Unknown)]
        if len(known) < len(bounds):
            return terms[0]._replace(value=Unknown())
        rows = self._terms.expressions.column(ROWS, no_rows())
        columns = [self._whole(bound, rows, node) for bound in (0, *known)[-2:]]
        value = self._terms.operators.apply("ranges", node, *columns)
        return terms[0]._replace(value=value, depth=1)

    def _whole(self, bound: Argument, rows: Expression, node: Node) -> Expression:
        """A bound as one whole number per event."""
        if isinstance(bound, int) and not isinstance(bound, bool) and abs(bound) < 2**31:
            return self._terms.operators.apply("full_like", node, rows, parameter=(bound, "int64"))
        if isinstance(bound, Expression) and bound.dtype is not None and bound.dtype.kind in "iu" and not bound.jagged:
            return bound
        raise self._terms.fault(DepthMismatch, "Range needs whole numbers, one per event", node)

    def _arity(self, node: Call, count: int, what: str) -> None:
        if len(node.args) != count:
            raise self._terms.fault(UnsupportedNode, f"this function takes {what}, not {len(node.args)}", node)


def module_constant(node: Attribute, scope: Scope, terms: "Terms") -> float | None:
    """The value of `np.pi` and its like; None if the node is no constant of a module."""
    if not isinstance(node.value, Name) or node.value.id not in MODULES or node.value.id in scope.variables:
        return None
    if node.name not in CONSTANTS:
        near = ", ".join(nearest(node.name, CONSTANTS) or CONSTANTS)
        raise terms.fault(UnknownName, f"{node.value.id} has no constant {node.name!r} here; known: {near}", node)
    return CONSTANTS[node.name]
