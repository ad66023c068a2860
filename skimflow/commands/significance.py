"""`skimflow significance`: how unlikely the background alone makes the data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from skimflow.commands.workspaces import Output, finite, on_workspace

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from inference.likelihood.model import Likelihood


@click.command()
@on_workspace
@click.option("--poi", help="Parameter of interest (default: the workspace's).")
@click.option(
    "--signal",
    type=float,
    default=1.0,
    show_default=True,
    callback=finite,
    help="Its value for the expected significance.",
)
@click.option("--toys", type=click.IntRange(0), default=0, help="Toys of each hypothesis, not asymptotic formulae.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the toys.")
@click.option("--workers", type=click.IntRange(1), default=1, show_default=True, help="Threads that fit toys.")
def significance(
    likelihood: Likelihood,
    fixed: dict[str, float],
    output: Output,
    toys: int,
    seed: int,
    workers: int,
    **asked: Any,
) -> None:
    """Discovery significance of the signal in WORKSPACE (a pyhf JSON file, - for standard input)."""
    from inference.hypotheses.discovery import significance as discovery
    from inference.hypotheses.tables import significance_table

    if toys:
        asked |= {"fixed": fixed, "toys": toys, "seed": seed, "workers": workers, "progress": output.clock.told}
        _by_toys(likelihood, output, asked)
        return
    result = discovery(likelihood, **asked, fixed=fixed)
    found = result.z is not None or result.expected_z is not None

    def figure() -> Figure:
        from inference.hypotheses.figures import discovery as drawn

        return drawn(result)

    sentences = (*result.failures, *result.notes)
    output.show(result, lambda: [significance_table(result)], figure, sentences=sentences, found=found)


def _by_toys(likelihood: Likelihood, output: Output, asked: dict[str, Any]) -> None:
    from inference.toys.discovery import significance_by_toys
    from inference.toys.tables import significance_table

    result = significance_by_toys(likelihood, **asked)

    def figure() -> Figure:
        from inference.toys.figures import significance as drawn

        return drawn(result)

    output.show(result, lambda: [significance_table(result)], figure, sentences=(*result.failures, *result.notes))
