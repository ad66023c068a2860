"""The columns that a request gives: from a result's own header, else from what the engine infers for its first file."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

from artifacts.store import Store, blob_name
from delivery.errors import DeliveryError
from delivery.service.inputs import check
from delivery.service.settings import Settings
from queries.errors import QuerySyntaxError


@dataclass(frozen=True, slots=True)
class Columns:
    """Name and type of each column; where that is known from, in words; or why it is not known."""

    rows: tuple[tuple[str, str], ...]
    source: str


@dataclass(frozen=True, slots=True)
class Subject:
    """What decides a request's columns."""

    selection: str
    codegen: str
    semantics: Literal["servicex", "strict"]
    tree: str | None
    path: str | None
    digest: str | None


def columns_of(subject: Subject, store: Store, settings: Settings) -> Columns:
    """The columns; never raises for a query that does not fit its file: the sentence is the answer."""
    if subject.digest is not None:
        file = store.backend.file(blob_name(subject.digest))
        if file is not None and file.exists():
            return _delivered(file, subject.digest)
    if subject.codegen == "python":
        return Columns((), "a Python function's columns are known when its first file is done")
    if subject.path is None or "://" in subject.path:
        return Columns((), "the columns are known when the first file is done")
    return _inferred(subject, settings)


@lru_cache(maxsize=256)
def _delivered(file: Path, _digest: str) -> Columns:
    with file.open("rb") as opened:
        parquet = opened.read(4) == b"PAR1"
    try:
        rows = _of_parquet(file) if parquet else _of_root(file)
    except (OSError, ValueError, KeyError) as error:
        return Columns((), f"the delivered file's header cannot be read ({type(error).__name__})")
    return Columns(rows, "from a delivered file")


def _of_parquet(file: Path) -> tuple[tuple[str, str], ...]:
    import pyarrow.parquet

    schema = pyarrow.parquet.read_schema(file)
    return tuple((field.name, str(field.type)) for field in schema)


def _of_root(file: Path) -> tuple[tuple[str, str], ...]:
    import uproot

    with uproot.open(file) as opened:
        found = []
        for key, kind in opened.classnames(recursive=True, cycle=False).items():
            if kind == "TTree" or kind.endswith("RNTuple"):
                found += [(f"{key}/{name}", type_) for name, type_ in opened[key].typenames().items()]
    return tuple(found)


@lru_cache(maxsize=256)
def _inferred(subject: Subject, settings: Settings) -> Columns:
    from delivery.engine.skim import explain
    from delivery.requests import TransformRequest

    try:
        path = check(subject.path or "", settings)
        request = TransformRequest(
            text=subject.selection,
            input=path,
            output=Path("/dev/null"),
            format="parquet",
            tree=subject.tree,
            codegen=subject.codegen,
            semantics=subject.semantics,
        )
        found = explain(request)
    except (DeliveryError, QuerySyntaxError) as error:
        return Columns((), str(error).splitlines()[0])
    return Columns(tuple(found.schema), "inferred from the query and the header of the first file")
