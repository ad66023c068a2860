"""Combine's autoMCStats: which bins get one parameter for all processes, and which one for each.

The rules are those of CMSHistErrorPropagator::setupBinPars. With n the bin's yield and e its error, both of all
backgrounds at their starting norms, n²/e² rounded is the number of effective events. Below the threshold each process
has a parameter of its own: Poisson (a shapesys) where it has between one effective event and the threshold, Gaussian
and additive (a histosys of one bin) elsewhere. Above it Combine adds x·e to the bin, e² = Σ (norm · error)² over all
processes at their present norms, x Gaussian around 0. Here that is a sample of its own: contents 1, times e, times x.
e is what the extension "errors" asks for, x a staterror around 0, which the fit solves for in closed form.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from inference.formats.datacards.card import Statistics
from inference.formats.datacards.parameters import Modifier, Parameters
from inference.likelihood.specification import Floats

SAMPLE = "autoMCStats"


@dataclass(slots=True)
class Process:
    """A process in a bin of the card as it is built.

    Attributes:
        values, errors: contents of the sample and their errors, shape (bins,).
        scale: product of its factors' starting values, which the sample does not contain.
        logarithmic: whether a shapefactor morphs it, which its errors do not follow.
    """

    name: str
    signal: bool
    values: Floats
    errors: Floats
    scale: float = 1.0
    modifiers: list[Modifier] = field(default_factory=list)
    logarithmic: bool = False

    @property
    def sample(self) -> dict[str, Any]:
        """As the workspace has it."""
        return {"name": self.name, "data": self.values.tolist(), "modifiers": self.modifiers}


def add_statistics(
    bin_: str, processes: Sequence[Process], line: Statistics, parameters: Parameters
) -> list[dict[str, Any]]:
    """Give the processes of a bin their modifiers; returns the samples that come to them."""
    if line.threshold < 0:
        return []
    values, errors = (
        np.asarray([each.scale * part for each, part in zip(processes, parts, strict=True)])
        for parts in ([each.values for each in processes], [each.errors for each in processes])
    )
    counted = np.asarray([line.include_signal or not each.signal for each in processes])
    some = np.sqrt((errors[counted] ** 2).sum(axis=0))
    shared = (some > 0) & (_events(values[counted].sum(axis=0), some) > line.threshold)
    samples = []
    for process in processes:
        alone = (some > 0) & ~shared & (process.errors > 0)
        events = _events(process.values, process.errors)
        poisson = alone & (events <= line.threshold) & (process.values >= 0.999 * process.errors)
        _poisson(bin_, process, poisson, events)
        samples += _gaussian(bin_, process, alone & ~poisson)
    return samples + _together(bin_, processes, shared, parameters)


def _events(values: Floats, errors: Floats) -> Floats:
    """Numbers of unweighted events with these relative errors, rounded; 0 without an error."""
    safe = np.where(errors > 0, errors, 1.0)
    return np.where(errors > 0, np.floor(0.5 + (values / safe) ** 2), 0.0)


def _poisson(bin_: str, process: Process, chosen: Any, events: Floats) -> None:
    if chosen.any():
        sizes = np.where(chosen, process.values / np.sqrt(np.maximum(events, 1.0)), 0.0)
        name = f"prop_bin{bin_}_{process.name}"
        process.modifiers.append({"name": name, "type": "shapesys", "data": sizes.tolist()})


def _gaussian(bin_: str, process: Process, chosen: Any) -> list[dict[str, Any]]:
    """Additive errors; in a sample of its own for a process whose shape they do not follow."""
    apart = process.logarithmic and chosen.any()
    base = np.zeros(len(process.values)) if apart else process.values
    made: list[Modifier] = []
    for index in np.flatnonzero(chosen):
        size = np.zeros(len(base))
        size[index] = process.errors[index]
        data = {"hi_data": (base + size).tolist(), "lo_data": (base - size).tolist()}
        made.append({"name": f"prop_bin{bin_}_{process.name}_bin{index}", "type": "histosys", "data": data})
    if not apart:
        process.modifiers += made
        return []
    norms = [each for each in process.modifiers if each["type"] in ("normfactor", "normsys")]
    return [{"name": f"{SAMPLE}_{process.name}", "data": base.tolist(), "modifiers": [*norms, *made]}]


def _together(bin_: str, processes: Sequence[Process], chosen: Any, parameters: Parameters) -> list[dict[str, Any]]:
    if not chosen.any():
        return []
    name, ones = f"prop_bin{bin_}", chosen.astype(float).tolist()
    parameters.centred(name, len(ones))
    errors = {each.name: np.where(chosen, each.errors, 0.0) for each in processes}
    parameters.errors(name, bin_, SAMPLE, errors)
    return [{"name": SAMPLE, "data": ones, "modifiers": [{"name": name, "type": "staterror", "data": ones}]}]
