"""Results as tables: one table of text cells, written as aligned text, CSV, LaTeX or JSON."""

import csv
import io
import json
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from inference.results import FitResult
from inference.yields import Yields


@dataclass(frozen=True, slots=True)
class Table:
    """A title, column names, and rows of text or numbers (None is an empty cell)."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str | float | None, ...], ...]

    @property
    def text_rows(self) -> tuple[tuple[str, ...], ...]:
        """The cells as a reader sees them, numbers to four significant digits."""
        return tuple(tuple(_cell(value) for value in row) for row in self.rows)

    def to_text(self) -> str:
        """Aligned columns for a terminal, numbers to four significant digits."""
        cells = [self.columns, *self.text_rows]
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

    def to_latex(self) -> str:
        """A ``table`` with the title as its caption, rules of the package booktabs, numbers as in `to_text`.

        Columns of numbers stand at the right. Text is escaped, Greek letters become symbols of mathematics;
        other letters beyond ASCII stay as they are (UTF-8 is what LaTeX reads since 2018).
        """
        sides = "".join("l" if self._is_text(column) else "r" for column in range(len(self.columns)))
        lines = [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{_escaped(self.title)}}}",
            rf"\begin{{tabular}}{{{sides}}}",
            r"\toprule",
            _latex_row(map(_escaped, self.columns)),
            r"\midrule",
            *(_latex_row(map(_latex_cell, row)) for row in self.rows),
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
        ]
        return "\n".join(lines) + "\n"

    def _is_text(self, column: int) -> bool:
        return column == 0 or any(isinstance(row[column], str) for row in self.rows)


def parameter_table(result: FitResult) -> Table:
    """Best fit and uncertainty of every parameter, with its pre-fit width.

    No uncertainty stands where a bound holds the parameter and the curvature there says nothing.
    """
    held = set(result.certificate.at_bound)
    known = (
        None if label in held and not sigma else sigma
        for label, sigma in zip(result.labels, result.uncertainties, strict=True)
    )
    rows = zip(result.labels, result.bestfit, known, result.prefit, strict=True)
    return Table("Fitted parameters", ("parameter", "best fit", "uncertainty", "pre-fit width"), tuple(rows))


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
        seen = [count for count in region.data if count is not None]
        name, total = data_row(len(seen), len(region.data), sum(seen))
        counts = [("data", count) for count in region.data] if bins else [(name, total)]
        rows += [
            _yield_row(region.region, index if bins else None, name, count, None)
            for index, (name, count) in enumerate(counts)
        ]
    columns = (
        ("region", "bin", "sample", "events", "uncertainty") if bins else ("region", "sample", "events", "uncertainty")
    )
    return Table(f"{yields.stage.capitalize()} yields", columns, tuple(rows))


def data_row(seen: int, bins: int, total: float) -> tuple[str, float | None]:
    """Name and sum of the data of a region, of which only the bins seen may be added up."""
    if seen == bins:
        return "data", total
    return (f"data in {seen} of {bins} bins", total) if seen else ("data (hidden)", None)


def _yield_row(
    region: str, index: int | None, sample: str, value: float | None, sigma: float | None
) -> tuple[str | float | None, ...]:
    place = (region,) if index is None else (region, index)
    return (*place, sample, value, sigma)


def _greek(letter: str) -> str:
    name = unicodedata.name(letter).replace("LAMDA", "LAMBDA")  # Unicode's spelling of it
    word = name.split()[-1]
    return f"$\\{word.lower() if 'SMALL' in name else word.capitalize()}$"


# What LaTeX takes for commands.
_SPECIAL = str.maketrans(
    {character: f"\\{character}" for character in "&%$#_{}"}
    | {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
        "−": "$-$",
        "±": r"$\pm$",
        "²": "$^2$",
        "\n": " ",
    }
    | {letter: _greek(letter) for letter in "αβγδεζηθικλμνξπρστυφχψωΓΔΘΛΞΠΣΦΨΩ"}
)


def _escaped(text: str) -> str:
    return text.translate(_SPECIAL)


def _latex_row(cells: Iterable[str]) -> str:
    # A bracket at the start of a line would be an argument of the line break before it.
    row = " & ".join(cells)
    return ("{}" if row.startswith(("[", "*")) else "") + row + r" \\"


def _latex_cell(value: str | float | None) -> str:
    if value is None or isinstance(value, str):
        return _escaped(value or "")
    mantissa, _, exponent = _cell(value).partition("e")
    if exponent:
        return rf"${mantissa} \times 10^{{{int(exponent)}}}$"
    return f"${mantissa}$" if mantissa.startswith("-") else mantissa


def _cell(value: str | float | None) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return f"{value:.1f}" if abs(value) >= 1000 else f"{value:.4g}"
