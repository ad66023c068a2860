"""The deliver stage: one unit is one input file × one query."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from artifacts.keys import Request
from delivery.errors import DeliveryError
from delivery.identity import FileIdentity, identify_all
from delivery.requests import FileDelivered, FileFailed, FileRequest
from processing.filesets import Fileset, InputFile, Sample
from queries import load
from queries.named import NamedQuery
from skimflow.code import code_digest
from skimflow.errors import DeliveryFailed, RepeatedInput
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
    """A file of a sample with its unit in the deliver stage (None with the `raw` endpoint).

    A file that cannot be read at all has no identity and no unit, but the reason.
    """

    sample: Sample
    file: InputFile
    identity: FileIdentity | DeliveryError
    unit: Unit | None


def plan_delivery(context: Context, fileset: Fileset) -> list[DeliveryUnit]:
    """Work out the unit of every file and look it up. Opens no ROOT file."""
    settings = context.pipeline.delivery
    query = load(context.pipeline.query, base=context.base)
    engine = code_digest("delivery.engine.skim") if settings.endpoint == "local" else ""
    endpoint = _endpoint(settings)
    inputs = [(sample, file) for sample in fileset.samples for file in sample.files]
    identities = identify_all([file.path for _, file in inputs], context.memo)
    units = []
    for (sample, file), (_, identity) in zip(inputs, identities, strict=True):
        unit = None
        if settings.endpoint != "raw" and isinstance(identity, FileIdentity):
            request = _request(context, query, identity, file.tree, engine, endpoint)
            unit = context.look_up("deliver", f"{sample.name}/{Path(file.path).name}", request)
        units.append(DeliveryUnit(sample, file, identity, unit))
    context.memo.save()
    return units


def _request(
    context: Context, query: NamedQuery, identity: FileIdentity, tree: str, engine: str, endpoint: dict[str, Any]
) -> Request:
    settings = context.pipeline.delivery
    return Request(
        "deliver",
        VERSION,
        {
            "query": query.digest,
            "codegen": query.codegen,
            "format": settings.format,
            "input": {"digest": identity.digest, "size": identity.size, "tree": query.tree or tree},
            "endpoint": endpoint,
            "code": engine,
            "versions": versions("deliver") if settings.endpoint == "local" else {},
        },
    )


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


def run_delivery(context: Context, planned: Sequence[DeliveryUnit], endpoint: Endpoint | None) -> Fileset:
    """Deliver what the store lacks; the fileset of delivered files (or of the raw ones) for the next stage.

    Raises:
        DeliveryFailed: more files failed than the pipeline allows; every one was tried, and is named with its reason.
    """
    summary = context.summary("deliver")
    unreadable = _unreadable(context, planned)
    if context.pipeline.delivery.endpoint == "raw":
        summary.note = "raw files, nothing delivered"
        _accept(context, unreadable, len(planned))
        found = [(one, one.identity) for one in planned]
        return _fileset([(one, replace(one.file, digest=i.digest)) for one, i in found if isinstance(i, FileIdentity)])
    start = time.perf_counter()
    summary.count(one.unit for one in planned if one.unit is not None)
    missing = [one for one in planned if one.unit is not None and not one.unit.hit]
    failures = _deliver(context, missing, endpoint) if missing else []
    summary.seconds = time.perf_counter() - start
    summary.ran -= len(failures)
    _accept(context, [*unreadable, *failures], len(planned))
    return _fileset(
        [(one, _delivered(context, one)) for one in planned if one.unit and one.unit.request.key in context.entries]
    )


def check_readable(context: Context, planned: Sequence[DeliveryUnit]) -> None:
    """Raise `DeliveryFailed` if so many files cannot be read that a run would fail."""
    _accept(context, _unreadable(context, planned), len(planned))


def _unreadable(context: Context, planned: Sequence[DeliveryUnit]) -> list[FileFailed]:
    """Files that are not there, or cannot be opened: no key can be worked out for them."""
    query = load(context.pipeline.query, base=context.base)
    return [
        FileFailed(
            _file_request(context, query, one, index), type(one.identity).__name__, str(one.identity), attempts=1
        )
        for index, one in enumerate(planned)
        if isinstance(one.identity, DeliveryError)
    ]


def _file_request(context: Context, query: NamedQuery, one: DeliveryUnit, index: int) -> FileRequest:
    return FileRequest(
        sample=one.sample.name,
        file=one.file.path,
        tree=query.tree or one.file.tree,
        query_text=query.text,
        codegen=query.codegen,
        format=context.pipeline.delivery.format,
        index=index,
    )


def _deliver(context: Context, missing: Sequence[DeliveryUnit], endpoint: Endpoint | None) -> list[FileFailed]:
    assert endpoint is not None  # noqa: S101
    query = load(context.pipeline.query, base=context.base)
    requests = [_file_request(context, query, one, index) for index, one in enumerate(missing)]
    failures: list[FileFailed] = []
    with context.scratch() as scratch, context.reporter.bar("deliver", len(requests), "files") as bar:
        for done, outcome in enumerate(endpoint.deliver(requests, scratch), start=1):
            if isinstance(outcome, FileFailed):
                failures.append(outcome)
            else:
                _keep(context, missing[outcome.request.index], outcome)
            bar.update(done, note=f"{len(failures)} failed" if failures else "")
    return failures


def _keep(context: Context, planned: DeliveryUnit, outcome: FileDelivered) -> None:
    assert planned.unit is not None  # noqa: S101
    meta = {
        "events_in": outcome.events_in,
        "events_out": outcome.events_out,
        "tree": outcome.tree,
        "cutflow": [[row.text, row.passed] for row in outcome.cutflow],
        "bytes_read": outcome.bytes_read,
        "seconds": outcome.seconds,
        "attempts": outcome.attempts,
    }
    context.keep(planned.unit, {FILE: Path(outcome.path)}, meta, {FILE: "application/x-root"})


def _accept(context: Context, failures: Sequence[FileFailed], total: int) -> None:
    """Fail, or say what is missing where the pipeline allows it."""
    summary = context.summary("deliver")
    summary.failed = len(failures)
    if not failures:
        return
    allowed = context.pipeline.delivery.allow_missing
    percentage = 100 * len(failures) / total
    if percentage > allowed or len(failures) == total:
        raise DeliveryFailed(failures, total, allowed)
    note = (
        f"{len(failures)} of {total} files failed ({percentage:.1f} %, allowed {allowed:g} %): yields are normalised "
        f"to the events of the others. " + " ".join(f"{one.request.file}: {one.reason}" for one in failures)
    )
    summary.note = f"{summary.note}; {note}" if summary.note else note
    context.reporter.say(note)


def _delivered(context: Context, one: DeliveryUnit) -> InputFile:
    """The delivered file as an input of the next stage; its path is filled in when it is needed."""
    assert one.unit is not None  # noqa: S101
    entry = context.entries[one.unit.request.key]
    blob = entry.blobs[FILE]
    nevts = one.file.nevts if one.file.nevts is not None else entry.meta["events_in"]
    return InputFile(
        path=f"blob:{blob.digest}",
        nevts=nevts,
        tree=entry.meta["tree"],
        entries=entry.meta["events_out"],
        digest=blob.digest,
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
            raise RepeatedInput(one.sample.name, origins[one.sample.name, file.digest], one.file.path)
        nevts = file.nevts if before is None else (before.nevts or 0) + (file.nevts or 0)
        known[file.digest] = replace(file, nevts=nevts)
        origins[one.sample.name, file.digest] = one.file.path
    originals = {one.sample.name: one.sample for one, _ in files}
    return Fileset(tuple(replace(originals[name], files=tuple(known.values())) for name, known in samples.items()))
