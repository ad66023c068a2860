"""A workspace as HS3, the HEP Statistics Serialization Standard.

What is written is what its readers agree on (the standard's text of July 2026, ROOT's importer, pyhs3 0.4.2):

- ``normfactor``, ``normsys``, ``histosys`` and ``shapefactor`` as they are; variations of ``histosys`` are templates,
  as all readers take them, though the standard's text calls them additions;
- ``shapesys`` and ``staterror`` where a reader computes pyhf's constraint from what stands there. Else, and where
  several samples share a ``staterror`` (pyhs3 constrains its parameters once for each), a ``shapefactor`` whose
  constraints are distributions of their own, which the likelihood names under ``aux_distributions``;
- ``lumi``, which HS3 does not have, as a ``normfactor`` with such a constraint.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from inference.formats.errors import NotExpressible
from inference.likelihood.interpolation import chosen_codes
from inference.likelihood.parameters import ParameterSet, Use, parameter_sets
from inference.likelihood.specification import Channel, Sample, Specification, specification

VERSION = "0.2.0"
MODEL, OBSERVED = "model_", "observed_"
FIRST_DOMAIN, FIRST_POINT = "default_domain", "default_values"  # what readers take where nothing is named

# The standard's own names of interpolations, beside those of pyhs3.
STANDARD_NAMES = {"code0": "lin", "code1": "log", "code2": "parabolic", "code4p": "poly6"}

Document = dict[str, Any]


def to_hs3(workspace: Mapping[str, Any]) -> Document:
    """A workspace in pyhf's JSON, decoded, as an HS3 document; each measurement becomes an analysis.

    Raises:
        InvalidWorkspace: it is no workspace.
        NotExpressible: HS3 has no words for something in it.
    """
    codes = chosen_codes(workspace)
    if codes["normsys"] == "combine":
        raise NotExpressible("HS3 has no name for the interpolation 'combine' of normsys")
    plain = _without_extensions(workspace)
    first = specification(plain)
    read = {each["name"]: specification(plain, each["name"]) for each in plain["measurements"]}
    spelled_out = frozenset(name for made in read.values() for name in _spelled_out(made))
    writer = _Writer(codes, spelled_out, _labels(first), _places(first))
    document: Document = {
        "metadata": {"hs3_version": VERSION, "description": "written by skimflow from a workspace of pyhf"},
        "distributions": [writer.channel(channel) for channel in first.channels],
        "functions": [],
        "data": list(_data(first)),
        "domains": [],
        "parameter_points": [],
        "likelihoods": [],
        "analyses": [],
    }
    for name, made in read.items():
        _add_analysis(document, writer, name, made)
    if workspace.get("extensions"):
        # parameters that extensions introduce have their settings in the measurements
        kept = {key: workspace[key] for key in ("extensions", "measurements")}
        document["misc"] = {"skimflow": kept}
    return document


def _without_extensions(workspace: Mapping[str, Any]) -> Mapping[str, Any]:
    """HistFactory's part; a parameter of interest that an extension introduces is none of it."""
    if not workspace.get("extensions"):
        return workspace
    names = {
        modifier["name"]
        for channel in workspace["channels"]
        for sample in channel["samples"]
        for modifier in sample["modifiers"]
    }
    measurements = [
        {**each, "config": {**each["config"], "poi": each["config"]["poi"] if each["config"]["poi"] in names else ""}}
        for each in workspace["measurements"]
    ]
    return {key: value for key, value in workspace.items() if key != "extensions"} | {"measurements": measurements}


def _uses(made: Specification) -> list[Use]:
    return [
        Use(channel.name, sample.name, modifier, sample.nominal.tolist())
        for channel in made.channels
        for sample in channel.samples
        for modifier in sample.modifiers
    ]


def _spelled_out(made: Specification) -> Iterator[str]:
    """Names of parameters whose constraint no reader finds from the modifier.

    Raises:
        NotExpressible: the constraint of a normsys or histosys is not the standard normal one.
    """
    uses = _uses(made)
    default = {each.name: each for each in parameter_sets([use for use in uses if _kind(use) != "lumi"], ())}
    staterrors = [use.channel for use in uses if _kind(use) == "staterror"]
    for each in made.parameters:
        mine = [use for use in uses if use.modifier["name"] == each.name]
        plain = each.name in default and _same_constraint(each, default[each.name])
        if each.scalar and each.name in default:
            if not plain:
                raise NotExpressible(
                    f"the measurement gives {each.name!r} auxdata {list(each.auxdata)} and sigmas {list(each.widths)}; "
                    "in HS3 a normsys or histosys has 0 and 1"
                )
        elif each.constraint != "free" and not (plain and _alone(mine, staterrors)):
            yield each.name


def _same_constraint(one: ParameterSet, other: ParameterSet) -> bool:
    return (one.auxdata, one.widths) == (other.auxdata, other.widths)


def _alone(uses: list[Use], staterrors: list[str]) -> bool:
    """Whether one sample alone has these parameters, and something in every bin."""
    [use, *others] = uses
    shared = _kind(use) == "staterror" and staterrors.count(use.channel) > 1
    return not others and not shared and min(use.nominal) > 0 and min(use.modifier["data"]) > 0


def _kind(use: Use) -> str:
    return str(use.modifier["type"])


def _labels(made: Specification) -> tuple[str, ...]:
    """Names of all parameters in HS3, where ``name[i]`` would be no name; all differ."""
    taken = {each.name for each in made.parameters if each.scalar}
    labels: list[str] = []
    for each in made.parameters:
        for index in range(each.size):
            label = each.name if each.scalar else f"gamma_{each.name}_{index}"
            while not each.scalar and label in taken:
                label += "_"
            taken.add(label)
            labels.append(label)
    return tuple(labels)


def _places(made: Specification) -> dict[tuple[str, str], int]:
    """Where the parameters of a name begin in each channel: those of a staterror go on from channel to channel."""
    places: dict[tuple[str, str], int] = {}
    ends = dict(made.offsets)
    for channel in made.channels:
        kinds = {each["name"]: each["type"] for sample in channel.samples for each in sample.modifiers}
        for name, kind in kinds.items():
            places[channel.name, name] = ends[name]
            ends[name] += channel.bins if kind == "staterror" else 0
    return places


@dataclass(frozen=True)
class _Writer:
    """Channels and constraints; ``labels`` are what parameters are called, ``places`` where a channel's begin."""

    codes: Mapping[str, str]
    spelled_out: frozenset[str]
    labels: tuple[str, ...]
    places: Mapping[tuple[str, str], int]

    def channel(self, channel: Channel) -> Document:
        samples = [self._sample(channel, sample) for sample in channel.samples]
        kinds = {modifier["type"] for sample in samples for modifier in sample["modifiers"]}
        return {
            "name": MODEL + channel.name,
            "type": "histfactory_dist",
            "axes": [_axis(channel)],
            # pyhs3's word for "each modifier says its own uncertainties"
            **({"barlow_beeston_method": "full"} if "staterror" in kinds else {}),
            "samples": samples,
        }

    def _sample(self, channel: Channel, sample: Sample) -> Document:
        errors = [each["data"] for each in sample.modifiers if each["type"] == "staterror"]
        data = {"contents": sample.nominal.tolist(), **({"errors": list(errors[0])} if errors else {})}
        modifiers = [self._modifier(channel, modifier) for modifier in sample.modifiers]
        return {"name": sample.name, "data": data, "modifiers": modifiers}

    def _modifier(self, channel: Channel, modifier: Mapping[str, Any]) -> Document:
        name, kind, data = modifier["name"], modifier["type"], modifier.get("data")
        start = self.places[channel.name, name]
        written: Document = {"name": name, "type": kind}
        if kind in {"normfactor", "lumi"}:
            return {**written, "type": "normfactor", "parameter": name}
        if kind in {"normsys", "histosys"}:
            return {**written, "parameter": name, **self._shift(kind, modifier["data"])}
        written["parameters"] = list(self.labels[start : start + channel.bins])
        if kind == "shapefactor":
            return written
        written["data"] = {"vals" if kind == "shapesys" else "uncertainties": list(data or ())}
        if name in self.spelled_out:
            return {**written, "type": "shapefactor"}
        constraint = "Poisson" if kind == "shapesys" else "Gauss"
        return {**written, "constraint": constraint, "constraint_type": constraint}

    def _shift(self, kind: str, data: Mapping[str, Any]) -> Document:
        code = self.codes[kind]
        standard = {"interpolation": STANDARD_NAMES[code]} if code in STANDARD_NAMES else {}
        if kind == "normsys":
            values: Document = {"hi": data["hi"], "lo": data["lo"]}
        else:
            values = {"hi": {"contents": list(data["hi_data"])}, "lo": {"contents": list(data["lo_data"])}}
        return {"constraint": "Gauss", **standard, "data": {**values, "interpolation": code}}

    def constraints(self, made: Specification) -> Iterator[tuple[Document, Document | None]]:
        """Distributions that constrain what is spelled out, each with the function of its mean if it needs one."""
        for each in made.parameters:
            if each.name not in self.spelled_out:
                continue
            start = made.offsets[each.name]
            labels = self.labels[start : start + each.size]
            for label, seen, width in zip(labels, each.auxdata, each.widths, strict=True):
                if each.constraint == "normal":
                    yield {"type": "gaussian_dist", "name": label, "x": seen, "mean": label, "sigma": width}, None
                else:
                    rate = {"type": "product", "name": label, "factors": [label, width]}
                    yield {"type": "poisson_dist", "name": label, "x": seen, "mean": label}, rate


def _add_analysis(document: Document, writer: _Writer, name: str, made: Specification) -> None:
    first = not document["analyses"]
    suffix = "" if first else f"_{name}"
    domain, point = (FIRST_DOMAIN, FIRST_POINT) if first else (f"domain_{name}", f"values_{name}")
    constraints = []
    for distribution, rate in writer.constraints(made):
        label = distribution["mean"]
        if rate is not None:
            distribution["mean"] = f"{label}_rate{suffix}"
            document["functions"].append({**rate, "name": f"{label}_rate{suffix}"})
        constraints.append({**distribution, "name": f"{label}_constraint{suffix}"})
    document["distributions"] += constraints
    columns = (writer.labels, *(made.joined(what).tolist() for what in ("init", "fixed", "lower", "upper")))
    rows = list(zip(*columns, strict=True))
    document["domains"].append(
        {
            "name": domain,
            "type": "product_domain",
            "axes": [{"name": label, "min": low, "max": high} for label, _, _, low, high in rows],
        }
    )
    values = [{"name": label, "value": init, "const": bool(fixed)} for label, init, fixed, _, _ in rows]
    document["parameter_points"].append({"name": point, "parameters": values})
    document["likelihoods"].append(
        {
            "name": f"likelihood_{name}",
            "distributions": [MODEL + channel.name for channel in made.channels],
            "data": [OBSERVED + channel.name for channel in made.channels],
            **({"aux_distributions": [each["name"] for each in constraints]} if constraints else {}),
        }
    )
    document["analyses"].append(
        {
            "name": name,
            "likelihood": f"likelihood_{name}",
            "parameters_of_interest": [] if made.poi is None else [made.poi],
            "domains": [domain],
            "domain": domain,  # the standard's text has one, its readers take several
            "init": point,
        }
    )


def _data(made: Specification) -> Iterator[Document]:
    if made.observed is None:
        raise NotExpressible("the workspace has no observations; a likelihood of HS3 names its data")
    start = 0
    for channel in made.channels:
        contents = made.observed[start : start + channel.bins].tolist()
        yield {"name": OBSERVED + channel.name, "type": "binned", "contents": contents, "axes": [_axis(channel)]}
        start += channel.bins


def _axis(channel: Channel) -> Document:
    return {"name": f"obs_{channel.name}", "min": 0.0, "max": float(channel.bins), "nbins": channel.bins}
