"""`skimflow intervals`: profiled intervals (Minos) of parameters, and Feldman-Cousins intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from skimflow.commands.scan import lower_minimum
from skimflow.commands.workspaces import Output, on_workspace

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from inference.likelihood.model import Likelihood


@click.command()
@on_workspace
@click.option("--par", "parameters", multiple=True, help="Parameter (default: that of interest); may be repeated.")
@click.option("--all", "everything", is_flag=True, help="All free parameters.")
@click.option("--level", default="1", show_default=True, help="In standard deviations (2), or a probability (95%).")
def intervals(
    likelihood: Likelihood,
    fixed: dict[str, float],
    output: Output,
    parameters: tuple[str, ...],
    everything: bool,
    level: str,
) -> None:
    """Intervals of parameters of WORKSPACE (a pyhf JSON file, - for standard input), all others refitted."""
    sigma, confidence = parsed_level(level)
    from inference.fit import fit_likelihood
    from inference.intervals.minos import intervals as profiled
    from inference.intervals.tables import interval_table

    fit = fit_likelihood(likelihood, fixed)
    chosen = list(parameters)
    if everything:
        chosen = [label for label, held in zip(fit.labels, fit.fixed, strict=True) if not held]
    result = profiled(likelihood, parameters=chosen or None, sigma=sigma, confidence=confidence, fit=fit)

    def figure() -> Figure:
        from inference.intervals import figures

        return figures.intervals(result)

    output.show(result, lambda: [interval_table(result)], figure, sentences=lower_minimum(result.minimum))


def parsed_level(text: str) -> tuple[float, float | None]:
    """Standard deviations and None, or anything and a probability; raises `click.BadParameter`."""
    try:
        if text.endswith("%"):
            return 1.0, float(text[:-1]) / 100
        return float(text), None
    except ValueError as error:
        raise click.BadParameter(
            f"{text!r} is neither a number of standard deviations, such as 2, nor a probability, such as 95%",
            param_hint="--level",
        ) from error
