"""Keep and find again what came of a chunk; imports neither coffea nor Dask."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from artifacts.errors import BlobDamaged
from artifacts.keys import Request
from processing.chunks import Chunk, ChunkResult

if TYPE_CHECKING:
    from collections.abc import Mapping

    from artifacts.keys import JSON
    from artifacts.store import Store

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


@cache
def library_versions() -> dict[str, str]:
    """Version of each library that decides the numbers."""
    return {name: version(name) for name in LIBRARIES}


def processor_label(name: str) -> str:
    """The processor's name as keys have it: of a file its own name, without the folder it lies in."""
    return name.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class Recipe:
    """What is done to every chunk: the processor's name, the digest of the analysis code, the libraries' versions."""

    processor: str
    code: str
    libraries: tuple[tuple[str, str], ...]

    @staticmethod
    def here(processor: str, code: str) -> Recipe:
        """The recipe with the libraries of this process."""
        return Recipe(processor, code, tuple(library_versions().items()))

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


def keep(store: Store, request: Request, kept: Kept) -> None:
    """Keep the result of a chunk under its request."""
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
