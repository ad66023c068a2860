"""Event weights of the AGC's weight variations, as correctionlib corrections."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from correctionlib.highlevel import CorrectionSet

BTAG_SLOPE = "0.075 / 50"  # 7.5 % of weight per 50 GeV of jet pT
WJETS_SCALE = 0.025


def ttbar_corrections() -> CorrectionSet:
    """The two corrections of the ttbar analysis, ready to evaluate.

    ``btag(direction, pt)`` is 1 ± 0.075 · pT / 50 GeV for the jet that the variation is about;
    ``wjets_scale(direction)`` is 1.025 or 0.975. ``direction`` is "up" or "down"; another raises IndexError.
    """
    from correctionlib import schemav2 as schema

    def by_direction(name: str, inputs: list[Any], up: Any, down: Any) -> Any:
        content = [
            schema.CategoryItem(key="up", value=up),
            schema.CategoryItem(key="down", value=down),
        ]
        return schema.Correction(
            name=name,
            version=1,
            inputs=[schema.Variable(name="direction", type="string"), *inputs],
            output=schema.Variable(name="weight", type="real"),
            data=schema.Category(nodetype="category", input="direction", content=content),
        )

    def linear(sign: str) -> Any:
        expression = f"1.0 {sign} (x*{BTAG_SLOPE})"
        return schema.Formula(nodetype="formula", expression=expression, parser="TFormula", variables=["pt"])

    pt = schema.Variable(name="pt", type="real", description="transverse momentum of one jet in GeV")
    return schema.CorrectionSet(
        schema_version=2,
        corrections=[
            by_direction("btag", [pt], linear("+"), linear("-")),
            by_direction("wjets_scale", [], 1 + WJETS_SCALE, 1 - WJETS_SCALE),
        ],
    ).to_evaluator()
