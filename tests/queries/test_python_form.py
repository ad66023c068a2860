"""Queries written in Python and read back."""

import ast
import keyword

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from queries.linq import from_python
from queries.parser import parse
from queries.python_form import to_python
from queries.syntax import Attribute, Constant, Node, Subscript, children, with_children


@pytest.mark.parametrize(
    ("text", "python"),
    [
        ("(Where events (lambda (list e) (> (attr e 'met') 20)))", "events.Where(lambda e: e.met > 20)"),
        ("(and (and a b) (or c (and d e)))", "a and b and (c or (d and e))"),
        ("(* (+ 1 2) -3)", "(1 + 2) * -3"),
        ("(attr e 'Jet.pt')", "e['Jet.pt']"),
        ("(attr e 'class')", "e['class']"),
        ("(dict (list 'a') (list (call (attr e 'Count'))))", "{'a': e.Count()}"),
        ("(if (not a) (subscript b 0) (list 1 'x'))", "b[0] if not a else [1, 'x']"),
    ],
)  # fmt: skip
def test_as_people_write_it(text, python):
    assert to_python(parse(text)) == python


def plain_names(node: Node) -> Node:
    """The tree with columns of odd names taken by subscript, as Python has to write them."""
    node = with_children(node, [plain_names(child) for child in children(node)])
    if isinstance(node, Attribute) and not (node.name.isidentifier() and not keyword.iskeyword(node.name)):
        return Subscript(node.value, Constant(node.name))
    return node


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_python_reads_it_as_the_same_query(data, random_tree):
    tree = random_tree(data.draw)
    assert from_python(ast.parse(to_python(tree), mode="eval").body, unify=True) == plain_names(tree)
