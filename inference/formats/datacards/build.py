"""A datacard as a workspace: samples, modifiers, the measurement, and formulas where HistFactory has no words.

What Combine does (its ProcessNormalization, CMSHistFunc, CMSHistErrorPropagator and ModelBuilder), and how it is said:

* lnN: normsys with κ up and κ down, interpolated as Combine does (``"interpolation": {"normsys": "combine"}``);
* shape: a histosys with the templates scaled to the nominal's integral (code 4p is Combine's vertical morphing) and a
  normsys with the ratios of integrals;
* gmN: the control region as a channel of one bin, which a free parameter scales;
* rateParam: normfactor;
* formulas, constraints of rates (param), lnU, shapeU, shapes of another scale: parameters set by an extension.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from inference.formats.datacards.card import Card, Statistics
from inference.formats.datacards.cells import check_rate, process
from inference.formats.datacards.errors import refuse
from inference.formats.datacards.parameters import Parameters
from inference.formats.datacards.parse import parse_card
from inference.formats.datacards.statistics import Process, Way, add_statistics
from inference.formats.datacards.templates import DATA, Templates
from inference.likelihood.specification import Floats, specification

MANY = 500  # parameters of statistical errors beyond which a fit takes seconds


@dataclass(frozen=True, slots=True)
class Datacard:
    """What a card became.

    Attributes:
        workspace: pyhf's JSON, decoded, with keys "interpolation" and, where needed, "extensions".
        groups: names of nuisances by the card's groups.
        notes: what a reader should know, one sentence each.
    """

    workspace: dict[str, Any]
    groups: dict[str, tuple[str, ...]]
    notes: tuple[str, ...]


def read_datacard(path: Path | str, *, mass: float = 120.0, statistics: Way = "combine") -> Datacard:
    """Read a datacard of CMS Combine and the ROOT files that it names.

    Args:
        path: the card; files are looked for beside it.
        mass: what $MASS stands for; Combine's default.
        statistics: autoMCStats as "combine" has them, with a parameter for each process in each bin; or as a
            "staterror", one for each bin, with the nominal norms' relative errors: faster where bins are many.

    Raises:
        DatacardError: with file and line, and what is supported.
        InvalidWorkspace: two meanings of one name.
    """
    card = parse_card(Path(path))
    templates, parameters = Templates(card, mass), Parameters(card)
    channels, observations, notes = [], [], _left_out(card)
    for name in card.bins:
        processes = _processes(card, name, templates, parameters, statistics)
        channels.append(_channel(name, processes))
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
        "interpolation": {"histosys": "code4p", "normsys": "combine"},
    }
    names = [each.name for each in specification(workspace).parameters]
    extension = parameters.extension(names)
    if extension:
        workspace["extensions"] = [extension]
    return Datacard(workspace, dict(card.groups), (*notes, *_many(names)))


def _left_out(card: Card) -> list[str]:
    notes = [f"{each.name} acts on no process and is left out" for each in card.nuisances if not each.sizes]
    used = {rate.name for rate in card.rates} | {name for rate in card.rates for name in rate.arguments}
    return notes + [
        f"{each.name} is used by no rate and is left out" for each in card.parameters if each.name not in used
    ]


def _many(names: Sequence[str]) -> tuple[str, ...]:
    """What to say where statistical errors make the fit slow."""
    count = sum(name.startswith("prop_bin") for name in names)
    if count <= MANY:
        return ()
    return (f"{count} parameters are statistical errors: statistics='staterror' has one for each bin and fits faster",)


def _processes(card: Card, name: str, templates: Templates, parameters: Parameters, way: Way) -> list[Process]:
    line = _statistics(card, name)
    whole = line is not None and line.mode == 2
    made = [process(card, column, templates, parameters, whole=whole) for column in card.in_bin(name)]
    bins = {each.name: len(each.values) for each in made}
    if len(set(bins.values())) > 1:
        raise refuse(card.place, f"templates of bin {name!r} have different numbers of bins: {bins}")
    if line is not None:
        add_statistics(name, made, line, way)
    return made


def _statistics(card: Card, name: str) -> Statistics | None:
    """The line for this bin, or else the one for all."""
    for wanted in (name, "*"):
        for line in reversed(card.statistics):
            if line.bin == wanted:
                return line
    return None


def _channel(name: str, processes: list[Process]) -> dict[str, Any]:
    samples = [{"name": each.name, "data": each.values.tolist(), "modifiers": each.modifiers} for each in processes]
    return {"name": name, "samples": samples}


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
        check_rate(card.place, f"the data in {name!r}", said, template.integral)
    if len(template.values) != len(processes[0].values):
        raise refuse(
            card.place,
            f"the data in {name!r} have {len(template.values)} bins, its templates {len(processes[0].values)}",
        )
    return template.values, ""
