"""An HS3 document as a workspace of pyhf: what is HistFactory in it, with Gaussian and Poisson constraints.

Parameters are what correlates in HS3, so scalar modifiers are named after theirs. A ``normfactor`` whose parameter has
a Gaussian constraint is pyhf's ``lumi``, and a ``shapefactor`` with constraints a ``staterror`` (Gaussian) or a
``shapesys`` (Poisson). What pyhf's JSON cannot say is an error, never left out.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from inference.formats.errors import InvalidDocument
from inference.formats.hs3_parts import Analysis, Constraint, analyses, modifiers, place, vector
from inference.formats.hs3_settings import settings
from inference.formats.hs3_writer import MODEL, STANDARD_NAMES
from inference.likelihood.interpolation import CODES

Workspace = dict[str, Any]
Document = Mapping[str, Any]

LUMINOSITY = "lumi"  # pyhf's only name for it

# The code of each name of an interpolation, the standard's and pyhs3's.
_CODE_OF = {name: code for code, name in STANDARD_NAMES.items()} | {
    code: code for codes in CODES.values() for code in codes
}


def from_hs3(document: Document, analysis: str | None = None) -> Workspace:
    """The HistFactory model of an HS3 document, decoded, as a workspace of pyhf.

    Args:
        document: with ``likelihoods``; each of its ``analyses`` becomes a measurement, or each likelihood where it has
            no analyses. pyhf has one parameter of interest: the first.
        analysis: take this one only.

    Raises:
        InvalidDocument: it is no HS3, no HistFactory model, or says what pyhf's JSON cannot.
    """
    try:
        return _workspace(document, analysis)
    except (KeyError, TypeError, AttributeError) as error:
        raise InvalidDocument(f"no HS3 document: {type(error).__name__}: {error}") from error


def _workspace(document: Document, wanted: str | None) -> Workspace:
    found = analyses(document, wanted)
    first = found[0]
    for other in found[1:]:
        same_channels = [each["name"] for each in other.channels] == [each["name"] for each in first.channels]
        if not same_channels or other.contents != first.contents:
            raise InvalidDocument(
                f"analyses {first.name!r} and {other.name!r} have other {'data' if same_channels else 'channels'}, "
                "which measurements of pyhf share: choose one (analysis)"
            )
    names = [_channel_name(each["name"]) for each in first.channels]
    reader = _Reader(first)
    workspace: Workspace = {
        "channels": [
            {"name": name, "samples": [reader.sample(channel, each) for each in channel["samples"]]}
            for name, channel in zip(names, first.channels, strict=True)
        ],
        "observations": [
            {"name": name, "data": list(contents)} for name, contents in zip(names, first.contents, strict=True)
        ],
        "version": "1.0.0",
    }
    if codes := {kind: code for kind, code in _codes(first).items() if code != CODES[kind][0]}:
        workspace["interpolation"] = codes
    workspace["measurements"] = [
        {
            "name": each.name,
            "config": {"poi": each.poi or "", "parameters": settings(workspace, each, reader.members(names))},
        }
        for each in found
    ]
    if kept := document.get("misc", {}).get("skimflow", {}):
        workspace["extensions"] = kept["extensions"]
        own = {each["name"] for each in workspace["measurements"]}
        workspace["measurements"] = [each for each in kept["measurements"] if each["name"] in own]
    return workspace


def _channel_name(name: str) -> str:
    return name.removeprefix(MODEL) or name


def _codes(analysis: Analysis) -> dict[str, str]:
    """The one interpolation of each type of modifier."""
    codes: dict[str, str] = {}
    for channel in analysis.channels:
        for _, modifier in modifiers(channel):
            kind = modifier["type"]
            if kind not in CODES:
                continue
            given = modifier["data"].get("interpolation") or modifier.get("interpolation") or CODES[kind][0]
            code = _CODE_OF.get(given)
            if code not in CODES[kind]:
                raise InvalidDocument(f"{place(channel, modifier)}: interpolation {given!r} is none of pyhf's for it")
            if codes.setdefault(kind, code) != code:
                raise InvalidDocument(f"{kind} is interpolated in two ways; a workspace of pyhf has one for all")
    return codes


class _Reader:
    """Samples of one analysis; the names of parameters of bins are chosen once for all."""

    def __init__(self, analysis: Analysis) -> None:
        self._analysis = analysis
        self._names = _vector_names(analysis)
        self._luminosity = _luminosity(analysis)

    def members(self, channel_names: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """HS3's parameters behind each name of pyhf, in pyhf's order: channels by name."""
        found: dict[str, tuple[str, ...]] = {}
        channels = sorted(zip(channel_names, self._analysis.channels, strict=True), key=lambda pair: pair[0])
        for _, channel in channels:
            here: dict[str, tuple[str, ...]] = {}
            for _, modifier in modifiers(channel):
                if "parameter" in modifier:
                    found[self._scalar(modifier)] = (modifier["parameter"],)
                else:
                    parameters = vector(channel, modifier)
                    here[self._names[parameters[0]]] = parameters
            for name, parameters in here.items():
                known = found.get(name, ())
                shared = known[: len(parameters)] == parameters[: len(known)]
                found[name] = max(known, parameters, key=len) if shared else known + parameters
        return found

    def _scalar(self, modifier: Document) -> str:
        name = str(modifier["parameter"])
        return LUMINOSITY if name == self._luminosity else name

    def sample(self, channel: Document, sample: Document) -> dict[str, Any]:
        """A sample in pyhf's words."""
        return {
            "name": sample["name"],
            "data": [float(value) for value in sample["data"]["contents"]],
            "modifiers": [self._modifier(channel, sample, each) for each in sample.get("modifiers", ())],
        }

    def _modifier(self, channel: Document, sample: Document, modifier: Document) -> dict[str, Any]:
        kind = modifier["type"]
        if kind in {"normsys", "histosys"}:
            return {"name": self._scalar(modifier), "type": kind, "data": self._shift(channel, modifier)}
        if kind == "normfactor":
            name = self._scalar(modifier)
            return {"name": name, "type": "lumi" if name == LUMINOSITY else kind, "data": None}
        if kind not in {"shapefactor", "shapesys", "staterror"}:
            raise InvalidDocument(f"{place(channel, modifier)}: pyhf has no such type")
        kind = _kind_of_bins(self._analysis, channel, modifier)
        data = None
        if kind != "shapefactor":
            errors = self._shapesys if kind == "shapesys" else self._staterror
            data = errors(channel, sample, modifier)
        return {"name": self._names[vector(channel, modifier)[0]], "type": kind, "data": data}

    def _shift(self, channel: Document, modifier: Document) -> dict[str, Any]:
        if modifier.get("constraint", "Gauss") != "Gauss" or modifier["parameter"] in self._analysis.constraints:
            raise InvalidDocument(
                f"{place(channel, modifier)}: pyhf constrains it by a Gaussian of width 1 and by nothing else"
            )
        data = modifier["data"]
        if modifier["type"] == "normsys":
            return {"hi": float(data["hi"]), "lo": float(data["lo"])}
        return {"hi_data": list(data["hi"]["contents"]), "lo_data": list(data["lo"]["contents"])}

    def _shapesys(self, channel: Document, sample: Document, modifier: Document) -> list[float]:
        given = modifier.get("data", {})
        for key in ("vals", "uncertainties"):
            if key in given:
                return [float(value) for value in given[key]]
        if modifier["type"] == "staterror":
            return [float(value) for value in sample["data"]["errors"]]
        found = [self._analysis.constraints.get(name) for name in vector(channel, modifier)]
        contents = sample["data"]["contents"]
        return [value / math.sqrt(each.width) if each else 0.0 for value, each in zip(contents, found, strict=True)]

    def _staterror(self, channel: Document, sample: Document, modifier: Document) -> list[float]:
        """Uncertainties of one sample: its own, or where only that of the sum is known all of it in the first one."""
        members = _members(channel, vector(channel, modifier))
        own = {each["name"]: _uncertainties(each, one) for each, one in members}
        found = [self._analysis.constraints.get(name) for name in vector(channel, modifier)]
        totals = [math.fsum(column) for column in zip(*(each["data"]["contents"] for each, _ in members), strict=True)]
        if modifier["type"] == "staterror" or _agree(own, totals, found):
            return list(own[sample["name"]])
        if sample["name"] != members[0][0]["name"]:
            return [0.0] * len(totals)
        return [each.width * total if each else 0.0 for total, each in zip(totals, found, strict=True)]


def _luminosity(analysis: Analysis) -> str | None:
    """The factor that has a constraint: pyhf's schema has one, and its name."""
    factors: set[str] = set()
    others: set[str] = set()
    for channel in analysis.channels:
        for _, modifier in modifiers(channel):
            if "parameter" in modifier:
                free = modifier["type"] == "normfactor" and modifier["parameter"] not in analysis.constraints
                (factors if modifier["type"] == "normfactor" and not free else others).add(modifier["parameter"])
    if any(analysis.constraints[name].kind == "poisson" for name in factors):
        raise InvalidDocument(f"pyhf has no factor with a Poisson constraint: {', '.join(sorted(factors))}")
    if len(factors) > 1 or (factors and LUMINOSITY in others - factors):
        raise InvalidDocument(
            f"several factors have a Gaussian constraint, or another one is called lumi: {', '.join(sorted(factors))}; "
            "pyhf has one such, the luminosity"
        )
    return min(factors, default=None)


def _uncertainties(sample: Document, modifier: Document) -> list[float]:
    given = modifier.get("data", {}).get("uncertainties") or sample["data"].get("errors")
    return [float(value) for value in given or [0.0] * len(sample["data"]["contents"])]


def _agree(own: Mapping[str, list[float]], totals: list[float], found: list[Constraint | None]) -> bool:
    """Whether the samples' own uncertainties are those of the constraints; a bin without one is held."""
    sums = [math.hypot(*column) for column in zip(*own.values(), strict=True)]
    return all(
        each is None or error == 0 or total <= 0 or math.isclose(error / total, each.width, rel_tol=1e-9)
        for error, total, each in zip(sums, totals, found, strict=True)
    )


def _members(channel: Document, parameters: tuple[str, ...]) -> list[tuple[Document, Document]]:
    """Samples of a channel, with their modifier, that share these parameters of bins."""
    return [
        (sample, each)
        for sample, each in modifiers(channel)
        if "parameter" not in each and vector(channel, each) == parameters
    ]


def _kind_of_bins(analysis: Analysis, channel: Document, modifier: Document) -> str:
    """What pyhf calls a modifier of bins."""
    kind, parameters = str(modifier["type"]), vector(channel, modifier)
    found = {each.kind for name in parameters if (each := analysis.constraints.get(name)) is not None}
    shared = len(_members(channel, parameters)) > 1
    if kind == "shapefactor":
        if len(found) > 1:
            raise InvalidDocument(f"{place(channel, modifier)}: some bins have a Gaussian, some a Poisson constraint")
        kind = {"normal": "staterror", "poisson": "shapesys"}[found.pop()] if found else kind
    elif found:
        raise InvalidDocument(f"{place(channel, modifier)}: constrained by itself and by a distribution as well")
    elif kind == "staterror" and modifier.get("constraint", "Gauss") == "Poisson":
        kind = "shapesys"
    elif kind == "staterror" and shared and channel.get("barlow_beeston_method") == "full":
        raise InvalidDocument(
            f"{place(channel, modifier)}: in the full Barlow-Beeston method each sample has parameters of its own"
        )
    if kind == "shapesys" and shared:
        raise InvalidDocument(
            f"{place(channel, modifier)}: pyhf has no Poisson constraint of parameters that several samples share"
        )
    return kind


def _vector_names(analysis: Analysis) -> dict[str, str]:
    """pyhf's name of the parameters of bins, by the first of them.

    A name stays where it means one thing in pyhf: the same parameters everywhere, or a staterror of the same samples in
    all its channels. Else the channel, and if need be the sample, is added.
    """
    wanted: dict[str, dict[str, tuple[str, str, frozenset[str], str]]] = {}
    for channel in analysis.channels:
        for sample, modifier in modifiers(channel):
            if "parameter" in modifier:
                continue
            parameters = vector(channel, modifier)
            kind = _kind_of_bins(analysis, channel, modifier)
            samples = frozenset(each["name"] for each, _ in _members(channel, parameters))
            name = modifier.get("name") or parameters[0]
            here = (_channel_name(channel["name"]), sample["name"], samples, kind)
            if not any(parameters[0] in others for others in wanted.values()):
                wanted.setdefault(name, {})[parameters[0]] = here
    names: dict[str, str] = {}
    for name, uses in wanted.items():
        kinds, members, places = ({use[part] for use in uses.values()} for part in (3, 2, 0))
        together = kinds == {"staterror"} and len(members) == 1 and len(places) == len(uses)
        for first, (channel_name, sample_name, _, _) in uses.items():
            longer = f"{name}_{channel_name}"
            if len(places) < len(uses):
                longer += f"_{sample_name}"
            names[first] = name if len(uses) == 1 or together else longer
    return names
