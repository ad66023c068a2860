"""Run the function of a `python` request on one file, in a child process, within limits."""

import base64
import binascii
import hashlib
import os
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

from delivery.engine.usercode import process
from delivery.engine.usercode.errors import PythonNotAllowed, UserCodeFailed, UserCodeKilled
from delivery.engine.usercode.inputs import Input, at_hand, look_at
from delivery.engine.usercode.job import OUTPUT, Job, Report
from delivery.engine.usercode.limits import Limits
from delivery.errors import OutputUnwritable, UnwritableType
from delivery.requests import TransformRequest, TransformResult

DEFAULT_LIMITS = Limits()


def transform_python(request: TransformRequest, limits: Limits = DEFAULT_LIMITS) -> TransformResult:
    """Run the function that ``request.text`` holds on ``request.input`` and write what it gives to ``request.output``.

    ``text`` is base64 of ASCII source that defines ``run_query(input_filenames)``; it is called with the path of the
    input and returns an awkward array, a dict of them (a tree each; Parquet takes the first), or the path of a file
    that it wrote. With a second parameter it is given the path where to write that file.

    The child reads the input, the installed libraries and its own scratch folder, nothing else of this account; it has
    no network, no other processes, and none of this process's environment. A remote input is therefore fetched here, by
    the engine's own reading, and the function is given the copy. ``events_in`` counts the entries of the tree that
    ``request.tree`` names (None: the first), 0 for an input without trees; ``bytes_read`` is the size of the input, the
    most that the function can have read of it: nobody counts what it does read.

    Raises PythonNotAllowed, UserCodeFailed, UserCodeKilled, UnwritableType, UnreadableFile, OutputUnwritable. An output
    that was there stays as it was when it fails.
    """
    if not request.allow_python:
        raise PythonNotAllowed
    began = time.perf_counter()
    source = _decoded(request)
    with _scratch(request.output) as inputs, _scratch(request.output) as folder:
        path = at_hand(request, inputs, limits.input_bytes)
        found = look_at(request, path)
        job = _job(request, source, path, found, limits)
        ended = _ended(request, source, folder, job)
        size = _hand_over(folder / OUTPUT[request.format], request.output, limits)
    return TransformResult(
        events_in=found.entries,
        events_out=ended.rows,
        cutflow=(),
        bytes_read=found.size,
        bytes_written=size,
        seconds=time.perf_counter() - began,
        columns=ended.columns,
        warnings=tuple(filter(None, (found.warning, *ended.warnings, *map(_unconfined, ended.unconfined)))),
        sum_of_weights=found.sum_of_weights,
    )


def _decoded(request: TransformRequest) -> str:
    """The function's source. It is not parsed here: even that is left to the child."""
    try:
        content = base64.b64decode(request.text, validate=True)
    except (binascii.Error, ValueError) as error:
        reason = f"the selection of codegen 'python' must be base64 of the function's source: {error}"
        raise UserCodeFailed(request.input, reason) from error
    try:
        return content.decode("ascii")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        text = content.decode("utf-8", "replace")
        reason = (
            "the source has a character that is not ASCII, and ServiceX takes none; write it as an escape (\\u00e9)"
        )
        raise UserCodeFailed(request.input, reason, text, line) from error


def _job(request: TransformRequest, source: str, path: Path, found: Input, limits: Limits) -> Job:
    digest = hashlib.sha256(source.encode()).hexdigest()
    return Job(
        source=source,
        input=str(path),
        format=request.format,
        identity=hashlib.sha256(digest.encode() + found.identity).hexdigest(),
        record={
            "query": digest,
            "codegen": request.codegen,
            "input": found.described(),
            "events_in": found.entries,
            "cutflow": [],
            "sum_of_weights": found.sum_of_weights,
        },
        limits=limits,
    )


def _ended(request: TransformRequest, source: str, folder: Path, job: Job) -> Report:
    """The report of a run that gave a result; every other end is an error."""
    try:
        report = process.run(job, folder)
    except process.LimitReached as error:
        raise UserCodeKilled(request.input, str(error)) from error
    except process.NoReport as error:
        raise UserCodeFailed(request.input, str(error), source, printed=process.printed_last(folder)) from error
    if report.ending == "memory":
        raise UserCodeKilled(request.input, f"{job.limits.memory_bytes / 1e6:,.0f} MB of memory")
    if report.ending == "disk":
        raise UserCodeKilled(request.input, process.disk(job.limits))
    if report.ending == "unwritable":
        raise UnwritableType(report.reason, hint=report.hint)
    if report.ending == "failed":
        raise UserCodeFailed(request.input, report.reason, source, report.line, process.printed_last(folder))
    return report


def _hand_over(made: Path, output: Path, limits: Limits) -> int:
    """Move the child's file to its place; its size. A link would show who reads it a file of this account's."""
    try:
        found = made.lstat()
        if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
            raise UserCodeFailed(str(output), "the result is a link, not a file")
        if found.st_size > limits.disk_bytes:
            raise UserCodeKilled(str(output), process.disk(limits))
        made.chmod(0o644)
        made.replace(os.path.realpath(output))
    except OSError as error:
        raise OutputUnwritable.because(str(output), error) from error
    return found.st_size


@contextmanager
def _scratch(output: Path) -> Iterator[Path]:
    """A folder beside the output, whence the result can be moved in one step."""
    try:
        folder = Path(mkdtemp(prefix=".skimflow-", suffix=".scratch", dir=output.absolute().parent))
    except OSError as error:
        raise OutputUnwritable.because(str(output), error) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _unconfined(name: str) -> str:
    return f"this machine's kernel cannot keep the function from {name}; run only code of people you trust"
