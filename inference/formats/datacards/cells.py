"""A process in a bin of a card as a sample: contents from its template and rate, modifiers from its nuisances."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from inference.formats.datacards.card import Card, Column, Nuisance, Statistics
from inference.formats.datacards.errors import refuse
from inference.formats.datacards.parameters import POI, Modifier, Parameters
from inference.formats.datacards.statistics import Process
from inference.formats.datacards.templates import Template, Templates
from inference.likelihood.specification import Floats

FLOOR = 1e-9  # where Combine crops bins: of shapes of integral 1, of contents with autoMCStats
TOLERANCE = 0.01  # how far a rate may be from its template's integral: relative, or in events
DATA_TOLERANCE = 0.005  # how far data may be from it, relative; 0.01 events where the card says 0
GAMMA_TOLERANCE = 0.05  # how far a rate may be from α times the events of a control region: relative, in events, or α
SMALL_NORM = 1e-3  # the norm of a shape counts where it changes by this much, up or down


@dataclass(frozen=True, slots=True)
class Cell:
    """A column of the card with its template.

    Attributes:
        rate: events, of a gmN those for one unit of its parameter.
        statistics: its bin's autoMCStats, with which Combine takes templates as they are, without it normalised.
        region: of the size of a shape's parameter, within which its interpolation is smooth.
    """

    column: Column
    template: Template
    rate: float
    statistics: Statistics | None
    region: float

    @property
    def lift(self) -> Floats:
        """What the template's bins need to come up to the floor."""
        floor = FLOOR * (1.0 if self.statistics else self.template.integral)
        return np.maximum(floor - self.template.values, 0.0)

    @property
    def scale(self) -> float:
        """Events for one unit of the template; without autoMCStats the cropped template is normalised."""
        total = self.template.integral + (0.0 if self.statistics else float(self.lift.sum()))
        return self.rate / total if total > 0 else 0.0


def process(
    card: Card, column: Column, templates: Templates, parameters: Parameters, line: Statistics | None
) -> Process:
    """The sample of a column, without autoMCStats.

    Raises:
        DatacardError: a template or rate that is missing or does not fit.
    """
    acting = [each for each in card.nuisances if column.cell in each.sizes]
    shapes = [each for each in acting if _has_shape(each, column, templates)]
    cell = _cell(card, column, templates, acting, shapes, line)
    values, errors = cell.template.values + cell.lift, np.sqrt(cell.template.variances)
    made = Process(column.process, column.signal, cell.scale * values, cell.scale * errors)
    if column.signal:
        made.modifiers.append(_factor(POI))
    for nuisance in acting:
        if nuisance not in shapes:
            made.modifiers += _norm_of(nuisance, column, parameters)
            made.scale *= (nuisance.count + 1) / max(nuisance.count, 1) if nuisance.count is not None else 1.0
    _add_shapes(made, cell, shapes, templates, parameters)
    factors, scale = parameters.rates(column)
    made.modifiers += factors
    made.scale *= scale
    return made


def check_rate(place: str, what: str, said: float, integral: float) -> None:
    """Raises where a card's number is not its histogram's integral."""
    if abs(integral - said) > TOLERANCE * max(1.0, said):
        raise _mismatch(place, what, said, integral)


def check_data(place: str, what: str, said: float, integral: float) -> None:
    """Raises where a card's number is not the integral of the data."""
    if abs(integral - said) > (DATA_TOLERANCE * said if said > 0 else 0.01):
        raise _mismatch(place, what, said, integral)


def _mismatch(place: str, what: str, said: float, integral: float) -> Exception:
    return refuse(place, f"{what}: the card says {said:g} events, the histogram has {integral:g}; -1 takes those")


def _has_shape(nuisance: Nuisance, column: Column, templates: Templates) -> bool:
    if not nuisance.shaped or templates.counting(column.bin):
        if nuisance.shaped and "?" not in nuisance.kind:
            raise refuse(nuisance.place, f"{nuisance.name!r} changes the shape of bin {column.bin!r}, which has none")
        return False
    name = nuisance.templates.get(column.cell, nuisance.name)
    return "?" not in nuisance.kind or templates.has(column.bin, column.process, nuisance.place, name)


def _cell(
    card: Card,
    column: Column,
    templates: Templates,
    acting: Sequence[Nuisance],
    shapes: Sequence[Nuisance],
    line: Statistics | None,
) -> Cell:
    what = f"process {column.process!r} in bin {column.bin!r}"
    if templates.counting(column.bin):
        if column.rate < 0:
            raise refuse(card.place, f"{what}: a rate of {column.rate:g} needs a template")
        template, rate, line = Template(np.ones(1), np.zeros(1)), column.rate, None
    else:
        template = templates.nominal(column.bin, column.process, card.place)
        rate = template.integral if column.rate < 0 else column.rate
        if rate > 0:
            check_rate(card.place, what, rate, template.integral)
    counted = [nuisance for nuisance in acting if nuisance.count is not None]
    if len(counted) > 1:
        raise refuse(counted[1].place, f"{what} has two gmN")
    if counted:
        rate = _extrapolated(counted[0], column, rate)
    if line is not None:
        rate = template.integral
    sizes = [nuisance.sizes[column.cell] for nuisance in shapes]
    for nuisance, size in zip(shapes, sizes, strict=True):
        if len(size) > 1:
            raise refuse(nuisance.place, f"{nuisance.name!r} has templates of {what}: give one size, not two")
    return Cell(column, template, rate, line, min([1.0, *(size[0] for size in sizes)]))


def _extrapolated(nuisance: Nuisance, column: Column, rate: float) -> float:
    """α times the events of the control region, or times one where there were none."""
    [alpha], count = nuisance.sizes[column.cell], nuisance.count or 0
    if abs(alpha * count - rate) > max(GAMMA_TOLERANCE * max(rate, 1.0), alpha):
        raise refuse(
            nuisance.place,
            f"{count} events times {alpha:g} are {alpha * count:g}, but the rate of {column.process!r} in "
            f"{column.bin!r} is {rate:g}",
        )
    return alpha * max(count, 1)


def _norm_of(nuisance: Nuisance, column: Column, parameters: Parameters) -> list[Modifier]:
    size = nuisance.sizes[column.cell]
    if nuisance.count is not None:
        return [_factor(nuisance.name)]
    if nuisance.kind in ("trG", "unif"):
        return [_factor(parameters.linear(nuisance, size[0]))]
    down, up = size if len(size) == 2 else (1 / size[0], size[0])
    return [_norm(parameters.alpha(nuisance, 1.0), up, down)]


def _add_shapes(
    made: Process, cell: Cell, shapes: Sequence[Nuisance], templates: Templates, parameters: Parameters
) -> None:
    """Templates that are reached at ±1/size, and their integrals to the power of size at ±1."""
    column = cell.column
    if len({nuisance.logarithmic for nuisance in shapes}) > 1:
        raise refuse(shapes[0].place, f"{column.process!r} in {column.bin!r} has shape and shapeN: take one of them")
    morphs = []
    for nuisance in shapes:
        [size] = nuisance.sizes[column.cell]
        name = nuisance.templates.get(column.cell, nuisance.name)
        up, down = templates.varied(column.bin, column.process, name, nuisance.place)
        ratios = _ratios(nuisance, cell, up, down)
        if cell.template.integral <= 0:
            continue
        keep = cell.statistics is not None and cell.statistics.mode == 2
        norms = [1.0 if keep or max(abs(ratio - 1) for ratio in ratios) < SMALL_NORM else ratio for ratio in ratios]
        sides = [side.values / (1.0 if keep else ratio) for side, ratio in zip((up, down), ratios, strict=True)]
        # also where it changes nothing: through it the nuisance is a parameter, of whatever scale the shape is
        made.modifiers.append(_norm(parameters.alpha(nuisance, 1.0), norms[0] ** size, norms[1] ** size))
        if nuisance.logarithmic:
            morphs.append({"parameter": nuisance.name, "scale": size} | _logarithms(cell, sides))
        else:
            # where the smooth part is narrower than ±1, its ends are where the modifier's own ±1 must be
            moved = [made.values + cell.scale * cell.region * (side - cell.template.values) for side in sides]
            data = {"hi_data": moved[0].tolist(), "lo_data": moved[1].tolist()}
            shape = parameters.alpha(nuisance, size / cell.region)
            made.modifiers.append({"name": shape, "type": "histosys", "data": data})
    if morphs:
        made.logarithmic = True
        made.modifiers.append(parameters.logarithms(column, made.values, morphs, cell.region))


def _ratios(nuisance: Nuisance, cell: Cell, *sides: Template) -> tuple[float, ...]:
    """Of the integrals of the templates to the nominal one's."""
    what, integral = f"{cell.column.process!r} in {cell.column.bin!r}", cell.template.integral
    whole = cell.statistics is not None and cell.statistics.mode == 2
    for side in sides:
        if len(side.values) != len(cell.template.values):
            raise refuse(
                nuisance.place,
                f"a template of {what} has {len(side.values)} bins for {nuisance.name!r}, the nominal one "
                f"{len(cell.template.values)}",
            )
        if integral > 0 and side.integral <= 0 and not whole:
            raise refuse(nuisance.place, f"a template of {what} has no events for {nuisance.name!r}")
    return tuple(side.integral / integral if integral > 0 else 1.0 for side in sides)


def _logarithms(cell: Cell, sides: Sequence[Floats]) -> dict[str, list[float]]:
    """Ratios to the nominal contents; a bin that is empty in one of both does not move."""
    nominal = cell.template.values
    return {
        name: np.divide(side, nominal, out=np.ones_like(side), where=(side > 0) & (nominal > 0)).tolist()
        for name, side in zip(("up", "down"), sides, strict=True)
    }


def _norm(name: str, up: float, down: float) -> Modifier:
    return {"name": name, "type": "normsys", "data": {"hi": up, "lo": down}}


def _factor(name: str) -> Modifier:
    return {"name": name, "type": "normfactor", "data": None}
