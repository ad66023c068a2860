"""`skimflow limit`: upper limits by CLs or CLsb, observed and expected."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import click

from skimflow.commands.workspaces import Output, on_workspace

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from inference.likelihood.model import Likelihood

# Values of the parameter of interest at which a figure shows the bands.
FIGURE_POINTS = 41


@click.command()
@on_workspace
@click.option("--poi", help="Parameter of interest (default: the workspace's).")
@click.option("--level", type=float, default=0.95, show_default=True, help="Confidence level.")
@click.option("--method", type=click.Choice(["CLs", "CLsb"]), default="CLs", show_default=True)
@click.option("--statistic", type=click.Choice(["qtilde", "q"]), default="qtilde", show_default=True)
@click.option("--test", "values", type=float, multiple=True, help="Test this value instead; may be given repeatedly.")
@click.option("--lower", is_flag=True, help="Lower limit instead, from the best fit downwards.")
def limit(
    likelihood: Likelihood,
    fixed: dict[str, float],
    output: Output,
    poi: str | None,
    level: float,
    method: Literal["CLs", "CLsb"],
    statistic: Literal["qtilde", "q"],
    values: tuple[float, ...],
    lower: bool,
) -> None:
    """Upper limit on the parameter of interest of WORKSPACE (a pyhf JSON file, - for standard input)."""
    from inference.hypotheses.limits import hypothesis_tests, upper_limit
    from inference.hypotheses.tables import limit_table, tests_table

    if lower:
        from inference.hypotheses.lower import lower_limit

        below = lower_limit(likelihood, poi=poi, level=level, fixed=fixed)
        output.show(below, lambda: [limit_table(below)], sentences=(*below.failures, *below.notes))
        return
    if values:
        tested = hypothesis_tests(likelihood, mu=values, poi=poi, statistic=statistic, fixed=fixed)
        output.show(tested, lambda: [tests_table(tested.tests)], sentences=(*tested.failures, *tested.notes))
        return
    points = FIGURE_POINTS if output.figure else 0
    result = upper_limit(
        likelihood, poi=poi, level=level, method=method, statistic=statistic, fixed=fixed, points=points
    )

    def figure() -> Figure:
        from inference.hypotheses.figures import brazil

        return brazil(result)

    one = result.test_of_one
    told = [f"{result.poi} = 1: CLs {one.cls:.4g}, expected {one.expected[2]:.4g}"] if one else []
    output.show(result, lambda: [limit_table(result)], figure, sentences=(*told, *result.failures, *result.notes))
