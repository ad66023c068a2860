"""PatchSets (pyhf's format 1.0.0): many signals of one background workspace in one file, with its digests."""

import re
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from inference.reinterpretation.errors import InvalidSignal
from inference.reinterpretation.signals import Signal

ALGORITHMS = ("md5", "sha256")


def digests(workspace: Mapping[str, Any]) -> dict[str, str]:
    """Digests of a workspace's content, by algorithm, as pyhf makes them."""
    from pyhf.utils import digest

    return {algorithm: digest(workspace, algorithm) for algorithm in ALGORITHMS}


def write(
    background: Mapping[str, Any],
    signals: Sequence[Signal],
    *,
    labels: Sequence[str],
    hepdata: str,
    description: str,
) -> dict[str, Any]:
    """A PatchSet, checked against pyhf's schema and verified against the background.

    Args:
        background: the workspace that the signals patch.
        labels: names of the signals' values, such as masses.
        hepdata: record of the analysis, ``ins`` and seven digits.
        description: in words.

    Raises:
        InvalidSignal: names or values do not fit, or a patch does not apply.
    """
    for signal in signals:
        if not re.fullmatch("[a-zA-Z0-9_]+", signal.name):
            raise InvalidSignal(f"{signal.name!r} is no name for a PatchSet: letters, digits and underscores only")
        if len(signal.values) != len(labels):
            raise InvalidSignal(
                f"signal {signal.name} has the values {signal.values}, the labels are {', '.join(labels)}: "
                "there must be a label for each value"
            )
        signal.applied(background)
    document = {
        "metadata": {
            "references": {"hepdata": hepdata},
            "digests": digests(background),
            "labels": list(labels),
            "description": description,
        },
        "patches": [
            {"metadata": {"name": signal.name, "values": list(signal.values)}, "patch": list(signal.patch)}
            for signal in signals
        ],
        "version": "1.0.0",
    }
    _validate(document)
    return document


def read(document: Mapping[str, Any], background: Mapping[str, Any]) -> tuple[list[Signal], tuple[str, ...]]:
    """Signals of a PatchSet and the labels of their values.

    Raises:
        InvalidSignal: against pyhf's schema, or made for another background workspace.
    """
    _validate(document)
    metadata = document["metadata"]
    found = digests(background)
    for algorithm, expected in metadata["digests"].items():
        if found[algorithm] != expected.lower():
            raise InvalidSignal(
                f"the PatchSet was made for another workspace: its {algorithm} is {expected}, that of the one given "
                f"{found[algorithm]}; take the background workspace that it was published with"
            )
    signals = [
        Signal(each["metadata"]["name"], tuple(each["metadata"]["values"]), tuple(each["patch"]))
        for each in document["patches"]
    ]
    return signals, tuple(metadata["labels"])


def _validate(document: Mapping[str, Any]) -> None:
    import pyhf

    try:
        pyhf.PatchSet(document)
    except (pyhf.exceptions.InvalidSpecification, pyhf.exceptions.InvalidPatchSet) as error:
        # pyhf quotes whole patches
        raise InvalidSignal(f"no valid PatchSet: {textwrap.shorten(str(error), 200)}") from error
