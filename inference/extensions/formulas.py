"""Rates by formulas: a small language of arithmetic, read by Python's parser and never run as Python.

Numbers, parameters, + − * / **, parentheses, and the functions exp, log, sqrt, abs, min, max. A parameter is written
as its label (``mu``, ``bins[2]``), in quotes where that is no identifier (``'JES scale'``). A formula becomes a tree of
operations; only what the tree may hold can be computed.
"""

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, model_validator

from inference.errors import nearest
from inference.extensions.parts import Extension, Name, Parameter, Program

BINARY: Mapping[type[ast.AST], str] = {
    ast.Add: "add", ast.Sub: "subtract", ast.Mult: "multiply", ast.Div: "divide", ast.Pow: "power",
}  # fmt: skip
FUNCTIONS = {"exp": 1, "log": 1, "sqrt": 1, "abs": 1, "min": 2, "max": 2}  # and how many arguments at least
MOST_CHARACTERS = 10_000
MOST_DEPTH = 60

Tree = tuple[Any, ...]  # ("label", text), ("number", value), ("whole_power", tree, n) or (operation, tree, …)


@dataclass(frozen=True, slots=True)
class Formula:
    """What a text means."""

    text: str
    root: Tree

    @property
    def labels(self) -> tuple[str, ...]:
        """Of the parameters, each once, in the order in which they are met."""
        return tuple(dict.fromkeys(_labels(self.root)))

    @property
    def form(self) -> tuple[Tree, tuple[str, ...], tuple[float, ...]]:
        """The tree with a place in the labels or in the numbers for each of them; those labels; those numbers.

        So formulas that differ in names and numbers alone are one compiled function, and computed at once.
        """
        labels: list[str] = []
        numbers: list[float] = []
        return _form(self.root, labels, numbers), tuple(labels), tuple(numbers)


class FormulaDocument(Extension):
    """Outputs by formulas of parameters: ``formulas`` maps a name to one text, or to one for each of its elements."""

    operator: Literal["formula"]
    parameters: tuple[Parameter, ...] = ()
    formulas: Annotated[dict[Name, str | tuple[str, ...]], Field(min_length=1)]

    @property
    def introduces(self) -> tuple[Parameter, ...]:
        """As the document says."""
        return self.parameters

    @property
    def parsed(self) -> tuple[Formula, ...]:
        """One for each output."""
        texts = [text for each in self.formulas.values() for text in ([each] if isinstance(each, str) else each)]
        return tuple(parse(text) for text in texts)

    @property
    def reads(self) -> tuple[str, ...]:
        """Labels in the order in which they are met."""
        return tuple(dict.fromkeys(label for formula in self.parsed for label in formula.labels))

    @property
    def changes(self) -> tuple[str, ...]:
        """Keys of the formulas."""
        return tuple(self.formulas)

    @model_validator(mode="after")
    def _all_parse(self) -> "FormulaDocument":
        _ = self.parsed
        return self

    def program(self, sizes: Mapping[str, int]) -> Program:
        """Trees of operations; for each the places (labels, formulas) of its labels in the argument and its numbers
        (numbers, formulas); and where each formula stands among the values of all trees.
        """
        for name, each in self.formulas.items():
            count = 1 if isinstance(each, str) else len(each)
            if count != sizes[name]:
                raise ValueError(f"{count} formulas for {name!r}, which has {sizes[name]} parameters")
        labels = self.reads
        for label in labels:
            if sizes[label] != 1:
                raise ValueError(f"{label!r} is a vector of {sizes[label]}: name an element, such as {label}[0]")
        forms = [formula.form for formula in self.parsed]
        trees = tuple(dict.fromkeys(tree for tree, _, _ in forms))
        alike = [[place for place, form in enumerate(forms) if form[0] == tree] for tree in trees]
        leaves = tuple(
            (
                np.asarray([[labels.index(label) for label in forms[place][1]] for place in places], dtype=np.int64).T,
                np.asarray([forms[place][2] for place in places], dtype=float).T,
            )
            for places in alike
        )
        return trees, (leaves, np.argsort(np.concatenate(alike)))


def parse(text: str) -> Formula:
    """Read a formula.

    Raises:
        ValueError: with the place in the text and what may stand there.
    """
    if len(text) > MOST_CHARACTERS:
        raise ValueError(f"the formula has {len(text)} characters; {MOST_CHARACTERS} are the most")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        reason = error.msg if isinstance(error, SyntaxError) else type(error).__name__
        raise ValueError(f"{text!r} is no formula: {reason}") from error
    return Formula(text, _read(tree, text.strip(), 0))


def _read(node: ast.AST, text: str, depth: int) -> Tree:
    if depth > MOST_DEPTH:
        raise ValueError(f"{text!r} is nested more than {MOST_DEPTH} deep")

    def below(child: ast.AST) -> Tree:
        return _read(child, text, depth + 1)

    tree: Tree
    match node:
        case ast.BinOp(left, ast.Pow(), ast.Constant(int() as power)) if type(power) is int and 0 <= power <= 100:
            tree = ("whole_power", below(left), power)
        case ast.BinOp(left, operator, right) if type(operator) in BINARY:
            tree = (BINARY[type(operator)], below(left), below(right))
        case ast.UnaryOp(ast.USub(), operand):
            tree = ("negative", below(operand))
        case ast.UnaryOp(ast.UAdd(), operand):
            tree = below(operand)
        case ast.Constant(int() | float() as number) if type(number) is not bool:
            tree = ("number", _finite(number, text))
        case ast.Constant(str() as label) | ast.Name(label):
            tree = ("label", label)
        case ast.Subscript(ast.Name(name), ast.Constant(int() as place)) if type(place) is int:
            tree = ("label", f"{name}[{place}]")
        case ast.Call(ast.Name(function), [*arguments], []):
            tree = _call(function, [below(argument) for argument in arguments], text)
        case _:
            written = ast.get_source_segment(text, node) if isinstance(node, ast.expr) else None
            raise ValueError(
                f"{text!r}: {written!r} may not stand in a formula; it holds numbers, parameters, + - * / **, "
                f"parentheses, and {', '.join(FUNCTIONS)}"
            )
    return tree


def _finite(number: float, text: str) -> float:
    try:
        value = float(number)
    except OverflowError:
        value = float("inf")
    if not np.isfinite(value):
        raise ValueError(f"{text!r}: a number is too large")
    return value


def _call(function: str, arguments: list[Tree], text: str) -> Tree:
    if function not in FUNCTIONS:
        raise ValueError(f"{text!r}: there is no function {function!r}; {nearest(function, FUNCTIONS)}")
    least = FUNCTIONS[function]
    if len(arguments) < least or (least == 1 and len(arguments) > 1):
        raise ValueError(f"{text!r}: {function} takes {'one argument' if least == 1 else 'two arguments or more'}")
    return (function, *arguments)


def _labels(tree: Tree) -> list[str]:
    if tree[0] == "label":
        return [tree[1]]
    return [label for child in tree[1:] if isinstance(child, tuple) for label in _labels(child)]


def _form(tree: Tree, labels: list[str], numbers: list[float]) -> Tree:
    """The tree with places for its leaves, which are added to the lists."""
    if tree[0] in ("label", "number"):
        leaves: list[Any] = labels if tree[0] == "label" else numbers
        leaves.append(tree[1])
        return (tree[0], len(leaves) - 1)
    return (tree[0], *(_form(child, labels, numbers) if isinstance(child, tuple) else child for child in tree[1:]))
