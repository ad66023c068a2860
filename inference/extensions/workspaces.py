"""Extensions where they live: a list under the key ``extensions`` of a workspace that otherwise is pyhf's."""

from collections.abc import Mapping
from typing import Any

from inference.extensions.errors import NotSerialisable
from inference.extensions.parts import Extension
from inference.extensions.registry import read
from inference.likelihood.specification import specification

KEY = "extensions"


def attach(
    workspace: Mapping[str, Any], *documents: Mapping[str, Any] | Extension, poi: str | None = None
) -> dict[str, Any]:
    """The workspace with more extensions.

    Args:
        documents: JSON, decoded, or documents made in Python.
        poi: the parameter of interest of all measurements from now on; as it was if None.

    Raises:
        InvalidExtension: one does not fit the workspace, or has the name of another.
        InvalidWorkspace: there is no such parameter of interest.
    """
    extended = {**workspace, KEY: [*workspace.get(KEY, ()), *documents]}
    if poi is not None:
        extended["measurements"] = [
            {**each, "config": {**each["config"], "poi": poi}} for each in workspace["measurements"]
        ]
    for measurement in workspace["measurements"]:
        specification(extended, measurement["name"])
    return extended


def detach(workspace: Mapping[str, Any]) -> dict[str, Any]:
    """What pyhf can read: without extensions, and without what measurements say of the parameters they introduce.

    A parameter of interest that an extension introduces is none any more.
    """
    introduced = {parameter.name for each in read(workspace.get(KEY, ())) for parameter in each.introduces}
    plain = {key: value for key, value in workspace.items() if key != KEY}
    plain["measurements"] = [_without(measurement, introduced) for measurement in workspace["measurements"]]
    return plain


def _without(measurement: Mapping[str, Any], introduced: set[str]) -> dict[str, Any]:
    config = measurement["config"]
    poi = config.get("poi") or ""
    return {
        **measurement,
        "config": {
            **config,
            "poi": "" if poi.partition("[")[0] in introduced else poi,
            "parameters": [each for each in config.get("parameters", ()) if each["name"] not in introduced],
        },
    }


def plain(workspace: Mapping[str, Any]) -> dict[str, Any]:
    """The workspace in JSON's types alone, documents made in Python written out.

    Raises:
        NotSerialisable: an extension is a Python function.
    """
    if not workspace.get(KEY):
        return dict(workspace)
    return {**workspace, KEY: [_written(each) for each in workspace[KEY]]}


def _written(document: Mapping[str, Any] | Extension) -> dict[str, Any]:
    if not isinstance(document, Extension):
        return dict(document)
    if not document.serialisable:
        raise NotSerialisable(
            f"the extension {document.name!r} is a Python function and cannot be saved: write it as a formula, "
            "vector, eft, unfold or abcd, or remove it before and attach it again after reading"
        )
    return document.model_dump(mode="json", exclude_defaults=True)
