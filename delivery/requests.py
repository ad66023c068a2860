"""What is asked of delivery and what comes back: plain frozen values, cheap to import and to pickle."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Codegen = Literal["uproot", "uproot-raw", "python"]
OutputFormat = Literal["parquet", "root-file", "root-rntuple", "raw-file"]
"""``raw-file`` is of codegen ``python`` alone: whatever file its function wrote, as it is."""
Semantics = Literal["servicex", "strict"]

DEFAULT_CHUNK_BYTES = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class CutflowRow:
    """One top-level ``Where`` of a query: its predicate as text, and the rows that passed it and those before it."""

    text: str
    passed: int


@dataclass(frozen=True, slots=True)
class TransformRequest:
    """One query on one file.

    ``text`` is the selection (qastle for codegen ``uproot``, JSON for ``uproot-raw``, base64 of a function's source for
    ``python``), ``input`` a path or URL, ``output`` the file to write.
    ``tree`` None means the tree that the query names, else the first tree of the file. ``chunk_bytes`` bounds the
    uncompressed bytes of the query's columns that are held at once; neither it nor ``threads`` changes the output.
    ``semantics`` servicex gives what ServiceX's own transformer gives, strict what the query says (docs/queries.md).
    ``allow_python`` is the operator's leave to run the code that codegen ``python`` brings.
    """

    text: str
    input: str
    output: Path
    tree: str | None = None
    codegen: str = "uproot"
    format: OutputFormat = "root-file"
    threads: int = 1
    chunk_bytes: int = DEFAULT_CHUNK_BYTES
    semantics: Semantics = "servicex"
    allow_python: bool = False


@dataclass(frozen=True, slots=True)
class TransformResult:
    """What a transform did.

    ``events_in`` events were in the tree, ``events_out`` rows were written; ``cutflow`` has one row per top-level
    ``Where``; ``bytes_read`` counts compressed bytes of baskets or pages (of codegen ``python``: all of the input's
    bytes), ``columns`` the branches that were read.
    ``warnings`` are sentences on answers that may not be what was meant, each with its place in the query;
    ``sum_of_weights`` is the sum of genWeight over all events of the tree, None where it has no such branch.
    """

    events_in: int
    events_out: int
    cutflow: tuple[CutflowRow, ...]
    bytes_read: int
    bytes_written: int
    seconds: float
    columns: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    sum_of_weights: float | None = None


@dataclass(frozen=True, slots=True)
class FileRequest:
    """One file of a sample and the query to run on it; ``index`` is its place in the sample's list."""

    sample: str
    file: str
    tree: str | None
    query_text: str
    codegen: str
    format: str
    index: int


@dataclass(frozen=True, slots=True)
class FileDelivered:
    """A delivered file: where it lies, its tree, and the accounting of the transform.

    ``path`` is a file in the scratch folder; of the raw endpoint it is the input itself (a str if that is a URL).
    ``tree`` is empty for Parquet. ``events_in`` is None where the endpoint does not tell. ``warnings`` as in
    `TransformResult`.
    """

    request: FileRequest
    path: Path | str
    tree: str
    events_in: int | None
    events_out: int
    cutflow: tuple[CutflowRow, ...]
    attempts: int
    seconds: float
    bytes_read: int
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FileFailed:
    """A file that could not be delivered: the error's class name and the reason in one sentence."""

    request: FileRequest
    error: str
    reason: str
    attempts: int


Outcome = FileDelivered | FileFailed


@dataclass(frozen=True, slots=True)
class ColumnBytes:
    """A branch and the bytes that all its entries take, on disk and uncompressed, from the file's header."""

    name: str
    compressed: int
    plain: int


@dataclass(frozen=True, slots=True)
class Phase:
    """Columns that are read together; ``text`` is the predicate that needs them, empty for the output's columns."""

    title: str
    text: str
    columns: tuple[ColumnBytes, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """The plan of one query on one file, before anything is read but the file's header.

    ``phases`` in the order in which they will be read, each with the columns that no phase before it has read;
    ``schema`` has (column, type) of the output, types in awkward's notation; ``warnings`` as in `TransformResult`;
    ``file_bytes`` is the size of the file, ``entries`` the events of its tree. ``one_value``: the query gives one value
    for the whole file, which `delivery.engine.evaluate` gives and no output file can hold.
    """

    phases: tuple[Phase, ...]
    schema: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...]
    file_bytes: int
    entries: int
    one_value: bool = False
