"""Chunks through coffea's Runner, on Dask or in this process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from coffea.nanoevents import NanoAODSchema
from coffea.processor import ProcessorABC, Runner

from processing.checkpoints import ArtifactCheckpointer, chunk_of_item, work_item
from processing.chunks import ChunkFailure
from processing.clusters import connect
from processing.executors import AccountingDaskExecutor, AccountingIterativeExecutor, Outcome
from processing.inputs import Inputs, require_reachable
from processing.processors import load_processor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from processing.chunk_store import Recipe
    from processing.chunks import Chunk, ChunkResult
    from processing.clusters import ClusterSettings
    from processing.executors import Progress

OPEN_TIMEOUT_S = 60


# What a processor is given: whoever changes it raises STAGE_VERSION in chunk_store.py, for no key holds this code.
class QuietNanoAODSchema(NanoAODSchema):  # type: ignore[misc]
    """NanoAODSchema that does not warn of cross-references between collections that nobody asked for."""

    warn_missing_crossrefs = False


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """Results of the chunks that coffea calls processed, why others failed, and coffea's metrics of the former.

    ``workers`` is the number of one-thread workers at the end of the run.
    """

    results: dict[Chunk, ChunkResult]
    failures: dict[Chunk, ChunkFailure]
    metrics: dict[str, Any]
    workers: int


def run_chunks(
    chunks: Sequence[Chunk],
    recipe: Recipe,
    store_url: str,
    cluster: ClusterSettings,
    progress: Progress | None = None,
    *,
    reuse: bool = True,
) -> RunOutcome:
    """Process chunks and keep each result in the store as it is made.

    Raises:
        UnknownProcessor: the recipe's processor cannot be imported.
        ClusterUnavailable: no cluster to work on, all its workers went away, or one has another environment.
        ArtifactError: the store cannot keep a result or serve an input.
    """
    require_reachable(chunks, store_url, cluster)
    processor = load_processor(recipe.processor)
    outcome = Outcome(progress=progress, total_events=sum(chunk.events for chunk in chunks))
    checkpointer, inputs = ArtifactCheckpointer(store_url, recipe, reuse), Inputs(store_url)
    if cluster.kind == "iterative":
        executor: Any = AccountingIterativeExecutor(status=False, compression=None, outcome=outcome, inputs=inputs)
        output, workers = _run(executor, checkpointer, processor, chunks), 1
    else:
        with connect(cluster) as client:
            executor = AccountingDaskExecutor(
                client=client,
                status=False,
                compression=None,
                outcome=outcome,
                inputs=inputs,
                worker_timeout=cluster.worker_timeout,
            )
            output = _run(executor, checkpointer, processor, chunks)
            workers = sum(client.ncores().values())
    return _account(output, outcome, workers)


def _run(
    executor: Any, checkpointer: ArtifactCheckpointer, processor: ProcessorABC, chunks: Sequence[Chunk]
) -> dict[str, Any]:
    runner = Runner(
        executor=executor,
        schema=QuietNanoAODSchema,
        savemetrics=True,
        checkpointer=checkpointer,
        xrootdtimeout=OPEN_TIMEOUT_S,
    )
    # Building the schema from the needed branches alone is 30 times faster on files with a thousand branches.
    columns = getattr(processor, "columns", None)
    options = {} if columns is None else {"filter_name": list(columns)}
    output: dict[str, Any] = runner.run([work_item(chunk) for chunk in chunks], processor, iteritems_options=options)
    return output


def _account(output: dict[str, Any], outcome: Outcome, workers: int) -> RunOutcome:
    results = {chunk_of_item(item): output["out"][item] for item in output["processed"]}
    failures = {}
    for item, failed in outcome.failures.items():
        chunk = chunk_of_item(item)
        failures[chunk] = ChunkFailure(
            chunk.sample, chunk.path, chunk.start, chunk.stop, failed.error, failed.reason, failed.attempts
        )
    return RunOutcome(results, failures, output.get("metrics", {}), workers)
