"""Run or plan a whole pipeline: every stage looked up first, run only where its result is not kept."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from artifacts.errors import BlobDamaged
from artifacts.store import Entry, Store
from delivery.identity import FileMemo
from processing.filesets import Fileset
from skimflow.code import check_defined
from skimflow.errors import StageNotKept
from skimflow.pipeline import STAGES, Pipeline, Stage, load_extensions, load_pipeline
from skimflow.progress import Quiet, Reporter
from skimflow.stages.context import Context
from skimflow.stages.deliver import accept, open_service, plan_delivery, run_delivery
from skimflow.stages.fit import plan_build, run_build
from skimflow.stages.process import plan_process, run_process
from skimflow.stages.results import plan_results
from skimflow.stages.samples import resolve_samples
from skimflow.stages.workspaces import Workspaces, check_files
from skimflow.units import Record, StageSummary, Unit, record_document

if TYPE_CHECKING:
    from delivery.endpoint import Endpoint
    from processing.clusters import ClusterSettings

STATE = ".skimflow"
"""Folder beside the pipeline file that holds the store (unless another is named) and the identities of input files."""

Done = TypeVar("Done")

MAX_REPAIRS = 20
"""Damaged blobs that one run mends before it gives up on the store."""


@dataclass(frozen=True)
class RunResult:
    """What a run gave.

    Attributes:
        stages: what happened to each stage: hits, units run, seconds, reasons.
        results: by name (`fit`, `ranking`, `yields`, …), the plain values that the inference stage gave.
        report: folder of the report, None if the run ended before it.
        notes: what a reader of the result must know, such as files that are missing.
    """

    name: str
    stages: dict[str, StageSummary]
    results: dict[str, Any]
    report: Path | None
    notes: tuple[str, ...] = ()
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "name": self.name,
            "stages": [summary.to_json() for summary in self.stages.values()],
            "results": self.results,
            "report": None if self.report is None else str(self.report),
            "notes": list(self.notes),
            "seconds": round(self.seconds, 3),
        }


@dataclass(frozen=True)
class Plan:
    """What a run would find: units looked up, and stages that wait for earlier ones."""

    units: tuple[Unit, ...]
    waiting: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        units = [
            {
                "stage": unit.stage,
                "unit": unit.name,
                "key": unit.request.key,
                "hit": unit.hit,
                "reason": unit.reason,
            }
            for unit in self.units
        ]
        return {"units": units, "waiting": list(self.waiting)}


@dataclass(frozen=True)
class Options:
    """Choices of one run that are not part of the pipeline.

    Attributes:
        start: first stage that may run; the results of earlier ones must be kept.
        until: last stage to run.
        forced: stages that run although their results are kept.
        endpoint: delivery endpoint instead of the pipeline's.
        report: folder of the report instead of the pipeline's.
    """

    store: str | None = None
    files_per_sample: int | None = None
    allow_missing: float | None = None
    start: Stage = "deliver"
    until: Stage = "report"
    forced: frozenset[str] = frozenset()
    endpoint: Literal["local", "servicex", "raw"] | None = None
    report: Path | None = None


def open_context(path: Path, options: Options, reporter: Reporter) -> Context:
    """Read the pipeline file and what it names, and open what a run needs: mistakes are found before anything runs."""
    from inference.model import load_model
    from queries import load

    pipeline = _adjusted(load_pipeline(path), options)
    base = path.resolve().parent
    state = base / STATE
    store = Store.open(options.store or _store_url(base, pipeline.store))
    model = base / pipeline.inference.model
    check_defined(pipeline.processing.processor, base)
    check_files(base, pipeline.inference.wanted)
    return Context(
        pipeline=pipeline,
        query=load(pipeline.query, base=base),
        model=load_model(model if model.exists() else str(pipeline.inference.model)),
        extensions=load_extensions(base, pipeline),
        base=base,
        state=state,
        store=store,
        reporter=reporter,
        record=Record(state / f"{path.stem}.last.json"),
        memo=FileMemo(state / "identities.json"),
        forced=options.forced,
    )


def _store_url(base: Path, store: str | None) -> str | Path:
    """Where the pipeline's store is; a folder is relative to the pipeline file."""
    if store is None:
        return base / STATE / "store"
    return store if "://" in store else base / store


def _adjusted(pipeline: Pipeline, options: Options) -> Pipeline:
    """The pipeline with the options of the command line in place of its own."""
    changes: dict[str, Any] = {}
    if options.files_per_sample is not None:
        changes["samples"] = pipeline.samples.model_copy(update={"files_per_sample": options.files_per_sample})
    delivery = {"allow_missing": options.allow_missing, "endpoint": options.endpoint}
    changes["delivery"] = pipeline.delivery.model_copy(update={k: v for k, v in delivery.items() if v is not None})
    if options.report is not None:
        changes["report"] = options.report.resolve()
    return pipeline.model_copy(update=changes)


def plan(path: Path | str, options: Options | None = None) -> Plan:
    """What `run` would find in the store, and why something is missing; computes nothing.

    Raises:
        SkimflowError, QueryError, DeliveryError, ProcessingError: the pipeline, its query or its files are wrong.
    """
    context = open_context(Path(path), options or Options(), Quiet())
    waiting = _plan_stages(context)
    return Plan(tuple(context.units), waiting)


def _plan_stages(context: Context) -> tuple[str, ...]:
    fileset = resolve_samples(context, simulate=False)
    if fileset is None:
        return ("simulate", *STAGES[:-1])
    planned = plan_delivery(context, fileset)
    if planned.missing:
        accept(context, planned, [])
        return STAGES[1:-1]
    process = plan_process(context, run_delivery(context, planned, None))
    if process.unit.entry is None:
        return ("build", "fit")
    build = plan_build(context, process.unit.entry)
    if build.entry is None:
        return ("fit",)
    workspaces = Workspaces(context, build.entry)
    return () if workspaces.complete() and plan_results(context, workspaces) else ("fit",)


def run(path: Path | str, options: Options | None = None, reporter: Reporter | None = None) -> RunResult:
    """Run a pipeline file. Every result goes into the store the moment it is there, so that a run can be broken off.

    Raises:
        SkimflowError and the stage packages' errors: see their messages; what was finished is kept.
    """
    reporter = reporter or Quiet()
    return mending(lambda: _run_once(Path(path), options or Options(), reporter), reporter)


def mending(work: Callable[[], Done], reporter: Reporter) -> Done:
    """Do the work; when it meets a damaged blob, which is then removed and so a miss, start over and make it anew."""
    for _ in range(MAX_REPAIRS):
        try:
            return work()
        except BlobDamaged as damage:
            reporter.say(f"{damage}: doing so")
    return work()


def _run_once(path: Path, options: Options, reporter: Reporter) -> RunResult:
    context = open_context(path, options, reporter)
    try:
        return _run_stages(context, options)
    finally:
        context.record.save(record_document(context.units, context.entries))


def _run_stages(context: Context, options: Options) -> RunResult:
    start = time.perf_counter()
    if options.until == "deliver":
        with _Cluster(context) as cluster:
            _deliver(context, options, cluster)
        return _finish(context, {}, start)
    histograms = run_to_histograms(context, options)
    if options.until == "process":
        return _finish(context, {}, start)
    return _infer(context, options, histograms, start)


def run_to_histograms(context: Context, options: Options) -> Entry:
    """Deliver and process: the entry with the normalised histograms."""
    with _Cluster(context) as cluster:
        delivered = _deliver(context, options, cluster)
        processing = plan_process(context, delivered)
        _must_be_kept(options, "process", [processing.unit])
        return run_process(context, processing, cluster.settings())


def _deliver(context: Context, options: Options, cluster: _Cluster) -> Fileset:
    fileset = resolve_samples(context)
    assert fileset is not None  # noqa: S101
    planned = plan_delivery(context, fileset)
    _must_be_kept(options, "deliver", planned.units)
    return run_delivery(context, planned, cluster.endpoint() if planned.missing else None)


def _infer(context: Context, options: Options, histograms: Entry, start: float) -> RunResult:
    """From histograms to the report."""
    from skimflow.stages.results import run_results

    build = plan_build(context, histograms)
    _must_be_kept(options, "build", [build])
    built = run_build(context, build, histograms)
    workspaces = Workspaces(context, built, lambda unit: _must_be_kept(options, "build", [unit]))
    workspaces.complete()
    if options.until == "build":
        return _finish(context, {}, start)
    results = run_results(context, workspaces, partial(_must_be_kept, options, "fit"))
    result = _finish(context, results, start, workspaces.notes())
    if options.until == "fit":
        return result
    from skimflow.report.page import write_report

    return write_report(context, result, histograms, workspaces)


def _finish(context: Context, results: dict[str, Any], start: float, said: tuple[str, ...] = ()) -> RunResult:
    notes = (*said, *(summary.note for summary in context.summaries.values() if summary.note))
    return RunResult(context.pipeline.name, context.summaries, results, None, notes, time.perf_counter() - start)


def _must_be_kept(options: Options, stage: Stage, units: list[Unit]) -> None:
    """`--from` a later stage: this one's results must all be in the store."""
    missing = [unit for unit in units if not unit.hit]
    if missing and STAGES.index(stage) < STAGES.index(options.start):
        reasons = "; ".join(sorted({unit.reason for unit in missing}))
        raise StageNotKept(
            f"--from {options.start}: stage '{stage}' lacks {len(missing)} of {len(units)} results ({reasons}). "
            f"Run without --from, or name the store that has them with --store."
        )


class _Cluster:
    """The cluster of one run: started when the first task needs it, shared by delivery and processing."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._stack = ExitStack()
        self._client: Any = None

    def __enter__(self) -> _Cluster:
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()

    def endpoint(self) -> Endpoint:
        """The endpoint of the pipeline, on this run's cluster."""
        from delivery.endpoint import open_endpoint

        settings = self._context.pipeline.delivery
        if settings.endpoint == "raw":
            return open_endpoint("raw")
        if settings.endpoint == "servicex":
            import rich

            rich.reconfigure(stderr=True)  # the client logs through rich's own console; stdout is for results
            return open_service(settings)
        return open_endpoint("local", scheduler=self._start())

    def settings(self) -> ClusterSettings:
        """Where processing runs its tasks: on the cluster that delivery started, if it did."""
        from processing.clusters import ClusterSettings

        wanted = self._context.pipeline.cluster
        if self._client is not None:
            address, security = self._client.scheduler.address, self._client.security
            return ClusterSettings(kind="address", address=address, security=security)
        return ClusterSettings(kind=wanted.kind, workers=wanted.workers or os.cpu_count() or 1, address=wanted.address)

    def _start(self) -> Any:
        """The client of this run's cluster; `iterative` has none and works in this process."""
        from processing.clusters import connect

        if self._client is None and self._context.pipeline.cluster.kind != "iterative":
            self._client = self._stack.enter_context(connect(self.settings()))
        return self._client
