"""The deliver stage: one unit is one input file × one query."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from artifacts.keys import Request
from delivery.errors import DeliveryError
from delivery.identity import FileIdentity, identify, identify_all, shown
from delivery.requests import FileDelivered, FileFailed, FileRequest
from processing.filesets import Fileset, InputFile, Sample
from queries.named import NamedQuery
from skimflow.code import code_digest
from skimflow.errors import DeliveryFailed, RepeatedInput, UsageError
from skimflow.pipeline import Delivery
from skimflow.stages.context import Context
from skimflow.units import Unit, versions

if TYPE_CHECKING:
    from delivery.endpoint import Endpoint

VERSION = 1
TREE = "servicex"
FILE = "events.root"


@dataclass(frozen=True)
class DeliveryUnit:
    """A file of a sample with its unit in the deliver stage.

    A file that cannot be read at all has no identity and no unit, but the reason.
    """

    sample: Sample
    file: InputFile
    identity: FileIdentity | DeliveryError
    unit: Unit | None

    @property
    def name(self) -> str:
        """Sample and file as people know them; never the secret part of a signed URL."""
        return f"{self.sample.name}/{Path(shown(self.file.path)).name}"


@dataclass(frozen=True)
class DeliveryPlan:
    """Every file with its unit."""

    files: tuple[DeliveryUnit, ...]

    @property
    def units(self) -> list[Unit]:
        """The units of the files that can be read."""
        return [one.unit for one in self.files if one.unit is not None]

    @property
    def missing(self) -> list[DeliveryUnit]:
        """Files whose result the store does not have."""
        return [one for one in self.files if one.unit is not None and not one.unit.hit]


def plan_delivery(context: Context, fileset: Fileset) -> DeliveryPlan:
    """Work out the unit of every file and look it up. Opens no ROOT file."""
    query = context.query
    common = _common_parts(context.pipeline.delivery, query)
    inputs = [(sample, file) for sample in fileset.samples for file in sample.files]
    identities = identify_all([file.path for _, file in inputs], context.memo)
    files = []
    for (sample, file), (_, identity) in zip(inputs, identities, strict=True):
        one = DeliveryUnit(sample, file, identity, None)
        if isinstance(identity, FileIdentity):
            content: dict[str, Any] = {"digest": identity.digest, "size": identity.size, "tree": _tree(query, file)}
            request = Request("deliver", VERSION, {**common, "input": content})
            one = replace(one, unit=context.look_up("deliver", one.name, request))
        files.append(one)
    context.memo.save()
    return DeliveryPlan(tuple(files))


def _common_parts(settings: Delivery, query: NamedQuery) -> dict[str, Any]:
    """What decides the delivered bytes besides the file."""
    parts: dict[str, Any] = {"endpoint": _endpoint(settings)}
    if settings.endpoint != "raw":  # which hands files on as they are, whatever the query
        parts |= {"query": query.digest, "codegen": query.codegen, "format": settings.format}
    if settings.endpoint == "local":
        parts |= {"code": code_digest("delivery.engine.skim"), "versions": versions("deliver")}
    return parts


def _tree(query: NamedQuery, file: InputFile) -> str:
    return query.tree or file.tree


def _endpoint(settings: Delivery) -> dict[str, Any]:
    """What of the endpoint decides the bytes: of a service, the URL that its name stands for today."""
    if settings.endpoint != "servicex":
        return {"kind": settings.endpoint}
    return {"kind": "servicex", **open_service(settings).identity()}


def open_service(settings: Delivery) -> Endpoint:
    """The ServiceX of the pipeline: the client's default, one of its configuration file, or a URL."""
    from delivery.endpoint import open_endpoint

    if settings.backend is not None and "://" in settings.backend:
        return open_endpoint(settings.backend)
    return open_endpoint("servicex", backend=settings.backend)


def run_delivery(context: Context, plan: DeliveryPlan, endpoint: Endpoint | None) -> Fileset:
    """Deliver what the store lacks; the fileset of delivered files (or of the raw ones) for the next stage.

    Raises:
        DeliveryFailed: more files failed than the pipeline allows; every one was tried, and is named with its reason.
        UsageError: nobody says how many events a delivered file stands for.
        RepeatedInput: two files of a sample hold the same events.
    """
    summary = context.summary("deliver").count(plan.units)
    start = time.perf_counter()
    failures = _deliver(context, plan, endpoint) if endpoint is not None and plan.missing else []
    summary.seconds = time.perf_counter() - start
    summary.ran -= len(failures)
    accept(context, plan, failures)
    _tell_warnings(context, plan)
    return _fileset([(one, _delivered(context, one)) for one in plan.files if _is_kept(context, one)])


def _tell_warnings(context: Context, plan: DeliveryPlan) -> None:
    """Say what the engine warned of, also where the files were kept from an earlier run."""
    metas = [context.entries[one.unit.request.key].meta for one in plan.files if one.unit and _is_kept(context, one)]
    counted = Counter(warning for meta in metas for warning in meta.get("warnings", []))
    summary = context.summary("deliver")
    for warning, count in counted.items():
        context.reporter.say(f"in {count} files: {warning}")
        summary.note = f"{summary.note} In {count} files: {warning}.".lstrip()


def _is_kept(context: Context, one: DeliveryUnit) -> bool:
    return one.unit is not None and one.unit.request.key in context.entries


def _file_request(context: Context, one: DeliveryUnit, index: int) -> FileRequest:
    query = context.query
    return FileRequest(
        sample=one.sample.name,
        file=one.file.path,
        tree=_tree(query, one.file),
        query_text=query.text,
        codegen=query.codegen,
        format=context.pipeline.delivery.format,
        index=index,
    )


def _deliver(context: Context, plan: DeliveryPlan, endpoint: Endpoint) -> list[FileFailed]:
    missing = plan.missing
    requests = [_file_request(context, one, index) for index, one in enumerate(missing)]
    failures: list[FileFailed] = []
    with context.scratch() as scratch, context.reporter.bar("deliver", len(requests), "files") as bar:
        for done, outcome in enumerate(endpoint.deliver(requests, scratch), start=1):
            if isinstance(outcome, FileDelivered):
                kept = _keep(context, missing[outcome.request.index], outcome)
                failures += [] if kept else [_changed(outcome)]
            else:
                failures.append(outcome)
            bar.update(done, note=f"{len(failures)} failed" if failures else "")
    return failures


def _keep(context: Context, one: DeliveryUnit, outcome: FileDelivered) -> bool:
    """Keep a delivered file, unless its input is no longer what its key says."""
    assert one.unit is not None  # noqa: S101
    if identify(one.file.path, context.memo) != one.identity:
        return False
    meta = {
        "events_in": outcome.events_in,
        "events_out": outcome.events_out,
        "tree": outcome.tree,
        "cutflow": [[row.text, row.passed] for row in outcome.cutflow],
        "bytes_read": outcome.bytes_read,
        "seconds": outcome.seconds,
        "attempts": outcome.attempts,
        "warnings": list(outcome.warnings),
    }
    is_input = str(outcome.path) == one.file.path
    outputs: dict[str, bytes | Path] = {} if is_input else {FILE: Path(outcome.path)}
    context.keep(one.unit, outputs, meta, {FILE: "application/x-root"})
    return True


def _changed(outcome: FileDelivered) -> FileFailed:
    reason = f"{shown(outcome.request.file)} was replaced while it was read; run again when it is complete"
    return FileFailed(outcome.request, "InputChanged", reason, outcome.attempts)


def accept(context: Context, plan: DeliveryPlan, failures: Sequence[FileFailed]) -> None:
    """Fail, or say what is missing where the pipeline allows it.

    Files that cannot be read count too. What is left of the allowance goes to processing.

    Raises:
        DeliveryFailed: too many files failed, or all of a sample.
    """
    failures = [*_unreadable(context, plan), *failures]
    total, allowed = len(plan.files), context.pipeline.delivery.allow_missing
    context.spare_files = int(allowed * total / 100) - len(failures)
    summary = context.summary("deliver")
    summary.failed = len(failures)
    if not failures:
        return
    failed = Counter(one.request.sample for one in failures)
    lost = [name for name, count in Counter(one.sample.name for one in plan.files).items() if failed[name] == count]
    if context.spare_files < 0 or lost:
        raise DeliveryFailed(failures, total, allowed, lost)
    summary.note = (
        f"{len(failures)} of {total} files failed ({100 * len(failures) / total:.1f} %, allowed {allowed:g} %): yields "
        f"are normalised to the events of the others. "
        + " ".join(f"{shown(one.request.file)}: {one.reason}" for one in failures)
    )
    context.reporter.say(summary.note)


def _unreadable(context: Context, plan: DeliveryPlan) -> list[FileFailed]:
    """Files that are not there, or cannot be opened: no key can be worked out for them."""
    return [
        FileFailed(_file_request(context, one, index), type(one.identity).__name__, str(one.identity), 1)
        for index, one in enumerate(plan.files)
        if isinstance(one.identity, DeliveryError)
    ]


def _delivered(context: Context, one: DeliveryUnit) -> InputFile:
    """The delivered file as an input of the next stage, or the raw one."""
    assert one.unit is not None  # noqa: S101
    assert isinstance(one.identity, FileIdentity)  # noqa: S101
    entry = context.entries[one.unit.request.key]
    nevts = one.file.nevts if one.file.nevts is not None else entry.meta["events_in"]
    if nevts is None:
        raise UsageError(
            f"nobody says how many generated events {one.name} stands for: the service does not tell what it read, "
            f"and the fileset has no 'nevts' for the file. Give it there, or use `endpoint: local`"
        )
    blob = entry.blobs.get(FILE)
    path = one.file.path if blob is None else f"blob:{blob.digest}:{blob.size}"
    context.names[path] = one.name
    return InputFile(
        path=path,
        nevts=nevts,
        tree=entry.meta["tree"],
        entries=entry.meta["events_out"],
        digest=one.identity.digest if blob is None else blob.digest,
    )


def _fileset(files: Sequence[tuple[DeliveryUnit, InputFile]]) -> Fileset:
    """The samples of these files. Files without events may be equal, byte for byte: they count as one.

    Raises:
        RepeatedInput: two files of a sample hold the same events.
    """
    samples: dict[str, dict[str | None, InputFile]] = {}
    origins: dict[tuple[str, str | None], str] = {}
    for one, file in files:
        known = samples.setdefault(one.sample.name, {})
        before = known.get(file.digest)
        if before is not None and file.entries != 0:
            raise RepeatedInput(one.sample.name, origins[one.sample.name, file.digest], one.name)
        nevts = (file.nevts or 0) + (0 if before is None else before.nevts or 0)
        known[file.digest] = replace(file, nevts=nevts)
        origins[one.sample.name, file.digest] = one.name
    originals = {one.sample.name: one.sample for one, _ in files}
    return Fileset(tuple(replace(originals[name], files=tuple(known.values())) for name, known in samples.items()))
