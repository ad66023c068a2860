"""Keep and find again what came of a chunk; imports neither coffea nor Dask."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from artifacts.errors import BlobDamaged
from artifacts.keys import Request
from artifacts.store import entry_name
from processing.chunks import Chunk, ChunkResult

if TYPE_CHECKING:
    from collections.abc import Mapping

    from artifacts.keys import JSON
    from artifacts.store import Store

# The digest of the analysis code holds what the processor imports. Raise the version when the rest of the way from a
# file to a kept result changes: the schema and the choice of columns in coffea_run.py, the form of the kept JSON.
STAGE, STAGE_VERSION = "chunk", 1
ENTRIES_STAGE, ENTRIES_VERSION = "entries", 1
OUTPUT = "chunk.json"
LIBRARIES = (
    "awkward",
    "boost-histogram",
    "coffea",
    "correctionlib",
    "hist",
    "numpy",
    "scipy",
    "uproot",
)
"""Libraries whose version may change the numbers."""

WORKERS_CODE = ("artifacts", "processing", "queries")
"""Packages of skimflow that run on workers."""


@cache
def library_versions() -> dict[str, str]:
    """Version of each library that decides the numbers."""
    return {name: _version(name) for name in LIBRARIES}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"


@cache
def skimflow_here() -> str:
    """Version of skimflow and a digest of its code as it was when this process first asked, which is early.

    The version alone would not tell two checkouts apart, nor a worker that imported its modules before an edit.
    """
    root = Path(__file__).parent.parent
    files = [file for room in WORKERS_CODE for file in (root / room).rglob("*") if file.suffix in {".py", ".json"}]
    digest = hashlib.sha256()
    for file in sorted(files):
        digest.update(f"{file.relative_to(root)}\n{hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    return f"{_version('skimflow')} (code {digest.hexdigest()[:12]})"


def processor_label(name: str) -> str:
    """The processor's name as keys have it: of a file its own name, without the folder it lies in."""
    return name.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class Recipe:
    """What is done to every chunk: the processor's name, the digest of the analysis code, the libraries' versions.

    ``skimflow`` says which skimflow the workers must have; of its code, the key holds what matters already.
    """

    processor: str
    code: str
    libraries: tuple[tuple[str, str], ...]
    skimflow: str

    @staticmethod
    def here(processor: str, code: str) -> Recipe:
        """The recipe with the libraries of this process."""
        return Recipe(processor, code, tuple(library_versions().items()), skimflow_here())

    def differences(self) -> list[str]:
        """What this process has in another version than the recipe says, and what is wanted."""
        here = {**library_versions(), "skimflow": skimflow_here()}
        wanted = (*self.libraries, ("skimflow", self.skimflow))
        return [f"{name} {here[name]} (wanted {other})" for name, other in wanted if here[name] != other]

    def request(self, chunk: Chunk) -> Request:
        """What decides the chunk's result: the file's content, not its path."""
        return Request(
            STAGE,
            STAGE_VERSION,
            {
                "file": chunk.digest,
                "tree": chunk.tree,
                "events": [chunk.start, chunk.stop],
                "process": chunk.process,
                "variation": chunk.variation,
                "processor": processor_label(self.processor),
                "code": self.code,
                "libraries": dict(self.libraries),
            },
        )


@dataclass(frozen=True, slots=True)
class Kept:
    """A chunk's result and what was measured while it was made."""

    result: ChunkResult
    metrics: Mapping[str, Any]


def recall(store: Store, request: Request) -> Kept | None:
    """The kept result of a chunk; None if there is none or it is damaged."""
    entry = store.get(request)
    if entry is None or OUTPUT not in entry.blobs:
        return None
    try:
        text = store.read(entry.blobs[OUTPUT])
    except BlobDamaged:
        return None
    return Kept(ChunkResult.from_json(text), entry.meta)


def keep(store: Store, request: Request, kept: Kept, *, replace: bool = False) -> None:
    """Keep the result of a chunk under its request; ``replace`` puts it in the place of one that is kept already."""
    if replace:
        store.backend.delete(entry_name(request.key))  # its blob, if it is another, is for the garbage collection
    store.put(request, {OUTPUT: kept.result.to_json()}, kept.metrics, {OUTPUT: "application/json"})


def recall_entries(store: Store, digest: str, tree: str) -> int | None:
    """Number of events in the tree of the file with this digest, if it was ever counted."""
    entry = store.get(_entries_request(digest, tree))
    return None if entry is None else int(entry.meta["entries"])


def keep_entries(store: Store, digest: str, tree: str, entries: int) -> None:
    """Remember the number of events in a tree."""
    meta: Mapping[str, JSON] = {"entries": entries}
    store.put(_entries_request(digest, tree), {}, meta)


def _entries_request(digest: str, tree: str) -> Request:
    return Request(ENTRIES_STAGE, ENTRIES_VERSION, {"file": digest, "tree": tree})
