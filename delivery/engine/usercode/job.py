"""What parent and child tell each other, in files of the scratch folder: the job, and how it ended.

Both are JSON. The child may have been made to lie, so the parent believes no type and no length in a report.
"""

import json
import os
import stat
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, cast, get_args

from delivery.engine.usercode.limits import Limits
from delivery.requests import OutputFormat

SOURCE_NAME = "<run_query>"
OUTPUT = {"parquet": "output.parquet", "root-file": "output.root", "root-rntuple": "output.root", "raw-file": "output"}
JOB, REPORT, PRINTED = "job.json", "report.json", "printed.txt"
_REPORT_BYTES = 4 * 1024**2  # tens of thousands of columns

Ending = Literal["done", "failed", "unwritable", "memory", "disk"]


@dataclass(frozen=True, slots=True)
class Job:
    """One function to run on one file; the result goes to `OUTPUT` in the working folder.

    ``identity`` (hex) decides the identifiers in a ROOT file, ``record`` is the account that goes into the result.
    """

    source: str
    input: str
    format: OutputFormat
    identity: str
    record: dict[str, Any]
    limits: Limits

    def write(self, folder: Path) -> None:
        """Leave the job where the child looks for it."""
        (folder / JOB).write_text(json.dumps(asdict(self)), encoding="utf-8")

    @staticmethod
    def read(folder: Path) -> "Job":
        """The job that `write` left."""
        document = json.loads((folder / JOB).read_text(encoding="utf-8"))
        return Job(**{**document, "limits": Limits(**document["limits"])})


@dataclass(frozen=True, slots=True)
class Report:
    """How a run ended: ``rows`` written, or ``reason``, ``hint`` and ``line`` of a failure.

    ``columns`` are those of the result; ``unconfined`` names what this kernel could not close to the function.
    """

    ending: Ending
    rows: int = 0
    columns: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    reason: str = ""
    hint: str = ""
    line: int | None = None
    unconfined: tuple[str, ...] = ()

    def write(self, folder: Path) -> None:
        """Leave the report where the parent looks for it."""
        (folder / REPORT).write_text(json.dumps(asdict(self)), encoding="utf-8")


def read_report(folder: Path) -> Report | None:
    """The child's report; None if it left none, or one that is none."""
    content = read_regular(folder / REPORT, _REPORT_BYTES)
    try:
        document = dict(json.loads(content or b""))
        rows, line = document["rows"], document["line"]
        if document["ending"] not in get_args(Ending) or not isinstance(rows, int):
            return None
        return Report(
            ending=cast("Ending", document["ending"]),
            rows=max(0, rows),
            columns=tuple(str(name) for name in document["columns"]),
            warnings=tuple(str(text) for text in document["warnings"]),
            reason=str(document["reason"]),
            hint=str(document["hint"]),
            line=line if isinstance(line, int) else None,
            unconfined=tuple(str(name) for name in document["unconfined"]),
        )
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def read_regular(path: Path, limit: int, *, last: bool = False) -> bytes | None:
    """The first (or last) ``limit`` bytes of a regular file; None for a link, a pipe or a device."""
    try:
        opened = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    with os.fdopen(opened, "rb") as stream:
        found = os.fstat(opened)
        if not stat.S_ISREG(found.st_mode):
            return None
        if last:
            stream.seek(max(0, found.st_size - limit))
        return stream.read(limit)
