"""The process stage: delivered (or raw) files to normalised histograms.

Chunks are kept one by one inside `processing`; the merged, normalised histograms are kept here as a whole.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from artifacts.keys import Request
from artifacts.store import Entry
from processing.filesets import LUMINOSITY_PB, Fileset
from skimflow.code import code_digest
from skimflow.stages.context import Context
from skimflow.units import Unit, versions

if TYPE_CHECKING:
    from processing.clusters import ClusterSettings

VERSION = 1
HISTOGRAMS = "histograms.json"
SUMMARY = "processing.json"


@dataclass(frozen=True)
class ProcessPlan:
    """The whole stage as one unit, with what it would run on."""

    fileset: Fileset
    code: str
    unit: Unit


def plan_process(context: Context, fileset: Fileset) -> ProcessPlan:
    """Work out the key of the merged histograms and look it up."""
    settings = context.pipeline.processing
    code = code_digest(settings.processor, "processing.run", base=context.base)
    request = Request(
        "process",
        VERSION,
        {
            "processor": settings.processor,
            "code": code,
            "settings": {"chunk_events": settings.chunk_events, "luminosity": LUMINOSITY_PB},
            "samples": {
                sample.name: {
                    "cross_section": sample.cross_section,
                    "files": sorted([file.digest, file.tree, file.nevts] for file in sample.files),
                }
                for sample in fileset.samples
            },
            "versions": versions("process"),
        },
    )
    return ProcessPlan(fileset, code, context.look_up("process", "histograms", request))


def run_process(context: Context, plan: ProcessPlan, cluster: ClusterSettings) -> Entry:
    """The entry with the histograms, from the store or made now."""
    summary = context.summary("process")
    if plan.unit.entry is not None:
        summary.hits = 1
        return plan.unit.entry
    from processing.histograms import to_uhi_json
    from processing.run import process

    start = time.perf_counter()
    fileset = _with_paths(context, plan.fileset)
    with context.reporter.bar("process", 0, "events") as bar:
        result = process(
            fileset,
            processor=context.pipeline.processing.processor,
            cluster=cluster,
            store=context.store,
            chunk_events=context.pipeline.processing.chunk_events,
            code=plan.code,
            progress=lambda done, total: bar.update(done, total),
        )
    facts: dict[str, Any] = {
        "cutflow": result.cutflow, "accounting": result.accounting.to_json(), "metrics": result.metrics,
    }  # fmt: skip
    entry = context.keep(
        plan.unit,
        {HISTOGRAMS: to_uhi_json(result.histograms).encode(), SUMMARY: json.dumps(facts).encode()},
        {},
        {HISTOGRAMS: "application/json", SUMMARY: "application/json"},
    )
    summary.hits = result.metrics["chunks_cached"]
    summary.ran = result.metrics["chunks"] - result.metrics["chunks_cached"]
    summary.reasons = {plan.unit.reason: summary.ran}
    summary.seconds = time.perf_counter() - start
    return entry


def _with_paths(context: Context, fileset: Fileset) -> Fileset:
    """The fileset with every delivered blob as a verified local file."""
    blobs = {blob.digest: blob for entry in context.entries.values() for blob in entry.blobs.values()}

    def located(sample: Any) -> Any:
        files = tuple(
            replace(file, path=str(context.store.local_path(blobs[file.digest])))
            if file.path.startswith("blob:")
            else file
            for file in sample.files
        )
        return replace(sample, files=files)

    return Fileset(tuple(located(sample) for sample in fileset.samples))
