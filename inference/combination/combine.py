"""Join the channels of several workspaces and correlate their parameters.

A constraint that several inputs share stands once in the result: −log L of the combination is the sum of the inputs'
at the same point, each shared auxiliary measurement counted once.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from inference.combination.correlation import CorrelationMap
from inference.combination.errors import Clash, InvalidMap
from inference.combination.renaming import Names, new_names, parameters_of, renamed, renamed_extensions
from inference.errors import nearest
from inference.likelihood.interpolation import chosen_codes
from inference.likelihood.parameters import ParameterSet
from inference.likelihood.specification import Specification, specification

Workspace = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class CombinedParameter:
    """A parameter of the combination: its name in each input that has it."""

    name: str
    members: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Combination:
    """The workspace that was made, in pyhf's JSON, decoded, and what became of each parameter."""

    workspace: dict[str, Any]
    parameters: tuple[CombinedParameter, ...]


def combine(inputs: Mapping[str, Workspace], correlation: CorrelationMap | None = None) -> Combination:
    """Combine workspaces.

    Args:
        inputs: by the names that the map uses, which also mark what is kept apart: ``lumi_A`` is that of A.
        correlation: parameters of the same name are the same without it. Those of staterror and shapesys are never
            shared, since each belongs to the bins of one channel.

    Raises:
        InvalidWorkspace: one of them is none.
        InvalidMap: the map names what is not there.
        Clash: the same channel twice, constraints or settings of a shared parameter that differ, several POIs.
    """
    chosen = correlation or CorrelationMap()
    _check_inputs(inputs, chosen)
    read = {name: specification(each, chosen.measurements.get(name)) for name, each in inputs.items()}
    names = {name: new_names(name, read, chosen) for name in inputs}
    members = _members(read, names)
    for name in chosen.parameters:
        if name not in members:
            raise InvalidMap(f"the map has settings of {name!r}, which no input has; {nearest(name, members)}")
    for name, sets in members.items():
        _check_same(name, sets, name in chosen.parameters)
    measurement = {
        "name": chosen.name,
        "config": {
            "poi": _poi(read, names, chosen) or "",
            "parameters": list(_settings(inputs, names, chosen)),
        },
    }
    parts = [renamed(inputs[name], names[name]) for name in inputs]
    _check_channels(dict(zip(inputs, parts, strict=True)))
    workspace: dict[str, Any] = {
        "channels": [channel for part in parts for channel in part["channels"]],
        "measurements": [measurement],
        "observations": [each for part in parts for each in part.get("observations", ())],
        "version": _version(inputs),
    }
    codes = _agreed({name: chosen_codes(each) for name, each in inputs.items()}, "interpolate")
    if any("interpolation" in each for each in inputs.values()):
        workspace["interpolation"] = codes
    if extensions := _extensions(inputs, names):
        workspace["extensions"] = extensions
    specification(workspace)
    found = tuple(CombinedParameter(name, tuple((one, old) for one, old, _ in sets)) for name, sets in members.items())
    return Combination(workspace, found)


Members = dict[str, list[tuple[str, str, ParameterSet]]]


def _members(read: Mapping[str, Specification], names: Mapping[str, Names]) -> Members:
    members: Members = {}
    for name, made in read.items():
        for each in parameters_of(made).values():
            members.setdefault(names[name].parameters[each.name], []).append((name, each.name, each))
    return members


def _check_inputs(inputs: Mapping[str, Workspace], chosen: CorrelationMap) -> None:
    if len(inputs) < 2:
        raise InvalidMap("a combination needs two workspaces at least")
    named = [*chosen.channels, *chosen.measurements, *(one for each in chosen.correlate.values() for one in each)]
    for name in named:
        if name not in inputs:
            raise InvalidMap(f"the map names an input {name!r}; {nearest(name, inputs)}")


def _check_same(name: str, sets: list[tuple[str, str, ParameterSet]], settled: bool) -> None:
    (first, _, one), *others = sets
    for other, _, another in others:
        kind, size = (one.constraint, another.constraint), (one.size, another.size)
        apart = "keep them apart in the map (default: private, or another name for one under correlate)"
        if kind[0] != kind[1]:
            raise Clash(
                f"{name!r} has a {kind[0]} constraint in {first!r} and a {kind[1]} one in {other!r} "
                f"(free: none): they are not one parameter; {apart}"
            )
        if size[0] != size[1] or one.scalar != another.scalar:
            raise Clash(f"{name!r} is {size[0]} parameters in {first!r} and {size[1]} in {other!r}; {apart}")
        if settled:
            continue
        for attribute, key in _SETTINGS.items():
            if getattr(one, attribute) != getattr(another, attribute):
                raise Clash(
                    f"{key} of {name!r} differ: {_shown(getattr(one, attribute))} in {first!r}, "
                    f"{_shown(getattr(another, attribute))} in {other!r}; give its settings under parameters in the "
                    f"map, or {apart}"
                )


_SETTINGS = {
    "auxdata": "the auxiliary data",
    "widths": "the widths of the constraint",
    "init": "the starting values",
    "lower": "the lower bounds",
    "upper": "the upper bounds",
    "fixed": "what is held",
}


def _shown(values: tuple[Any, ...]) -> str:
    return f"{values[0]}" if len(values) == 1 else f"{list(values[:4])}"


def _check_channels(parts: Mapping[str, Workspace]) -> None:
    owner: dict[str, str] = {}
    for name, part in parts.items():
        for channel in part["channels"]:
            if channel["name"] in owner:
                raise Clash(
                    f"channel {channel['name']!r} is in {owner[channel['name']]!r} and in {name!r}: events must not "
                    f"count twice; if they are others, rename it in the map, channels: {{{name}: {{{channel['name']}: "
                    f"{channel['name']}_{name}}}}}"
                )
            owner[channel["name"]] = name


def _poi(read: Mapping[str, Specification], names: Mapping[str, Names], chosen: CorrelationMap) -> str | None:
    known = {new for each in names.values() for new in each.parameters.values()}
    if chosen.poi is not None:
        if chosen.poi not in known:
            raise InvalidMap(f"the map's poi {chosen.poi!r} is in no input; {nearest(chosen.poi, known)}")
        return chosen.poi
    pois = {name: names[name].parameters[made.poi] for name, made in read.items() if made.poi is not None}
    if len(set(pois.values())) > 1:
        said = ", ".join(f"{poi!r} in {name!r}" for name, poi in pois.items())
        raise Clash(f"the parameters of interest differ: {said}; say poi: in the map, or correlate them")
    return next(iter(pois.values()), None)


def _settings(
    inputs: Mapping[str, Workspace], names: Mapping[str, Names], chosen: CorrelationMap
) -> Iterator[dict[str, Any]]:
    """``parameters`` of the measurement: what the map settles, else what the first input says that says something."""
    told = set()
    for name, settings in chosen.parameters.items():
        told.add(name)
        yield {**settings, "name": name}
    for name, workspace in inputs.items():
        wanted = chosen.measurements.get(name)
        [measurement, *_] = [each for each in workspace["measurements"] if wanted in {None, each["name"]}]
        for setting in measurement["config"].get("parameters", ()):
            new = names[name].parameters.get(setting["name"])
            if new is not None and new not in told:
                told.add(new)
                yield {**setting, "name": new}


def _version(inputs: Mapping[str, Workspace]) -> Any:
    return _agreed({name: each.get("version", "1.0.0") for name, each in inputs.items()}, "are of a version")


def _agreed(values: Mapping[str, Any], what: str) -> Any:
    (first, one), *others = values.items()
    for other, another in others:
        if another != one:
            raise Clash(f"{first!r} and {other!r} {what} of their own: {one} and {another}; a workspace has one")
    return one


def _extensions(inputs: Mapping[str, Workspace], names: Mapping[str, Names]) -> list[dict[str, Any]]:
    """Those of all inputs; where two have one name, the input's is added."""
    found = [
        (name, each)
        for name, workspace in inputs.items()
        for each in renamed_extensions(workspace.get("extensions", ()), names[name])
    ]
    count = Counter(each["name"] for _, each in found)
    return [{**each, "name": f"{each['name']}_{name}"} if count[each["name"]] > 1 else each for name, each in found]
