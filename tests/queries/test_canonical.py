"""What leaves the digest alone, and what changes it."""

import re

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from queries.canonical import canonical, digest
from queries.linq import LINQ
from queries.parser import parse
from queries.printer import unparse
from queries.syntax import (
    BINARY_OPERATORS,
    COMPARE_OPERATORS,
    Attribute,
    Binary,
    BoolOp,
    Compare,
    Constant,
    Dict,
    Lambda,
    Linq,
    List,
    Name,
    Node,
    Unary,
    children,
    walk,
    with_children,
)

many = settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))


@many
@given(data=st.data())
def test_names_of_variables_white_space_and_spelling_do_not_matter(data, random_tree, spell):
    tree = random_tree(data.draw)
    one, other = spell(data.draw, tree), spell(data.draw, tree)
    numbers = [int(found) for found in re.findall(r"\bq(\d+)_\b", one)]
    new = data.draw(st.permutations(range(max(numbers, default=-1) + 1)))
    stem = data.draw(st.sampled_from(["a", "v", "_v", "Jet_pt"]))
    renamed = re.sub(r"\bq(\d+)_\b", lambda match: f"{stem}{new[int(match[1])]}w", other)
    assert digest(one) == digest(tree) == digest(renamed)


@many
@given(data=st.data())
def test_the_canonical_form_is_a_query_of_the_same_digest(data, random_tree):
    tree = random_tree(data.draw)
    form = canonical(tree)
    assert canonical(form) == form
    assert digest(unparse(form)) == digest(tree)


@many
@given(data=st.data())
def test_any_change_of_meaning_changes_the_digest(data, random_tree):
    tree = random_tree(data.draw)
    target = data.draw(st.sampled_from(list(walk(tree))))
    changed = with_change(tree, target, data.draw)
    assume(changed is not None)
    assert digest(changed) != digest(tree)


def with_change(tree: Node, target: Node, draw) -> Node | None:
    """The tree with the one node `target` changed; None if there is nothing to change about it."""
    if tree is target:
        return a_change(target, draw)
    below = children(tree)
    for i, child in enumerate(below):
        if any(node is target for node in walk(child)):
            new = with_change(child, target, draw)
            return None if new is None else with_children(tree, [*below[:i], new, *below[i + 1 :]])
    raise AssertionError


def a_change(node: Node, draw) -> Node | None:
    def another(value, among):
        return draw(st.sampled_from([item for item in among if item != value]))

    match node:
        case Constant(value=bool() | None):
            return Constant(1 if node.value else 0)
        case Constant(value=int()):
            return Constant(draw(st.sampled_from([float(node.value), node.value + 1, str(node.value)])))
        case Constant(value=float()):
            return Constant(node.value + 1 if node.value < 1e9 else 0.5)
        case Constant(value=str()):
            return Constant(node.value + "x")
        case Name():
            return Name(node.id + "x")
        case Attribute():
            return Attribute(node.value, node.name + "x")
        case Unary():
            return Unary(another(node.op, ("not", "~", "+", "-")), node.operand)
        case Binary():
            return Binary(another(node.op, BINARY_OPERATORS), node.left, node.right)
        case Compare():
            return Compare(another(node.op, COMPARE_OPERATORS), node.left, node.right)
        case BoolOp():
            return BoolOp(another(node.op, ("and", "or")), node.left, node.right)
        case List():
            return List((*node.items, Constant(1)))
        case Dict() if len(node.keys) > 1 and (node.keys[0], node.values[0]) != (node.keys[1], node.values[1]):
            return Dict(
                (node.keys[1], node.keys[0], *node.keys[2:]), (node.values[1], node.values[0], *node.values[2:])
            )
        case Linq():
            alike = [op for op, takes in LINQ.items() if takes == LINQ[node.op]]
            return Linq(another(node.op, alike), node.source, node.args) if len(alike) > 1 else None
        case Lambda():
            return Lambda(("extra_", *node.params), node.body)
    return None


SAME = {
    "variables": ["(lambda (list a) (+ a b))", "(lambda (list c) (+ c b))"],
    "shadowing": [
        "(lambda (list e) (lambda (list e) e))",
        "(lambda (list x) (lambda (list y) y))",
        "(lambda (list v1) (lambda (list v0) v0))",
    ],
    "shadowing twice": [
        "(lambda (list e) (lambda (list e) (lambda (list x) (+ e x))))",
        "(lambda (list a) (lambda (list b) (lambda (list c) (+ b c))))",
    ],
    "siblings": [
        "(+ (Count (Where e (lambda (list x) x))) (Count (Where e (lambda (list x) x))))",
        "(+ (Count (Where e (lambda (list x) x))) (Count (Where e (lambda (list y) y))))",
    ],
    "free names like ours": ["(lambda (list a) (+ a v0))", "(lambda (list b) (+ b v0))"],
    "file": ["(call EventDataset 'bogus.root' 'Events')", "(call EventDataset 'data.root' 'Events')"],
    "file only": ["(call EventDataset)", "(call EventDataset 'data.root')"],
    "empty metadata": [
        "(Count e)",
        "(Count (call MetaData e (dict (list) (list))))",
        "(Count (call (attr e 'MetaData') (dict (list) (list))))",
    ],
    "metadata": [
        "(call MetaData e (dict (list 'a') (list 1)))",
        "(call (attr e 'MetaData') (dict (list 'a') (list 1)))",
    ],
    "quotes": ["(attr e 'x')", '(attr e "x")', r"(attr e '\x78')"],
    "numbers": ["(list 1.0 .5 1e3)", "(list 1. 0.5 1000.0)"],
    "minus": ["-5", "(- 5)"],
    "names in the file's name": [
        "(Where (call EventDataset v0 'Events') (lambda (list e) e))",
        "(Where (call EventDataset 'x' 'Events') (lambda (list e) e))",
    ],
}


@pytest.mark.parametrize("texts", SAME.values(), ids=SAME.keys())
def test_the_same_meaning_has_one_digest(texts):
    assert len({digest(text) for text in texts}) == 1


DIFFERENT = {
    "literals": ["1", "1.0", "True", "'1'", "-1", "0", "False", "0.0", "-0.0", "None"],
    "captured": [
        "(lambda (list e) (lambda (list x) e))",
        "(lambda (list e) (lambda (list x) x))",
        "(lambda (list e) (lambda (list e) v0))",
        "(lambda (list e) (lambda (list e) v1))",
    ],
    "bound or free": ["(lambda (list a) a)", "(lambda (list a) b)", "(lambda (list a) v0)", "(lambda (list a) _v0)"],
    "order of variables": ["(lambda (list a b) (- a b))", "(lambda (list a b) (- b a))"],
    "columns": [
        "(dict (list 'a' 'b') (list x y))",
        "(dict (list 'b' 'a') (list y x))",
        "(dict (list 'a' 'b') (list y x))",
    ],
    "tree": [
        "(call EventDataset)",
        "(call EventDataset 'bogus.root' 'Events')",
        "(call EventDataset 'bogus.root' 'events')",
    ],
    "metadata": ["e", "(call MetaData e (dict (list 'a') (list 1)))", "(call MetaData e (dict (list 'a') (list 2)))"],
    "attribute or item": ["(attr e 'x')", "(subscript e 'x')"],
    "grouping": ["(and (and a b) c)", "(and a (and b c))"],
    "text in text": ["(list 'a' 'b')", "(list \"a' 'b\")"],
    "list or dict": ["(list)", "(dict (list) (list))"],
}


@pytest.mark.parametrize("texts", DIFFERENT.values(), ids=DIFFERENT.keys())
def test_different_meanings_have_different_digests(texts):
    assert len({digest(text) for text in texts}) == len(texts)


def test_a_variable_called_event_dataset_is_a_variable():
    assert digest("(lambda (list EventDataset) (call EventDataset 'a' 'b'))") == digest(
        "(lambda (list f) (call f 'a' 'b'))"
    )


def test_the_digest_is_of_the_canonical_text_and_a_format_number():
    # Written down once: a change here means that every kept result of a query is computed anew.
    text = "(Where (call EventDataset 'f' 'Events') (lambda (list e) (> (attr e 'x') 1)))"
    assert unparse(canonical(parse(text))) == (
        "(Where (call EventDataset 'bogus.root' 'Events') (lambda (list v0) (> (attr v0 'x') 1)))"
    )
    assert len(digest(text)) == 64
    assert digest(text) == digest(parse(text)) == digest(canonical(parse(text)))
