"""The child process: give up everything else, then run the function and write what it gives.

It writes the result itself, in the format that was asked for, so that the parent never reads bytes which the function
could have made up.
"""

import errno
import importlib
import inspect
import linecache
import os
import shutil
import sys
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import delivery
import queries
from delivery.engine.usercode.confinement import confine, limit_memory
from delivery.engine.usercode.job import OUTPUT, SOURCE_NAME, Job, Report
from delivery.errors import DeliveryError, OutputUnwritable, UnwritableType

FUNCTION = "run_query"
_LIBRARIES = ("numpy", "awkward", "uproot", "pyarrow.parquet", "delivery.engine.usercode.results")
_REASON_LENGTH = 500
_CLOSED = "the function may read its input and its working folder, and has no network and no other processes"


class Refused(Exception):
    """The function cannot be run, or what it gave cannot be delivered; says why."""


def main() -> None:
    """Run the job that lies in the working folder, which is the scratch folder."""
    scratch = Path.cwd()
    job = Job.read(scratch)
    packages = tuple(Path(path) for room in (delivery, queries) for path in room.__path__)
    unconfined = confine(scratch, Path(job.input), packages, job.limits)
    for name in _LIBRARIES:
        importlib.import_module(name)
    limit_memory(job.limits, Path(job.input).stat().st_size)
    report = _run(job, scratch / OUTPUT[job.format])
    _leave(replace(report, unconfined=unconfined), scratch)


def _run(job: Job, output: Path) -> Report:
    """Never raises: whatever the function raises is in the report."""
    try:
        return _deliver(_function(job.source), job, output)
    except MemoryError:
        return Report("memory")
    except OSError as error:
        return _refusal(error)
    except UnwritableType as error:
        return Report("unwritable", reason=error.sentence()[:_REASON_LENGTH], hint=error.hint)
    except OutputUnwritable as error:
        return _refusal(error.__cause__) if isinstance(error.__cause__, OSError) else _failure(error)
    except BaseException as error:  # noqa: BLE001 - SystemExit and KeyboardInterrupt of the function are failures of it
        return _failure(error)


def _function(source: str) -> Callable[..., Any]:
    linecache.cache[SOURCE_NAME] = (len(source), None, source.splitlines(keepends=True), SOURCE_NAME)
    names: dict[str, Any] = {"__name__": "generated_transformer"}
    exec(compile(source, SOURCE_NAME, "exec", dont_inherit=True), names)  # noqa: S102 - what this process is for
    function = names.get(FUNCTION)
    if not callable(function):
        raise Refused(f"the source defines no function {FUNCTION}(input_filenames)")
    return function  # type: ignore[no-any-return]


def _deliver(function: Callable[..., Any], job: Job, output: Path) -> Report:
    """Call the function; one with two parameters writes its file itself, as newer servers allow."""
    from delivery.engine.usercode.results import columns_of, entries_of, trees_of, write

    if _parameters(function) == 2:
        function(job.input, str(output))
        result: Any = output
    else:
        result = function(job.input)
    if isinstance(result, str | Path):
        return Report("done", rows=_own_file(Path(result), job, output))
    if job.format == "raw-file":
        raise Refused(f"format raw-file needs the path of a file; {FUNCTION} returned {_kind(result)}")
    trees = trees_of(result)
    if trees is None:
        raise Refused(
            f"{FUNCTION} returned {_kind(result)}; it must return an awkward array, a dict of awkward arrays, "
            "or the path of a file"
        )
    warnings: tuple[str, ...] = ()
    if job.format == "parquet" and len(trees) > 1:
        first = next(iter(trees))
        left = ", ".join(name for name in trees if name != first)
        warnings = (f"Parquet holds one table: {first!r} is written, {left} left out; root-file holds all of them",)
        trees = {first: trees[first]}
    write(trees, output, job)
    return Report("done", rows=entries_of(trees), columns=columns_of(trees), warnings=warnings)


def _parameters(function: Callable[..., Any]) -> int:
    try:
        return len(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return 1


def _own_file(path: Path, job: Job, output: Path) -> int:
    """Put a file that the function wrote in the output's place; its number of rows, 0 for a raw file."""
    from delivery.outputs import tree_and_entries

    if not path.is_file():
        raise Refused(f"{FUNCTION} left no file {path.name!r}")
    if path.resolve() != output.resolve() or path.is_symlink():
        shutil.copyfile(path, output.with_suffix(".part"))
        output.unlink(missing_ok=True)
        output.with_suffix(".part").rename(output)
    if job.format == "raw-file":
        return 0
    try:
        return tree_and_entries(output)[1]
    except DeliveryError as error:
        raise Refused(f"the file that {FUNCTION} wrote is no {job.format}: {error.sentence()}") from error


def _kind(result: object) -> str:
    if isinstance(result, Mapping):
        values = {_kind(value) for value in result.values()}
        return f"a dict of {' and '.join(sorted(values))}" if values else "an empty dict"
    kind = type(result)
    return "None" if result is None else f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins.")


def _refusal(error: OSError) -> Report:
    """What the system refuses: a limit, a door that is closed, or a fault of the function."""
    if error.errno == errno.EFBIG:
        return Report("disk")
    if error.errno == errno.ENOMEM:
        return Report("memory")
    report = _failure(error)
    return replace(report, reason=f"{report.reason}; {_CLOSED}") if isinstance(error, PermissionError) else report


def _failure(error: BaseException) -> Report:
    """What the error says, in one line, and the last line of the function's source that led to it."""
    if isinstance(error, Refused):
        reason = str(error)
    else:
        text = "".join(traceback.format_exception_only(error)).strip()
        if isinstance(error, SyntaxError):  # the lines before the last show the place
            text = text.splitlines()[-1]
        reason = " ".join(text.split())
    frames = traceback.extract_tb(error.__traceback__)
    numbers = [frame.lineno for frame in frames if frame.filename == SOURCE_NAME]
    if isinstance(error, SyntaxError) and error.filename == SOURCE_NAME:
        numbers.append(error.lineno)
    return Report("failed", reason=reason[:_REASON_LENGTH], line=numbers[-1] if numbers else None)


def _leave(report: Report, scratch: Path) -> None:
    """Write the report and end at once: nothing that the function left to run at exit is run."""
    with suppress(Exception):  # the function may have put anything in their place
        sys.stdout.flush()
        sys.stderr.flush()
    report.write(scratch)
    os._exit(0)


if __name__ == "__main__":
    main()
