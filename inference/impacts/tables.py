"""Impacts and pulls as tables."""

from collections.abc import Iterator

from inference.impacts.pulls import Pulls
from inference.impacts.results import Impacts, Ranking
from inference.tables import Table


def impact_tables(impacts: Impacts) -> Iterator[Table]:
    """For each parameter of interest its ranking, its groups if there are any, and the split of its uncertainty."""
    for ranking in impacts.rankings:
        yield ranking_table(ranking)
        if ranking.groups:
            yield group_table(ranking)
        if ranking.split:
            yield split_table(ranking)


def ranking_table(ranking: Ranking) -> Table:
    """Pulls, constraints and shifts, one row for each nuisance parameter."""
    if ranking.method == "global":
        sides = {"+1σ": "postfit_up", "−1σ": "postfit_down"}
    else:
        sides = {
            "post-fit up": "postfit_up",
            "post-fit down": "postfit_down",
            "pre-fit up": "prefit_up",
            "pre-fit down": "prefit_down",
        }
    rows = tuple(
        (
            one.parameter,
            one.pull,
            one.constraint,
            *(getattr(one, side) for side in sides.values()),
            "; ".join(one.failures) or None,
        )
        for one in ranking.impacts
    )
    columns = ("parameter", "pull", "constraint", *sides, "failed")
    return Table(f"{_METHODS[ranking.method]} on {_value(ranking)}", columns, rows)


def group_table(ranking: Ranking) -> Table:
    """Share of each group in the uncertainty, and what is left of it without the group."""
    rows = tuple((group.group, len(group.parameters), group.impact, group.remaining) for group in ranking.groups)
    return Table(f"Groups: shares in {_value(ranking)}", ("group", "parameters", "impact", "without it"), rows)


def split_table(ranking: Ranking) -> Table:
    """Statistical and systematic parts of the uncertainty; their squares add up."""
    parts = ranking.split
    rows = (
        ()
        if parts is None
        else (
            ("statistical", parts.statistical),
            ("simulated events", parts.mc_statistical),
            ("systematic", parts.systematic),
            ("total", ranking.uncertainty),
        )
    )
    return Table(f"Uncertainty of {ranking.poi}", ("part", "uncertainty"), rows)


def pull_table(pulls: Pulls) -> Table:
    """Pulls from the auxiliary measurements."""
    columns = ("parameter", "best fit", "uncertainty", "measured", "width", "pull", "constraint", "normalised pull")
    rows = tuple(
        (
            one.parameter,
            one.bestfit,
            one.uncertainty,
            one.centre,
            one.width,
            one.pull,
            one.constraint,
            one.normalised,
        )
        for one in pulls.pulls
    )
    return Table("Pulls", columns, rows)


def _value(ranking: Ranking) -> str:
    blinded = " (blinded)" if ranking.blinded else ""
    return f"{ranking.poi} = {ranking.bestfit:.4g} ± {ranking.uncertainty:.2g}{blinded}"


_METHODS = {"refit": "Impacts by refits", "covariance": "Impacts from the covariance", "global": "Global impacts"}
