"""`skimflow significance`: how unlikely the background alone makes the data."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from skimflow.commands.workspaces import Output, on_workspace

if TYPE_CHECKING:
    from inference.likelihood.model import Likelihood


@click.command()
@on_workspace
@click.option("--poi", help="Parameter of interest (default: the workspace's).")
@click.option("--signal", type=float, default=1.0, show_default=True, help="Its value for the expected significance.")
def significance(
    likelihood: Likelihood, fixed: dict[str, float], output: Output, poi: str | None, signal: float
) -> None:
    """Discovery significance of the signal in WORKSPACE (a pyhf JSON file, - for standard input)."""
    from inference.hypotheses.discovery import significance as discovery
    from inference.hypotheses.tables import significance_table

    result = discovery(likelihood, poi=poi, signal=signal, fixed=fixed)
    output.show(result, lambda: [significance_table(result)], sentences=(*result.failures, *result.notes))
