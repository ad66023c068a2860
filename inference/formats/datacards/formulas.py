"""Formulas of a card (ROOT's TFormula with @0, @1, …) in the language of our extensions, never run."""

import ast
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from inference.extensions.formulas import parse
from inference.formats.datacards.card import RateParameter
from inference.formats.datacards.errors import refuse

# What TFormula calls them: ours.
FUNCTIONS = {"TMath::Exp": "exp", "TMath::Log": "log", "TMath::Sqrt": "sqrt", "TMath::Abs": "abs", "TMath::Min": "min",
             "TMath::Max": "max", "fabs": "abs", "TMath::Power": "pow"}  # fmt: skip


def translated(rate: RateParameter, others: Mapping[str, RateParameter], seen: tuple[str, ...] = ()) -> str:
    """The formula with its arguments' names, those of other formulas written out.

    Raises:
        DatacardError: it is no formula, an argument is missing, or formulas refer to each other in a circle.
    """
    assert rate.formula is not None  # noqa: S101 (only formulas come here)
    if rate.name in seen:
        raise refuse(rate.place, f"the formula of {rate.name!r} needs itself: {' → '.join((*seen, rate.name))}")

    def argument(match: re.Match[str]) -> str:
        place = int(match[1])
        if place >= len(rate.arguments):
            raise refuse(rate.place, f"@{place} has no parameter: the formula is followed by {len(rate.arguments)}")
        other = others.get(rate.arguments[place])
        if other is not None and other.formula is not None:
            return f"({translated(other, others, (*seen, rate.name))})"
        return repr(rate.arguments[place])

    text = rate.formula.replace("^", "**")
    for theirs, ours in FUNCTIONS.items():
        text = text.replace(f"{theirs}(", f"{ours}(")
    try:
        tree = ast.parse(re.sub(r"@(\d+)", argument, text), mode="eval")
    except SyntaxError as error:
        raise refuse(rate.place, f"{rate.formula!r} is no formula: {error.msg}") from error
    return ast.unparse(_Powers().visit(tree))


def value(text: str, parameters: Mapping[str, float]) -> float:
    """A translated formula at a point; parameters that are not given count as 1."""

    def of(tree: Any) -> float:
        match tree:
            case ("label", name):
                return parameters.get(name, 1.0)
            case ("number", number):
                return float(number)
            case ("whole_power", base, power):
                return float(of(base) ** power)
            case ("min" | "max" as which, *arguments):
                return (min if which == "min" else max)(map(of, arguments))
            case (operation, *arguments):  # called as NumPy calls it
                return float(getattr(np, operation)(*map(of, arguments)))
        raise AssertionError(tree)

    return of(parse(text).root)


class _Powers(ast.NodeTransformer):
    """``pow(a, b)`` as ``a ** b``."""

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """One call, and those inside of it."""
        self.generic_visit(node)
        if isinstance(node.func, ast.Name) and node.func.id == "pow" and len(node.args) == 2:
            return ast.BinOp(node.args[0], ast.Pow(), node.args[1])
        return node
