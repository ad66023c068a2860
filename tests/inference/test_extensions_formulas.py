"""Rate formulas: the same numbers as Python's own arithmetic, and nothing else than arithmetic."""

import math

import jax.numpy as jnp
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import inference.likelihood.compiled  # noqa: F401  (double precision)
from inference.extensions.formulas import FormulaDocument, parse
from inference.extensions.operators import formula

LABELS = ("a", "b", "c")
POINT = {"a": 0.7, "b": -1.3, "c": 2.1}
FUNCTIONS = {"exp": math.exp, "log": math.log, "sqrt": math.sqrt, "abs": math.fabs, "min": min, "max": max}


def values(texts, point):
    """What the operator computes."""
    document = FormulaDocument(operator="formula", name="f", formulas={"o": tuple(texts)})
    trees, arrays = document.program({"o": len(texts), **dict.fromkeys(LABELS, 1)})
    outputs, residuals = formula(jnp.asarray([point[label] for label in document.reads]), trees, arrays)
    assert residuals.shape == (0,)
    return outputs.tolist()


def value(text, point):
    [found] = values([text], point)
    return found


def binary(children):
    return st.tuples(children, st.sampled_from(["+", "-", "*", "/"]), children).map(lambda t: f"({t[0]} {t[1]} {t[2]})")


def calls(children):
    one = st.tuples(st.sampled_from(["exp", "log", "sqrt", "abs"]), children).map(lambda t: f"{t[0]}({t[1]})")
    two = st.tuples(st.sampled_from(["min", "max"]), children, children).map(lambda t: f"{t[0]}({t[1]}, {t[2]})")
    return st.one_of(one, two)


def powers(children):
    return st.tuples(children, st.sampled_from(["2", "3", "0", "0.5", "-1", "b"])).map(lambda t: f"({t[0]}) ** {t[1]}")


TEXTS = st.recursive(
    st.one_of(st.sampled_from(LABELS), st.floats(0.01, 50).map(repr), st.integers(0, 9).map(str)),
    lambda children: st.one_of(
        binary(children),
        calls(children),
        powers(children),
        children.map(lambda t: f"-{t}"),
        children.map("+({})".format),
    ),
    max_leaves=12,
)


@settings(max_examples=500, deadline=None)
@given(TEXTS, st.floats(-3, 3), st.floats(-3, 3), st.floats(0.1, 3))
def test_numbers_are_those_of_pythons_arithmetic(text, a, b, c):
    point = {"a": a, "b": b, "c": c}
    try:
        # written by this test alone; a power that is complex is no number here
        expected = eval(text, {"__builtins__": {}}, {**FUNCTIONS, **point})
    except (ZeroDivisionError, ValueError, OverflowError, TypeError):
        assume(False)
    assume(isinstance(expected, int | float) and math.isfinite(expected) and abs(expected) < 1e100)
    found = value(text, point)
    # differences of large numbers lose digits in either
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 + 2 * 3 ** 2", 19),
        ("-a ** 2", -0.49),
        ("2 ** 3 ** 2", 512),
        ("a - b - c", 0.7 + 1.3 - 2.1),
        ("min(a, b, c) + max(a, b, c)", 0.8),
        ("exp(log(c)) / sqrt(c * c)", 1),
        ("'a' + 1", 1.7),
        (" (a) ", 0.7),
    ],
)
def test_precedence_is_that_of_arithmetic(text, expected):
    assert value(text, POINT) == pytest.approx(expected, rel=1e-14)


def test_labels_are_identifiers_elements_and_quoted_text():
    assert parse("mu * bins[2] + 'JES scale (2018)' - mu").labels == ("mu", "bins[2]", "JES scale (2018)")


def test_formulas_that_differ_in_names_and_numbers_are_one_program():
    one, other = parse("a * exp(2.5 - b)").form, parse("c * exp(7.1 - a)").form
    assert one[0] == other[0]
    assert one[1:] == (("a", "b"), (2.5,))
    assert other[1:] == (("c", "a"), (7.1,))


def test_many_formulas_give_what_each_gives_alone():
    """Of three forms, not one after the other; one without parameters."""
    texts = ["a * exp(2.5 - b)", "3", "c + a", "c * exp(7.1 - a)", "a + a", "5", "b * exp(1 - c)"]
    assert values(texts, POINT) == pytest.approx([value(text, POINT) for text in texts], rel=1e-15)


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "a.__class__",
        "open('file')",
        "(lambda: 1)()",
        "[x for x in (1, 2)]",
        "a if b else c",
        "a < b",
        "a and b",
        "a := 1",
        "a[b]",
        "a[0][1]",
        "a[True]",
        "f'{a}'",
        "exp(x=a)",
        "exp(*a)",
        "True",
        "1j",
        "a // b",
        "a % b",
        "a @ b",
        "~a",
        "not a",
        "a, b",
        "",
        "1 +",
        "(" * 500 + "a" + ")" * 500,
        "-" * 200 + "a",
        "+".join("a" * 200),
        "1" + "0" * 400,
        "1e999",
        "a" * 20_000,
        "exp()",
        "exp(a, b)",
        "min(a)",
        "sin(a)",
    ],
)
def test_nothing_else_is_a_formula(text):
    with pytest.raises(ValueError, match=r"formula|function|argument|nested|large"):
        parse(text)
