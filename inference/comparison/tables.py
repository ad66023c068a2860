"""A comparison as tables."""

from collections.abc import Iterator

from inference.comparison.results import Comparison, Side
from inference.tables import Table


def comparison_tables(found: Comparison) -> Iterator[Table]:
    """The models, their parameters, yields and differences; those without rows are left out."""
    for table in (model_table(found), parameter_table(found), yield_table(found), difference_table(found)):
        if table.rows:
            yield table


def model_table(found: Comparison) -> Table:
    """Deviance, number of free parameters, AIC and goodness of fit of both."""
    columns = ("model", "deviance", "free parameters", "AIC", "goodness of fit")
    rows = tuple(
        (one.name, one.deviance, one.free, one.aic, one.goodness_of_fit) for one in (found.first, found.second)
    )
    return Table("Models", columns, rows)


def parameter_table(found: Comparison) -> Table:
    """Best fit and uncertainty of every parameter in both, and the shift."""
    columns = ("parameter", *_twice(found, "best fit", "uncertainty"), "shift in σ")
    rows = tuple(
        (pair.parameter, *_numbers(pair.first), *_numbers(pair.second), pair.shift) for pair in found.parameters
    )
    return Table("Parameters", columns, rows)


def yield_table(found: Comparison) -> Table:
    """Events of every channel after the fits."""
    columns = ("channel", *_twice(found, "events", "uncertainty"), "data")
    nothing = (None, None)
    rows = tuple(
        (
            pair.channel,
            *(pair.first or nothing),
            *(pair.second or nothing),
            pair.data_second if pair.data_first is None else pair.data_first,
        )
        for pair in found.yields
    )
    return Table("Post-fit yields", columns, rows)


def difference_table(found: Comparison) -> Table:
    """What differs in the models themselves."""
    rows = tuple((one.kind, one.place, one.first, one.second) for one in found.differences)
    return Table("Differences between the models", ("what", "where", found.first.name, found.second.name), rows)


def sentence(found: Comparison) -> str:
    """The likelihood-ratio test in words, or why there is none."""
    test = found.test
    if test is None:
        return f"No likelihood-ratio test: {found.not_nested}."
    words = (
        f"{test.smaller} within {test.larger}: −2 Δlog L = {test.statistic:.4g} for {len(test.parameters)} "
        f"degree{'s' * (len(test.parameters) > 1)} of freedom, p = {test.p_value:.3g}"
    )
    bound = f"; too large, since {', '.join(test.at_bound)} is held on a bound" if test.at_bound else ""
    return words + bound + "."


def _twice(found: Comparison, *columns: str) -> tuple[str, ...]:
    return tuple(f"{column}, {one.name}" for one in (found.first, found.second) for column in columns)


def _numbers(side: Side | None) -> tuple[float | None, float | None]:
    return (None, None) if side is None else (side.bestfit, side.uncertainty)
