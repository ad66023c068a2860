"""Intervals, scans and contours as tables."""

from inference.intervals.contours import Contours
from inference.intervals.minos import Intervals, Side
from inference.intervals.scan import PlaneScan, Scan
from inference.tables import Table


def interval_table(result: Intervals) -> Table:
    """One row per parameter: best fit, the Hessian's uncertainty, both ends and their distances from the best fit."""
    columns = ("parameter", "best fit", "Hessian ±", "minus", "plus", "lower end", "upper end", "remark")
    rows = tuple(
        (
            each.parameter,
            each.bestfit,
            result.sigma * each.uncertainty,
            *each.errors,
            each.lower.value,
            each.upper.value,
            "; ".join(_remark(name, side) for name, side in (("lower", each.lower), ("upper", each.upper))).strip("; "),
        )
        for each in result.intervals
    )
    level = f"{100 * result.confidence:.4g} %, 2 Δ log L = {result.sigma**2:.4g}"
    return Table(f"Profiled intervals ({level})", columns, rows)


def scan_table(result: Scan) -> Table:
    """One row per point."""
    rows = tuple(zip(result.values, result.twice_rises, strict=True))
    return Table(f"Profiled likelihood of {result.parameter}", (result.parameter, "2 Δ log L"), rows)


def plane_table(result: PlaneScan) -> Table:
    """One row per point."""
    rows = tuple(
        (first, second, rise)
        for first, row in zip(result.first, result.twice_rises, strict=True)
        for second, rise in zip(result.second, row, strict=True)
    )
    return Table(f"Profiled likelihood of {' and '.join(result.parameters)}", (*result.parameters, "2 Δ log L"), rows)


def contour_table(result: Contours) -> Table:
    """One row per point of each contour, in its order."""
    rows = tuple(
        (f"{100 * each.confidence:.4g} %", each.twice_rise, point.first, point.second, _words[point.status])
        for each in result.contours
        for point in each.points
    )
    columns = ("region", "2 Δ log L", *result.parameters, "remark")
    return Table(f"Contours of {' and '.join(result.parameters)}", columns, rows)


_words = {"crossing": "", "bound": "on a bound"}


def _remark(name: str, side: Side) -> str:
    if side.status == "failed":
        return f"{name}: {side.reason}"
    return f"{name} end is a bound" if side.status == "bound" else ""
