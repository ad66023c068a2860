"""A TTree as uproot's ``mktree`` makes it.

A column of lists has a counter branch ``n<column>``, a record becomes branches ``<column>_<field>``, a list of records
has one counter for all its fields. Rows that are lists of records are written as columns of lists, one per field, as
ServiceX does it. Baskets are compressed with ZLIB, level 1.
"""

from typing import Any

from awkward.types import ListType, NumpyType, OptionType, RecordType, RegularType, UnionType, UnknownType

from delivery.engine.writers.descriptions import remember_descriptions
from delivery.engine.writers.layouts import in_one_form
from delivery.engine.writers.root import RootWriter
from delivery.errors import UnwritableType

_NUMBERS = {f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)} | {"bool", "float32", "float64"}
_OTHER_FORMATS = "use --format parquet or root-rntuple"


class TreeWriter(RootWriter):
    """A ROOT file of TTrees."""

    def _check(self, sample: Any) -> None:
        if not sample.fields:
            raise UnwritableType(
                f"a TTree's columns need names, and the result has none (its type is {sample.type.content})",
                hint="give the column a name: Select(lambda e: {'x': …}), or use --format parquet",
            )
        for field, (reason, hint) in refused(sample).items():
            kind = sample[field].type.content
            raise UnwritableType(f"the column {field!r} ({kind}) cannot be written to a TTree: {reason}", hint=hint)

    def _make(self, tree: str, sample: Any) -> Any:
        remember_descriptions()
        try:
            return self._file.mktree(tree, {field: sample[field].type.content for field in sample.fields})
        except (TypeError, ValueError) as error:  # names that collide
            raise UnwritableType(
                f"the result cannot be written to a TTree: {_first_line(error)}", hint="give the columns other names"
            ) from error

    def _extend(self, tree: Any, rows: Any) -> None:
        if not len(rows):
            return
        try:
            rows = in_one_form(rows)
            tree.extend({field: rows[field] for field in rows.fields})
        except ValueError as error:  # a column and a counter of one name that differ
            raise UnwritableType(
                f"the result cannot be written to a TTree: {_first_line(error)}", hint="give the columns other names"
            ) from error


def refused(sample: Any) -> dict[str, tuple[str, str]]:
    """The columns that a TTree cannot hold: why not, and what to do."""
    reasons = {field: _refusal(sample[field].type.content) for field in sample.fields}
    return {field: reason for field, reason in reasons.items() if reason}


def _refusal(kind: Any) -> tuple[str, str] | None:
    """Why a TTree cannot hold a column of this type and what to do, None if it can."""
    if kind.parameter("__array__") == "string":
        return None
    if kind.parameter("__array__") == "bytestring":
        return "a TTree has no byte strings", _OTHER_FORMATS
    inner = kind.content if isinstance(kind, ListType) else kind
    parts = inner.contents if isinstance(inner, RecordType) else [inner]
    if not parts:
        return "a record without fields holds nothing", "leave it out"
    if isinstance(kind, ListType) and any(isinstance(part, RegularType) for part in parts):
        # uproot would write these, with offsets that count the arrays as numbers: nobody could read them.
        return "lists of arrays of a fixed number of values cannot be there", _OTHER_FORMATS
    return next((reason for part in parts if (reason := _refusal_of_part(part))), None)


def _refusal_of_part(kind: Any) -> tuple[str, str] | None:
    while isinstance(kind, RegularType):
        kind = kind.content
    if isinstance(kind, UnknownType) or (isinstance(kind, NumpyType) and kind.primitive in _NUMBERS):
        return None
    if isinstance(kind, OptionType):
        return "values may be missing", f"{_OTHER_FORMATS}, or select only events that have them"
    if isinstance(kind, UnionType):
        return "its values are of different types", "convert them to one type"
    if isinstance(kind, NumpyType):
        return f"a TTree has no {kind.primitive}", "convert it to a number of another type"
    if kind.parameter("__array__") in {"string", "bytestring"}:
        return "strings cannot be in lists or records there", _OTHER_FORMATS
    return "its lists or records are nested too deep", _OTHER_FORMATS


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]
