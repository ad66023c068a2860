"""`skimflow gof`: goodness of fit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from skimflow.commands.workspaces import Output, on_workspace

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from inference.likelihood.model import Likelihood

NAMES = ("saturated", "pearson", "neyman", "ks", "ad")


@click.command()
@on_workspace
@click.option("--statistic", "statistics", type=click.Choice(NAMES), multiple=True, help="Default: all of them.")
@click.option("--toys", type=click.IntRange(0), default=0, show_default=True, help="Thrown at the best fit.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the toys.")
@click.option("--workers", type=click.IntRange(1), default=1, show_default=True, help="Threads that fit toys.")
def gof(
    likelihood: Likelihood,
    fixed: dict[str, float],
    output: Output,
    statistics: tuple[str, ...],
    toys: int,
    seed: int,
    workers: int,
) -> None:
    """How well the fit of WORKSPACE (a pyhf JSON file, - for standard input) describes its data.

    Without --toys the chi-squared distribution gives the p-values; ks and ad have none then. The figure shows the first
    statistic that is asked for.
    """
    from inference.goodness.goodness import goodness
    from inference.goodness.tables import goodness_table

    chosen = statistics or NAMES
    result = goodness(
        likelihood, statistics=chosen, toys=toys, seed=seed, fixed=fixed, workers=workers, progress=output.clock.told
    )

    def figure() -> Figure:
        from inference.goodness import figures

        return figures.toys(result, name=chosen[0])

    output.show(result, lambda: [goodness_table(result)], figure, sentences=result.failures)
