"""`skimflow ranking`: what each nuisance parameter, and each group of them, does to the result."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from skimflow.commands.workspaces import Output, on_workspace

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from inference.impacts.results import Method
    from inference.likelihood.model import Likelihood


@click.command()
@on_workspace
@click.option("--poi", "pois", multiple=True, help="Parameter of interest; may be given repeatedly.")
@click.option(
    "--method",
    type=click.Choice(["refit", "covariance", "global"]),
    default="refit",
    show_default=True,
    help="Refits, the covariance's prediction of them, or shifts of the auxiliary measurements.",
)
@click.option(
    "--group",
    "groups",
    multiple=True,
    metavar="NAME=PATTERN",
    help="Impact of several together: a label, a pattern such as 'b-tag*', or type:staterror; may be given repeatedly.",
)
@click.option("--gammas", is_flag=True, help="Rank the parameters of single bins too.")
@click.option("--asimov", is_flag=True, help="Expected impacts: data as the model predicts them before the fit.")
@click.option("--blind", metavar="PHRASE", help="Hide the best fit behind an offset made of this phrase.")
@click.option("--blind-scale", type=float, default=1.0, show_default=True, help="Largest offset.")
def ranking(
    likelihood: Likelihood,
    fixed: dict[str, float],
    output: Output,
    pois: tuple[str, ...],
    method: Method,
    groups: tuple[str, ...],
    gammas: bool,
    asimov: bool,
    blind: str | None,
    blind_scale: float,
) -> None:
    """Rank the nuisance parameters of WORKSPACE (a pyhf JSON file, - for standard input) by their impacts."""
    patterns = _patterns(groups)
    from inference.impacts.tables import impact_tables
    from inference.ranking import impacts

    result = impacts(
        likelihood,
        pois=pois or None,
        method=method,
        groups=patterns,
        bin_gammas=gammas,
        asimov=asimov,
        fixed=fixed,
    )
    if blind is not None:
        from inference.blinding import Blinding, blind_impacts

        result = blind_impacts(result, Blinding(blind, blind_scale))

    def figure() -> Figure:
        from inference.impacts.figures import impacts as draw

        return draw(result)

    output.show(result, lambda: impact_tables(result), figure)


def _patterns(texts: tuple[str, ...]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for text in texts:
        name, sign, pattern = text.partition("=")
        if not (sign and name and pattern):
            raise click.BadParameter(f"{text!r} is not NAME=PATTERN, such as btag='b-tag*'", param_hint="--group")
        found.setdefault(name, []).append(pattern)
    return found
