"""Which chunks a fileset is made of, and what became of each of them."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from artifacts.errors import ArtifactError
from processing.chunk_store import Kept, Recipe, keep_entries, recall, recall_entries
from processing.chunks import Chunk, ChunkFailure, ChunkResult, add_up, chunks_of
from processing.errors import FilesetError, IncompleteProcessing
from processing.filesets import is_url
from processing.inputs import blob_at, is_blob

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from artifacts.store import Store
    from processing.filesets import Fileset, InputFile, Sample

THREADS = 8  # opening remote files and asking a remote store is waiting, not work


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """One file of a sample with its chunks, or the reason why it could not be planned."""

    sample: Sample
    file: InputFile
    entries: int
    chunks: tuple[Chunk, ...]
    failure: ChunkFailure | None = None

    @property
    def digest(self) -> str:
        """Of the file's content; empty if it could not be planned."""
        return self.chunks[0].digest if self.chunks else ""

    @property
    def nevts(self) -> int:
        """Generated events that the file stands for."""
        return self.entries if self.file.nevts is None else self.file.nevts


@dataclass(frozen=True, slots=True)
class Accounting:
    """Every planned chunk is done, failed or missing.

    Attributes:
        planned: number of chunks; a file that could not be opened counts as one.
        done: number of chunks with a result.
        cached: how many of the done ones were kept before this call.
        failed: chunks that ended in an error.
        missing: chunks without result and without error.
        left_out: files that lack a part of their result, of which therefore nothing is in the histograms.
    """

    planned: int
    done: int
    cached: int
    failed: tuple[ChunkFailure, ...]
    missing: tuple[Chunk, ...]
    left_out: tuple[str, ...]

    @property
    def complete(self) -> bool:
        """Whether every planned chunk is done."""
        return self.done == self.planned


def plan(fileset: Fileset, store: Store, chunk_events: int) -> list[PlannedFile]:
    """Cut every file into chunks: samples in the order of the fileset, a sample's files in that of their digests.

    Sums run in this order, which content decides alone, for results are kept under keys that know no other. Files that
    cannot be opened are planned with their failure, so that the others are still worked on.

    Raises:
        FilesetError: a remote file comes without digest, or a blob without its number of entries.
        ArtifactError: the store cannot be used.
    """
    place = {sample.name: number for number, sample in enumerate(fileset.samples)}
    pairs = [(sample, file) for sample in fileset.samples for file in sample.files]
    with ThreadPoolExecutor(THREADS) as pool:
        planned = list(pool.map(lambda pair: _plan_file(pair[0], pair[1], store, chunk_events), pairs))
    return sorted(planned, key=lambda one: (place[one.sample.name], one.digest, one.file.tree))


def _plan_file(sample: Sample, file: InputFile, store: Store, chunk_events: int) -> PlannedFile:
    try:
        digest = _digest(file)
        entries = file.entries if file.entries is not None else _entries(file, digest, store)
    except (FilesetError, ArtifactError):
        raise
    except Exception as error:  # noqa: BLE001 - uproot raises many kinds for a damaged file
        reason = (str(error).strip().splitlines() or ["no message"])[0]
        failure = ChunkFailure(sample.name, file.path, None, None, type(error).__name__, reason)
        return PlannedFile(sample, file, 0, (), failure)
    return PlannedFile(sample, file, entries, chunks_of(sample, file, entries, digest, chunk_events))


def _digest(file: InputFile) -> str:
    if is_blob(file.path):
        return blob_at(file.path).digest
    if file.digest is not None:
        return file.digest
    if is_url(file.path):
        raise FilesetError(f"{file.path}: give the 'digest' of remote files, for their content cannot be read cheaply")
    with Path(file.path).open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _entries(file: InputFile, digest: str, store: Store) -> int:
    known = recall_entries(store, digest, file.tree)
    if known is not None:
        return known
    if is_blob(file.path):
        raise FilesetError(f"{file.path}: give the 'entries' of a file of the store, which only workers open")
    import uproot

    with uproot.open({file.path: None}) as root:
        entries = int(root[file.tree].num_entries)
    keep_entries(store, digest, file.tree, entries)
    return entries


def recall_all(store: Store, recipe: Recipe, chunks: Sequence[Chunk]) -> dict[Chunk, Kept]:
    """The chunks whose results are kept."""
    with ThreadPoolExecutor(THREADS) as pool:
        found = pool.map(lambda chunk: recall(store, recipe.request(chunk)), chunks)
        return {chunk: kept for chunk, kept in zip(chunks, found, strict=True) if kept is not None}


def account(
    planned: Sequence[PlannedFile],
    results: Mapping[Chunk, ChunkResult],
    failures: Mapping[Chunk, ChunkFailure],
    cached: int,
) -> Accounting:
    """Compare what was planned with what there is."""
    chunks = [chunk for file in planned for chunk in file.chunks]
    unopened = [file.failure for file in planned if file.failure is not None]
    failed = [failures[chunk] for chunk in chunks if chunk in failures]
    missing = [chunk for chunk in chunks if chunk not in results and chunk not in failures]
    return Accounting(
        planned=len(chunks) + len(unopened),
        done=sum(chunk in results for chunk in chunks),
        cached=cached,
        failed=(*unopened, *failed),
        missing=tuple(missing),
        left_out=tuple(file.file.path for file in planned if not _whole(file, results)),
    )


def _whole(file: PlannedFile, results: Mapping[Chunk, ChunkResult]) -> bool:
    return file.failure is None and all(chunk in results for chunk in file.chunks)


def require_enough(
    accounting: Accounting,
    planned: Sequence[PlannedFile],
    results: Mapping[Chunk, ChunkResult],
    allow_missing: float,
) -> None:
    """Accept the result if it is complete, or if the share of files left out is allowed and each sample has some left.

    Raises:
        IncompleteProcessing: otherwise; names every chunk without result.
    """
    if accounting.complete:
        return
    unexplained = [
        ChunkFailure(c.sample, c.path, c.start, c.stop, "Missing", "the run ended without a word of it")
        for c in accounting.missing
    ]
    share = len(accounting.left_out) / len(planned)
    served = {file.sample.name for file in planned if _whole(file, results)}
    empty = sorted({file.sample.name for file in planned} - served)
    if share <= allow_missing and not empty:
        return
    hint = f"{share:.1%} of the files are left out, {allow_missing:.1%} are allowed"
    if empty:
        hint += f"; nothing would be left of {', '.join(empty)}"
    raise IncompleteProcessing((*accounting.failed, *unexplained), accounting.planned, f"{hint}.")


def sum_sample(
    sample: Sample,
    planned: Sequence[PlannedFile],
    results: Mapping[Chunk, ChunkResult],
) -> tuple[ChunkResult, int]:
    """Sum of the chunks of a sample's whole files in planned order, and the generated events they stand for."""
    files = [file for file in planned if file.sample is sample and _whole(file, results)]
    chunks = [chunk for file in files for chunk in file.chunks]
    return add_up([results[chunk] for chunk in chunks]), sum(file.nevts for file in files)
