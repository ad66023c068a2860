"""Parameters of a card: what the measurement says of them, control regions, and extensions that set some of them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from inference.errors import nearest
from inference.extensions.formulas import parse
from inference.formats.datacards.card import Card, Column, Nuisance, Parameter, RateParameter
from inference.formats.datacards.errors import refuse
from inference.formats.datacards.formulas import translated, value
from inference.likelihood.specification import Floats

POI = "r"
POI_BOUNDS = (0.0, 20.0)  # Combine's
STATISTICAL = (-7.0, 7.0)  # Combine's bounds of the parameters of autoMCStats
Modifier = dict[str, Any]


@dataclass(slots=True)
class Parameters:
    """Grows while the channels are built.

    Attributes:
        settings: of the measurement, by name.
        formulas: of parameters of HistFactory that others set, by name, with the place in the card.
        introduced: parameters of the extension of the formulas, by name.
        documents: further extensions.
        remarks: what the reader of the card should know.
    """

    card: Card
    settings: dict[str, dict[str, Any]] = field(default_factory=dict)
    formulas: dict[str, tuple[str, str]] = field(default_factory=dict)
    introduced: dict[str, dict[str, Any]] = field(default_factory=dict)
    documents: list[dict[str, Any]] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def alpha(self, nuisance: Nuisance, factor: float) -> str:
        """Name of the parameter of HistFactory that is a nuisance times a factor: itself, or set by a formula."""
        if nuisance.flat:
            self._introduce({"name": nuisance.name, "init": 0.0, "bounds": list(nuisance.bounds)})
        else:
            self._set({"name": nuisance.name, "bounds": [list(nuisance.bounds)]})
        if factor == 1 and not nuisance.flat:
            return nuisance.name
        name = f"{nuisance.name}*{factor:g}"
        self.formulas[name] = (f"{factor!r} * {nuisance.name!r}", nuisance.place)
        return name

    def linear(self, nuisance: Nuisance, size: float) -> str:
        """Name of the factor 1 + size · nuisance."""
        low, high = nuisance.bounds
        made = {"name": nuisance.name, "init": 0.5 * (low + high) if nuisance.flat else 0.0, "bounds": [low, high]}
        self._introduce(made if nuisance.flat else made | {"constraint": {"mean": 0.0, "sigma": 1.0}})
        name = f"1+{size:g}*{nuisance.name}"
        self.formulas[name] = (f"1 + {size!r} * {nuisance.name!r}", nuisance.place)
        return name

    def rates(self, column: Column) -> tuple[list[Modifier], float]:
        """Modifiers of the rate parameters of a column, and the product of their starting values."""
        modifiers: list[Modifier] = []
        scale = 1.0
        for rate in self.card.rates:
            if not rate.scales(column):
                continue
            made = {"name": self._rate(rate), "type": "normfactor", "data": None}
            if made in modifiers:
                raise refuse(rate.place, f"{rate.name!r} scales {column.process!r} in {column.bin!r} already")
            modifiers.append(made)
            scale *= self._nominal(rate.name)
        return modifiers, scale

    def _rate(self, rate: RateParameter) -> str:
        """Name of the factor; settings on the way. One with a constraint is set by a formula: a normfactor has none.

        As in Combine the parameter is what defines it first: param or extArg, a value, a formula.
        """
        for each in self.card.parameters:
            if each.name == rate.name and each.width is not None:
                self.formulas[f"{rate.name}*1"] = (repr(rate.name), rate.place)
                self._introduce(_constrained(each))
                return f"{rate.name}*1"
        first = self._defining(rate.name)
        if isinstance(first, RateParameter) and first.value is None:
            self.formulas[rate.name] = (translated(first, {each.name: each for each in self.card.rates}), first.place)
            return rate.name
        start, bounds = _free(first)
        if isinstance(first, RateParameter) and (rate.value, rate.bounds) != (first.value, first.bounds):
            self.remarks.append(f"{rate.place}: {rate.name} keeps the value and range of {first.place}")
        self._set({"name": rate.name, "inits": [start], "bounds": [list(bounds)]})
        return rate.name

    def _defining(self, name: str) -> Parameter | RateParameter | None:
        """What says most of a parameter that rates use."""
        rates = [each for each in self.card.rates if each.name == name]
        candidates: list[Parameter | RateParameter] = [each for each in self.card.parameters if each.name == name]
        candidates += [each for each in rates if each.value is not None] + rates
        return candidates[0] if candidates else None

    def _nominal(self, name: str) -> float:
        first = self._defining(name)
        if isinstance(first, Parameter):
            return first.mean
        assert first is not None  # noqa: S101 (a rate parameter has this name)
        if first.value is not None:
            return first.value
        text, place = self.formulas[name]
        known = {each.name: each.value for each in reversed(self.card.rates) if each.value is not None}
        known |= {each.name: each.mean for each in self.card.parameters}
        known |= {each.name: 0.0 for each in self.card.nuisances if each.count is None}
        try:
            return value(text, known)
        except ValueError as error:
            raise refuse(place, str(error)) from error

    def _set(self, setting: dict[str, Any]) -> None:
        held = {"fixed": True} if setting["name"] in self.card.held else {}
        self.settings.setdefault(str(setting["name"]), setting | held)

    def _introduce(self, parameter: dict[str, Any]) -> None:
        held = {"fixed": True} if parameter["name"] in self.card.held else {}
        self.introduced.setdefault(parameter["name"], parameter | held)

    def control_regions(self) -> Iterable[tuple[Modifier, int]]:
        """Channels of one bin in which the events of each gmN were counted, and how many they were."""
        for nuisance in self.card.nuisances:
            if nuisance.count is None or not nuisance.sizes:
                continue
            most = 10 * (nuisance.count + 10 * (nuisance.count + 1) ** 0.5) / max(nuisance.count, 1)
            self._set({"name": nuisance.name, "inits": [1.0], "bounds": [[0.0, most]]})
            modifier = {"name": nuisance.name, "type": "normfactor", "data": None}
            sample = {"name": "control", "data": [float(max(nuisance.count, 1))], "modifiers": [modifier]}
            yield {"name": f"{nuisance.name}_control", "samples": [sample]}, nuisance.count

    def centred(self, name: str, bins: int) -> None:
        """A staterror around 0, as Combine's parameters of bins are, instead of around 1."""
        zeros = [0.0] * bins
        self._set({"name": name, "inits": zeros, "auxdata": zeros, "bounds": [list(STATISTICAL)] * bins})

    def errors(self, name: str, bin_: str, sample: str, errors: Mapping[str, Floats]) -> None:
        """A sample of the bin that is scaled by the error of all samples."""
        document: dict[str, Any] = {"operator": "errors", "name": name, "channel": bin_, "sample": sample}
        self.documents.append(document | {"errors": {of: each.tolist() for of, each in errors.items()}})

    def logarithms(self, column: Column, nominal: Floats, morphs: list[dict[str, Any]], region: float) -> Modifier:
        """The factor that morphs a process's shape."""
        name = f"shape_bin{column.bin}_{column.process}"
        document: dict[str, Any] = {"operator": "logarithms", "name": name, "sets": name, "nominal": nominal.tolist()}
        self.documents.append(document | {"morphs": morphs, "region": region})
        return {"name": name, "type": "shapefactor", "data": None}

    def measurement(self) -> dict[str, Any]:
        """Configuration of the measurement."""
        if not any(column.signal for column in self.card.columns):
            raise refuse(self.card.place, "no process has a number ≤ 0: there is no signal to measure")
        poi = {"name": POI, "inits": [1.0], "bounds": [list(POI_BOUNDS)]}
        settings = [poi, *(each for name, each in sorted(self.settings.items()) if name != POI)]
        return {"poi": POI, "parameters": settings}

    def extensions(self, used: Sequence[str]) -> list[dict[str, Any]]:
        """The documents: first the formulas in the order of what they set, with the parameters that no modifier has.

        Args:
            used: names of HistFactory's parameters, in their order.

        Raises:
            DatacardError: a formula that cannot be read, or one of a parameter that is nowhere.
        """
        if not self.formulas:
            return self.documents
        for text, place in self.formulas.values():
            try:
                labels = parse(text).labels
            except ValueError as error:
                raise refuse(place, str(error)) from error
            for label in labels:
                if label not in used and label not in self.introduced:
                    self._introduce(self._outside(label, used, place))
        formulas: dict[str, Any] = {
            "operator": "formula",
            "name": "datacard",
            "parameters": [made for _, made in sorted(self.introduced.items())],
            "formulas": {name: self.formulas[name][0] for name in used if name in self.formulas},
        }
        return [formulas, *self.documents]

    def _outside(self, name: str, used: Sequence[str], place: str) -> dict[str, Any]:
        """A parameter that only formulas use."""
        first = self._defining(name)
        if isinstance(first, Parameter) and first.width is not None:
            return _constrained(first)
        if first is not None:
            start, bounds = _free(first)
            return {"name": name, "init": start, "bounds": list(bounds)}
        known: Mapping[str, Any] = dict.fromkeys((*used, *(each.name for each in self.card.parameters)))
        raise refuse(place, f"a formula uses {name!r}, which nothing defines; {nearest(name, known)}")


def _free(made: Parameter | RateParameter | None) -> tuple[float, tuple[float, float]]:
    """Start and bounds; a parameter that has none in the card gets some, since a fit needs them."""
    assert made is not None  # noqa: S101 (whoever asks has found it)
    start = made.mean if isinstance(made, Parameter) else made.value
    assert start is not None  # noqa: S101 (no formula)
    size = 100 * max(abs(start), 1.0)
    return start, made.bounds or (start - size, start + size)


def _constrained(made: Parameter) -> dict[str, Any]:
    """A parameter of the extension with a Gaussian constraint."""
    assert made.width is not None  # noqa: S101 (whoever asks has looked)
    bounds = made.bounds or (made.mean - 4 * made.width, made.mean + 4 * made.width)  # Combine's
    constraint = {"mean": made.mean, "sigma": made.width}
    return {"name": made.name, "init": made.mean, "bounds": list(bounds), "constraint": constraint}
