"""What toys say, as tables."""

from collections.abc import Iterator

from inference.hypotheses.tables import EXPECTED, title
from inference.tables import Table
from inference.toys.discovery import Strength, ToySignificance
from inference.toys.exclusion import Estimate, ToyTests
from inference.toys.feldman_cousins import FeldmanCousins
from inference.toys.limits import ToyLimit
from inference.toys.study import ToyStudy


def study_tables(study: ToyStudy) -> Iterator[Table]:
    """Pulls of the parameters, and the coverage of intervals."""
    columns = ("parameter", "true", "pull mean", "±", "pull width", "±", "bias", "±", "uncertainty", "at bound")
    rows = tuple(
        (
            pulls.parameter,
            pulls.truth,
            *_both(pulls.mean),
            *_both(pulls.width),
            *_both(pulls.bias),
            pulls.uncertainty,
            pulls.at_bound,
        )
        for pulls in study.pulls
    )
    yield Table(f"Pulls of {study.count} {study.method} toys", columns, rows)
    if study.coverage:
        inside = tuple(
            (each.parameter, 100 * each.level, 100 * each.inside.value, 100 * each.inside.error)
            for each in study.coverage
        )
        yield Table("Coverage of likelihood-ratio intervals, in %", ("parameter", "level", "covered", "±"), inside)


def tests_table(result: ToyTests) -> Table:
    """One row for each value tested: p-values, CLs and expected CLs, with the errors of the toys."""
    columns = ("μ", "q", "CLsb", "±", "CLb", "±", "CLs", "±", *EXPECTED)
    rows = tuple(
        (
            test.mu,
            test.q,
            test.clsb.value,
            test.clsb.error,
            test.clb.value,
            test.clb.error,
            *_both(test.cls),
            *(None if each is None else each.value for each in test.expected),
        )
        for test in result.tests
    )
    return Table(f"Tests of {result.poi} against 0 by {result.toys} toys; expected CLs", columns, rows)


def limit_table(limit: ToyLimit) -> Table:
    """Observed and expected limits by toys, and the asymptotic ones."""
    names = ("observed", *EXPECTED)
    found = (limit.observed, *limit.expected)
    guides = (limit.asymptotic, *limit.asymptotic_expected)
    rows = tuple((name, *_both(one), guide) for name, one, guide in zip(names, found, guides, strict=True))
    name = f"{title(limit.level, limit.method)} upper limit on {limit.poi} by {limit.toys} toys"
    return Table(name, ("", "limit", "±", "asymptotic"), rows)


def significance_table(result: ToySignificance) -> Table:
    """Observed and expected p-value and Z."""
    rows = [("observed", *_strength(result.observed))] if result.observed else []
    rows += [(name, *_strength(each)) for name, each in zip(EXPECTED, result.expected or (), strict=False)]
    columns = ("", "p-value", "±", "Z", "Z low", "Z high")
    return Table(f"Significance of {result.poi} > 0 by {result.toys} toys", columns, tuple(rows))


def feldman_cousins_table(result: FeldmanCousins) -> Table:
    """Both ends of the interval."""
    rows = tuple(
        (side, end.value, end.error, end.status if end.status == "crossing" else end.reason or "the parameter's bound")
        for side, end in (("lower", result.lower), ("upper", result.upper))
    )
    name = f"{100 * result.level:.4g} % Feldman-Cousins interval of {result.poi} by {result.toys} toys"
    return Table(name, ("end", "value", "±", "what it is"), rows)


def _both(estimate: Estimate | None) -> tuple[float | None, float | None]:
    return (None, None) if estimate is None else (estimate.value, estimate.error)


def _strength(found: Strength) -> tuple[float | None, ...]:
    return found.p_value.value, found.p_value.error, found.z, found.z_low, found.z_high
