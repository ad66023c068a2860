"""Tests, limits and significances as tables."""

from collections.abc import Sequence

from inference.hypotheses.results import HypothesisTest, LowerLimit, Significance, UpperLimit
from inference.tables import Table

EXPECTED = ("exp. −2σ", "exp. −1σ", "expected", "exp. +1σ", "exp. +2σ")


def limit_table(limit: UpperLimit | LowerLimit) -> Table:
    """Observed and expected limits, one row each."""
    rows = (("observed", limit.observed), *zip(EXPECTED, limit.expected, strict=True))
    if isinstance(limit, UpperLimit):
        name = f"{title(limit.level, limit.method)} upper limit on {limit.poi}"
    else:
        name = f"{100 * limit.level:.4g} % lower limit on {limit.poi}, expected for {limit.signal:g}"
    return Table(name, ("", "limit"), rows)


def tests_table(tests: Sequence[HypothesisTest]) -> Table:
    """One row for each value tested: test statistics, p-values, expected CLs."""
    columns = ("μ", "q", "q Asimov", "CLsb", "CLb", "CLs", *EXPECTED)
    rows = tuple((test.mu, test.q, test.q_asimov, test.clsb, test.clb, test.cls, *test.expected) for test in tests)
    return Table(f"Tests of {tests[0].poi} against 0; expected CLs" if tests else "No test", columns, rows)


def significance_table(result: Significance) -> Table:
    """Observed and expected p-value and Z."""
    rows = (
        ("observed", result.p_value, result.z),
        (f"expected for {result.poi} = {result.signal:g}", result.expected_p_value, result.expected_z),
    )
    return Table(f"Significance of {result.poi} > 0", ("", "p-value", "Z"), rows)


def title(level: float, method: str) -> str:
    """``95 % CLs``."""
    return f"{100 * level:.4g} % {method}"
