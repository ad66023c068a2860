"""Goodness of fit as a table."""

from inference.goodness.goodness import Goodness
from inference.tables import Table
from inference.toys.fractions import Fraction

WORDS = {
    "saturated": "saturated model",
    "pearson": "Pearson χ²",
    "neyman": "Neyman χ²",
    "ks": "Kolmogorov-Smirnov",
    "ad": "Anderson-Darling",
}


def goodness_table(result: Goodness) -> Table:
    """One row per statistic, and below it its channels."""
    rows: list[tuple[str | float | None, ...]] = []
    for each in result.statistics:
        degrees = each.degrees_of_freedom
        rows.append((WORDS[each.name], each.value, degrees, each.p_asymptotic, *_numbers(each.p_toys)))
        rows += [(f"  {part.channel}", part.value, None, None, *_numbers(part.p_toys)) for part in each.channels]
    columns = ("statistic", "value", "d.o.f.", "p (χ²)", "p (toys)", "± toys")
    return Table("Goodness of fit" + (f", {result.toys} toys" if result.toys else ""), columns, tuple(rows))


def _numbers(fraction: Fraction | None) -> tuple[float | None, float | None]:
    return (None, None) if fraction is None else (fraction.value, fraction.error)
