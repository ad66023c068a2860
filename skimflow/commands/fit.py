"""`skimflow fit`: a pyhf workspace to a certified fit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from skimflow.commands.workspaces import Output, on_workspace

if TYPE_CHECKING:
    from inference.likelihood.model import Likelihood


@click.command()
@on_workspace
def fit(likelihood: Likelihood, fixed: dict[str, float], output: Output) -> None:
    """Fit WORKSPACE (a pyhf JSON file, - for standard input) to its observed data."""
    from inference.fit import fit_likelihood
    from inference.tables import parameter_table

    result = fit_likelihood(likelihood, fixed)
    output.show(
        result,
        lambda: [parameter_table(result)],
        sentences=[f"{result.certificate.sentence}; uncertainties from the exact Hessian"],
    )
