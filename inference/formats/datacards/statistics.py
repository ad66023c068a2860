"""Combine's autoMCStats: which bins get one parameter for all processes, and which one for each.

The rules are those of Combine's documentation ("Automatic statistical uncertainties") and of
CMSHistErrorPropagator::setupBinPars. With n the bin's yield and e its error, both of all backgrounds at their nominal
norms, n²/e² rounded is the number of effective events. Below the threshold each process has a parameter of its own:
Poisson (a shapesys) where it has between one effective event and the threshold, Gaussian and additive (a histosys of
one bin) elsewhere. Above it Combine adds x·e to the bin, e² = Σ (norm · error)² over all processes at their present
norms.

Two ways to say that: with a Gaussian parameter for each process ("combine") the profiled likelihood is the same, since
of all Σ xᵢ normᵢ errorᵢ of a given sum the least Σ xᵢ² is that of x·e. A staterror is one parameter, solved for in
closed form, but it scales the bin with the relative error of the nominal norms.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from inference.formats.datacards.card import Statistics
from inference.likelihood.specification import Floats

Way = Literal["combine", "staterror"]


@dataclass(slots=True)
class Process:
    """A process in a bin of the card as it is built.

    Attributes:
        values, errors: contents of the sample and their errors, shape (bins,).
        scale: product of its rate parameters' starting values, which the sample does not contain.
    """

    name: str
    signal: bool
    values: Floats
    errors: Floats
    scale: float = 1.0
    modifiers: list[dict[str, Any]] = field(default_factory=list)


def add_statistics(bin_: str, processes: Sequence[Process], line: Statistics, way: Way) -> None:
    """Give the processes of a bin their modifiers."""
    if line.threshold < 0:
        return
    values, errors = (
        np.asarray([each.scale * part for each, part in zip(processes, parts, strict=True)])
        for parts in ([each.values for each in processes], [each.errors for each in processes])
    )
    counted = np.asarray([line.include_signal or not each.signal for each in processes])
    some = np.sqrt((errors[counted] ** 2).sum(axis=0))
    shared = (some > 0) & (_events(values[counted].sum(axis=0), some) > line.threshold)
    for process, value, error in zip(processes, values, errors, strict=True):
        events = _events(value, error)
        poisson = (some > 0) & ~shared & (events <= line.threshold) & (value >= 0.999 * error)
        _alone(bin_, process, poisson, (some > 0) & ~poisson & (~shared | (way == "combine")))
    if way == "staterror":
        _together(bin_, processes, values, errors, shared)


def _events(values: Floats, errors: Floats) -> Floats:
    """Numbers of unweighted events with these relative errors, rounded; 0 without an error."""
    safe = np.where(errors > 0, errors, 1.0)
    return np.where(errors > 0, np.floor(0.5 + (values / safe) ** 2), 0.0)


def _alone(bin_: str, process: Process, poisson: Any, gaussian: Any) -> None:
    some, name = process.errors > 0, f"prop_bin{bin_}_{process.name}"
    if (poisson & some).any():
        events = _events(process.values, process.errors)
        sizes = np.where(poisson & some, process.values / np.sqrt(np.maximum(events, 1.0)), 0.0)
        process.modifiers.append({"name": name, "type": "shapesys", "data": sizes.tolist()})
    for index in np.flatnonzero(gaussian & some):
        size = np.zeros(len(process.values))
        size[index] = process.errors[index]
        data = {"hi_data": (process.values + size).tolist(), "lo_data": (process.values - size).tolist()}
        process.modifiers.append({"name": f"{name}_bin{index}", "type": "histosys", "data": data})


def _together(bin_: str, processes: Sequence[Process], values: Floats, errors: Floats, chosen: Any) -> None:
    """One staterror over all processes; its widths are those of the nominal norms, rate parameters included."""
    if not chosen.any():
        return
    total, plain = values.sum(axis=0), np.sum([each.values for each in processes], axis=0)
    width = np.sqrt((errors**2).sum(axis=0)) / np.where(total > 0, total, 1.0)
    own = np.sqrt(np.sum([each.errors**2 for each in processes], axis=0))
    factor = np.where(chosen & (own > 0), width * plain / np.where(own > 0, own, 1.0), 0.0)
    for process in processes:
        sizes = (process.errors * factor).tolist()
        process.modifiers.append({"name": f"prop_bin{bin_}", "type": "staterror", "data": sizes})
