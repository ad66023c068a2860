"""Parameters of a card: what the measurement says of them, control regions, and formulas as one extension."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from inference.errors import nearest
from inference.extensions.formulas import parse
from inference.formats.datacards.card import Card, Column, Nuisance, Parameter, RateParameter
from inference.formats.datacards.errors import refuse
from inference.formats.datacards.formulas import translated, value

POI = "r"
POI_BOUNDS = (0.0, 20.0)  # Combine's
FLAT = ("lnU", "shapeU")  # without a constraint, between -1 and 1
Modifier = dict[str, Any]


@dataclass(slots=True)
class Parameters:
    """Grows while the channels are built.

    Attributes:
        settings: of the measurement, by name.
        formulas: of parameters of HistFactory that others set, by name, with the place in the card.
        introduced: parameters of the extension, by name.
    """

    card: Card
    settings: dict[str, dict[str, Any]] = field(default_factory=dict)
    formulas: dict[str, tuple[str, str]] = field(default_factory=dict)
    introduced: dict[str, dict[str, Any]] = field(default_factory=dict)

    def alpha(self, nuisance: Nuisance, factor: float) -> str:
        """Name of the parameter of HistFactory that is a nuisance times a factor: itself, or set by a formula."""
        flat = nuisance.kind in FLAT
        if flat:
            made = {"name": nuisance.name, "init": 0.0, "bounds": [-1.0, 1.0]}
            self.introduced[nuisance.name] = made | ({"fixed": True} if nuisance.fixed else {})
        elif nuisance.fixed:
            self.settings[nuisance.name] = {"name": nuisance.name, "fixed": True}
        if factor == 1 and not flat:
            return nuisance.name
        name = f"{nuisance.name}*{factor:g}"
        self.formulas[name] = (f"{factor!r} * {nuisance.name!r}", nuisance.place)
        return name

    def rates(self, column: Column) -> tuple[list[Modifier], float]:
        """Modifiers of the rate parameters of a column, and the product of their starting values."""
        modifiers: list[Modifier] = []
        scale = 1.0
        for rate in self.card.rates:
            if not (fnmatchcase(column.bin, rate.bin) and fnmatchcase(column.process, rate.process)):
                continue
            made = {"name": self._rate(rate), "type": "normfactor", "data": None}
            if made in modifiers:
                raise refuse(rate.place, f"{rate.name!r} scales {column.process!r} in {column.bin!r} already")
            modifiers.append(made)
            scale *= self._nominal(rate)
        return modifiers, scale

    def _rate(self, rate: RateParameter) -> str:
        """Name of the factor; settings on the way. One with a constraint is set by a formula: a normfactor has none."""
        if rate.value is None:
            self.formulas[rate.name] = (translated(rate, {each.name: each for each in self.card.rates}), rate.place)
            return rate.name
        for each in self.card.parameters:
            if each.name == rate.name and each.width is not None:
                self.formulas[f"{rate.name}*1"] = (repr(rate.name), rate.place)
                self.introduced[rate.name] = _constrained(each, rate.value, rate.bounds)
                return f"{rate.name}*1"
        made = {"name": rate.name, "inits": [rate.value], "bounds": [list(rate.bounds or _wide(rate.value))]}
        if self.settings.setdefault(rate.name, made) != made:
            raise refuse(rate.place, f"{rate.name!r} has another value or range above: give it the same everywhere")
        return rate.name

    def _nominal(self, rate: RateParameter) -> float:
        if rate.value is not None:
            return rate.value
        text, place = self.formulas[rate.name]
        known = {each.name: each.mean for each in self.card.parameters} | dict.fromkeys(self._nuisances, 0.0)
        known |= {each.name: each.value for each in self.card.rates if each.value is not None}
        try:
            return value(text, known)
        except ValueError as error:
            raise refuse(place, str(error)) from error

    @property
    def _nuisances(self) -> list[str]:
        return [each.name for each in self.card.nuisances if each.count is None]

    def control_regions(self) -> Iterable[tuple[Modifier, int]]:
        """Channels of one bin in which the events of each gmN were counted, and how many they were."""
        for nuisance in self.card.nuisances:
            if nuisance.count is None or not nuisance.sizes:
                continue
            most = 10 * (nuisance.count + 10 * (nuisance.count + 1) ** 0.5) / max(nuisance.count, 1)
            self.settings[nuisance.name] = {"name": nuisance.name, "inits": [1.0], "bounds": [[0.0, most]]}
            if nuisance.fixed:
                self.settings[nuisance.name]["fixed"] = True
            modifier = {"name": nuisance.name, "type": "normfactor", "data": None}
            sample = {"name": "control", "data": [float(max(nuisance.count, 1))], "modifiers": [modifier]}
            yield {"name": f"{nuisance.name}_control", "samples": [sample]}, nuisance.count

    def measurement(self) -> dict[str, Any]:
        """Configuration of the measurement."""
        if not any(column.signal for column in self.card.columns):
            raise refuse(self.card.place, "no process has a number ≤ 0: there is no signal to measure")
        poi = {"name": POI, "inits": [1.0], "bounds": [list(POI_BOUNDS)]}
        settings = [poi, *(each for name, each in sorted(self.settings.items()) if name != POI)]
        return {"poi": POI, "parameters": settings}

    def extension(self, used: Sequence[str]) -> dict[str, Any] | None:
        """The document of the formulas in the order of what they set, with the parameters that no modifier has.

        Args:
            used: names of HistFactory's parameters, in their order.

        Raises:
            DatacardError: a formula that cannot be read, or one of a parameter that is nowhere.
        """
        if not self.formulas:
            return None
        for text, place in self.formulas.values():
            try:
                labels = parse(text).labels
            except ValueError as error:
                raise refuse(place, str(error)) from error
            for label in labels:
                if label not in used and label not in self.introduced:
                    self.introduced[label] = self._outside(label, used, place)
        return {
            "operator": "formula",
            "name": "datacard",
            "parameters": [made for _, made in sorted(self.introduced.items())],
            "formulas": {name: self.formulas[name][0] for name in used if name in self.formulas},
        }

    def _outside(self, name: str, used: Sequence[str], place: str) -> dict[str, Any]:
        """A parameter that only formulas use."""
        for each in self.card.parameters:
            if each.name == name:
                return _constrained(each, each.mean, None)
        for rate in self.card.rates:
            if rate.name == name and rate.value is not None:
                return {"name": name, "init": rate.value, "bounds": list(rate.bounds or _wide(rate.value))}
        known: Mapping[str, Any] = dict.fromkeys((*used, *(each.name for each in self.card.parameters)))
        raise refuse(place, f"a formula uses {name!r}, which nothing defines; {nearest(name, known)}")


def _wide(value: float) -> tuple[float, float]:
    """Limits of a parameter that has none in the card; a fit needs some."""
    size = 100 * max(abs(value), 1.0)
    return value - size, value + size


def _constrained(made: Parameter, init: float, bounds: tuple[float, float] | None) -> dict[str, Any]:
    """A parameter of the extension; without a width it is free."""
    bounds = bounds or made.bounds
    if made.width is None:
        return {"name": made.name, "init": init, "bounds": list(bounds or _wide(made.mean))}
    around = (made.mean - 5 * made.width, made.mean + 5 * made.width)
    constraint = {"mean": made.mean, "sigma": made.width}
    return {"name": made.name, "init": init, "bounds": list(bounds or around), "constraint": constraint}
