"""New names for parameters and channels of a workspace that becomes part of another."""

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from inference.combination.correlation import CorrelationMap
from inference.combination.errors import Clash, InvalidMap
from inference.errors import nearest
from inference.likelihood.parameters import ParameterSet
from inference.likelihood.specification import Specification


@dataclass(frozen=True, slots=True)
class Names:
    """New name of every parameter and every channel of one input."""

    parameters: Mapping[str, str]
    channels: Mapping[str, str]


def parameters_of(made: Specification) -> dict[str, ParameterSet]:
    """All parameters of an input by name: those of the fit, and those that its extensions set."""
    return {each.name: each for each in (*made.histfactory, *made.parameters)}


def new_names(name: str, read: Mapping[str, Specification], chosen: CorrelationMap) -> Names:
    """What the parameters and channels of an input are called in the combination.

    Raises:
        InvalidMap: the map names a parameter or channel that the input does not have, or one twice.
        Clash: it has a luminosity that would need a name of its own.
    """
    made = read[name]
    own = parameters_of(made)
    mapped = _mapped(name, own, chosen)
    others = {each for other, its in read.items() if other != name for each in parameters_of(its)}
    taken = {*chosen.correlate, *others, *own}
    set_by_extensions = {each for its in read.values() for extension in its.extensions for each in extension.changes}
    parameters = dict(mapped)
    for each in own.values():
        if each.name not in mapped:
            of_bins = not each.scalar and each.constraint != "free"
            apart = of_bins or each.name in set_by_extensions or chosen.default == "private"
            keeps = each.name not in chosen.correlate and not (apart and each.name in others)
            parameters[each.name] = each.name if keeps else _free_name(f"{each.name}_{name}", taken)
    for luminosity in _luminosities(made):
        if parameters[luminosity] != "lumi":
            raise Clash(
                f"the luminosity of {name!r} would be {parameters[luminosity]!r}, but pyhf has one luminosity, called "
                "lumi: correlate it (correlate: {lumi: {…}}) or make one of them a normsys first"
            )
    channels = {channel.name: channel.name for channel in made.channels}
    for old, new in chosen.channels.get(name, {}).items():
        if old not in channels:
            raise InvalidMap(f"the map renames channel {old!r} of {name!r}; {nearest(old, channels)}")
        channels[old] = new
    return Names(parameters, channels)


def _mapped(name: str, known: Mapping[str, ParameterSet], chosen: CorrelationMap) -> dict[str, str]:
    mapped: dict[str, str] = {}
    for new, members in chosen.correlate.items():
        old = members.get(name)
        if old is None:
            continue
        if old not in known:
            raise InvalidMap(f"the map correlates {old!r} of {name!r} as {new!r}; {nearest(old, known)}")
        if old in mapped:
            raise InvalidMap(f"the map gives {old!r} of {name!r} two names: {mapped[old]!r} and {new!r}")
        mapped[old] = new
    return mapped


def _free_name(wanted: str, taken: set[str]) -> str:
    while wanted in taken:
        wanted += "_"
    taken.add(wanted)
    return wanted


def _luminosities(made: Specification) -> set[str]:
    return {
        str(modifier["name"])
        for channel in made.channels
        for sample in channel.samples
        for modifier in sample.modifiers
        if modifier["type"] == "lumi"
    }


def renamed(workspace: Mapping[str, Any], names: Names) -> dict[str, Any]:
    """Channels and observations of a workspace under their new names."""
    channels = [
        {
            **channel,
            "name": names.channels[channel["name"]],
            "samples": [
                {**sample, "modifiers": [_modifier(each, names) for each in sample["modifiers"]]}
                for sample in channel["samples"]
            ],
        }
        for channel in workspace["channels"]
    ]
    observations = [
        {**each, "name": names.channels.get(each["name"], each["name"])} for each in workspace.get("observations", ())
    ]
    return {"channels": channels, "observations": observations}


def _modifier(modifier: Mapping[str, Any], names: Names) -> dict[str, Any]:
    return {**modifier, "name": names.parameters[modifier["name"]]}


def renamed_extensions(documents: Sequence[Mapping[str, Any]], names: Names) -> list[dict[str, Any]]:
    """Extensions under the new names: in every string that is a label (``name`` or ``name[i]``), and in formulas."""
    return [{key: _renamed_part(key, value, names) for key, value in each.items()} for each in documents]


def _renamed_part(key: str, value: Any, names: Names) -> Any:
    if key in {"operator", "name"}:  # of the document itself
        return value
    if key == "channel":
        return names.channels.get(value, value)
    return _renamed_formulas(value, names) if key == "formulas" else _renamed(value, names)


def _renamed(value: Any, names: Names) -> Any:
    if isinstance(value, Mapping):
        return {key: _renamed(each, names) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_renamed(each, names) for each in value]
    if not isinstance(value, str):
        return value
    name, bracket, index = value.partition("[")
    return names.parameters.get(name, name) + bracket + index


def _renamed_formulas(formulas: Mapping[str, Any], names: Names) -> dict[str, Any]:
    return {
        _renamed(name, names): _renamed_text(each, names)
        if isinstance(each, str)
        else [_renamed_text(one, names) for one in each]
        for name, each in formulas.items()
    }


def _renamed_text(formula: str, names: Names) -> str:
    return ast.unparse(_Labels(names).visit(ast.parse(formula.strip(), mode="eval")))


class _Labels(ast.NodeTransformer):
    """Labels of a formula: a name, or a text where the name is no identifier. Names of functions stay."""

    def __init__(self, names: Names) -> None:
        self._names = names

    def visit_Call(self, node: ast.Call) -> ast.AST:
        node.args = [self.visit(each) for each in node.args]
        return node

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return self._label(node.id)

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        return self._label(node.value) if isinstance(node.value, str) else node

    def _label(self, old: str) -> ast.AST:
        new = _renamed(old, self._names)
        return ast.Name(new) if new.isidentifier() else ast.Constant(new)
