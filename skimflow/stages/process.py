"""The process stage: delivered (or raw) files to normalised histograms.

Chunks are kept one by one inside `processing`; the merged, normalised histograms are kept here as a whole.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from artifacts.keys import Request
from artifacts.store import Entry
from processing.chunk_store import processor_label
from processing.errors import IncompleteProcessing
from processing.filesets import LUMINOSITY_PB, Fileset
from skimflow.code import code_digest, forget_imported
from skimflow.stages.context import Context
from skimflow.units import Unit, versions

if TYPE_CHECKING:
    from processing.clusters import ClusterSettings
    from processing.run import Processed

VERSION = 1
HISTOGRAMS = "histograms.json"
SUMMARY = "processing.json"
ROOT_FILE = "histograms.root"


@dataclass(frozen=True)
class ProcessPlan:
    """The whole stage as one unit, with what it would run on."""

    fileset: Fileset
    code: str
    unit: Unit


def plan_process(context: Context, fileset: Fileset) -> ProcessPlan:
    """Work out the key of the merged histograms and look it up."""
    settings = context.pipeline.processing
    code = code_digest(settings.processor, base=context.base)
    request = Request(
        "process",
        VERSION,
        {
            "processor": processor_label(settings.processor),
            "code": [code, code_digest("processing.run")],
            "settings": {"chunk_events": settings.chunk_events, "luminosity": LUMINOSITY_PB},
            "samples": {
                sample.name: {
                    "cross_section": sample.cross_section,
                    "files": sorted([file.digest, file.tree, file.entries, file.nevts] for file in sample.files),
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
    from processing.run import process

    forget_imported(context.pipeline.processing.processor, context.base)
    start = time.perf_counter()
    fileset = plan.fileset
    events = sum(file.entries or 0 for sample in fileset.samples for file in sample.files)
    with context.reporter.bar("process", events, "events") as bar:
        try:
            result = process(
                fileset,
                processor=_processor(context),
                cluster=cluster,
                store=context.store,
                chunk_events=context.pipeline.processing.chunk_events,
                code=plan.code,
                reuse="process" not in context.forced,
                allow_missing=context.spare_files / sum(len(sample.files) for sample in fileset.samples),
                progress=bar.update,
            )
        except IncompleteProcessing as error:
            raise _named(context, error) from error
    summary.seconds = time.perf_counter() - start
    summary.hits = result.metrics.cached_chunks
    summary.ran = result.metrics.chunks - summary.hits
    summary.reasons = {plan.unit.reason: summary.ran}
    return _keep(context, plan.unit, result)


def _named(context: Context, error: IncompleteProcessing) -> IncompleteProcessing:
    """The same error with the names of the input files: a blob's digest tells nobody which file is meant."""
    failures = [replace(one, path=context.names.get(one.path, one.path)) for one in error.failures]
    return IncompleteProcessing(failures, error.planned, error.hint)


def _processor(context: Context) -> str:
    """The processor's name, with a file's path made absolute."""
    name = context.pipeline.processing.processor
    file, _, attribute = name.rpartition(":")
    return f"{context.path(Path(file))}:{attribute}" if file.endswith(".py") else name


def _keep(context: Context, unit: Unit, result: Processed) -> Entry:
    """Keep the histograms; those that lack files get a key of their own, so that they never pass for the whole."""
    from processing.histograms import to_uhi_json, write_root

    accounting = result.accounting
    left_out = sorted(context.names.get(path, path) for path in accounting.left_out)
    if not accounting.complete:
        parts = {**unit.request.parts, "left_out": left_out}
        unit = replace(unit, request=Request(unit.request.stage, unit.request.version, parts))
        summary = context.summary("process")
        summary.failed = len(accounting.failed) + len(accounting.missing)
        summary.note = f"left out, and not in the normalisation: {', '.join(left_out)}"
    facts = {
        "cutflow": result.cutflow,
        "nevts": result.nevts,
        "accounting": {"planned": accounting.planned, "done": accounting.done, "left_out": left_out},
        "metrics": result.metrics.to_json(),
    }
    with context.scratch() as scratch:
        outputs: dict[str, bytes | Path] = {
            HISTOGRAMS: to_uhi_json(result.histograms),
            SUMMARY: json.dumps(facts).encode(),  # the steps of the cutflow in their order
            ROOT_FILE: write_root(result.histograms, scratch / ROOT_FILE),
        }
        media = {HISTOGRAMS: "application/json", SUMMARY: "application/json", ROOT_FILE: "application/x-root"}
        return context.keep(unit, outputs, {}, media)
