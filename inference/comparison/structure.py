"""What two models are made of, and where they differ."""

import operator
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from inference.comparison.results import Difference
from inference.likelihood.parameters import ParameterSet
from inference.likelihood.specification import Channel, Sample, Specification

# Relative differences of contents below this are rounding.
ROUNDING = 1e-12


def differences(first: Specification, second: Specification) -> tuple[Difference, ...]:
    """All differences: channels, samples, modifiers, parameters, data, extensions."""
    return tuple(_differences(first, second))


def same_data(first: Specification, second: Specification) -> bool:
    """Whether both have the same channels with the same number of bins, and the same contents observed."""
    bins = [[(channel.name, channel.bins) for channel in made.channels] for made in (first, second)]
    return bins[0] == bins[1] and np.array_equal(_observed(first), _observed(second))


def _differences(first: Specification, second: Specification) -> Iterator[Difference]:
    ours, theirs = ({channel.name: channel for channel in made.channels} for made in (first, second))
    yield from _pairs("channel", "", ours, theirs, lambda channel: f"{channel.bins} bins")
    for name in sorted(ours.keys() & theirs.keys()):
        yield from _samples(ours[name], theirs[name])
    one, other = ({made.name: made for made in each.parameters} for each in (first, second))
    yield from _pairs("parameter", "", one, other, _parameter)
    yield from _data(first, second)
    poi = first.poi or "none", second.poi or "none"
    if poi[0] != poi[1]:
        yield Difference("parameter of interest", "", *poi)
    here, there = ({each.name: each for each in made.extensions} for made in (first, second))
    yield from _pairs("extension", "", here, there, lambda each: str(each.operator), same=operator.eq)


def _samples(first: Channel, second: Channel) -> Iterator[Difference]:
    ours, theirs = ({sample.name: sample for sample in channel.samples} for channel in (first, second))
    yield from _pairs("sample", f" in {first.name}", ours, theirs, _contents, same=_same_contents)
    for name in sorted(ours.keys() & theirs.keys()):
        place = f" on {name} in {first.name}"
        yield from _pairs(
            "modifier", place, _modifiers(ours[name]), _modifiers(theirs[name]), _effect, same=_same_effect
        )


def _pairs(
    kind: str,
    where: str,
    first: Mapping[str, Any],
    second: Mapping[str, Any],
    words: Callable[[Any], str],
    *,
    same: Callable[[Any, Any], bool] | None = None,
) -> Iterator[Difference]:
    """Names that one has and the other has not, or for which they differ: by their words if there is no other rule."""
    for name in sorted(first.keys() | second.keys()):
        one, other = first.get(name), second.get(name)
        told = None if one is None else words(one), None if other is None else words(other)
        equal = one is not None and other is not None and (same(one, other) if same else told[0] == told[1])
        if not equal:
            if told[0] == told[1]:
                told = f"{told[0]}", f"{told[1]}, other contents"
            yield Difference(kind, f"{name}{where}", *told)


def _contents(sample: Sample) -> str:
    return f"{sample.nominal.sum():.6g} events"


def _same_contents(first: Sample, second: Sample) -> bool:
    return _equal(first.nominal, second.nominal)


def _modifiers(sample: Sample) -> dict[str, Mapping[str, Any]]:
    return {f"{modifier['type']} {modifier['name']}": modifier for modifier in sample.modifiers}


def _effect(modifier: Mapping[str, Any]) -> str:
    data = modifier.get("data")
    if modifier["type"] == "normsys" and isinstance(data, Mapping):
        return f"up {data['hi']:.6g}, down {data['lo']:.6g}"
    if modifier["type"] == "histosys" and isinstance(data, Mapping):
        return f"up {np.sum(data['hi_data']):.6g}, down {np.sum(data['lo_data']):.6g} events"
    return "" if data is None else f"errors {np.sqrt(np.sum(np.square(data))):.6g} in quadrature"


def _same_effect(first: Mapping[str, Any], second: Mapping[str, Any]) -> bool:
    return _equal(_numbers(first.get("data")), _numbers(second.get("data")))


def _numbers(data: Any) -> list[float]:
    if isinstance(data, Mapping):
        return [number for key in sorted(data) for number in _numbers(data[key])]
    return [] if data is None else np.ravel(data).tolist()


def _parameter(made: ParameterSet) -> str:
    many = f" for {made.size} bins" if made.per_bin else ""
    fixed = ", fixed" if all(made.fixed) else ""
    width = f", {made.constraint} constraint" if made.constraint != "free" else ""
    if made.constraint == "normal" and not made.per_bin:
        width += f" {made.auxdata[0]:g} ± {made.widths[0]:g}"
    return f"starts at {made.init[0]:g} within {made.lower[0]:g} and {made.upper[0]:g}{width}{many}{fixed}"


def _data(first: Specification, second: Specification) -> Iterator[Difference]:
    ours, theirs = (
        {channel.name: _observed(made)[_bins(made, channel.name)] for channel in made.channels}
        for made in (first, second)
    )
    for name in sorted(ours.keys() & theirs.keys()):
        if not _equal(ours[name], theirs[name]):
            told = [f"{contents.sum():.6g} events" for contents in (ours[name], theirs[name])]
            yield Difference("data", name, told[0], told[1] + (", other contents" if told[0] == told[1] else ""))


def _observed(made: Specification) -> Any:
    return np.full(made.bins, np.nan) if made.observed is None else made.observed


def _bins(made: Specification, name: str) -> slice:
    start = 0
    for channel in made.channels:
        if channel.name == name:
            return slice(start, start + channel.bins)
        start += channel.bins
    return slice(0, 0)


def _equal(first: Any, second: Any) -> bool:
    one, other = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    return one.shape == other.shape and bool(np.allclose(one, other, rtol=ROUNDING, atol=0.0, equal_nan=True))
