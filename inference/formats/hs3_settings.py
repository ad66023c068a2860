"""What a measurement of pyhf has to say of its parameters, so that they stand as in an analysis of HS3."""

from collections.abc import Mapping, Sequence
from typing import Any

from inference.formats.errors import InvalidDocument
from inference.formats.hs3_parts import Analysis
from inference.likelihood.parameters import ParameterSet
from inference.likelihood.specification import specification

Setting = dict[str, Any]


def settings(workspace: Mapping[str, Any], analysis: Analysis, members: Mapping[str, tuple[str, ...]]) -> list[Setting]:
    """``parameters`` of a measurement: only what differs from pyhf's defaults.

    Args:
        workspace: channels and observations.
        analysis: of the document.
        members: HS3's parameters behind each name of pyhf.

    Raises:
        InvalidDocument: some bins of a name are held and some not, which pyhf cannot say.
    """
    luminosities = [_luminosity(name, members[name][0], analysis) for name in _luminosity_names(workspace)]
    bare = {**workspace, "measurements": [{"name": "", "config": {"poi": "", "parameters": luminosities}}]}
    found = [_setting(made, members[made.name], analysis) for made in specification(bare).parameters]
    known = {each["name"]: each for each in luminosities}
    return [{**known.get(each["name"], {}), **each} for each in found if len(each) > 1 or each["name"] in known]


def _luminosity_names(workspace: Mapping[str, Any]) -> list[str]:
    return sorted(
        {
            modifier["name"]
            for channel in workspace["channels"]
            for sample in channel["samples"]
            for modifier in sample["modifiers"]
            if modifier["type"] == "lumi"
        }
    )


def _luminosity(name: str, label: str, analysis: Analysis) -> Setting:
    """pyhf has no defaults for it."""
    constraint = analysis.constraints[label]
    value, _ = analysis.values.get(label, (constraint.seen, False))
    bounds = analysis.domain.get(label, (value - 5 * constraint.width, value + 5 * constraint.width))
    return {
        "name": name,
        "inits": [value],
        "bounds": [list(bounds)],
        "auxdata": [constraint.seen],
        "sigmas": [constraint.width],
    }


def _setting(made: ParameterSet, labels: Sequence[str], analysis: Analysis) -> Setting:
    setting: Setting = {"name": made.name}
    inits = tuple(analysis.values.get(label, (init,))[0] for label, init in zip(labels, made.init, strict=True))
    if inits != made.init:
        setting["inits"] = list(inits)
    default = tuple(zip(made.lower, made.upper, strict=True))
    bounds = tuple(analysis.domain.get(label, pair) for label, pair in zip(labels, default, strict=True))
    if bounds != default:
        setting["bounds"] = [list(pair) for pair in bounds]
    constraints = [analysis.constraints.get(label) for label in labels]
    if made.constraint != "free":
        for key, values, present in (
            ("auxdata", tuple(each.seen if each else None for each in constraints), made.auxdata),
            (
                "factors" if made.constraint == "poisson" else "sigmas",
                tuple(each.width if each else None for each in constraints),
                made.widths,
            ),
        ):
            merged = tuple(old if new is None else new for new, old in zip(values, present, strict=True))
            if merged != present:
                setting[key] = list(merged)
    held = tuple(analysis.values.get(label, (0.0, flag))[1] for label, flag in zip(labels, made.fixed, strict=True))
    if held != made.fixed:
        if len(set(held)) > 1:
            raise InvalidDocument(
                f"of the parameters {', '.join(labels[:3])}, … some are constant and some not: pyhf holds all or none"
            )
        setting["fixed"] = held[0]
    return setting
