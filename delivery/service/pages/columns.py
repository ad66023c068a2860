"""The columns that a request gives: from a result's own header, else from what the engine infers for its first file."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Final, Literal

from artifacts.errors import ArtifactError
from artifacts.store import Store, blob_name
from delivery.errors import DeliveryError
from delivery.service.inputs import check
from delivery.service.pages.column_types import Column, of_awkward, of_cpp
from delivery.service.settings import Settings
from queries.errors import QuerySyntaxError

MOST_BYTES: Final = 2**25
"""Of a result in an object store that is fetched for its header."""


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns and the fields of their records; where that is known from, in words; or why it is not known."""

    rows: tuple[Column, ...]
    source: str

    @property
    def count(self) -> int:
        """How many columns there are; fields do not count."""
        return sum(row.depth == 0 for row in self.rows)


@dataclass(frozen=True, slots=True)
class Subject:
    """What decides a request's columns; `digest` and `bytes` are of its smallest result, if it has one."""

    selection: str
    codegen: str
    semantics: Literal["servicex", "strict"]
    tree: str | None
    path: str | None
    digest: str | None
    bytes: int


def columns_of(subject: Subject, store: Store, settings: Settings) -> Columns:
    """The columns; never raises for a query that does not fit its file: the sentence is the answer."""
    unknown = "the columns are known when the first file is done"
    if subject.digest is not None:
        try:
            return _delivered(store, subject.digest, subject.bytes)
        except FileNotFoundError:
            unknown = "the results were removed to make room; who asks again gets them computed anew"
        except ArtifactError as error:
            unknown = str(error)
    if subject.codegen == "python" or subject.path is None or "://" in subject.path:
        return Columns((), unknown)
    return _inferred(subject, settings)


@lru_cache(maxsize=256)
def _delivered(store: Store, digest: str, size: int) -> Columns:
    """The columns of a result. Raises FileNotFoundError and ArtifactError."""
    file = store.backend.file(blob_name(digest))
    if file is not None:
        return delivered(file)
    if size > MOST_BYTES:
        return Columns((), "the results are in an object store, and too large to be opened for this page")
    with NamedTemporaryFile() as copy:
        copy.write(store.backend.read(blob_name(digest)))
        copy.flush()
        return delivered(Path(copy.name))


def delivered(file: Path) -> Columns:
    """The columns of a result, by its own header. Raises FileNotFoundError."""
    with file.open("rb") as opened:
        parquet = opened.read(4) == b"PAR1"
    try:
        rows = _of_parquet(file) if parquet else _of_root(file)
    except (OSError, ValueError, KeyError) as error:
        return Columns((), f"the delivered file's header cannot be read ({type(error).__name__})")
    return Columns(rows, "from a delivered file")


def _of_parquet(file: Path) -> tuple[Column, ...]:
    import awkward

    form = awkward.metadata_from_parquet(file)["form"]
    named = zip(form.fields, form.contents, strict=True) if form.is_record else [("", form)]
    return tuple(column for name, content in named for column in of_awkward(name, content.type))


def _of_root(file: Path) -> tuple[Column, ...]:
    import uproot

    with uproot.open(file) as opened:
        found = []
        for key, kind in opened.classnames(recursive=True, cycle=False).items():
            if kind == "TTree" or kind.endswith("RNTuple"):
                found.append((key, tuple(of_cpp(opened[key].typenames().items()))))
    if len(found) == 1:
        return found[0][1]
    return tuple(
        Column(f"{key}/{row.name}" if not row.depth else row.name, row.type, row.depth)
        for key, rows in found
        for row in rows
    )


@lru_cache(maxsize=256)
def _inferred(subject: Subject, settings: Settings) -> Columns:
    from awkward.types import from_datashape

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
    rows = [row for name, text in found.schema for row in of_awkward(name, from_datashape(text, highlevel=False))]
    return Columns(tuple(rows), "inferred from the query and the header of the first file")
