"""`skimflow toys`: pseudo-experiments thrown and fitted, and how the fits compare with the truth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import click

from skimflow.commands.workspaces import Output, assignments, on_workspace

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from inference.likelihood.model import Likelihood


@click.command()
@on_workspace
@click.option("--count", type=click.IntRange(1), default=1000, show_default=True, help="Number of toys.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Same seed, same toys.")
@click.option("--at", "at", multiple=True, metavar="NAME=VALUE", help="Throw them there; may be repeated.")
@click.option(
    "--truth", type=click.Choice(["fitted", "nominal"]), default="fitted", show_default=True,
    help="Other parameters: where the data want them, or where the workspace begins.",
)  # fmt: skip
@click.option(
    "--method", type=click.Choice(["frequentist", "prior"]), default="frequentist", show_default=True,
    help="Throw auxiliary measurements, or draw constrained parameters from their constraints.",
)  # fmt: skip
@click.option("--par", "parameters", multiple=True, help="Pulls of this parameter (default: all); may be repeated.")
@click.option("--bin-gammas", is_flag=True, help="Pulls of the statistical uncertainties of bins too.")
@click.option("--search/--no-search", default=True, show_default=True, help="Look for lower minima in every toy.")
@click.option("--workers", type=click.IntRange(1), default=1, show_default=True, help="Threads that fit.")
@click.option(
    "--asimov", is_flag=True, help="Instead, fit the data that are expected: what the fit will be able to say."
)
@click.option("--store", help="Keep finished toys in a folder, memory:// or s3://bucket/prefix, and go on from there.")
def toys(
    likelihood: Likelihood,
    fixed: dict[str, float],
    output: Output,
    count: int,
    seed: int,
    at: tuple[str, ...],
    truth: Literal["fitted", "nominal"],
    method: Literal["frequentist", "prior"],
    parameters: tuple[str, ...],
    bin_gammas: bool,
    search: bool,
    workers: int,
    asimov: bool,
    store: str | None,
) -> None:
    """Throw toys of WORKSPACE (a pyhf JSON file, - for standard input), fit them, and summarise their pulls.

    The figure shows mean and width of all pulls, or with one --par the distribution of its pulls.
    """
    if asimov:
        _asimov(likelihood, fixed, output, assignments(at, "--at"), truth)
        return
    from artifacts.store import Store
    from inference.toys.study import toy_study
    from inference.toys.tables import study_tables

    result = toy_study(
        likelihood,
        toys=count,
        seed=seed,
        at=assignments(at, "--at"),
        truth=truth,
        method=method,
        parameters=parameters or None,
        bin_gammas=bin_gammas,
        fixed=fixed,
        search=search,
        store=None if store is None else Store.open(store),
        workers=workers,
        progress=output.clock.told,
    )

    def figure() -> Figure:
        from inference.toys import figures

        return figures.study(result)

    told = f"{result.converged.count} of {count} fits converged, {result.iterations:.1f} iterations on average"
    output.show(result, lambda: study_tables(result), figure, sentences=(told, *result.failures))


def _asimov(
    likelihood: Likelihood,
    fixed: dict[str, float],
    output: Output,
    at: dict[str, float],
    truth: Literal["fitted", "nominal"],
) -> None:
    from inference.expected import expected_fit
    from inference.tables import parameter_table

    result = expected_fit(likelihood, at=at, truth=truth, fixed=fixed)

    def figure() -> Figure:
        from inference.impacts.figures import fitted

        return fitted(result)

    said = f"fit of Asimov data; {result.certificate.sentence}"
    output.show(result, lambda: [parameter_table(result)], figure, sentences=[said])
