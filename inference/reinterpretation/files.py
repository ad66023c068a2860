"""Limits on the signals of a file, folder or archive."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

from inference.hypotheses.statistic import Method, Statistic
from inference.reinterpretation.archive import read_signals
from inference.reinterpretation.reinterpret import poi_of, reinterpret
from inference.reinterpretation.results import Reinterpretation
from inference.reinterpretation.signals import background_of, chosen


def reinterpret_file(
    workspace: Mapping[str, Any],
    *,
    signals: Path,
    drop: Sequence[str] = (),
    poi: str | None = None,
    select: Sequence[str] = (),
    leave_out: Sequence[str] = (),
    labels: Sequence[str] = (),
    level: float = 0.95,
    method: Method = "CLs",
    statistic: Statistic = "qtilde",
    measurement: str | None = None,
    fixed: Mapping[str, float] | None = None,
    workers: int | Executor = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Reinterpretation:
    """Upper limits on the strength of each new signal in a workspace.

    Args:
        workspace: pyhf's JSON, decoded.
        signals: as of `inference.reinterpretation.archive.read_signals`.
        drop, poi: samples of a signal that is in the workspace, and a new name for the strength, as of
            `inference.reinterpretation.signals.background_of`.
        select: patterns of signals' names (``*_60``); all without one.
        labels: names of the numbers in the signals' names; those of the file if empty.
        leave_out, level, method, statistic, measurement, fixed, workers, progress: as of
            `inference.reinterpretation.reinterpret.reinterpret`.

    Raises:
        InvalidSignal: what is wrong, and where.
    """
    background = background_of(workspace, drop, poi) if drop or poi else workspace
    found, own = read_signals(signals, background, poi_of(background, measurement))
    return reinterpret(
        background,
        chosen(found, select),
        measurement=measurement,
        labels=tuple(labels) or own,
        leave_out=leave_out,
        level=level,
        method=method,
        statistic=statistic,
        fixed=fixed,
        workers=workers,
        progress=progress,
    )
