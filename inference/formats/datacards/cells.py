"""A process in a bin of a card as a sample: contents from its template and rate, modifiers from its nuisances."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from inference.formats.datacards.card import Card, Column, Nuisance
from inference.formats.datacards.errors import refuse
from inference.formats.datacards.parameters import POI, Modifier, Parameters
from inference.formats.datacards.statistics import Process
from inference.formats.datacards.templates import Template, Templates
from inference.likelihood.specification import Floats

FLOOR = 1e-9  # where Combine crops the bins of normalised shapes
TOLERANCE = 0.01  # how far a rate may be from its template's integral: relative, or in events
GAMMA_TOLERANCE = 0.05  # how far it may be from α times the events of a control region, relative


@dataclass(frozen=True, slots=True)
class Cell:
    """A column of the card with its template.

    Attributes:
        rate: events, of a gmN those for one unit of its parameter.
        lift: what the template's bins need to come up to the floor, as Combine crops them.
        whole: variations keep their integrals (hist-mode 2) instead of having them as a norm of their own.
    """

    column: Column
    template: Template
    rate: float
    whole: bool

    @property
    def scale(self) -> float:
        """Events for one unit of the template."""
        return self.rate / self.template.integral if self.template.integral > 0 else 0.0

    @property
    def lift(self) -> Floats:
        """As above."""
        return np.maximum(FLOOR * self.template.integral - self.template.values, 0.0)


def process(card: Card, column: Column, templates: Templates, parameters: Parameters, *, whole: bool) -> Process:
    """The sample of a column, without autoMCStats.

    Raises:
        DatacardError: a template or rate that is missing or does not fit.
    """
    acting = [each for each in card.nuisances if (column.bin, column.process) in each.sizes]
    cell = _cell(card, column, templates, acting, whole=whole)
    values, errors = cell.template.values + cell.lift, np.sqrt(cell.template.variances)
    made = Process(column.process, column.signal, cell.scale * values, cell.scale * errors)
    if column.signal:
        made.modifiers.append(_factor(POI))
    for nuisance in acting:
        made.modifiers += _effects(nuisance, cell, templates, parameters)
    factors, made.scale = parameters.rates(column)
    made.modifiers += factors
    return made


def check_rate(place: str, what: str, said: float, integral: float) -> None:
    """Raises where a card's number is not its histogram's integral."""
    if abs(integral - said) > TOLERANCE * max(1.0, said):
        raise refuse(place, f"{what}: the card says {said:g} events, the histogram has {integral:g}; -1 takes those")


def _cell(card: Card, column: Column, templates: Templates, acting: Sequence[Nuisance], *, whole: bool) -> Cell:
    what = f"process {column.process!r} in bin {column.bin!r}"
    if templates.counting(column.bin):
        if column.rate < 0:
            raise refuse(card.place, f"{what}: a rate of {column.rate:g} needs a template")
        template, rate = Template(np.ones(1), np.zeros(1)), column.rate
    else:
        template = templates.nominal(column.bin, column.process, card.place)
        rate = template.integral if column.rate < 0 else column.rate
        check_rate(card.place, what, rate, template.integral)
    counted = [nuisance for nuisance in acting if nuisance.count is not None]
    if len(counted) > 1:
        raise refuse(counted[1].place, f"{what} has two gmN")
    if counted:
        rate = _extrapolated(counted[0], column, rate)
    return Cell(column, template, rate, whole)


def _extrapolated(nuisance: Nuisance, column: Column, rate: float) -> float:
    """α times the events of the control region, or times one where there were none."""
    [alpha], count = nuisance.sizes[column.bin, column.process], nuisance.count or 0
    if count and abs(alpha * count - rate) > GAMMA_TOLERANCE * rate:
        raise refuse(
            nuisance.place,
            f"{count} events times {alpha:g} are {alpha * count:g}, but the rate of {column.process!r} in "
            f"{column.bin!r} is {rate:g}",
        )
    return alpha * max(count, 1)


def _effects(nuisance: Nuisance, cell: Cell, templates: Templates, parameters: Parameters) -> list[Modifier]:
    column = cell.column
    if nuisance.count is not None:
        return [_factor(nuisance.name)]
    shaped = nuisance.kind in ("shape", "shapeU") or (
        nuisance.kind == "shape?" and templates.has(column.bin, column.process, nuisance.place, nuisance.name)
    )
    if shaped:
        return _shape(nuisance, cell, templates, parameters)
    size = nuisance.sizes[column.bin, column.process]
    down, up = size if len(size) == 2 else (1 / size[0], size[0])
    return [_norm(parameters.alpha(nuisance, 1.0), up, down)]


def _shape(nuisance: Nuisance, cell: Cell, templates: Templates, parameters: Parameters) -> list[Modifier]:
    """Templates that are reached at ±1/size, and their integrals to the power of size at ±1."""
    column, integral = cell.column, cell.template.integral
    if templates.counting(column.bin):
        raise refuse(nuisance.place, f"{nuisance.name!r} changes the shape of bin {column.bin!r}, which has none")
    [size] = nuisance.sizes[column.bin, column.process]
    sides = templates.varied(column.bin, column.process, nuisance.name, nuisance.place)
    for side in sides:
        if len(side.values) != len(cell.template.values):
            raise refuse(
                nuisance.place,
                f"a template of {column.process!r} in {column.bin!r} has {len(side.values)} bins for "
                f"{nuisance.name!r}, the nominal one {len(cell.template.values)}",
            )
        if integral > 0 and side.integral <= 0:
            raise refuse(
                nuisance.place,
                f"a template of {column.process!r} in {column.bin!r} has no events for {nuisance.name!r}",
            )
    if integral <= 0:
        return []
    high, low = (1.0, 1.0) if cell.whole else (side.integral / integral for side in sides)
    up, down = (cell.scale * (side.values / ratio + cell.lift) for side, ratio in zip(sides, (high, low), strict=True))
    data = {"hi_data": up.tolist(), "lo_data": down.tolist()}
    # the norm is always there: through it the nuisance is a parameter, of whatever scale the shape is
    return [
        {"name": parameters.alpha(nuisance, size), "type": "histosys", "data": data},
        _norm(parameters.alpha(nuisance, 1.0), high**size, low**size),
    ]


def _norm(name: str, up: float, down: float) -> Modifier:
    return {"name": name, "type": "normsys", "data": {"hi": up, "lo": down}}


def _factor(name: str) -> Modifier:
    return {"name": name, "type": "normfactor", "data": None}
