"""`skimflow fit`: a pyhf workspace to a certified fit."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from skimflow.commands.workspaces import Output, on_workspace

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from inference.likelihood.model import Likelihood
    from inference.results import FitResult


@click.command()
@on_workspace
@click.option("--blind", metavar="PHRASE", help="Hide the parameter of interest behind an offset made of this phrase.")
@click.option("--blind-scale", type=float, default=1.0, show_default=True, help="Largest offset.")
def fit(likelihood: Likelihood, fixed: dict[str, float], output: Output, blind: str | None, blind_scale: float) -> None:
    """Fit WORKSPACE (a pyhf JSON file, - for standard input) to its observed data."""
    from inference.fit import fit_likelihood
    from inference.tables import parameter_table

    result = fit_likelihood(likelihood, fixed)
    said = [f"{result.certificate.sentence}; uncertainties from the exact Hessian"]
    if blind is None:
        output.show(result, lambda: [parameter_table(result)], _pulls(result), sentences=said)
        return
    from inference.blinding import Blinding, blind_fit

    hidden = blind_fit(result, Blinding(blind, blind_scale))
    said.append(f"blinded: {', '.join(hidden.blinded)} moved by an offset of at most {blind_scale:g}")
    output.show(hidden, lambda: [parameter_table(hidden)], _pulls(hidden), sentences=said)


def _pulls(result: FitResult) -> Callable[[], Figure]:
    def figure() -> Figure:
        from inference.impacts.figures import fitted

        return fitted(result)

    return figure
