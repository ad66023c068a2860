"""Results as tables: one table of text cells, written as aligned text, CSV or JSON."""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass

from inference.ranking import Ranking
from inference.results import FitResult
from inference.yields import Yields


@dataclass(frozen=True, slots=True)
class Table:
    """A title, column names, and rows of text or numbers (None is an empty cell)."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str | float | None, ...], ...]

    def to_text(self) -> str:
        """Aligned columns for a terminal, numbers to four significant digits."""
        cells = [self.columns, *(tuple(_cell(value) for value in row) for row in self.rows)]
        widths = [max(len(row[column]) for row in cells) for column in range(len(self.columns))]
        lines = [
            "  ".join(
                cell.ljust(width) if column == 0 else cell.rjust(width)
                for column, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in cells
        ]
        rule = "  ".join("-" * width for width in widths)
        return "\n".join([self.title, "", lines[0], rule, *lines[1:]]) + "\n"

    def to_csv(self) -> str:
        """RFC 4180 with a header line; numbers in full precision."""
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\r\n")
        writer.writerow(self.columns)
        writer.writerows(["" if value is None else value for value in row] for row in self.rows)
        return buffer.getvalue()

    def to_json(self) -> str:
        """Title and a list of records."""
        records = [dict(zip(self.columns, row, strict=True)) for row in self.rows]
        return json.dumps({"title": self.title, "rows": records}, indent=1, allow_nan=False) + "\n"


def parameter_table(result: FitResult) -> Table:
    """Best fit and uncertainty of every parameter, with its pre-fit width."""
    rows = zip(result.labels, result.bestfit, result.uncertainties, result.prefit, strict=True)
    return Table("Fitted parameters", ("parameter", "best fit", "uncertainty", "pre-fit width"), tuple(rows))


def ranking_table(ranking: Ranking) -> Table:
    """Impacts on the parameter of interest."""
    columns = (
        "parameter",
        "pull",
        "constraint",
        "post-fit up",
        "post-fit down",
        "pre-fit up",
        "pre-fit down",
        "failed",
    )
    rows = tuple(
        (
            impact.parameter,
            impact.pull,
            impact.constraint,
            impact.postfit_up,
            impact.postfit_down,
            impact.prefit_up,
            impact.prefit_down,
            "; ".join(impact.failures) or None,
        )
        for impact in ranking.impacts
    )
    return Table(f"Impacts on {ranking.poi}", columns, rows)


def yield_table(yields: Yields, *, bins: bool = False) -> Table:
    """Events per region and sample with their uncertainty, in all bins together or (``bins``) in each one."""
    rows: list[tuple[str | float | None, ...]] = []
    for region in yields.regions:
        for sample in (*region.samples, region.prediction):
            numbers = (
                zip(sample.values, sample.uncertainties, strict=True)
                if bins
                else [(sample.total, sample.total_uncertainty)]
            )
            rows += [
                _yield_row(region.region, index if bins else None, sample.sample, value, sigma)
                for index, (value, sigma) in enumerate(numbers)
            ]
        counts: Sequence[float] = region.data if bins else [sum(region.data)]
        rows += [
            _yield_row(region.region, index if bins else None, "data", count, None)
            for index, count in enumerate(counts)
        ]
    columns = (
        ("region", "bin", "sample", "events", "uncertainty") if bins else ("region", "sample", "events", "uncertainty")
    )
    return Table(f"{yields.stage.capitalize()} yields", columns, tuple(rows))


def _yield_row(
    region: str, index: int | None, sample: str, value: float, sigma: float | None
) -> tuple[str | float | None, ...]:
    place = (region,) if index is None else (region, index)
    return (*place, sample, value, sigma)


def _cell(value: str | float | None) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return f"{value:.1f}" if abs(value) >= 1000 else f"{value:.4g}"
