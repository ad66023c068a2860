"""Signals from plain histograms, by names alone.

A histogram is named after its signal and channel, ``SIGNAL/CHANNEL``, and a variation of it
``SIGNAL/CHANNEL/SYSTEMATIC_Up`` or ``…_Down``; ``SIGNAL/CHANNEL/Nominal`` is the histogram itself, since in a ROOT
file, where these are folders, a channel cannot be both. A name without a folder is that of a channel, and the file's
name that of the signal. The templates get

* a staterror of the histogram's errors, under the name that the channel's other samples share, if they do;
* the luminosity, if the background has one;
* a histosys for each systematic, with the effect that a parameter of the background's has if one is named so.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from inference.errors import InvalidHistograms
from inference.reinterpretation.errors import InvalidSignal
from inference.reinterpretation.signals import Signal, named
from inference.templates import load_histograms

SIDES = {"_Up": "hi_data", "_Down": "lo_data"}


def is_histograms(document: Mapping[str, Any]) -> bool:
    """Whether a decoded JSON document is a mapping of UHI histograms."""
    return bool(document) and all(isinstance(each, Mapping) and "axes" in each for each in document.values())


def from_histograms(path: Path, background: Mapping[str, Any], poi: str | None) -> list[Signal]:
    """Signals of a UHI JSON file; raises ``InvalidSignal``."""
    try:
        histograms = load_histograms(path)
    except InvalidHistograms as error:
        raise InvalidSignal(str(error)) from error
    return _signals(histograms, path.stem, background, poi)


def from_root(path: Path, background: Mapping[str, Any], poi: str | None) -> list[Signal]:
    """Signals of the one-dimensional histograms in a ROOT file; raises ``InvalidSignal``."""
    import uproot

    try:
        with uproot.open(path) as file:
            names = file.keys(filter_classname="TH1*", cycle=False)
            histograms = {name: file[name].to_hist() for name in dict.fromkeys(names)}
    except (OSError, ValueError, KeyError) as error:
        raise InvalidSignal(f"cannot read histograms from {path}: {error}") from error
    if not histograms:
        raise InvalidSignal(f"{path} holds no one-dimensional histogram (TH1)")
    return _signals(histograms, path.stem, background, poi)


def _signals(histograms: Mapping[str, Any], stem: str, background: Mapping[str, Any], poi: str | None) -> list[Signal]:
    contents: dict[str, dict[str, dict[str, Any]]] = {}
    shifts: dict[tuple[str, str, str], dict[str, list[float]]] = {}
    for name, histogram in histograms.items():
        signal, channel, variation = _parts(name, stem)
        if variation is None:
            modifiers = _own_modifiers(histogram, channel, background)
            contents.setdefault(signal, {})[channel] = {"data": histogram.values().tolist(), "modifiers": modifiers}
            continue
        side = next((side for side in SIDES if variation.endswith(side)), None)
        if side is None:
            raise InvalidSignal(f"{name}: a variation must end in _Up or _Down")
        key = (signal, channel, variation.removesuffix(side))
        shifts.setdefault(key, {})[SIDES[side]] = histogram.values().tolist()
    for (signal, channel, systematic), data in shifts.items():
        sample = contents.get(signal, {}).get(channel)
        if sample is None or len(data) != len(SIDES):
            raise InvalidSignal(
                f"{signal}/{channel}/{systematic}: needs nominal, _Up and _Down, one of which is missing"
            )
        sample["modifiers"].append({"name": systematic, "type": "histosys", "data": data})
    documents = [{"name": signal, "channels": channels} for signal, channels in contents.items()]
    return named({"signals": documents}, background, poi)


def _parts(name: str, stem: str) -> tuple[str, str, str | None]:
    parts = name.split("/")
    if len(parts) == 1:
        return stem, parts[0], None
    if len(parts) > 3:
        raise InvalidSignal(f"{name} is not SIGNAL/CHANNEL or SIGNAL/CHANNEL/SYSTEMATIC_Up")
    varied = len(parts) == 3 and parts[2].lower() != "nominal"
    return parts[0], parts[1], parts[2] if varied else None


def _own_modifiers(histogram: Any, channel: str, background: Mapping[str, Any]) -> list[dict[str, Any]]:
    used = [
        (each["name"], modifier["type"], modifier["name"])
        for each in background["channels"]
        for sample in each["samples"]
        for modifier in sample["modifiers"]
    ]
    lumi = dict.fromkeys(name for _, kind, name in used if kind == "lumi")
    modifiers: list[dict[str, Any]] = [{"name": name, "type": "lumi", "data": None} for name in lumi]
    variances = histogram.variances()
    if variances is not None:
        stat = (name for where, kind, name in used if (where, kind) == (channel, "staterror"))
        errors = np.sqrt(variances).tolist()
        modifiers.append({"name": next(stat, f"staterror_{channel}"), "type": "staterror", "data": errors})
    return modifiers
