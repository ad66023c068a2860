"""`skimflow limit`: upper limits by CLs or CLsb, observed and expected."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from skimflow.commands.workspaces import Output, finite, on_workspace

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from inference.likelihood.model import Likelihood

# Values of the parameter of interest at which a figure shows the bands.
FIGURE_POINTS = 41


@click.command()
@on_workspace
@click.option("--poi", help="Parameter of interest (default: the workspace's).")
@click.option("--level", type=float, default=0.95, show_default=True, help="Confidence level.")
@click.option("--method", type=click.Choice(["CLs", "CLsb"]), default="CLs", show_default=True)
@click.option("--statistic", type=click.Choice(["qtilde", "q"]), default="qtilde", show_default=True)
@click.option(
    "--test",
    "values",
    type=float,
    multiple=True,
    callback=finite,
    help="Test this value instead; may be given repeatedly.",
)
@click.option("--lower", is_flag=True, help="Lower limit instead, from the best fit downwards.")
@click.option("--toys", type=click.IntRange(0), default=0, help="Toys at each value instead of asymptotic formulae.")
@click.option(
    "--ensemble",
    type=click.Choice(["frequentist", "prior"]),
    default="frequentist",
    show_default=True,
    help="Toys with nuisances and auxiliary measurements as the data want them, or hybrid: nuisances from constraints.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the toys.")
@click.option("--workers", type=click.IntRange(1), default=1, show_default=True, help="Threads that fit toys.")
def limit(
    likelihood: Likelihood,
    fixed: dict[str, float],
    output: Output,
    values: tuple[float, ...],
    lower: bool,
    toys: int,
    ensemble: str,
    seed: int,
    workers: int,
    **asked: Any,
) -> None:
    """Upper limit on the parameter of interest of WORKSPACE (a pyhf JSON file, - for standard input)."""
    if lower and toys:
        raise click.UsageError("lower limits are asymptotic: leave out --toys")
    if ensemble != "frequentist" and not toys:
        raise click.UsageError("--ensemble is of toys: say how many with --toys")
    asked["fixed"] = fixed
    told = output.clock.told
    by_toys = {"toys": toys, "ensemble": ensemble, "seed": seed, "workers": workers, "progress": told}
    if lower:
        _lower(likelihood, output, asked["poi"], asked["level"], fixed)
    elif values:
        chosen = {name: asked[name] for name in ("poi", "statistic", "fixed")} | {"mu": values}
        _tests(likelihood, output, chosen, by_toys if toys else None)
    elif toys:
        _by_toys(likelihood, output, asked | by_toys)
    else:
        _upper(likelihood, output, asked)


def _upper(likelihood: Likelihood, output: Output, asked: dict[str, Any]) -> None:
    from inference.hypotheses.limits import upper_limit
    from inference.hypotheses.tables import limit_table

    result = upper_limit(likelihood, **asked, points=FIGURE_POINTS if output.figure else 0)

    def figure() -> Figure:
        from inference.hypotheses.figures import brazil

        return brazil(result)

    one = result.test_of_one
    told = [f"{result.poi} = 1: CLs {one.cls:.4g}, expected {one.expected[2]:.4g}"] if one else []
    sentences = (*told, *result.failures, *result.notes)
    output.show(result, lambda: [limit_table(result)], figure, sentences=sentences, found=_any(result))


def _any(result: Any) -> bool:
    """Whether there is a limit at all."""
    return any(limit is not None for limit in (result.observed, *result.expected))


def _lower(likelihood: Likelihood, output: Output, poi: str | None, level: float, fixed: dict[str, float]) -> None:
    from inference.hypotheses.lower import lower_limit
    from inference.hypotheses.tables import limit_table

    result = lower_limit(likelihood, poi=poi, level=level, fixed=fixed)
    sentences = (*result.failures, *result.notes)
    output.show(result, lambda: [limit_table(result)], sentences=sentences, found=_any(result))


def _tests(likelihood: Likelihood, output: Output, asked: dict[str, Any], by_toys: dict[str, Any] | None) -> None:
    from inference.hypotheses.limits import hypothesis_tests
    from inference.hypotheses.tables import tests_table
    from inference.toys import tables
    from inference.toys.exclusion import hypothesis_tests_by_toys

    if by_toys is None:
        tested = hypothesis_tests(likelihood, **asked)
        sentences = (*tested.failures, *tested.notes)
        output.show(tested, lambda: [tests_table(tested.tests)], sentences=sentences, found=bool(tested.tests))
        return
    thrown = hypothesis_tests_by_toys(likelihood, **(asked | by_toys))
    sentences = (*thrown.failures, *thrown.notes)
    output.show(thrown, lambda: [tables.tests_table(thrown)], sentences=sentences, found=bool(thrown.tests))


def _by_toys(likelihood: Likelihood, output: Output, asked: dict[str, Any]) -> None:
    from inference.toys.limits import upper_limit_by_toys
    from inference.toys.tables import limit_table

    result = upper_limit_by_toys(likelihood, **asked)

    def figure() -> Figure:
        from inference.toys.figures import limit as drawn

        return drawn(result)

    sentences = (*result.failures, *result.notes)
    output.show(result, lambda: [limit_table(result)], figure, sentences=sentences, found=_any(result))
