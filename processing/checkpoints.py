"""Coffea's checkpointer interface over the artifact store.

Unlike coffea's own, the key holds the file's content, the analysis code and the libraries, so that no stale result
comes back; what is kept is JSON, never a pickle; and an error while keeping is an error of the chunk, not silence.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from coffea.processor.checkpointer import CheckpointerABC
from coffea.processor.executor import WorkItem

from processing.chunk_store import Kept, Recipe, keep, recall
from processing.chunks import Chunk, ChunkResult
from processing.errors import ClusterUnavailable, UnexpectedResult
from processing.inputs import open_store

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class ArtifactCheckpointer(CheckpointerABC):  # type: ignore[misc]
    """Keeps each chunk's result in the store at ``url``, under the chunk's request in ``recipe``.

    The metadata of the work items must carry ``process``, ``variation`` and ``digest``, as ``work_item`` makes them.
    Without ``reuse``, no result is taken from the store, and new ones replace those that are there.
    """

    url: str
    recipe: Recipe
    reuse: bool = True

    def load(self, metadata: Mapping[str, Any], processor_instance: Any) -> dict[str, Any] | None:  # noqa: ARG002
        """The kept output of a chunk in coffea's form, or None.

        Raises:
            ClusterUnavailable: this worker has other code or libraries than the key says.
        """
        self._require_same_environment()
        if not self.reuse:
            return None
        chunk = chunk_of(metadata)
        kept = recall(open_store(self.url), self.recipe.request(chunk))
        if kept is None:
            return None
        metrics = {"entries": chunk.events, **kept.metrics, "columns": set(kept.metrics["columns"])}
        return {"out": kept.result, "metrics": metrics, "processed": {work_item(chunk)}}

    def _require_same_environment(self) -> None:
        """Checked on the worker before each chunk: on a facility, workers come late and from other images."""
        if other := self.recipe.differences():
            raise ClusterUnavailable(
                f"the worker has {', '.join(other)}; give workers the client's environment and start anew "
                "whichever of the two is older"
            )

    def save(self, output: Mapping[str, Any], metadata: Mapping[str, Any], processor_instance: Any) -> None:  # noqa: ARG002
        """Keep the output of a chunk.

        Raises:
            UnexpectedResult: the processor returned something else than a `ChunkResult`.
        """
        if not isinstance(output["out"], ChunkResult):
            raise UnexpectedResult(
                f"{self.recipe.processor} returned {type(output['out']).__name__} from process(); "
                "it must return a processing.chunks.ChunkResult (docs/pipeline.md)"
            )
        measured = output["metrics"]
        metrics = {
            "processtime": measured["processtime"],
            "bytesread": measured["bytesread"],
            "columns": sorted(measured["columns"]),
        }
        request = self.recipe.request(chunk_of(metadata))
        keep(open_store(self.url), request, Kept(output["out"], metrics), replace=not self.reuse)


def work_item(chunk: Chunk) -> WorkItem:
    """The chunk as coffea's unit of work."""
    meta = {
        "process": chunk.process,
        "variation": chunk.variation,
        "digest": chunk.digest,
    }
    return WorkItem(chunk.sample, chunk.path, chunk.tree, chunk.start, chunk.stop, b"", meta)


def chunk_of(metadata: Mapping[str, Any]) -> Chunk:
    """The chunk that coffea's metadata of a work item describes."""
    return Chunk(
        sample=metadata["dataset"],
        process=metadata["process"],
        variation=metadata["variation"],
        path=metadata["filename"],
        tree=metadata["treename"],
        start=metadata["entrystart"],
        stop=metadata["entrystop"],
        digest=metadata["digest"],
    )


def chunk_of_item(item: WorkItem) -> Chunk:
    """The chunk that a work item was made from."""
    return Chunk(
        sample=item.dataset,
        path=item.filename,
        tree=item.treename,
        start=item.entrystart,
        stop=item.entrystop,
        **item.usermeta,
    )
