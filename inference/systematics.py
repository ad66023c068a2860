"""The templates of each systematic uncertainty: nominal, up and down, as the fit sees them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from inference.likelihood.specification import Floats
from inference.workspace import load_workspace


@dataclass(frozen=True, slots=True)
class ShapeVariation:
    """Events per bin of one sample in one region under one systematic uncertainty at −1, 0 and +1σ."""

    region: str
    sample: str
    systematic: str
    nominal: tuple[float, ...]
    statistical: tuple[float, ...]
    up: tuple[float, ...]
    down: tuple[float, ...]


def shape_variations(workspace: Mapping[str, Any] | Path | str) -> tuple[ShapeVariation, ...]:
    """All variations that a workspace holds, in its order of regions and samples.

    The up template is the shape (``histosys``) times the normalisation (``normsys``) of the same name, so a template
    split into the two by the builder comes back whole. ``statistical`` is the sample's uncertainty from the number of
    simulated events.

    Raises:
        InvalidWorkspace.
    """
    return tuple(_variations(load_workspace(workspace)))


def _variations(workspace: Mapping[str, Any]) -> Iterator[ShapeVariation]:
    for channel in workspace["channels"]:
        for sample in channel["samples"]:
            nominal = np.asarray(sample["data"], dtype=float)
            statistical = next(
                (modifier["data"] for modifier in sample["modifiers"] if modifier["type"] == "staterror"),
                np.zeros(len(nominal)).tolist(),
            )
            for name in _names(sample):
                up, down = _sides(sample, name, nominal)
                yield ShapeVariation(
                    channel["name"],
                    sample["name"],
                    name,
                    tuple(nominal.tolist()),
                    tuple(statistical),
                    tuple(up.tolist()),
                    tuple(down.tolist()),
                )


def _names(sample: Mapping[str, Any]) -> list[str]:
    kinds = {"histosys", "normsys"}
    return list(dict.fromkeys(modifier["name"] for modifier in sample["modifiers"] if modifier["type"] in kinds))


def _sides(sample: Mapping[str, Any], name: str, nominal: Floats) -> tuple[Floats, Floats]:
    """Up and down templates; cabinetry's shape part has the nominal's yield, so the two parts multiply."""
    up, down, scale_up, scale_down = nominal, nominal, 1.0, 1.0
    for modifier in sample["modifiers"]:
        if modifier["name"] != name:
            continue
        if modifier["type"] == "histosys":
            up = np.asarray(modifier["data"]["hi_data"], dtype=float)
            down = np.asarray(modifier["data"]["lo_data"], dtype=float)
        elif modifier["type"] == "normsys":
            scale_up, scale_down = modifier["data"]["hi"], modifier["data"]["lo"]
    return up * scale_up, down * scale_down
