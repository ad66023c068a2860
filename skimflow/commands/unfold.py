"""`skimflow unfold`: the spectrum behind a response matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import click

from skimflow.commands.workspaces import Output, on_workspace

if TYPE_CHECKING:
    from collections.abc import Iterable

    from matplotlib.figure import Figure

    from inference.extensions.unfolding import Unfolding
    from inference.likelihood.model import Likelihood


@click.command()
@on_workspace
@click.option("--extension", help="Name of the unfolding (default: the only one).")
@click.option("--tau", help="Strength of the regularisation, or l-curve to choose it (default: the workspace's).")
@click.option("--variable", default="", help="Label of the figure's axis.")
def unfold(
    likelihood: Likelihood,
    fixed: dict[str, float],
    output: Output,
    extension: str | None,
    tau: str | None,
    variable: str,
) -> None:
    """Unfold the observed data of WORKSPACE (a pyhf JSON file with an extension unfold, - for standard input)."""
    strength = _tau(tau)
    from inference.extensions import tables
    from inference.extensions.unfolding import unfold as unfold_data

    result = unfold_data(likelihood, extension=extension, tau=strength, fixed=fixed)

    def figure() -> Figure:
        from inference.extensions import figures

        return figures.spectrum(result, variable=variable)

    shown = [tables.spectrum_table(result), tables.resolution_table(result)]
    output.show(result, lambda: shown, figure, sentences=_sentences(result))


def _tau(text: str | None) -> float | Literal["l-curve"] | None:
    if text is None or text == "l-curve":
        return text  # type: ignore[return-value]
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise click.BadParameter(f"{text!r} is neither a number from 0 nor l-curve", param_hint="--tau")
    return value


def _sentences(result: Unfolding) -> Iterable[str]:
    condition = result.resolution.condition
    yield f"{result.certificate.sentence}; χ² {result.chi2:.4g}"
    yield "the response has a direction without data" if condition is None else f"condition number {condition:.4g}"
    if result.curve is not None:
        yield f"τ from the corner of an L-curve of {len(result.curve.taus)} fits"
        yield from result.curve.failures
