"""Limits on new signals, one after the other through the same compiled functions."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from inference.errors import InferenceError
from inference.hypotheses.statistic import Method, Statistic
from inference.reinterpretation.errors import InvalidSignal
from inference.reinterpretation.results import Reinterpretation, SignalLimit
from inference.reinterpretation.signals import Signal, without

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
        progress: called with the number of signals done and of all.

    Raises:
        InvalidSignal: the workspace has no parameter of interest.
    """
    from inference.hypotheses.limits import upper_limit
    from inference.likelihood.model import Likelihood

    poi = poi_of(background, measurement)
    shapes: set[Any] = set()
    limits = []
    for done, signal in enumerate(signals, start=1):
        try:
            likelihood = Likelihood(without(signal.applied(background), leave_out), measurement)
            shapes.add(_shape(likelihood))
            found = upper_limit(likelihood, level=level, method=method, statistic=statistic, fixed=fixed)
            limits.append(_of(signal, found))
        except InferenceError as error:
            none = (None,) * 5
            limits.append(SignalLimit(signal.name, signal.values, None, None, None, none, None, 0, None, (str(error),)))
        if progress is not None:
            progress(done, len(signals))
    return Reinterpretation(poi, level, method, statistic, tuple(labels), tuple(limits), len(shapes))


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


def _shape(likelihood: "Likelihood") -> Any:
    """What a compiled function depends on."""
    import jax

    return likelihood.layout, tuple(leaf.shape for leaf in jax.tree.leaves(likelihood.arrays))
