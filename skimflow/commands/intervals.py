"""`skimflow intervals`: profiled intervals (Minos) of parameters, and Feldman-Cousins intervals."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import click

from skimflow.commands.scan import lower_minimum
from skimflow.commands.workspaces import Output, on_workspace

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from inference.likelihood.model import Likelihood


# Values of the parameter of interest at which a figure of toys shows the belt.
FIGURE_POINTS = 11


@click.command()
@on_workspace
@click.option("--par", "parameters", multiple=True, help="Parameter (default: that of interest); may be repeated.")
@click.option("--all", "everything", is_flag=True, help="All free parameters.")
@click.option("--level", default="1", show_default=True, help="In standard deviations (2), or a probability (95%).")
@click.option("--method", type=click.Choice(["minos", "feldman-cousins"]), default="minos", show_default=True)
@click.option("--toys", type=click.IntRange(100), default=2000, show_default=True, help="At a value (Feldman-Cousins).")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the toys.")
@click.option("--workers", type=click.IntRange(1), default=1, show_default=True, help="Threads that fit toys.")
def intervals(
    likelihood: Likelihood,
    fixed: dict[str, float],
    output: Output,
    parameters: tuple[str, ...],
    everything: bool,
    level: str,
    method: str,
    **toys: int,
) -> None:
    """Intervals of parameters of WORKSPACE (a pyhf JSON file, - for standard input), all others refitted."""
    sigma, confidence = parsed_level(level)
    if method == "minos":
        _profiled(likelihood, fixed, output, parameters, everything, sigma, confidence)
        return
    if everything or len(parameters) > 1:
        raise click.UsageError("toys are thrown for one parameter at a time: --par NAME")
    _feldman_cousins(likelihood, fixed, output, parameters, sigma, confidence, toys)


def _profiled(
    likelihood: Likelihood,
    fixed: dict[str, float],
    output: Output,
    parameters: tuple[str, ...],
    everything: bool,
    sigma: float,
    confidence: float | None,
) -> None:
    from inference.fit import fit_likelihood
    from inference.intervals.minos import intervals as profiled
    from inference.intervals.tables import interval_table

    fit = fit_likelihood(likelihood, fixed)
    chosen = list(parameters)
    if everything:
        chosen = [label for label, held in zip(fit.labels, fit.fixed, strict=True) if not held]
    result = profiled(
        likelihood, parameters=chosen or None, sigma=sigma, confidence=confidence, fit=fit, progress=output.clock.told
    )

    def figure() -> Figure:
        from inference.intervals import figures

        return figures.intervals(result)

    output.show(result, lambda: [interval_table(result)], figure, sentences=lower_minimum(result.minimum))


def _feldman_cousins(
    likelihood: Likelihood,
    fixed: dict[str, float],
    output: Output,
    parameters: tuple[str, ...],
    sigma: float,
    confidence: float | None,
    toys: dict[str, int],
) -> None:
    from inference.toys.feldman_cousins import feldman_cousins
    from inference.toys.tables import feldman_cousins_table

    probability = confidence if confidence is not None else math.erf(sigma / math.sqrt(2))
    poi = parameters[0] if parameters else None
    result = feldman_cousins(
        likelihood,
        poi=poi,
        level=probability,
        toys=toys["toys"],
        seed=toys["seed"],
        workers=toys["workers"],
        points=FIGURE_POINTS if output.figure else 0,
        fixed=fixed,
        progress=output.clock.told,
    )

    def figure() -> Figure:
        from inference.toys.figures import belt

        return belt(result)

    output.show(result, lambda: [feldman_cousins_table(result)], figure, sentences=(*result.failures, *result.notes))


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
