"""LINQ operators in their three spellings, and queries written as Python expressions.

An operator is spelt as a node `(Where src lam)`, a function call `(call Where src lam)` or a method call
`(call (attr src 'Where') lam)`; in the calls the lambda may be a string that holds Python. Python is read
with `ast` and converted node by node through a white-list: nothing of it is ever run.
"""

import ast
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final

from queries.syntax import (
    MAX_DEPTH,
    NOWHERE,
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
    Span,
    Subscript,
    Unary,
    malformed,
)

# What an operator takes after its source: the number of parameters of a lambda, or 0 for any expression.
LINQ: Final[Mapping[str, tuple[int, ...]]] = {
    **dict.fromkeys(("Where", "Select", "SelectMany", "All", "Any", "OrderBy", "OrderByDescending"), (1,)),
    **dict.fromkeys(("First", "Last", "Count", "Max", "Min", "Sum", "Zip"), ()),
    **dict.fromkeys(("ElementAt", "Contains", "Concat", "Choose"), (0,)),
    "Aggregate": (0, 2),
}

_OPERATORS: Final[Mapping[type[ast.AST], str]] = {
    ast.Not: "not", ast.Invert: "~", ast.UAdd: "+", ast.USub: "-",
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.Mod: "%", ast.Pow: "**", ast.FloorDiv: "//",
    ast.BitAnd: "&", ast.BitOr: "|", ast.BitXor: "^", ast.LShift: "<<", ast.RShift: ">>",
    ast.And: "and", ast.Or: "or",
    ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=",
}  # fmt: skip


def linq(op: str, source: Node, args: Sequence[Node], span: Span) -> Linq:
    """The operator `op` on `source`, its arguments checked; Malformed if they are wrong."""
    expected = LINQ[op]
    if len(args) != len(expected):
        malformed(f"{op} takes {_signature(expected)}, not {_count(len(args), 'argument')} after it", span)
    for arg, parameters in zip(args, expected, strict=True):
        if parameters and not (isinstance(arg, Lambda) and len(arg.params) == parameters):
            is_text = isinstance(arg, Constant) and isinstance(arg.value, str)
            hint = f"; a lambda as text stands only in the form (call {op} …)" if is_text else ""
            malformed(f"{op} needs a lambda of {_count(parameters, 'variable')} here{hint}", arg.span)
    return Linq(op, source, tuple(args), span)


def call(func: Node, args: Sequence[Node], span: Span, depth: int = 0) -> Node:
    """A call; where it spells a LINQ operator (as a function or a method), that operator."""
    if isinstance(func, Attribute) and func.name in LINQ:
        op, source = func.name, func.value
    elif isinstance(func, Name) and func.id in LINQ:
        op = func.id
        if not args:
            malformed(f"{op} needs a source to work on", span)
        source, args = args[0], args[1:]
    else:
        return Call(func, tuple(args), span)
    takes_lambda = LINQ[op] + (0,) * len(args)
    lambdas = [_spelt_out(arg, depth) if n else arg for arg, n in zip(args, takes_lambda, strict=False)]
    return linq(op, source, lambdas, span)


def _spelt_out(arg: Node, depth: int) -> Node:
    """The lambda that a string argument holds; any other argument as it is."""
    if not (isinstance(arg, Constant) and isinstance(arg.value, str)):
        return arg
    try:
        with warnings.catch_warnings(action="ignore"):  # about odd escapes in strings, which mean what they always did
            tree = ast.parse(arg.value.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        reason = getattr(error, "msg", None) or str(error) or "nested too deeply"
        malformed(f"this string should hold a Python lambda: {reason}", arg.span)
    return from_python(tree, arg.span, unify=True, depth=depth)


def from_python(  # noqa: PLR0911, PLR0912 - one branch for each kind of expression
    tree: ast.expr, span: Span = NOWHERE, *, unify: bool, depth: int = 0
) -> Node:
    """Convert a Python expression; every node gets the one `span`.

    `unify` makes LINQ nodes of calls that spell operators; without it they stay calls, as the func_adl
    clients send them. Tuples become lists, chained comparisons and n-ary `and`/`or` nested binary ones.
    Slices, `in` and comprehensions are read where `unify` is set; they become calls and operators.
    Raises Malformed for anything that a query cannot hold, such as keyword arguments.
    """
    if depth > MAX_DEPTH:
        malformed(f"nested deeper than {MAX_DEPTH} levels", span)
    inner = partial(from_python, span=span, unify=unify, depth=depth + 1)
    match tree:
        case ast.Name(id=name) if name.isascii():
            return Name(name, span)
        case ast.Constant(value=float() as value) if math.isnan(value):
            malformed("a query cannot hold nan, which is no number", span)
        case ast.Constant(value=bool() | int() | float() | str() | None as value):
            return Constant(_plain_value(value), span)
        case ast.List(elts=items) | ast.Tuple(elts=items):
            return List(tuple([inner(item) for item in items]), span)
        case ast.Dict(keys=keys, values=values) if None not in keys:
            return Dict(tuple([inner(k) for k in keys if k]), tuple([inner(v) for v in values]), span)
        case ast.Attribute(value=value, attr=name):
            return Attribute(inner(value), name, span)
        case ast.Subscript(value=value, slice=index):
            return Subscript(inner(value), inner(index), span)
        case ast.Call(func=func, args=args, keywords=[]):
            parts = inner(func), [inner(arg) for arg in args]
            return call(*parts, span, depth) if unify else Call(parts[0], tuple(parts[1]), span)
        case ast.IfExp(test=test, body=body, orelse=orelse):
            return If(inner(test), inner(body), inner(orelse), span)
        case ast.UnaryOp(op=op, operand=operand):
            return Unary(_OPERATORS[type(op)], inner(operand), span)
        case ast.BinOp(op=op, left=left, right=right) if type(op) in _OPERATORS:
            return Binary(_OPERATORS[type(op)], inner(left), inner(right), span)
        case ast.BoolOp(op=op, values=values):
            return _folded(_OPERATORS[type(op)], [inner(value) for value in values], span, depth)
        case ast.Compare() if all(type(op) in _OPERATORS for op in tree.ops):
            return _comparisons(tree, inner, span, depth)
        case ast.Lambda(args=arguments) if _plain(arguments):
            params = tuple(arg.arg for arg in arguments.args)
            return Lambda(params, inner(tree.body), span)
        case ast.Slice() | ast.Compare(ops=[ast.In() | ast.NotIn()]) | ast.ListComp() | ast.GeneratorExp() if unify:
            return _beyond_text(tree, inner, span)
    return malformed(f"a query cannot hold this Python ({type(tree).__name__}): {_shown(tree)}", span)


def _beyond_text(tree: ast.expr, inner: Callable[[ast.expr], Node], span: Span) -> Node:
    """Python that the S-expressions have no node for: slices, `in`, comprehensions."""
    match tree:
        case ast.Slice(lower=lower, upper=upper, step=step):
            bounds = [Constant(None, span) if bound is None else inner(bound) for bound in (lower, upper, step)]
            return Call(Name("slice", span), tuple(bounds), span)
        case ast.Compare(left=left, ops=[op], comparators=[right]):
            found = Linq("Contains", inner(right), (inner(left),), span)
            return Unary("not", found, span) if isinstance(op, ast.NotIn) else found
        case ast.ListComp(elt=item, generators=generators) | ast.GeneratorExp(elt=item, generators=generators):
            return _comprehension(item, generators, inner, span)
    return malformed(f"a query cannot hold this Python: {_shown(tree)}", span)


def _comprehension(
    item: ast.expr, generators: Sequence[ast.comprehension], inner: Callable[[ast.expr], Node], span: Span
) -> Node:
    """`[f(x) for x in xs if p(x)]` as Select and Where, of several `for` the outer ones as SelectMany."""
    first, *rest = generators
    if not isinstance(first.target, ast.Name) or not first.target.id.isascii() or first.is_async:
        malformed("a comprehension runs over one plain variable", span)
    name, source = (first.target.id,), inner(first.iter)
    for condition in first.ifs:
        source = Linq("Where", source, (Lambda(name, inner(condition), span),), span)
    body = _comprehension(item, rest, inner, span) if rest else inner(item)
    return Linq("SelectMany" if rest else "Select", source, (Lambda(name, body, span),), span)


def _shown(tree: ast.expr) -> str:
    try:
        return ast.unparse(tree)[:80]
    except RecursionError:
        return "…"


def _folded(op: str, terms: Sequence[Node], span: Span, depth: int) -> Node:
    """`a and b and c` as `(a and b) and c`."""
    if depth + len(terms) > MAX_DEPTH:
        malformed(f"nested deeper than {MAX_DEPTH} levels", span)
    result = terms[0]
    for term in terms[1:]:
        result = BoolOp(op, result, term, span)
    return result


def _comparisons(tree: ast.Compare, inner: Callable[[ast.expr], Node], span: Span, depth: int) -> Node:
    """`a < b < c` as `(a < b) and (b < c)`."""
    for middle in tree.comparators[:-1]:
        if any(isinstance(node, ast.Compare) and len(node.ops) > 1 for node in ast.walk(middle)):
            malformed("a chained comparison inside another would be written out too often; use `and`", span)
    operands = [inner(operand) for operand in (tree.left, *tree.comparators)]
    pairs = zip(tree.ops, operands[:-1], operands[1:], strict=True)
    terms = [Compare(_OPERATORS[type(op)], left, right, span) for op, left, right in pairs]
    return _folded("and", terms, span, depth)


def _plain(arguments: ast.arguments) -> bool:
    """Whether a lambda takes positional arguments without defaults only, each once and with an ASCII name."""
    special = (arguments.posonlyargs, arguments.kwonlyargs, arguments.defaults, arguments.vararg, arguments.kwarg)
    names = [argument.arg for argument in arguments.args]
    return not any(special) and len(set(names)) == len(names) and all(name.isascii() for name in names)


def _plain_value(value: float | str | None) -> float | str | None:
    """A captured value as the plain type that it derives from (numpy's float64 is a float, an IntEnum an int)."""
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            return kind(value)
    return None


def _signature(expected: tuple[int, ...]) -> str:
    words = [f"a lambda of {_count(n, 'variable')}" if n else "a value" for n in expected]
    return f"a source and {' and '.join(words)}" if words else "a source only"


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}{'s' * (n != 1)}"
