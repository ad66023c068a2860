"""Against the reference parser, `qastle`."""

import ast
import pickle
import re
import warnings

import pytest
import qastle
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from qastle import linq_util

from queries.canonical import digest
from queries.errors import QuerySyntaxError
from queries.linq import LINQ
from queries.parser import parse
from queries.printer import unparse
from queries.syntax import MAX_DEPTH, Binary, Call, Constant, Lambda, Linq, Name, Node, Unary, children, walk

PYTHON_OPERATORS = {
    "not": ast.Not, "~": ast.Invert, "u+": ast.UAdd, "u-": ast.USub,
    "+": ast.Add, "-": ast.Sub, "*": ast.Mult, "/": ast.Div, "%": ast.Mod, "**": ast.Pow, "//": ast.FloorDiv,
    "&": ast.BitAnd, "|": ast.BitOr, "^": ast.BitXor, "<<": ast.LShift, ">>": ast.RShift,
    "and": ast.And, "or": ast.Or,
    "==": ast.Eq, "!=": ast.NotEq, "<": ast.Lt, "<=": ast.LtE, ">": ast.Gt, ">=": ast.GtE,
}  # fmt: skip

# Where we refuse what the reference takes, because it would change or lose a part of the query (see `parse`).
STRICTER = re.compile(
    r"the query is empty|is a keyword of Python|this dict has \d+ keys|has two variables|needs a lambda of \d variable"
)

many = settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))


def reference(text: str) -> str:
    with warnings.catch_warnings(action="ignore"):  # about odd escapes in strings
        return ast.dump(qastle.insert_linq_nodes(qastle.text_ast_to_python_ast(text)).body[0].value)


def as_reference(node: Node) -> str:
    return ast.dump(_python(node))


def _python(node: Node) -> ast.AST:
    below = [_python(child) for child in children(node)]
    match type(node).__name__:
        case "Name":
            return ast.Name(node.id, ast.Load())
        case "Constant":
            return ast.Constant(node.value)
        case "List":
            return ast.List(below, ast.Load())
        case "Dict":
            return ast.Dict(below[: len(node.keys)], below[len(node.keys) :])
        case "Attribute":
            return ast.Attribute(below[0], node.name, ast.Load())
        case "Subscript":
            return ast.Subscript(*below, ast.Load())
        case "Call":
            return ast.Call(below[0], below[1:], [])
        case "If":
            return ast.IfExp(*below)
        case "Unary":
            return ast.UnaryOp(PYTHON_OPERATORS.get("u" + node.op, PYTHON_OPERATORS[node.op])(), below[0])
        case "Binary":
            return ast.BinOp(below[0], PYTHON_OPERATORS[node.op](), below[1])
        case "BoolOp":
            return ast.BoolOp(PYTHON_OPERATORS[node.op](), below)
        case "Compare":
            return ast.Compare(below[0], [PYTHON_OPERATORS[node.op]()], [below[1]])
        case "Lambda":
            arguments = ast.arguments([], [ast.arg(name) for name in node.params], None, [], [], None, [])
            return ast.Lambda(arguments, below[0])
        case "Linq":
            return getattr(linq_util, node.op)(*below)
    raise AssertionError(node)


@many
@given(data=st.data())
def test_generated_queries_parse_print_and_parse_as_the_reference_does(data, random_tree, spell):
    tree = random_tree(data.draw)
    text = spell(data.draw, tree)
    parsed = parse(text)
    assert parsed == tree
    expected = reference(text)
    assert as_reference(parsed) == expected
    printed = unparse(parsed)
    assert reference(printed) == expected
    assert parse(printed) == parsed


@many
@given(data=st.data())
def test_malformed_text_is_refused_as_the_reference_does(data, random_tree, spell):
    text = spell(data.draw, random_tree(data.draw))
    at = data.draw(st.integers(0, len(text)))
    cut = data.draw(st.integers(0, 3))
    extra = data.draw(st.sampled_from(["", "(", ")", " ", "'", '"', "5", "a", "-", "lambda", "é", "(list)", "Where"]))
    broken = text[:at] + extra + text[at + cut :]
    try:
        expected = reference(broken)
    except Exception:  # noqa: BLE001 - the reference has no error type of its own
        expected = None
    try:
        found, reason = as_reference(parse(broken)), ""
    except QuerySyntaxError as error:
        found, reason = None, error.reason
    assert found == expected or STRICTER.search(reason)


SCRAPS = [*"()[]{}'\"\\ \n\t\0.,:-+*<=0159eEabλé\ud800", "lambda e: ", "list ", "e.x"]
NOISE = st.lists(st.sampled_from(SCRAPS), max_size=12).map("".join)


@many
@given(noise=NOISE, frame=st.sampled_from(["{}", "(list {})", "'{}'", "(call Where a 'lambda e: {}')", "(attr e {})"]))
def test_whatever_the_text_the_answer_is_a_tree_or_a_syntax_error(noise, frame):
    text = frame.replace("{}", noise)
    try:
        tree = parse(text)
    except QuerySyntaxError as error:
        tree, message = None, str(error)
    if tree is None:
        assert message.startswith("line ")
    else:
        assert parse(unparse(tree)) == tree
        assert len(digest(tree)) == 64


@many
@given(data=st.data())
def test_spans_hold_the_text_of_their_node(data, random_tree, spell):
    tree = random_tree(data.draw)
    text = spell(data.draw, tree)
    for node in walk(parse(text)):
        assert parse(text[slice(*node.span)]) == node
        assert all(node.span.start < c.span.start and c.span.end <= node.span.end for c in children(node))


@pytest.mark.parametrize(
    "text",
    [
        "-5", "+5", "(- 5)", "(+ 5)", "1.", ".5", "1.e5", "00", "007.5", "1e400", "( list )", "(list 1 2 )", "match",
        r"'a\'b'", r'"a\"b\n"', r"'\x41\u00e9\N{BULLET}'", r"'\d'", "'a\\\nb'", "\t(list\r\n'é')",
        "(call Where a 'lambda e: e.x > 0')",
        "(call (attr a 'Select') 'lambda e: -e.x[0] if e.y else {\"a\": f(1.5)}')",
        "(call Aggregate a 0 'lambda x, y: x + y')",
    ],
)  # fmt: skip
def test_literals_and_python_lambdas_mean_what_the_reference_says(text):
    assert as_reference(parse(text)) == reference(text)
    assert parse(unparse(parse(text))) == parse(text)


def test_the_three_spellings_are_one_operator():
    spellings = [
        "(Where s (lambda (list e) (> e 1)))",
        "(call Where s (lambda (list e) (> e 1)))",
        "(call (attr s 'Where') (lambda (list e) (> e 1)))",
        "(call Where s 'lambda e: e > 1')",
    ]
    first, *others = map(parse, spellings)
    assert isinstance(first, Linq)
    assert all(other == first for other in others)


def test_python_sugar_is_written_out():
    sugar = parse("(call Where s 'lambda e: 0 < e.x < e.y < 5 and e.a and (e.b, 1)')")
    plain = (
        "(Where s (lambda (list e) (and (and (and (and (< 0 (attr e 'x')) (< (attr e 'x') (attr e 'y')))"
        " (< (attr e 'y') 5)) (attr e 'a')) (list (attr e 'b') 1))))"
    )
    assert sugar == parse(plain)


def test_negative_numbers_are_unary_as_in_the_reference():
    assert parse("-5") == Unary("-", Constant(5))
    assert parse(" -5").operand.span == (2, 3)
    assert parse("(- 3 -5)") == Binary("-", Constant(3), Unary("-", Constant(5)))


def test_literals_of_different_types_differ():
    assert len({Constant(1), Constant(1.0), Constant(True)}) == 3
    assert parse("1") != parse("1.0") != parse("True") != parse("1")


@pytest.mark.parametrize(
    ("text", "line", "column", "reason"),
    [
        ("", 1, 1, "empty"),
        ("(selct a b)", 1, 2, "nearest: Select"),
        ("(list\n 1\n  (Wher a))", 3, 4, "nearest: Where"),
        ("(list 1(list))", 1, 8, "space"),
        ("(list 'abc", 1, 7, "no end"),
        ("'a\nb'", 1, 1, "newline"),
        ("(list 1", 1, 1, "never closed"),
        ("(list 1))", 1, 9, "ended before"),
        ("a b", 1, 3, "ended before"),
        (")", 1, 1, "expected an expression"),
        ("()", 1, 1, "node type"),
        ("(attr e x)", 1, 9, "(attr e 'Jet_pt')"),
        ("(dict (list 'a') (list))", 1, 1, "1 keys and 0 values"),
        ("(dict a (list))", 1, 7, "keys of a dict are a list"),
        ("(dict (list) a)", 1, 14, "values of a dict are a list"),
        ("(if a b)", 1, 1, "'if' takes 3"),
        ("(and a b c)", 1, 1, "'and' takes 2"),
        ("(not a b)", 1, 1, "'not' takes 1"),
        ("(call)", 1, 1, "a function and its arguments"),
        ("(Where a)", 1, 1, "a source and a lambda of 1 variable"),
        ("(Where)", 1, 1, "needs a source"),
        ("(call Count)", 1, 1, "needs a source"),
        ("(Count a b)", 1, 1, "a source only"),
        ("(Where a b)", 1, 10, "a lambda of 1 variable"),
        (
            "(Where a 'lambda e: e')",
            1,
            10,
            "a lambda of 1 variable here; a lambda as text stands only in the form (call",
        ),
        ("(Aggregate a 0 (lambda (list x) x))", 1, 16, "a lambda of 2 variables"),
        ("(lambda e e)", 1, 9, "list of names"),
        ("(lambda (list 1) e)", 1, 15, "bare name"),
        ("(lambda (list a a) a)", 1, 17, "two variables"),
        ("(list lambda)", 1, 7, "keyword"),
        ("007", 1, 1, "leading zeros"),
        ("9" * 5000, 1, 1, "too many digits"),
        (r"'\x4'", 1, 1, "string literal"),
        ("0x10", 1, 2, "ended before"),
        ("(list é)", 1, 7, "begins nothing"),
        ("(call Where a 'lambda e: e.x in (1, 2) in e')", 1, 15, "Compare"),
        ("(call Where a 'lambda e: f(e, k=1)')", 1, 15, "f(e, k=1)"),
        ("(call Where a 'lambda e: [i for i, j in e]')", 1, 15, "one plain variable"),
        ("(call Where a 'lambda e: {i for i in e}')", 1, 15, "SetComp"),
        ("(call Where a 'lambda *e: 1')", 1, 15, "Lambda"),
        ("(call Where a 'lambda e: {**e}')", 1, 15, "Dict"),
        ("(call Where a 'lambda e: 1j')", 1, 15, "Constant"),
        ("(call Where a 'lambda e: a @ e')", 1, 15, "BinOp"),
        ("(call Where a 'lambda e: 1 < (1 < e < 2) < 3')", 1, 15, "chained comparison"),
        ("(call Where a 'lambda e: (')", 1, 15, "Python lambda"),
        ("(call Where a 'lambda é: 1')", 1, 15, "Lambda"),
        ("(call Where a 'lambda e: é')", 1, 15, "Name"),
        ("(call Aggregate a 0 'lambda e, e: e')", 1, 21, "Lambda"),
        ("(call Where a 'e')", 1, 15, "a lambda of 1 variable"),
    ],
)
def test_errors_say_where_and_what_would_be_right(text, line, column, reason):
    with pytest.raises(QuerySyntaxError) as caught:
        parse(text)
    error = caught.value
    assert (error.line, error.column) == (line, column)
    assert reason in error.reason
    shown, carets = str(error).splitlines()[-2:]
    assert carets.strip() == "^" * len(carets.strip())
    assert len(carets) <= len(shown) + 1
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_an_error_in_a_long_query_shows_only_its_surroundings():
    text = "(list " + " ".join(f"'column_{i}'" for i in range(200)) + " (attr e x) " + "1 " * 200 + ")"
    with pytest.raises(QuerySyntaxError) as caught:
        parse(text)
    shown, carets = str(caught.value).splitlines()[-2:]
    assert len(shown) < 110
    assert shown[carets.index("^")] == "x"


def test_names_that_begin_like_constants_are_names():
    assert parse("(list true Trueish None)").items[:2] == (Name("true"), Name("Trueish"))


@pytest.mark.parametrize(
    ("python", "meaning"),
    [
        ("e.x in (1, 2)", "(Contains (list 1 2) (attr e 'x'))"),
        ("e.x not in e.y", "(not (Contains (attr e 'y') (attr e 'x')))"),
        ("e[1:2]", "(subscript e (call slice 1 2 None))"),
        ("e[:-1]", "(subscript e (call slice None (- 1) None))"),
        ("[i + 1 for i in e if i > 0]", "(Select (Where e (lambda (list i) (> i 0))) (lambda (list i) (+ i 1)))"),
        ("any(i for i in e)", "(call any (Select e (lambda (list i) i)))"),
        ("[i * j for i in e for j in f]", "(SelectMany e (lambda (list i) (Select f (lambda (list j) (* i j)))))"),
    ],
)
def test_python_lambdas_may_hold_what_the_text_has_no_node_for(python, meaning):
    assert parse(f"(call Select a 'lambda e: {python}')") == parse(f"(Select a (lambda (list e) {meaning}))")


HOSTILE = {
    "unclosed": "(list " * 100_000,
    "closed": "(list " * 5_000 + "1" + ")" * 5_000,
    "parentheses": "(" * 100_000,
    "python sum": f"(call Where a 'lambda e: {'e + ' * 3_000}e')",
    "python and": f"(call Where a 'lambda e: {'e and ' * 3_000}e')",
    "python brackets": f"(call Where a 'lambda e: {'[' * 5_000}')",
    "python minus": f"(call Where a 'lambda e: {'-' * 5_000}e')",
    "python comprehension": f"(call Where a 'lambda e: [x for x in {'e + ' * 3_000}e]')",
    "inside and outside": "(list " * 150 + f"(call Where a 'lambda e: {'-' * 100}e')" + ")" * 150,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_nesting_gives_a_syntax_error(text):
    with pytest.raises(QuerySyntaxError):
        parse(text)


def test_the_deepest_allowed_query_can_be_used():
    depth = MAX_DEPTH - 1
    node = parse("(Count " * depth + "e" + ")" * depth)
    assert parse(unparse(node)) == node
    assert len(list(walk(node))) == depth + 1
    inside = parse(f"(call Select e 'lambda x: {'f(' * (depth - 2)}x{')' * (depth - 2)}')")
    assert parse(unparse(inside)) == inside
    assert digest(inside) == digest(unparse(inside))


def test_nothing_of_a_python_lambda_is_run(tmp_path):
    witness = tmp_path / "run"
    node = parse(f'(call Where a \'lambda e: open("{witness}", "w")\')')
    assert isinstance(node.args[0], Lambda)
    assert isinstance(node.args[0].body, Call)
    assert not witness.exists()


def test_every_operator_of_the_reference_is_known():
    assert set(LINQ) == set(linq_util.linq_operator_names)
