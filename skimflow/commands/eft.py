"""`skimflow eft`: Wilson coefficients of dimension-6 operators."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from skimflow.commands.workspaces import Output, on_workspace

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from inference.likelihood.model import Likelihood


@click.command()
@on_workspace
@click.option("--par", "coefficients", multiple=True, help="Coefficient to profile (default: all); may be repeated.")
@click.option(
    "--range",
    "limits",
    type=(str, float, float),
    multiple=True,
    metavar="NAME LOW HIGH",
    help="Range of a profile (default: the coefficient's bounds).",
)
@click.option("--points", type=click.IntRange(3), default=41, show_default=True, help="Points of each profile.")
@click.option("--plane", is_flag=True, help="Scan two coefficients together: --par A --par B.")
def eft(
    likelihood: Likelihood,
    fixed: dict[str, float],
    output: Output,
    coefficients: tuple[str, ...],
    limits: tuple[tuple[str, float, float], ...],
    points: int,
    plane: bool,
) -> None:
    """Fit the Wilson coefficients of WORKSPACE (a pyhf JSON file with an extension eft, - for standard input)."""
    ranges = {name: (low, high) for name, low, high in limits}
    if plane:
        if len(coefficients) != 2:
            raise click.UsageError("a plane needs two coefficients: --par A --par B")
        _plane(likelihood, fixed, output, (coefficients[0], coefficients[1]), ranges, points)
        return
    from inference.extensions import tables
    from inference.extensions.wilson import eft as fit_coefficients

    result = fit_coefficients(likelihood, coefficients=coefficients or None, limits=ranges, points=points, fixed=fixed)

    def figure() -> Figure:
        from inference.extensions import figures

        return figures.coefficients(result)

    shown = [tables.coefficient_table(result), tables.minima_table(result), tables.basis_table(result)]
    sentences = [f"{result.certificate.sentence}; {len(result.minima)} found", *result.failures]
    output.show(result, lambda: shown, figure, sentences=sentences)


def _plane(
    likelihood: Likelihood,
    fixed: dict[str, float],
    output: Output,
    pair: tuple[str, str],
    ranges: dict[str, tuple[float, float]],
    points: int,
) -> None:
    from inference.intervals.scan import scan_plane
    from inference.intervals.tables import plane_table

    def bounds(label: str) -> tuple[float, float]:
        place = likelihood.index(label)
        return float(likelihood.lower[place]), float(likelihood.upper[place])

    first, second = (ranges.get(label) or bounds(label) for label in pair)
    result = scan_plane(
        likelihood, parameters=pair, limits=(first, second), points=(points, points), fixed=fixed,
        progress=output.clock.told,
    )  # fmt: skip

    def figure() -> Figure:
        from inference.intervals import figures

        return figures.plane(result)

    output.show(result, lambda: [plane_table(result)], figure)
