"""What runs on a worker: one query on one file, on a range of it, or the ranges put together."""

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

from artifacts.errors import ArtifactError
from artifacts.keys import JSON, Request
from artifacts.store import Entry, Store
from delivery.engine.storage.hops import GUARD
from delivery.engine.storage.patience import READ_SECONDS
from delivery.errors import (
    DeliveryError,
    InputUnreachable,
    OutOfMemory,
    OutputUnwritable,
    UnreadableFile,
    WorkerDiffers,
)
from delivery.identity import FileIdentity, identify, local_path
from delivery.requests import OutputFormat, TransformRequest
from delivery.retry import is_transient, sentence
from delivery.service.inputs import web_guard
from delivery.service.runner.control import TURNS, StopAsked, Task, logged
from delivery.service.runner.jobs import Blame, Entries, Failed, Job, Made, Outcome, PartMade, Split, Stopped
from delivery.service.runner.keys import OUTPUT, facts, made, meaning, part_request, result_request
from delivery.service.runner.warming import import_engine
from delivery.urls import shown, without_secrets
from delivery.versions import engine_versions

MEDIA_TYPES = {"parquet": "application/vnd.apache.parquet"}
ROOT_TYPE = "application/x-root"

log = logging.getLogger(__name__)


class InputChanged(DeliveryError):
    """The input was replaced while it was read."""

    def __init__(self, file: str) -> None:
        self.file = shown(file)
        super().__init__(self.file)
        self.hint = "it is tried again; write files under another name and rename them when they are whole"

    def sentence(self) -> str:
        """What was wrong."""
        return f"{self.file} was replaced while it was read"


def run(jobs: Sequence[Job]) -> None:
    """Do jobs on the worker that this is called on, one after the other, and tell each outcome, whatever it is.

    Raises WorkerDiffers if this worker would write other bytes than the service promises.
    """
    from distributed import get_worker

    worker, first = get_worker(), jobs[0]
    _check_versions(first.versions, worker.address)
    import_engine()
    READ_SECONDS.set(first.read_seconds)
    GUARD.set(web_guard(first.inputs))
    with _scratch(first) as folder, TURNS.taken(alone=first.alone), Task(first.topic, worker) as task:
        for job in jobs:
            task.begin(job.token)
            with logged(job.path) as lines:
                task.end(_with_log(_outcome(replace(job, scratch=folder), task), lines.text))


def _outcome(job: Job, task: Task) -> Outcome:
    try:
        task.progress(0, 0)
        from delivery.engine.storage.opening import opened_once

        with opened_once():  # looked at, cut and read: one and the same opening
            return _DOES[job.kind](job, task)
    except StopAsked:
        return Stopped()
    except Exception as error:  # noqa: BLE001 - whatever one file raises is that file's failure, not the worker's
        log.warning("%s", without_secrets(str(error), job.path))
        kind, reason = sentence(error)
        return Failed(kind, without_secrets(reason, job.path), blame(error, job.path))


def _with_log(outcome: Outcome, text: str) -> Outcome:
    return replace(outcome, log=text) if isinstance(outcome, Made | Failed) else outcome


def _check_versions(wanted: Mapping[str, str], address: str) -> None:
    found = engine_versions()
    for name, version in wanted.items():
        if found.get(name) != version:
            raise WorkerDiffers(address, name, str(found.get(name)), version)


def blame(error: BaseException, path: str) -> Blame:
    """Whether trying again may help, and how."""
    if isinstance(error, MemoryError | OutOfMemory):
        return "memory"
    if isinstance(error, ArtifactError | OutputUnwritable):
        return "ours"
    if isinstance(error, InputChanged) or is_transient(error, path):
        return "passing"
    return "input" if isinstance(error, UnreadableFile) else "lasting"


def _file(job: Job, task: Task) -> Outcome:
    """The result of a whole file, or how it is to be cut."""
    store, memo = Store.open(job.store), _memo(job)
    identity = _identify(job.path, memo)
    request = result_request(meaning(job.query, job.versions), identity)
    kept = store.get(request)
    if kept is not None:
        log.info("%s: an equal request's result is used again", shown(job.path))
        return made(kept, reused=True, memo=_remembered(job, memo))
    ranges = _ranges(job, identity)
    if len(ranges) > 1:
        return Split(tuple(ranges), request.key, _remembered(job, memo))
    with _output(job) as output:
        from delivery import engine

        result = engine.transform(_transform_request(job, output), progress=task.progress)
        entry = _keep(job, store, request, output, facts(result), (identity, memo))
    return made(entry, reused=False, memo=_remembered(job, memo))


def _ranges(job: Job, identity: FileIdentity) -> list[Entries]:
    """Columns are rarely packed to less than a quarter: a smaller file is not worth the look."""
    if identity.size <= job.range_bytes // 4 or job.query.codegen == "python":
        return []
    from delivery.engine.parts import cuts

    return cuts(_transform_request(job, Path("unused")), job.range_bytes)


def _part(job: Job, task: Task) -> Outcome:
    """The rows of a range of entries."""
    from delivery.engine.parts import write_part

    store, memo = Store.open(job.store), _memo(job)
    identity = _identify(job.path, memo)
    request = part_request(result_request(meaning(job.query, job.versions), identity), job.entries)
    if store.get(request) is None:
        with _output(job) as output:
            write_part(_transform_request(job, output), job.entries, output, task.progress)
            _keep(job, store, request, output, {"entries": list(job.entries)}, (identity, memo))
    return PartMade(request.key)


def _merge(job: Job, task: Task) -> Outcome:
    """The result of a file from the rows of its ranges, which the store does not need any more after that."""
    from delivery.engine.parts import merge

    store, memo = Store.open(job.store), _memo(job)
    identity = _identify(job.path, memo)
    request = result_request(meaning(job.query, job.versions), identity)
    entry = store.get(request)
    if entry is None:
        found = [store.get(key) for key in job.parts]
        parts = [each for each in found if each is not None]
        if len(parts) < len(found):
            raise InputUnreachable(job.path, "ranges of it were removed from the store before they were put together")
        with _output(job) as output:
            paths = [store.local_path(part.blobs[OUTPUT]) for part in parts]
            result = merge(_transform_request(job, output), paths, task.progress)
            entry = _keep(job, store, request, output, facts(result), (identity, memo))
    for key in job.parts:
        discard(store, key)
    return made(entry, reused=False, memo=_remembered(job, memo))


def discard(store: Store, key: str) -> None:
    """Remove an entry that nobody asks for again, and its blobs, which are its own."""
    from artifacts.store import blob_name, entry_name

    entry = store.load(key)
    store.backend.delete(entry_name(key))
    for blob in entry.blobs.values() if entry is not None else ():
        store.backend.delete(blob_name(blob.digest))


_DOES = {"file": _file, "part": _part, "merge": _merge}


def _transform_request(job: Job, output: Path) -> TransformRequest:
    query = job.query
    return TransformRequest(
        text=query.text,
        input=job.path,
        output=output,
        tree=query.tree,
        codegen=query.codegen,
        format=cast("OutputFormat", query.format),
        chunk_bytes=job.chunk_bytes,
        semantics=query.semantics,
        allow_python=query.codegen == "python",  # the service has refused it where it is not allowed
    )


@contextmanager
def _scratch(job: Job) -> Iterator[str]:
    """A folder for unfinished files: one for all jobs of a task, since making it takes longer than a small file."""
    parent = job.scratch if job.scratch is not None and Path(job.scratch).is_dir() else None
    with TemporaryDirectory(prefix="task-", dir=parent, ignore_cleanup_errors=True) as folder:
        yield folder


@contextmanager
def _output(job: Job) -> Iterator[Path]:
    """A file in the making, the only one in the task's folder."""
    path = Path(job.scratch or "") / OUTPUT
    try:
        yield path
    finally:
        with suppress(OSError):
            path.unlink()


def _keep(
    job: Job,
    store: Store,
    request: Request,
    output: Path,
    meta: Mapping[str, JSON],
    known: tuple[FileIdentity, dict[str, str]],
) -> Entry:
    """Put the output into the store, unless the input is no longer what its key says."""
    identity, memo = known
    if local_path(job.path) is not None and _identify(job.path, memo) != identity:
        raise InputChanged(job.path)
    media_type = MEDIA_TYPES.get(job.query.format, ROOT_TYPE)
    size = output.stat().st_size
    entry = store.put(request, {OUTPUT: output}, meta, {OUTPUT: media_type})
    log.info("%s: %d bytes kept as %s", shown(job.path), size, entry.blobs[OUTPUT].digest[:12])
    return entry


def _memo(job: Job) -> dict[str, str]:
    path = local_path(job.path)
    return {str(path.absolute()): job.memo} if path is not None and job.memo else {}


def _remembered(job: Job, memo: Mapping[str, str]) -> str:
    """What to remember of the input, if that is news."""
    known = next(iter(memo.values()), "")
    return known if known != job.memo else ""


def _identify(path: str, memo: dict[str, str]) -> FileIdentity:
    """Which bytes the input holds; of a remote one as `delivery.identity.identify` says it, read as the engine reads.

    So the limits and guards of the engine's storage hold for this look, too.
    """
    if local_path(path) is not None:
        return identify(path, memo)
    from delivery.engine.source import root_header

    size, uuid = root_header(path)
    content = json.dumps([shown(path), size, uuid])
    return FileIdentity(hashlib.sha256(content.encode()).hexdigest(), size)
