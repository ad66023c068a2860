"""Limits on new signals, through the same compiled functions, by several workers at once if there are some."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, as_completed
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from inference.errors import InferenceError
from inference.hypotheses.statistic import Method, Statistic
from inference.reinterpretation.errors import InvalidSignal
from inference.reinterpretation.results import Reinterpretation, SignalLimit
from inference.reinterpretation.signals import Signal, without
from inference.workers import executor_of

if TYPE_CHECKING:
    from inference.hypotheses.results import UpperLimit
    from inference.likelihood.model import Likelihood


def poi_of(background: Mapping[str, Any], measurement: str | None = None) -> str:
    """Parameter of interest of a measurement, which no sample of a background need have.

    Raises:
        InvalidSignal: no such measurement, or it names none.
    """
    measurements = {each["name"]: each["config"].get("poi") for each in background.get("measurements", [])}
    name = measurement or next(iter(measurements), None)
    if name not in measurements:
        raise InvalidSignal(f"the workspace has no measurement {name!r}; it has {', '.join(measurements) or 'none'}")
    if not measurements[name]:
        raise InvalidSignal(f"the measurement {name!r} names no parameter of interest: signals need one")
    return str(measurements[name])


def reinterpret(
    background: Mapping[str, Any],
    signals: Sequence[Signal],
    *,
    measurement: str | None = None,
    labels: Sequence[str] = (),
    leave_out: Sequence[str] = (),
    level: float = 0.95,
    method: Method = "CLs",
    statistic: Statistic = "qtilde",
    fixed: Mapping[str, float] | None = None,
    workers: int | Executor = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Reinterpretation:
    """Upper limits on the strength of each signal, observed and expected, and CLs at strength 1.

    A signal that fails is recorded with its reason and spoils no other.

    Args:
        background: pyhf workspace without signal, decoded.
        signals: see ``inference.reinterpretation.archive.read_signals``.
        measurement: by name; the first if None.
        labels: names of the signals' values.
        leave_out: channels to take away after a signal has been put in, such as validation regions.
        level, method, statistic, fixed: as of ``upper_limit``.
        workers: number of threads, or an executor: of processes (not forked ones), or a Dask client's
            ``get_executor()``. They change no number.
        progress: called with the number of signals done and of all.

    Raises:
        InvalidSignal: the workspace has no parameter of interest.
    """
    poi = poi_of(background, measurement)
    task = _Task(background, measurement, tuple(leave_out), level, method, statistic, dict(fixed or {}))
    limits: dict[int, SignalLimit] = {}
    shapes: set[str] = set()
    for place, (limit, shape) in _made(task, signals, workers):
        limits[place] = limit
        shapes |= {shape} - {""}
        if progress is not None:
            progress(len(limits), len(signals))
    ordered = tuple(limits[place] for place in range(len(signals)))
    return Reinterpretation(poi, level, method, statistic, tuple(labels), ordered, len(shapes))


@dataclass(frozen=True, slots=True)
class _Task:
    """What is asked of each signal."""

    background: Mapping[str, Any]
    measurement: str | None
    leave_out: tuple[str, ...]
    level: float
    method: Method
    statistic: Statistic
    fixed: dict[str, float]


Made = tuple[SignalLimit, str]


def _made(task: _Task, signals: Sequence[Signal], workers: int | Executor) -> Iterator[tuple[int, Made]]:
    """Limits by the signals' places, as they are done; the first one alone, since it compiles for the others."""
    if workers == 1 or len(signals) < 3:
        for place, signal in enumerate(signals):
            yield place, _limit_on(task, signal)
        return
    yield 0, _limit_on(task, signals[0])
    with executor_of(workers) as executor:
        places = {executor.submit(_limit_on, task, signal): place for place, signal in enumerate(signals) if place}
        try:
            for future in as_completed(places):
                yield places[future], future.result()
        finally:
            for future in places:
                future.cancel()


def _limit_on(task: _Task, signal: Signal) -> Made:
    """The limit, and what was compiled for it ("" if nothing was)."""
    from inference.hypotheses.limits import upper_limit
    from inference.likelihood.model import Likelihood

    shape = ""
    try:
        likelihood = Likelihood(without(signal.applied(task.background), task.leave_out), task.measurement)
        shape = _shape(likelihood)
        found = upper_limit(
            likelihood, level=task.level, method=task.method, statistic=task.statistic, fixed=task.fixed
        )
        return _of(signal, found), shape
    except InferenceError as error:
        none = (None,) * 5
        failed = SignalLimit(signal.name, signal.values, None, None, None, none, None, 0, None, (str(error),))
        return failed, shape


def _of(signal: Signal, limit: "UpperLimit") -> SignalLimit:
    one = limit.test_of_one
    return SignalLimit(
        name=signal.name,
        values=signal.values,
        cls=None if one is None else one.cls,
        expected_cls=None if one is None else one.expected,
        observed=limit.observed,
        expected=limit.expected,
        bestfit=limit.bestfit,
        fits=len(limit.fits),
        largest_edm=max((fit.certificate.edm or 0.0 for fit in limit.fits), default=None),
        failures=limit.failures,
        notes=limit.notes,
    )


def _shape(likelihood: "Likelihood") -> str:
    """What a compiled function depends on."""
    import jax

    return repr((likelihood.layout, tuple(leaf.shape for leaf in jax.tree.leaves(likelihood.arrays))))
