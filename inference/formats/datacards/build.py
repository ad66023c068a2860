"""A datacard as a workspace: samples, modifiers, the measurement, and extensions where HistFactory has no words.

What Combine does (its ProcessNormalization, FastVerticalInterpHistPdf2, CMSHistFunc, CMSHistErrorPropagator and
ModelBuilder), and how it is said:

* lnN: normsys with κ up and κ down, interpolated as Combine does (``"interpolation": {"normsys": "combine"}``, or
  "code1" where all κ down are 1 / κ up);
* shape: a histosys with the templates scaled to the nominal's integral (code 4p is Combine's vertical morphing) and a
  normsys with the ratios of integrals; shapeN: a shapefactor that the extension "logarithms" sets;
* gmN: the control region as a channel of one bin, which a free parameter scales;
* autoMCStats: see ``statistics.py``;
* rateParam: normfactor;
* formulas, constraints of rates (param), lnU, unif, trG, shapes of another scale: parameters set by an extension.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from inference.formats.datacards.card import Card
from inference.formats.datacards.cells import check_data, process
from inference.formats.datacards.errors import refuse
from inference.formats.datacards.parameters import Parameters
from inference.formats.datacards.parse import parse_card
from inference.formats.datacards.statistics import Process, add_statistics
from inference.formats.datacards.templates import DATA, Templates
from inference.likelihood.specification import Floats, specification

STATISTICS = "autoMCStats"  # Combine's name of the group of the parameters of bins


ROUNDING = 1e-15


@dataclass(frozen=True, slots=True)
class Datacard:
    """What a card became.

    Attributes:
        workspace: pyhf's JSON, decoded, with keys "interpolation" and, where needed, "extensions".
        groups: names of parameters by the card's groups, and of those of bins as the group autoMCStats.
        notes: what a reader should know, one sentence each.
    """

    workspace: dict[str, Any]
    groups: dict[str, tuple[str, ...]]
    notes: tuple[str, ...]


def read_datacard(path: Path | str, *, mass: float = 120.0) -> Datacard:
    """Read a datacard of CMS Combine and the ROOT files that it names.

    Args:
        path: the card; files are looked for beside it.
        mass: what $MASS stands for; Combine's default.

    Raises:
        DatacardError: with file and line, and what is supported.
        InvalidWorkspace: two meanings of one name.
    """
    card = parse_card(Path(path))
    templates, parameters = Templates(card, mass), Parameters(card)
    channels, observations, notes = [], [], [*card.remarks, *_left_out(card)]
    for name in card.bins:
        line = card.statistics.get(name)
        processes = [process(card, column, templates, parameters, line) for column in card.in_bin(name)]
        bins = {each.name: len(each.values) for each in processes}
        if len(set(bins.values())) > 1:
            raise refuse(card.place, f"templates of bin {name!r} have different numbers of bins: {bins}")
        more = [] if line is None else add_statistics(name, processes, line, parameters)
        channels.append({"name": name, "samples": [*(each.sample for each in processes), *more]})
        observed, note = _observed(card, name, processes, templates)
        observations.append({"name": name, "data": observed.tolist()})
        notes += [note] if note else []
    for channel, count in parameters.control_regions():
        channels.append(channel)
        observations.append({"name": channel["name"], "data": [float(count)]})
    workspace: dict[str, Any] = {
        "channels": channels,
        "observations": observations,
        "measurements": [{"name": card.name, "config": parameters.measurement()}],
        "version": "1.0.0",
        "interpolation": {"histosys": "code4p", "normsys": _norms(channels)},
    }
    names = [each.name for each in specification(workspace).parameters]
    extensions = parameters.extensions(names)
    if extensions:
        workspace["extensions"] = extensions
    groups, unknown = _groups(card, [*names, *parameters.introduced])
    return Datacard(workspace, groups, tuple(dict.fromkeys((*notes, *parameters.remarks, *unknown))))


def _norms(channels: list[dict[str, Any]]) -> str:
    """Interpolation of the norms: where up and down are inverse everywhere, Combine's is code 1, which others know."""
    sizes = [
        each["data"]
        for channel in channels
        for sample in channel["samples"]
        for each in sample["modifiers"]
        if each["type"] == "normsys"
    ]
    inverse = all(abs(size["hi"] * size["lo"] - 1) < ROUNDING for size in sizes)
    return "code1" if inverse else "combine"


def _left_out(card: Card) -> list[str]:
    notes = [f"{each.name} acts on no process and is left out" for each in card.nuisances if not each.sizes]
    used = {rate.name for rate in card.rates} | {name for rate in card.rates for name in rate.arguments}
    nuisances = {each.name for each in card.nuisances}
    for each in card.parameters:
        if each.name in nuisances and (each.mean, each.width) != (0.0, 1.0):
            raise refuse(each.place, f"{each.name!r} is a nuisance too, which has mean 0 and width 1: say so here")
        if each.name not in used | nuisances:
            notes.append(f"{each.name} is used by no rate and is left out")
    return notes


def _groups(card: Card, names: list[str]) -> tuple[dict[str, tuple[str, ...]], list[str]]:
    """Groups of parameters that are there, and what to say of others."""
    found, notes = {}, []
    for group, members in card.groups.items():
        found[group] = tuple(name for name in dict.fromkeys(members) if name in names)
        missing = sorted(set(members) - set(names))
        notes += [f"group {group}: no parameter {', '.join(missing)}"] if missing else []
    statistical = tuple(name for name in names if name.startswith("prop_bin"))
    return found | ({STATISTICS: statistical} if statistical else {}), notes


def _observed(card: Card, name: str, processes: list[Process], templates: Templates) -> tuple[Floats, str]:
    """Contents of a bin of the card, and what to say of them."""
    said, counting = card.observed[name], templates.counting(name)
    if counting and said >= 0:
        return np.asarray([said]), ""
    if counting or (said < 0 and not templates.has(name, DATA, card.place)):
        backgrounds = sum(each.scale * each.values for each in processes if not each.signal)
        expected = np.zeros(len(processes[0].values)) + backgrounds
        return expected, f"bin {name} has no data: its observation is the sum of the backgrounds (Asimov)"
    template = templates.nominal(name, DATA, card.place)
    if said >= 0:
        check_data(card.place, f"the data in {name!r}", said, template.integral)
    if len(template.values) != len(processes[0].values):
        raise refuse(
            card.place,
            f"the data in {name!r} have {len(template.values)} bins, its templates {len(processes[0].values)}",
        )
    return template.values, ""
