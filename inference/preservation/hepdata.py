"""A HEPData submission: workspace, tables and figures as a folder that its uploader takes.

The format is HEPData's submission schema 1.1.1 (a ``submission.yaml`` of several documents, one YAML file for each
table). The library hepdata_lib writes it too, but brings hepdata-validator (GPL) and wants ImageMagick for thumbnails,
so this writes the YAML itself; the validator checks it from outside.
"""

import io
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inference.preservation.errors import InvalidSubmission
from inference.results import FitResult
from inference.tables import Table
from inference.yields import Yields

LONGEST_NAME = 64
KEYWORDS = ("cmenergies", "observables", "reactions", "phrases")
EMPTY = "-"  # HEPData's word for a cell without a number
NAMELESS = "quantity"  # what a column without a name is called
SUBMISSION = "submission.yaml"
THUMBNAIL = (240, 179)  # pixels at most, as on HEPData's pages


@dataclass(frozen=True, slots=True)
class Figure:
    """A picture as PNG: the name of its file without ending, and its bytes."""

    name: str
    png: bytes


@dataclass(frozen=True, slots=True)
class Bins:
    """Variable of a histogram, its unit, and one edge more than bins."""

    variable: str
    unit: str
    edges: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Record:
    """One table of a submission.

    Attributes:
        table: its title becomes the name; leading columns of text (the first at least) the independent variables; a
            column ± has the uncertainties of the one before it.
        description: what the numbers are.
        errors: column of values -> column of their symmetric uncertainties.
        figures: that show it.
        bins: stand in place of the first column, the bin's number, where they are known.
    """

    table: Table
    description: str
    errors: Mapping[str, str]
    figures: tuple[Figure, ...] = ()
    bins: Bins | None = None


@dataclass(frozen=True, slots=True)
class Resource:
    """A file that belongs to the whole submission; ``kind`` is HEPData's type, as HistFactory."""

    name: str
    content: bytes
    description: str
    kind: str | None = None


def write_submission(
    folder: Path,
    records: Iterable[Record],
    resources: Iterable[Resource],
    *,
    comment: str,
    keywords: Mapping[str, Iterable[str]] | None = None,
) -> tuple[Path, ...]:
    """Write a submission into a folder and give the paths of its files, ``submission.yaml`` first.

    Args:
        comment: about the whole, such as the abstract.
        keywords: of all tables: cmenergies (in GeV), observables, reactions, phrases.

    Raises:
        InvalidSubmission: two tables or files of one name, or a keyword that HEPData does not know.
    """
    words = _keywords(keywords or {})
    files: dict[str, bytes] = {}
    documents: list[dict[str, Any]] = [{"comment": comment, "additional_resources": list(_resources(resources, files))}]
    names: set[str] = set()
    for record in records:
        name = record.table.title[:LONGEST_NAME]
        if name in names:
            raise InvalidSubmission(f"two tables are called {name!r}; HEPData needs a name for each")
        names.add(name)
        data_file = f"{_slug(name)}.yaml"
        _add(files, data_file, _yaml([_data(record)]))
        document = {"name": name, "description": record.description, "keywords": words, "data_file": data_file}
        if pictures := list(_pictures(record.figures, files)):
            document["additional_resources"] = pictures
        documents.append(document)
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in {SUBMISSION: _yaml(documents), **files}.items():
        (folder / name).write_bytes(content)
    return tuple(folder / name for name in (SUBMISSION, *files))


def correlation_table(result: FitResult, title: str = "Correlation matrix") -> Table:
    """Correlations of all free parameters of a fit, one row for each pair."""
    matrix = result.correlation
    free = [place for place, fixed in enumerate(result.fixed) if not fixed]
    rows = tuple(
        (result.labels[one], result.labels[other], float(matrix[one, other])) for one in free for other in free
    )
    return Table(title, ("first parameter", "second parameter", "correlation"), rows)


def region_tables(yields: Yields) -> Iterator[tuple[Table, dict[str, str]]]:
    """Each region's bins as rows, samples and data as columns; and which column is the uncertainty of which."""
    for region in yields.regions:
        columns: dict[str, tuple[float | None, ...]] = {"bin": tuple(range(len(region.data)))}
        errors = {}
        for sample in (*region.samples, region.prediction):
            errors[sample.sample] = f"uncertainty of {sample.sample}"
            columns |= {sample.sample: sample.values, errors[sample.sample]: sample.uncertainties}
        columns["data"] = region.data
        title = f"{yields.stage.capitalize()} yields, {region.region}"
        yield Table(title, tuple(columns), tuple(zip(*columns.values(), strict=True))), errors


def _keywords(given: Mapping[str, Iterable[str]]) -> list[dict[str, Any]]:
    for name in given:
        if name not in KEYWORDS:
            raise InvalidSubmission(f"HEPData has no keyword {name!r}; it has {', '.join(KEYWORDS)}")
    return [{"name": name, "values": [_number(each) for each in given.get(name, ())]} for name in KEYWORDS]


def _number(text: str) -> str | float:
    try:
        return float(text)
    except ValueError:
        return text


def _resources(resources: Iterable[Resource], files: dict[str, bytes]) -> Iterator[dict[str, Any]]:
    for each in resources:
        _add(files, each.name, each.content)
        kind = {} if each.kind is None else {"type": each.kind}
        yield {"location": each.name, "description": each.description, **kind}


def _pictures(figures: Iterable[Figure], files: dict[str, bytes]) -> Iterator[dict[str, str]]:
    for each in figures:
        name = f"{_slug(each.name)}.png"
        if files.get(name) != each.png:  # one figure may show several tables
            _add(files, name, each.png)
            _add(files, f"thumb_{name}", _thumbnail(each.png))
        yield {"location": name, "description": "Image file"}
        yield {"location": f"thumb_{name}", "description": "Thumbnail image file"}


def _thumbnail(png: bytes) -> bytes:
    from PIL import Image

    small = io.BytesIO()
    with Image.open(io.BytesIO(png)) as image:
        image.thumbnail(THUMBNAIL)
        image.save(small, "png")
    return small.getvalue()


def _add(files: dict[str, bytes], name: str, content: bytes) -> None:
    if name in files or name == SUBMISSION:
        raise InvalidSubmission(f"two files of the submission are called {name!r}")
    files[name] = content


def _data(record: Record) -> dict[str, Any]:
    """Variables of a table, all of one length; empty columns are left out."""
    names = record.table.columns
    columns = list(zip(*record.table.rows, strict=True)) if record.table.rows else [()] * len(names)
    first = 1 if record.bins else _leading_text(columns)
    errors = _errors(names, record.errors)
    values = [
        place
        for place in range(first, len(names))
        if place not in errors.values() and any(one is not None for one in columns[place])
    ]
    independent = [
        {
            "header": {"name": names[place] or NAMELESS},
            "values": [{"value": EMPTY if one is None else one} for one in columns[place]],
        }
        for place in range(first)
    ]
    return {
        "independent_variables": [_edges(record.bins)] if record.bins else independent,
        "dependent_variables": [
            {
                "header": {"name": names[place] or NAMELESS},
                "values": [
                    _value(one, columns[errors[place]][row] if place in errors else None)
                    for row, one in enumerate(columns[place])
                ],
            }
            for place in values
        ],
    }


def _errors(names: tuple[str, ...], said: Mapping[str, str]) -> dict[int, int]:
    """Place of a column of values -> place of its uncertainties: as said, or the ± that follows."""
    found = {place - 1: place for place, name in enumerate(names) if name == "±"}
    return found | {names.index(name): names.index(error) for name, error in said.items()}


def _edges(bins: Bins) -> dict[str, Any]:
    unit = {"units": bins.unit} if bins.unit else {}
    values = [{"low": low, "high": high} for low, high in itertools.pairwise(bins.edges)]
    return {"header": {"name": bins.variable, **unit}, "values": values}


def _leading_text(columns: Sequence[tuple[Any, ...]]) -> int:
    """How many columns at the left hold text alone, but one at least."""
    return max(sum(1 for _ in itertools.takewhile(lambda each: all(isinstance(one, str) for one in each), columns)), 1)


def _value(value: Any, sigma: Any) -> dict[str, Any]:
    if value is None:
        return {"value": EMPTY}
    # HEPData refuses an uncertainty of zero: what is held has none
    return {"value": value, "errors": [{"symerror": sigma}]} if sigma else {"value": value}


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_") or "table"


def _yaml(documents: list[Any]) -> bytes:
    import yaml

    text: str = yaml.safe_dump_all(documents, sort_keys=False, allow_unicode=True, explicit_start=True)
    return text.encode()
