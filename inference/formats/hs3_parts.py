"""What an HS3 document says, with its references followed: analyses, channels with data, constraints."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from inference.errors import nearest
from inference.formats.errors import InvalidDocument
from inference.formats.hs3_writer import FIRST_DOMAIN, FIRST_POINT

Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Constraint:
    """A distribution of an auxiliary measurement: what was ``seen``; ``width`` is its sigma or the rate's factor."""

    kind: Literal["normal", "poisson"]
    seen: float
    width: float


@dataclass(frozen=True, slots=True)
class Analysis:
    """One likelihood with what belongs to it.

    Attributes:
        channels: distributions of type histfactory_dist.
        contents: what was observed in each of them.
        constraints: those that are distributions of their own, by parameter.
        values: starting value and whether it stays there, by parameter.
        domain: bounds by parameter.
        poi: the first parameter of interest, or None.
    """

    name: str
    channels: tuple[Document, ...]
    contents: tuple[tuple[float, ...], ...]
    constraints: Mapping[str, Constraint]
    values: Mapping[str, tuple[float, bool]]
    domain: Mapping[str, tuple[float, float]]
    poi: str | None


def analyses(document: Document, wanted: str | None) -> list[Analysis]:
    """All of a document, or one by name.

    Raises:
        InvalidDocument: a name leads nowhere, or a distribution is none of HistFactory's.
    """
    known = _named(document, "analyses") or {
        name: {"name": name, "likelihood": name} for name in _named(document, "likelihoods")
    }
    if not known:
        raise InvalidDocument("the HS3 document has neither analyses nor likelihoods, so no data belong to its model")
    if wanted is not None and wanted not in known:
        raise InvalidDocument(f"the HS3 document has no analysis {wanted!r}; {nearest(wanted, known)}")
    return [_analysis(document, each) for name, each in known.items() if wanted in {None, name}]


def modifiers(channel: Document) -> Iterator[tuple[Document, Document]]:
    """Every sample of a channel with each of its modifiers."""
    for sample in channel["samples"]:
        for modifier in sample.get("modifiers", ()):
            yield sample, modifier


def vector(channel: Document, modifier: Document) -> tuple[str, ...]:
    """Parameters of a modifier of bins; without names they belong to this channel."""
    given = tuple(modifier.get("parameters", ()))
    bins = len(channel["samples"][0]["data"]["contents"])
    if not given:
        return tuple(f"{modifier['type']}_{channel['name']}_bin{index}" for index in range(bins))
    if len(given) != bins:
        raise InvalidDocument(f"{place(channel, modifier)}: {len(given)} parameters for {bins} bins")
    return given


def place(channel: Document, modifier: Document) -> str:
    """For messages."""
    name = modifier.get("name") or modifier.get("parameter")
    return f"modifier {name!r} ({modifier['type']}) of {channel['name']!r}"


def _named(document: Document, section: str) -> dict[str, Document]:
    return {each["name"]: each for each in document.get(section) or ()}


def _find(document: Document, section: str, name: str) -> Document:
    known = _named(document, section)
    if name not in known:
        raise InvalidDocument(f"there is no {name!r} among the {section}; {nearest(str(name), known)}")
    return known[name]


def _analysis(document: Document, given: Document) -> Analysis:
    likelihood = _find(document, "likelihoods", given["likelihood"])
    domains = given.get("domains") or [given.get("domain") or FIRST_DOMAIN]
    point = given.get("init") or FIRST_POINT
    known_points, known_domains = _named(document, "parameter_points"), _named(document, "domains")
    values = {
        each["name"]: (float(each["value"]), bool(each.get("const", False)))
        for each in known_points.get(point, {}).get("parameters", ())
    }
    domain = {
        each["name"]: (float(each["min"]), float(each["max"]))
        for name in domains
        for each in known_domains.get(name, {}).get("axes", ())
        if each.get("min") is not None and each.get("max") is not None
    }
    pairs = list(_pairs(document, likelihood))
    channels = [(_named_parts(one), data) for one, data in pairs if one["type"] == "histfactory_dist"]
    used = {name for channel, _ in channels for _, each in modifiers(channel) for name in _parameters(channel, each)}
    constraints: dict[str, Constraint] = {}
    for one, data in pairs:
        if one["type"] != "histfactory_dist":
            name, constraint = _constraint(document, one, data, used, values)
            if name in constraints:
                raise InvalidDocument(f"{name!r} has two constraints; pyhf has one for each parameter")
            constraints[name] = constraint
    interest = given.get("parameters_of_interest") or [None]
    contents = tuple(_contents(document, one, data) for one, data in channels)
    return Analysis(
        given["name"], tuple(one for one, _ in channels), contents, constraints, values, domain, interest[0]
    )


def _pairs(document: Document, likelihood: Document) -> Iterator[tuple[Document, Any]]:
    """Distributions with their data (a name, a number, or None for the auxiliary ones)."""
    names, data = likelihood["distributions"], likelihood["data"]
    if len(names) != len(data):
        raise InvalidDocument(f"likelihood {likelihood['name']!r} has {len(names)} distributions and {len(data)} data")
    for name, seen in (
        *zip(names, data, strict=True),
        *((name, None) for name in likelihood.get("aux_distributions") or ()),
    ):
        yield _find(document, "distributions", name), seen


def _named_parts(channel: Document) -> Document:
    """A channel in which samples have names and scalar modifiers their parameter, as ROOT has them without."""
    samples = [
        {
            "name": f"sample{place}",
            **sample,
            "modifiers": [
                {"parameter": _PARAMETERS[each["type"]].format(each["name"]), **each}
                if each["type"] in _PARAMETERS and "parameter" not in each
                else each
                for each in sample.get("modifiers", ())
            ],
        }
        for place, sample in enumerate(channel["samples"])
    ]
    return {**channel, "samples": samples}


_PARAMETERS = {"normfactor": "{}", "normsys": "alpha_{}", "histosys": "alpha_{}"}


def _parameters(channel: Document, modifier: Document) -> Sequence[str]:
    return [modifier["parameter"]] if "parameter" in modifier else vector(channel, modifier)


def _contents(document: Document, channel: Document, name: Any) -> tuple[float, ...]:
    data = _find(document, "data", name)
    if data["type"] != "binned":
        raise InvalidDocument(f"data {name!r} of {channel['name']!r} are {data['type']}; HistFactory has binned ones")
    bins = len(channel["samples"][0]["data"]["contents"])
    if len(data["contents"]) != bins:
        raise InvalidDocument(f"data {name!r} have {len(data['contents'])} bins, {channel['name']!r} has {bins}")
    return tuple(float(value) for value in data["contents"])


def _constraint(
    document: Document, one: Document, data: Any, used: set[str], values: Mapping[str, tuple[float, bool]]
) -> tuple[str, Constraint]:
    """Parameter and constraint of a distribution that is no channel."""

    def number(what: Any) -> float:
        if isinstance(what, int | float):
            return float(what)
        if what not in values:
            raise InvalidDocument(f"distribution {one['name']!r}: {what!r} has no value among the parameter_points")
        return values[what][0]

    def seen(what: Any) -> float:
        return number(what if data is None else data)

    if one["type"] == "gaussian_dist":
        # A normal distribution is the same with its mean and its variable exchanged.
        name, other = (one["mean"], one["x"]) if one["mean"] in used else (one["x"], one["mean"])
        if name in used:
            return name, Constraint("normal", seen(other), number(one["sigma"]))
    elif one["type"] == "poisson_dist":
        factors = [one["mean"]]
        if one["mean"] in _named(document, "functions"):
            rate = _find(document, "functions", one["mean"])
            factors = rate["factors"] if rate["type"] == "product" else []
        names = [each for each in factors if each in used]
        if len(names) == 1:
            width = math.prod(number(each) for each in factors if each != names[0])
            return names[0], Constraint("poisson", seen(one["x"]), width)
    raise InvalidDocument(
        f"distribution {one['name']!r} ({one['type']}) is neither a channel of HistFactory nor a Gaussian or Poisson "
        "constraint of one of its parameters"
    )
