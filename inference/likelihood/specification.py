"""A workspace in pyhf's JSON, read into plain values: channels, samples, modifiers, parameters, observations."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from inference.errors import InvalidWorkspace, nearest
from inference.likelihood.interpolation import chosen_codes
from inference.likelihood.parameters import TYPES, ParameterSet, Use, parameter_sets

if TYPE_CHECKING:
    from inference.extensions.parts import Extension

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Sample:
    """Nominal contents of a sample in a channel, shape (bins,), and its modifiers."""

    name: str
    nominal: Floats
    modifiers: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Channel:
    """A channel, its samples sorted by name."""

    name: str
    bins: int
    samples: tuple[Sample, ...]


@dataclass(frozen=True, slots=True)
class Specification:
    """One measurement of a workspace.

    Attributes:
        channels: sorted by name, as their bins stand in every array of bins.
        parameters: of the fit, in pyhf's order; then those that extensions introduce.
        poi: label of the parameter of interest, or None.
        observed: contents of all bins, or None where the workspace has none.
        histfactory: parameters of the modifiers, in pyhf's order; without extensions those of the fit.
        extensions: documents of ``inference.extensions``.
        codes: interpolation of "histosys" and "normsys".
    """

    channels: tuple[Channel, ...]
    parameters: tuple[ParameterSet, ...]
    poi: str | None
    observed: Floats | None
    histfactory: tuple[ParameterSet, ...]
    extensions: tuple["Extension", ...] = ()
    codes: Mapping[str, str] = field(default_factory=lambda: chosen_codes({}))

    @property
    def labels(self) -> tuple[str, ...]:
        """One for each parameter."""
        return tuple(label for made in self.parameters for label in made.labels)

    @property
    def bins(self) -> int:
        """Of all channels."""
        return sum(channel.bins for channel in self.channels)

    @property
    def offsets(self) -> dict[str, int]:
        """Place of each name's first parameter among those of the fit."""
        return offsets(self.parameters)

    @property
    def correlations(self) -> tuple[tuple[tuple[str, ...], Floats], ...]:
        """Labels of parameters whose constraints are correlated, and the matrix."""
        return tuple(each.correlation for each in self.extensions if each.correlation is not None)

    def joined(self, attribute: str) -> Floats:
        """``init``, ``lower``, ``upper`` or ``fixed`` of all parameters in one array."""
        return np.asarray([value for made in self.parameters for value in getattr(made, attribute)], dtype=float)


def specification(workspace: Mapping[str, Any], measurement: str | None = None) -> Specification:
    """Read one measurement, the first if none is named.

    Raises:
        InvalidWorkspace: what is wrong and where.
    """
    try:
        chosen = _measurement(workspace["measurements"], measurement)
        channels = tuple(sorted((_channel(raw) for raw in workspace["channels"]), key=lambda channel: channel.name))
        config = chosen["config"]
        uses = [
            Use(channel.name, sample.name, modifier, sample.nominal.tolist())
            for channel in channels
            for sample in channel.samples
            for modifier in sample.modifiers
        ]
        _check_names([channel.name for channel in channels], "channel")
        _check_staterrors(uses)
        histfactory = parameter_sets(uses, config.get("parameters", ()))
        observed = _observed(channels, workspace.get("observations", ()))
        parameters, histfactory, extensions = _extended(histfactory, workspace, config, channels)
    except (KeyError, TypeError, AttributeError) as error:
        raise InvalidWorkspace(f"no workspace of pyhf: {type(error).__name__}: {error}") from error
    if not parameters:
        raise InvalidWorkspace("the workspace has no parameter: give a sample a modifier")
    return Specification(
        channels,
        parameters,
        _poi(config, parameters, histfactory),
        observed,
        histfactory,
        extensions,
        chosen_codes(workspace),
    )


def offsets(parameters: Sequence[ParameterSet]) -> dict[str, int]:
    """Place of each name's first parameter."""
    sizes = np.cumsum([0, *(made.size for made in parameters)])
    return {made.name: int(place) for made, place in zip(parameters, sizes[:-1], strict=True)}


def _extended(
    histfactory: tuple[ParameterSet, ...],
    workspace: Mapping[str, Any],
    config: Mapping[str, Any],
    channels: Sequence[Channel],
) -> "tuple[tuple[ParameterSet, ...], tuple[ParameterSet, ...], tuple[Extension, ...]]":
    """Parameters of the fit, HistFactory's, and the extensions."""
    if not workspace.get("extensions"):
        return histfactory, histfactory, ()
    from inference.extensions.registry import check_noises, extend, read

    made = extend(histfactory, read(workspace["extensions"]), config.get("parameters", ()))
    check_noises(made.extensions, channels)
    return made.parameters, made.histfactory, made.extensions


def _measurement(measurements: Sequence[Mapping[str, Any]], name: str | None) -> Mapping[str, Any]:
    if not measurements:
        raise InvalidWorkspace("the workspace has no measurement")
    if name is None:
        return measurements[0]
    for each in measurements:
        if each["name"] == name:
            return each
    raise InvalidWorkspace(
        f"the workspace has no measurement {name!r}; {nearest(name, [each['name'] for each in measurements])}"
    )


def _channel(raw: Mapping[str, Any]) -> Channel:
    name = raw["name"]
    if not raw["samples"]:
        raise InvalidWorkspace(f"channel {name!r} has no sample")
    samples = tuple(sorted((_sample(name, each) for each in raw["samples"]), key=lambda sample: sample.name))
    _check_names([sample.name for sample in samples], f"channel {name!r}: sample")
    bins = len(samples[0].nominal)
    for sample in samples:
        if len(sample.nominal) != bins:
            raise InvalidWorkspace(
                f"channel {name!r}: sample {sample.name!r} has {len(sample.nominal)} bins, "
                f"{samples[0].name!r} has {bins}"
            )
    return Channel(name, bins, samples)


def _sample(channel: str, raw: Mapping[str, Any]) -> Sample:
    nominal = _numbers(raw["data"], f"sample {raw['name']!r} of channel {channel!r}")
    modifiers = tuple(sorted(raw["modifiers"], key=lambda modifier: (modifier["name"], modifier["type"])))
    for modifier in modifiers:
        _check_modifier(Use(channel, raw["name"], modifier, raw["data"]))
    _check_names([f"{each['type']} {each['name']}" for each in modifiers], f"sample {raw['name']!r}: modifier")
    return Sample(raw["name"], nominal, modifiers)


def _check_modifier(use: Use) -> None:
    kind, data = use.modifier["type"], use.modifier.get("data")
    if kind not in TYPES:
        raise InvalidWorkspace(f"{use.place}: there is no such type; {nearest(str(kind), TYPES)}")
    if kind == "normsys":
        for side in ("hi", "lo"):
            if not (isinstance(data, Mapping) and _factor(data.get(side))):
                raise InvalidWorkspace(f"{use.place}: data must be {{'hi': …, 'lo': …}}, finite factors above 0")
        return
    lists = {"histosys": ("hi_data", "lo_data")}.get(kind)
    if lists:
        if not isinstance(data, Mapping):
            raise InvalidWorkspace(f"{use.place}: data must have hi_data and lo_data")
        for side in lists:
            _same_bins(use, data[side], side)
    elif kind in ("shapesys", "staterror"):
        _same_bins(use, data, "data")


def _same_bins(use: Use, values: Any, what: str) -> None:
    if len(_numbers(values, use.place)) != len(use.nominal):
        raise InvalidWorkspace(f"{use.place}: {what} has {len(values)} bins, the sample {len(use.nominal)}")


def _factor(value: Any) -> bool:
    return isinstance(value, int | float) and 0 < value < math.inf


def _numbers(values: Any, where: str) -> Floats:
    try:
        array = np.asarray(values, dtype=float)
    except (TypeError, ValueError, OverflowError):
        array = np.asarray(np.nan)
    if array.ndim != 1 or not np.isfinite(array).all():
        raise InvalidWorkspace(f"{where}: contents must be a list of finite numbers")
    return array


def _check_names(names: Sequence[str], what: str) -> None:
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise InvalidWorkspace(f"{what} {min(twice)!r} is there twice")


def _check_staterrors(uses: Sequence[Use]) -> None:
    """A sample under a staterror's name is so in each channel in which any sample is: else its bins are ambiguous."""
    for name in {use.modifier["name"] for use in uses if use.modifier["type"] == "staterror"}:
        channels: dict[str, set[str]] = {}
        for use in uses:
            if (use.modifier["type"], use.modifier["name"]) == ("staterror", name):
                channels.setdefault(use.sample, set()).add(use.channel)
        if len({frozenset(each) for each in channels.values()}) > 1:
            raise InvalidWorkspace(
                f"staterror {name!r} covers several channels, and not the same samples in each: "
                "name it after its channel"
            )


def _observed(channels: Sequence[Channel], observations: Sequence[Mapping[str, Any]]) -> Floats | None:
    contents = {each["name"]: _numbers(each["data"], f"observation of {each['name']!r}") for each in observations}
    if not contents:
        return None
    for channel in channels:
        if channel.name not in contents:
            raise InvalidWorkspace(f"no observation of channel {channel.name!r}; {nearest(channel.name, contents)}")
        if len(contents[channel.name]) != channel.bins:
            raise InvalidWorkspace(
                f"the observation of {channel.name!r} has {len(contents[channel.name])} bins, "
                f"its samples have {channel.bins}"
            )
        if (contents[channel.name] < 0).any():
            raise InvalidWorkspace(
                f"the observation of {channel.name!r} is negative in bin {int(np.argmin(contents[channel.name]))}: "
                "numbers of events are 0 or more"
            )
    return np.concatenate([contents[channel.name] for channel in channels])


def _poi(
    config: Mapping[str, Any], parameters: Sequence[ParameterSet], histfactory: Sequence[ParameterSet]
) -> str | None:
    """None also where an extension sets it: then it is no parameter of the fit."""
    name = config.get("poi") or None
    known = [name for made in parameters for name in {made.name, *made.labels}]
    if name not in known and name in [made.name for made in histfactory]:
        return None
    if name is not None and name not in known:
        hint = "give a sample a normfactor of it, or name another one"
        raise InvalidWorkspace(f"the parameter of interest {name!r} is in no sample; {nearest(name, known)}: {hint}")
    return name
