"""From a fileset to normalised histograms, doing only the chunks whose results are not kept yet.

What is summed, and in which order, depends on the fileset alone: not on the cluster, on what was kept before, nor on
which chunk ended first; nor on the order of a sample's files. A result is either complete or says what it lacks.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from processing.chunk_store import Recipe
from processing.histograms import merge, normalise
from processing.metrics import Metrics
from processing.planning import Accounting, account, plan, recall_all, require_enough, sum_sample

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from hist import Hist

    from artifacts.store import Store
    from processing.chunks import Chunk, ChunkFailure, Cutflow
    from processing.clusters import ClusterSettings
    from processing.filesets import Fileset

DEFAULT_PROCESSOR = "processing.ttbar:TtbarProcessor"


@dataclass(frozen=True, slots=True)
class Processed:
    """Result of processing a fileset.

    Attributes:
        histograms: flat AGC name → one-dimensional histogram with Weight storage, normalised to cross-section ×
            luminosity.
        cutflow: sample → region → step → events, not weighted.
        nevts: sample → generated events of the files in the result, which the normalisation used.
        accounting: what was planned and what came of it.
        metrics: what it cost.
    """

    histograms: dict[str, Hist[Any]]
    cutflow: dict[str, Cutflow]
    nevts: dict[str, int]
    accounting: Accounting
    metrics: Metrics


def process(
    fileset: Fileset,
    *,
    cluster: ClusterSettings,
    store: Store,
    code: str,
    processor: str = DEFAULT_PROCESSOR,
    chunk_events: int = 100_000,
    allow_missing: float = 0.0,
    reuse: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> Processed:
    """Turn the files of a fileset into histograms.

    Args:
        fileset: samples and files; files without ``digest`` are read once to get it, which needs them to be local.
        cluster: where chunks are worked on; not started if every result is kept already.
        store: keeps each chunk's result. Workers open it by its URL.
        code: digest of the analysis code, part of every chunk's key.
        processor: ``module:Class`` of the coffea processor, whose ``process`` gives a ``ChunkResult``.
        chunk_events: most events per chunk.
        allow_missing: share of the files, from 0 to 1, that may lack a part of their result; those files are left out
            whole and named in the accounting, and the rest is normalised to the events it stands for.
        reuse: take the results of chunks that are kept; False works on every chunk anew and replaces them.
        progress: called with events done and events to do, of the chunks that are not kept yet.

    Raises:
        IncompleteProcessing: chunks failed or are missing and ``allow_missing`` does not cover it.
        ClusterUnavailable: no workers, all were lost, or one has another environment.
        FilesetError, UnknownProcessor: the request itself is wrong.
        ProcessingError: two samples give histograms of one name.
        ArtifactError: the store cannot be used. ``BlobDamaged`` names an input file of the store, which is removed
            from it: deliver it again, then run again. What finished is kept in every case.
    """
    start = time.monotonic()
    recipe = Recipe.here(processor, code)
    planned = plan(fileset, store, chunk_events)
    chunks = [chunk for file in planned for chunk in file.chunks]
    kept = recall_all(store, recipe, chunks) if reuse else {}
    todo = [chunk for chunk in chunks if chunk not in kept]
    results = {chunk: found.result for chunk, found in kept.items()}
    failures: dict[Chunk, ChunkFailure] = {}
    measured: dict[str, Any] = {}
    workers = 0
    if todo:
        from processing.coffea_run import run_chunks

        ran = run_chunks(todo, recipe, store.url, cluster, progress, reuse=reuse)
        results |= ran.results
        failures, measured, workers = ran.failures, ran.metrics, ran.workers
    accounting = account(planned, results, failures, cached=len(kept))
    require_enough(accounting, planned, results, allow_missing)
    normalised: dict[str, dict[str, Hist[Any]]] = {}
    cutflow, nevts, events = {}, {}, 0
    for sample in fileset.samples:
        total, stands_for = sum_sample(sample, planned, results)
        normalised[sample.name] = normalise(sample, total, stands_for)
        cutflow[sample.name], nevts[sample.name] = total.cutflow, stands_for
        events += total.events
    metrics = Metrics(
        wall_seconds=time.monotonic() - start,
        events=events,
        chunks=accounting.done,
        cached_chunks=accounting.cached,
        cluster=cluster.kind,
        workers=workers,
        chunk_events=chunk_events,
        files=len(planned),
        **_measured(measured),
    )
    return Processed(merge(normalised), cutflow, nevts, accounting, metrics)


def _measured(coffea: Mapping[str, Any]) -> dict[str, Any]:
    """What coffea measured of the new chunks, in our words; zeros where there were none."""
    return {
        "process_seconds": coffea.get("processtime", 0.0),
        "new_events": coffea.get("entries", 0),
        "bytes_read": coffea.get("bytesread", 0),
        "columns": tuple(sorted(coffea.get("columns", ()))),
    }
