"""Limits on many signals as a table."""

from inference.hypotheses.tables import EXPECTED, title
from inference.reinterpretation.results import Reinterpretation
from inference.tables import Table


def signal_table(result: Reinterpretation) -> Table:
    """One row for each signal: CLs at strength 1, limits observed and expected, and what failed."""
    columns = ("signal", *result.labels, "CLs(1)", "expected CLs(1)", "observed", *EXPECTED, "failed")
    rows = tuple(
        (
            each.name,
            *(_text(value) for value in each.values if result.labels),
            each.cls,
            None if each.expected_cls is None else each.expected_cls[2],
            each.observed,
            *each.expected,
            "; ".join(each.failures) or None,
        )
        for each in result.signals
    )
    return Table(f"{title(result.level, result.method)} upper limits on {result.poi}", columns, rows)


def _text(value: float | str) -> str:
    """A mass of 1300 GeV is no 1300.0."""
    return value if isinstance(value, str) else f"{value:.10g}"
