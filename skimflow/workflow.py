"""Run or plan a whole pipeline: every stage looked up first, run only where its result is not kept."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from artifacts.store import Entry, Store
from delivery.identity import FileMemo
from skimflow.errors import StageNotKept
from skimflow.pipeline import STAGES, Pipeline, Stage, load_pipeline
from skimflow.progress import Quiet, Reporter
from skimflow.stages.context import Context
from skimflow.stages.deliver import DeliveryUnit, plan_delivery, run_delivery
from skimflow.stages.fit import plan_build, plan_result, run_build
from skimflow.stages.process import plan_process, run_process
from skimflow.stages.samples import resolve_samples
from skimflow.units import Record, StageSummary, Unit

if TYPE_CHECKING:
    from delivery.endpoint import Endpoint
    from processing.clusters import ClusterSettings

STATE = ".skimflow"
"""Folder beside the pipeline file that holds the store (unless another is named) and the identities of input files."""


@dataclass(frozen=True)
class RunResult:
    """What a run gave.

    Attributes:
        stages: what happened to each stage: hits, units run, seconds, reasons.
        results: by kind (`fit`, `ranking`, `yields`), the plain values that the inference stage gave.
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


@dataclass
class Options:
    """Choices of one run that are not part of the pipeline.

    Attributes:
        start: first stage that may run; the results of earlier ones must be kept.
        until: last stage to run.
        forced: stages that run although their results are kept.
        report: folder of the report instead of the pipeline's.
    """

    store: str | None = None
    files_per_sample: int | None = None
    allow_missing: float | None = None
    start: Stage = "deliver"
    until: Stage = "report"
    forced: frozenset[str] = frozenset()
    report: Path | None = None


def open_context(path: Path, options: Options, reporter: Reporter) -> Context:
    """Read the pipeline file and open what a run needs."""
    pipeline = _adjusted(load_pipeline(path), options)
    base = path.resolve().parent
    state = base / STATE
    store = Store.open(options.store or pipeline.store or state / "store")
    return Context(
        pipeline=pipeline,
        base=base,
        store=store,
        reporter=reporter,
        record=Record((base / pipeline.report).resolve()),
        memo=FileMemo(state / "identities.json"),
        forced=options.forced,
    )


def _adjusted(pipeline: Pipeline, options: Options) -> Pipeline:
    """The pipeline with the options of the command line in place of its own."""
    changes: dict[str, Any] = {}
    if options.files_per_sample is not None:
        changes["samples"] = pipeline.samples.model_copy(update={"files_per_sample": options.files_per_sample})
    if options.allow_missing is not None:
        changes["delivery"] = pipeline.delivery.model_copy(update={"allow_missing": options.allow_missing})
    if options.report is not None:
        changes["report"] = options.report.resolve()
    return pipeline.model_copy(update=changes)


def plan(path: Path, options: Options | None = None) -> Plan:
    """What `run` would find in the store, and why something is missing; computes nothing.

    Raises:
        SkimflowError, QueryError, DeliveryError, ProcessingError: the pipeline, its query or its files are wrong.
    """
    context = open_context(path, options or Options(), Quiet())
    waiting = _plan_stages(context)
    return Plan(tuple(context.units), waiting)


def _plan_stages(context: Context) -> tuple[str, ...]:
    fileset = resolve_samples(context, simulate=False)
    if fileset is None:
        return ("simulate", *STAGES[:-1])
    planned = plan_delivery(context, fileset)
    if any(one.unit is not None and not one.unit.hit for one in planned):
        return STAGES[1:-1]
    process = plan_process(context, run_delivery(context, planned, None))
    if process.unit.entry is None:
        return ("build", "fit")
    build = plan_build(context, process.unit.entry)
    if build.entry is None:
        return ("fit",)
    for kind in context.pipeline.inference.results:
        plan_result(context, kind, build.entry)
    return ()


def run(path: Path, options: Options | None = None, reporter: Reporter | None = None) -> RunResult:
    """Run a pipeline file. Every result goes into the store the moment it is there, so that a run can be broken off.

    Raises:
        SkimflowError and the stage packages' errors: see their messages; what was finished is kept.
    """
    options = options or Options()
    start = time.perf_counter()
    context = open_context(path, options, reporter or Quiet())
    until = STAGES.index(options.until)
    fileset = resolve_samples(context)
    assert fileset is not None  # noqa: S101
    with _Cluster(context) as cluster:
        planned = plan_delivery(context, fileset)
        _must_be_kept(options, "deliver", [one.unit for one in planned if one.unit])
        delivered = _deliver(context, planned, cluster)
        if until < STAGES.index("process"):
            return _finish(context, {}, None, start)
        processing = plan_process(context, delivered)
        _must_be_kept(options, "process", [processing.unit])
        histograms = run_process(context, processing, cluster.settings())
    if until < STAGES.index("build"):
        return _finish(context, {}, None, start)
    return _infer(context, options, histograms, start)


def _infer(context: Context, options: Options, histograms: Entry, start: float) -> RunResult:
    """From histograms to the report."""
    from skimflow.stages.results import run_results

    until = STAGES.index(options.until)
    build = plan_build(context, histograms)
    _must_be_kept(options, "build", [build])
    workspace = run_build(context, build, histograms)
    if until < STAGES.index("fit"):
        return _finish(context, {}, None, start)
    results = run_results(context, workspace, lambda units: _must_be_kept(options, "fit", units))
    result = _finish(context, results, None, start)
    if until < STAGES.index("report"):
        return result
    from skimflow.report.page import write_report

    return write_report(context, result, histograms, workspace)


def _finish(context: Context, results: dict[str, Any], report: Path | None, start: float) -> RunResult:
    notes = tuple(summary.note for summary in context.summaries.values() if summary.note)
    return RunResult(context.pipeline.name, context.summaries, results, report, notes, time.perf_counter() - start)


def _must_be_kept(options: Options, stage: Stage, units: list[Unit]) -> None:
    """`--from` a later stage: this one's results must all be in the store."""
    missing = [unit for unit in units if not unit.hit]
    if missing and STAGES.index(stage) < STAGES.index(options.start):
        reasons = "; ".join(sorted({unit.reason for unit in missing}))
        raise StageNotKept(
            f"--from {options.start}: stage '{stage}' lacks {len(missing)} of {len(units)} results ({reasons}). "
            f"Run without --from, or name the store that has them with --store."
        )


def _deliver(context: Context, planned: list[DeliveryUnit], cluster: _Cluster) -> Any:
    missing = any(one.unit is not None and not one.unit.hit for one in planned)
    return run_delivery(context, planned, cluster.endpoint() if missing else None)


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
        if settings.endpoint == "servicex":
            return open_endpoint("servicex", backend=settings.backend)
        return open_endpoint("local", client=self._start())

    def settings(self) -> ClusterSettings:
        """Where processing runs its tasks: on the cluster that delivery started, if it did."""
        from processing.clusters import ClusterSettings

        wanted = self._context.pipeline.cluster
        if self._client is not None:
            return ClusterSettings(kind="address", address=self._client.scheduler.address)
        return ClusterSettings(kind=wanted.kind, workers=wanted.workers, address=wanted.address)

    def _start(self) -> Any:
        from processing.clusters import open_client

        if self._client is None and self._context.pipeline.cluster.kind != "iterative":
            self._client = self._stack.enter_context(open_client(self.settings()))
        return self._client
