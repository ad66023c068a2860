"""`skimflow scan`: the profiled likelihood of one or two parameters, and contours of two."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from skimflow.commands.workspaces import Output, finite, on_workspace

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from inference.likelihood.model import Likelihood
    from inference.profiles.nominal import NewMinimum


@click.command()
@on_workspace
@click.option(
    "--par", "parameters", multiple=True, help="Parameter to scan (default: that of interest); twice for two."
)
@click.option(
    "--points", type=int, multiple=True, help="Points, once or for each parameter (default: 41, or 21 of each)."
)
@click.option(
    "--range",
    "limits",
    type=(float, float),
    multiple=True,
    callback=finite,
    help="First and last value of each parameter.",
)
@click.option("--contour", is_flag=True, help="Trace exact contours of two parameters instead of scanning a grid.")
@click.option("--confidence", type=float, multiple=True, help="Of the contours (default: 0.6827 and 0.95).")
def scan(
    likelihood: Likelihood,
    fixed: dict[str, float],
    output: Output,
    parameters: tuple[str, ...],
    points: tuple[int, ...],
    limits: tuple[tuple[float, float], ...],
    contour: bool,
    confidence: tuple[float, ...],
) -> None:
    """Profiled likelihood of WORKSPACE (a pyhf JSON file, - for standard input) along parameters."""
    if len(parameters) > 2 or (contour and len(parameters) != 2):
        raise click.UsageError("a contour needs two parameters: --par A --par B" if contour else "at most two --par")
    if len(limits) > max(len(parameters), 1) or len(points) > max(len(parameters), 1):
        raise click.UsageError("at most one --range and one --points for each --par")
    if contour:
        _contours(likelihood, fixed, output, (parameters[0], parameters[1]), points, confidence)
    elif len(parameters) == 2:
        _plane(likelihood, fixed, output, (parameters[0], parameters[1]), points, limits)
    else:
        _line(likelihood, fixed, output, parameters, points, limits)


def _line(
    likelihood: Likelihood,
    fixed: dict[str, float],
    output: Output,
    parameters: tuple[str, ...],
    points: tuple[int, ...],
    limits: tuple[tuple[float, float], ...],
) -> None:
    from inference.intervals.scan import scan as scan_line
    from inference.intervals.tables import scan_table

    result = scan_line(
        likelihood,
        parameter=parameters[0] if parameters else None,
        points=points[0] if points else 41,
        limits=limits[0] if limits else None,
        fixed=fixed,
        progress=output.clock.told,
    )

    def figure() -> Figure:
        from inference.intervals import figures

        return figures.scan(result)

    told = f"best fit {result.parameter} = {result.bestfit:.6g} ± {result.uncertainty:.4g}"
    sentences = (told, *result.failures, *lower_minimum(result.minimum))
    output.show(result, lambda: [scan_table(result)], figure, sentences=sentences)


def _plane(
    likelihood: Likelihood,
    fixed: dict[str, float],
    output: Output,
    parameters: tuple[str, str],
    points: tuple[int, ...],
    limits: tuple[tuple[float, float], ...],
) -> None:
    from inference.fit import fit_likelihood
    from inference.intervals.scan import scan_plane
    from inference.intervals.tables import plane_table

    fit = fit_likelihood(likelihood, fixed)
    one, other = ((*points, *points) or (21, 21))[:2]
    first, second = (*limits, None, None)[:2]
    result = scan_plane(
        likelihood, parameters=parameters, points=(one, other), limits=(first, second), fit=fit,
        progress=output.clock.told,
    )  # fmt: skip

    def figure() -> Figure:
        from inference.intervals import figures
        from inference.intervals.contours import contours

        return figures.plane(result, contours(likelihood, parameters=parameters, fit=fit))

    sentences = (*result.failures, *lower_minimum(result.minimum))
    output.show(result, lambda: [plane_table(result)], figure, sentences=sentences)


def _contours(
    likelihood: Likelihood,
    fixed: dict[str, float],
    output: Output,
    parameters: tuple[str, str],
    points: tuple[int, ...],
    confidence: tuple[float, ...],
) -> None:
    from inference.intervals.contours import ONE_SIGMA, contours
    from inference.intervals.tables import contour_table

    result = contours(
        likelihood,
        parameters=parameters,
        points=points[0] if points else 64,
        confidence=confidence or (ONE_SIGMA, 0.95),
        fixed=fixed,
        progress=output.clock.told,
    )

    def figure() -> Figure:
        from inference.intervals import figures

        return figures.contours(result)

    failures = [f"{100 * each.confidence:.4g} %: {failure}" for each in result.contours for failure in each.failures]
    sentences = (*failures, *lower_minimum(result.minimum))
    output.show(result, lambda: [contour_table(result)], figure, sentences=sentences)


def lower_minimum(found: NewMinimum | None) -> list[str]:
    """What to say of a minimum below the nominal fit's."""
    if found is None:
        return []
    held = ", ".join(found.while_holding)
    return [f"a minimum lower by {found.fall:.4g} in 2 Δ log L was met while holding {held}: all counts from it"]
