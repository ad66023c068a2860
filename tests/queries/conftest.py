"""Random queries, and their spelling in every way that the language allows."""

import ast
import keyword
import re
from collections.abc import Callable
from itertools import count
from types import SimpleNamespace

import pytest
from hypothesis import strategies as st

from queries.linq import LINQ
from queries.printer import unparse
from queries.syntax import (
    BINARY_OPERATORS,
    BOOLEAN_OPERATORS,
    COMPARE_OPERATORS,
    UNARY_OPERATORS,
    Attribute,
    Binary,
    BoolOp,
    Call,
    Compare,
    Constant,
    Dict,
    If,
    Lambda,
    Linq,
    List,
    Name,
    Node,
    Subscript,
    Unary,
    children,
)

Draw = Callable[[st.SearchStrategy], object]

FREE_NAMES = ("abs", "np", "e", "x", "v0", "_v1", "EventSource")
FIELDS = st.sampled_from(("Jet_pt", "pt", "Jet.pt", "a b", "é", 'it"s', "it's"))
CONSTANTS = st.one_of(
    st.booleans(),
    st.none(),
    st.integers(0, 10**20),
    st.floats(0, allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\\"), max_size=6),
)


@st.composite
def trees(draw: Draw, depth: int = 3) -> Node:
    """Trees as `parse` gives them; every lambda variable has a name of its own, q0_, q1_, …"""
    return _tree(draw, depth, (), count())


def _tree(draw: Draw, depth: int, scope: tuple[str, ...], fresh: count) -> Node:
    def inner() -> Node:
        return _tree(draw, depth - 1, scope, fresh)

    def some() -> tuple[Node, ...]:
        return tuple(inner() for _ in range(draw(st.integers(0, 2))))

    def function(n: int) -> Lambda:
        params = tuple(f"q{next(fresh)}_" for _ in range(n))
        return Lambda(params, _tree(draw, depth - 1, scope + params, fresh))

    def linq() -> Node:
        op = draw(st.sampled_from(sorted(LINQ)))
        source = inner()
        return Linq(op, source, tuple(function(n) if n else inner() for n in LINQ[op]))

    def columns() -> Node:
        values = some()
        return Dict(tuple(Constant(draw(FIELDS)) for _ in values), values)

    leaves = (
        lambda: Name(draw(st.sampled_from(FREE_NAMES + scope))),
        lambda: Constant(draw(CONSTANTS)),
        lambda: Attribute(Name(draw(st.sampled_from(FREE_NAMES + scope))), draw(FIELDS)),
    )
    composites = (
        lambda: List(some()),
        columns,
        lambda: Attribute(inner(), draw(FIELDS)),
        lambda: Subscript(inner(), inner()),
        lambda: Call(inner(), some()),
        lambda: If(inner(), inner(), inner()),
        lambda: Unary(draw(st.sampled_from(UNARY_OPERATORS)), inner()),
        lambda: Binary(draw(st.sampled_from(BINARY_OPERATORS)), inner(), inner()),
        lambda: Compare(draw(st.sampled_from(COMPARE_OPERATORS)), inner(), inner()),
        lambda: BoolOp(draw(st.sampled_from(BOOLEAN_OPERATORS)), inner(), inner()),
        lambda: function(draw(st.integers(0, 2))),
        linq,
        linq,
        linq,
    )
    return draw(st.sampled_from(composites if depth else leaves))()


def spelt(draw: Draw, node: Node) -> str:
    """Text of `node` with random white space, LINQ operators in a random one of their spellings."""

    def space(least: int = 1) -> str:
        return draw(st.text(" \n\t\r", min_size=least, max_size=2))

    def composite(kind: str, *texts: str) -> str:
        return f"({space(0)}{kind}{''.join(space() + text for text in texts)}{space(0)})"

    def text(node: Node) -> str:
        match node:
            case Name() | Constant():
                return unparse(node)
            case Unary(op="-", operand=Constant(value=int() | float() as value)) if not isinstance(value, bool):
                return draw(st.sampled_from((f"-{unparse(node.operand)}", composite("-", text(node.operand)))))
            case Attribute():
                return composite("attr", text(node.value), repr(node.name))
            case Lambda():
                return composite("lambda", composite("list", *node.params), text(node.body))
            case Dict():
                parts = [composite("list", *map(text, items)) for items in (node.keys, node.values)]
                return composite("dict", *parts)
            case Linq():
                return operator(node)
        kind = getattr(node, "op", type(node).__name__.lower())
        return composite(kind, *map(text, children(node)))

    def operator(node: Linq) -> str:
        source, *args = map(text, children(node))
        way = draw(st.sampled_from(("node", "function", "method")))
        if way == "node":
            return composite(node.op, source, *args)
        if way == "function":
            return composite("call", node.op, source, *args)
        return composite("call", composite("attr", source, repr(node.op)), *args)

    return f"{space(0)}{text(node)}{space(0)}"


@pytest.fixture(scope="session")
def random_tree() -> Callable[[Draw], Node]:
    return lambda draw: draw(trees())


@pytest.fixture(scope="session")
def spell() -> Callable[[Draw, Node], str]:
    return spelt


class Sequence(list):
    """A list with the LINQ operators that the analyses' queries use, in plain Python."""

    def Where(self, predicate):
        return Sequence(item for item in self if predicate(item))

    def Select(self, function):
        return Sequence(function(item) for item in self)

    def Count(self):
        return len(self)


def zipped(columns: dict) -> Sequence:
    return Sequence(
        SimpleNamespace(**dict(zip(columns, row, strict=True))) for row in zip(*columns.values(), strict=True)
    )


def events_of(arrays) -> Sequence:
    """The events of an awkward array, jagged columns as Sequences."""
    lists = {field: arrays[field].to_list() for field in arrays.fields}
    rows = zip(*lists.values(), strict=True)
    return Sequence(
        SimpleNamespace(**{k: Sequence(v) if isinstance(v, list) else v for k, v in zip(lists, row, strict=True)})
        for row in rows
    )


def interpret(query, events: Sequence) -> Sequence:
    """What func_adl means: the query's expression run by Python itself, event by event and object by object."""
    text = re.sub(r"(\{[^{}]*\})\.Zip\(\)", r"zipped(\1)", ast.unparse(query.query_ast))
    operators = {
        "EventDataset": lambda *_: events,
        "Where": Sequence.Where,
        "Select": Sequence.Select,
        "SelectMany": lambda source, function: Sequence(item for event in source for item in function(event)),
        "zipped": zipped,
    }
    return eval(text, operators)


@pytest.fixture(scope="session")
def run_in_python() -> Callable:
    """run_in_python(query, awkward array of the events) -> list of what the query gives for each."""
    return lambda query, arrays: interpret(query, events_of(arrays))


assert not any(keyword.iskeyword(name) for name in FREE_NAMES)
