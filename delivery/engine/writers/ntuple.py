"""An RNTuple as uproot's ``mkrntuple`` makes it: one field per column, any depth, missing values.

A record that may be missing has no type of its own in the file: uproot reads it back as a list of none or one, there
as here.
"""

from typing import Any

from awkward.types import NumpyType, OptionType, RecordType, UnionType, UnknownType

from delivery.engine.writers.layouts import in_one_form
from delivery.engine.writers.root import RootWriter
from delivery.errors import UnwritableType

_NUMBERS = {f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)} | {"bool", "float32", "float64"}


class NTupleWriter(RootWriter):
    """A ROOT file of RNTuples."""

    def _check(self, sample: Any) -> None:
        kind = sample.type.content
        if isinstance(kind, OptionType):
            raise UnwritableType(
                f"an RNTuple cannot hold rows that are missing ({kind})",
                hint="use --semantics strict, which has no such rows, or --format parquet",
            )
        if not isinstance(kind, RecordType):
            raise UnwritableType(
                f"an RNTuple's columns need names, and its rows have to be records (they are {kind})",
                hint="select two or more columns: Select(lambda e: {'x': …, 'y': …}), or use --format parquet",
            )
        for field, reason in refused(sample).items():
            content = sample[field].type.content
            raise UnwritableType(
                f"the column {field!r} ({content}) cannot be written to an RNTuple: {reason}",
                hint="use --format parquet, or leave it out",
            )

    def _make(self, tree: str, sample: Any) -> Any:
        return self._file.mkrntuple(tree, in_one_form(sample).layout.form)

    def _extend(self, tree: Any, rows: Any) -> None:
        if len(rows):
            tree.extend(in_one_form(rows))


def refused(sample: Any) -> dict[str, str]:
    """The columns that an RNTuple cannot hold, and why not."""
    reasons = {field: _refusal(sample[field].type.content) for field in sample.fields}
    return {field: reason for field, reason in reasons.items() if reason}


def _refusal(kind: Any) -> str | None:
    """Why uproot cannot write a field of this type, None if it can."""
    if isinstance(kind, NumpyType):
        known = kind.primitive in _NUMBERS and kind.parameter("__array__") != "byte"
        return None if known else f"an RNTuple has no {kind}"
    if isinstance(kind, UnknownType):
        return "nothing says what type its values have"
    if isinstance(kind, UnionType):
        # uproot would write it, and read it wrong from the second cluster on.
        return "its values are of different types"
    if isinstance(kind, RecordType) and not kind.contents:
        return "a record without fields holds nothing"
    contents = kind.contents if hasattr(kind, "contents") else [kind.content]
    return next((reason for content in contents if (reason := _refusal(content))), None)
