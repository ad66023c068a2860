"""Types of columns in words: ``list of float32``; the fields of a record are rows of their own."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from awkward.types import Type

_PLAIN: Final = {"float": "float32", "double": "float64", "char": "int8", "string": "text", "unsigned char": "uint8"}
_LISTS: Final = re.compile(r"(?:std::vector|ROOT::VecOps::RVec|ROOT::RVec)<(.*)>|(.*)\[\d*\]")


@dataclass(frozen=True, slots=True)
class Column:
    """A column, or at `depth` 1 and more a field of the record above it; `type` in words."""

    name: str
    type: str
    depth: int = 0


def of_awkward(name: str, type_: "Type", depth: int = 0) -> Iterator[Column]:
    """A column of an awkward type, and the fields of its records."""
    words, record = _worded(type_)
    yield Column(name, words, depth)
    if record is not None:
        for field, content in record:
            yield from of_awkward(field, content, depth + 1)


def _worded(type_: "Type") -> tuple[str, list[tuple[str, "Type"]] | None]:  # noqa: PLR0911 - a branch for each kind
    """A type in words, and the fields of the record that it comes down to, if it does."""
    from awkward import types

    if type_.parameters.get("__array__") in ("string", "bytestring"):
        return "text", None
    match type_:
        case types.ListType():
            words, fields = _worded(type_.content)
            return f"list of {_plural(words)}", fields
        case types.RegularType():
            words, fields = _worded(type_.content)
            return f"{type_.size} × {words}", fields
        case types.OptionType():
            words, fields = _worded(type_.content)
            return f"optional {words}", fields
        case types.RecordType():
            return "record", [(field, type_.content(field)) for field in type_.fields]
        case types.UnionType():
            return " or ".join(_worded(one)[0] for one in type_.contents), None
    return str(type_), None


def _plural(words: str) -> str:
    return re.sub(r"^(list|record|text)\b", r"\1s", words)


def of_cpp(typenames: Iterable[tuple[str, str]]) -> Iterator[Column]:
    """Branches or fields of a ROOT file by their C++ types; a field's name begins with its record's and a dot."""
    for name, type_ in typenames:
        depth = name.count(".")
        yield Column(name.rpartition(".")[2] if depth else name, _cpp(type_), depth)


def _cpp(type_: str) -> str:
    bare = type_.strip().replace("std::__cxx11::", "std::")
    if not bare:
        return "records"  # one or many: an RNTuple's collection has no C++ type
    found = _LISTS.fullmatch(bare)
    if found:
        return f"list of {_plural(_cpp(found[1] or found[2]))}"
    bare = bare.removeprefix("std::").removesuffix("_t")
    return _PLAIN.get(bare, bare)
