"""Errors that a user of skimflow may see. One base class, messages that name the next step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from delivery.requests import FileFailed


SHOWN_FILES = 3
"""Files named for each reason of a failure; the others are counted."""


class SkimflowError(Exception):
    """Base of skimflow's own errors; the command line prints the message and exits with `exit_code`."""

    exit_code = 1


class UsageError(SkimflowError):
    """What was asked for makes no sense: a wrong option, file or value."""

    exit_code = 2


class PipelineError(UsageError):
    """The pipeline file cannot be read or breaks its schema."""


class CodeNotFound(UsageError):
    """A `module:name` or `file.py:name` in the pipeline leads to no source file."""


class SimulationError(UsageError):
    """The demonstration events cannot be made as asked."""


class ProcessDied(SkimflowError):
    """A process that shared the work ended without a result."""


class StageNotKept(SkimflowError):
    """`--from STAGE` was asked, but an earlier stage's results are not in the store."""


class RepeatedInput(UsageError):
    """Two input files of one sample hold the same events, which would be counted twice.

    Attributes:
        sample: name of the sample.
        first, second: the two files.
    """

    def __init__(self, sample: str, first: str, second: str) -> None:
        super().__init__(sample, first, second)
        self.sample, self.first, self.second = sample, first, second

    def __str__(self) -> str:
        return f"{self.sample}: {self.first} and {self.second} hold the same events; take one out of the fileset"


class DeliveryFailed(SkimflowError):
    """More files failed than the pipeline allows. Every file was tried; the others are kept.

    Attributes:
        failures: the failed files with their reasons.
        lost: samples of which no file is left.
    """

    def __init__(self, failures: Sequence[FileFailed], total: int, allowed: float, lost: Sequence[str] = ()) -> None:
        super().__init__(failures, total, allowed, lost)
        self.failures, self.total, self.allowed, self.lost = tuple(failures), total, allowed, tuple(lost)

    def __str__(self) -> str:
        failed, left = len(self.failures), self.total - len(self.failures)
        share = f"{100 * failed / self.total:.1f} %, allowed {self.allowed:g} %"
        lines = [f"{failed} of {self.total} files were not delivered ({share}):"]
        for reason, files in by_reason(self.failures).items():
            lines += [f"  {name}" for name in files[:SHOWN_FILES]]
            lines += [f"  and {len(files) - SHOWN_FILES} more"] if len(files) > SHOWN_FILES else []
            lines += [f"    {line}" for line in reason.splitlines()]
        if self.lost:
            lines.append(f"Nothing is left of {', '.join(self.lost)}, which no allowance covers.")
        if left:
            lines.append(f"The other {left} are kept. Run again to try only these, or accept less: --allow-missing N.")
        return "\n".join(lines)


def by_reason(failures: Sequence[FileFailed]) -> dict[str, list[str]]:
    """Failed files by reason: a mistake in the query is one mistake, however many files it meets.

    The file's own name is taken out of the reason, so that equal reasons are equal.
    """
    from delivery.identity import shown

    groups: dict[str, list[str]] = {}
    for one in failures:
        file = shown(one.request.file)
        reason = one.reason.removeprefix(f"{file}: ").replace(file, "the file")
        groups.setdefault(reason, []).append(f"{one.request.sample}  {file}")
    return groups
