"""All systematics of a workspace symmetrised, smoothed and pruned, each change recorded with its reason."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any, get_args

import numpy as np

from inference.errors import nearest
from inference.likelihood.specification import Floats
from inference.smoothing.algorithms import TOLERANCE
from inference.smoothing.effects import (
    NEGLIGIBLE,
    Algorithm,
    Effect,
    Symmetry,
    smoothed,
    symmetrised,
    without_norm,
    without_shape,
)
from inference.smoothing.errors import InvalidSmoothing

KINDS = ("histosys", "normsys")


@dataclass(frozen=True, slots=True)
class Change:
    """What was done to one systematic of a sample in a channel, and why.

    Attributes:
        step: "symmetrised", "smoothed", "norm pruned" or "shape pruned".
        size: largest change of a bin, of either side, relative to the nominal content.
    """

    channel: str
    sample: str
    systematic: str
    step: str
    reason: str
    size: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """Templates of a changed systematic, norms included, at ±1σ, in events per bin.

    Attributes:
        statistical: error of the nominal template from the number of simulated events; 0 where it is not known.
    """

    channel: str
    sample: str
    systematic: str
    nominal: tuple[float, ...]
    statistical: tuple[float, ...]
    up_before: tuple[float, ...]
    down_before: tuple[float, ...]
    up_after: tuple[float, ...]
    down_after: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Smoothed:
    """A workspace made anew.

    Attributes:
        changes: in the workspace's order.
        comparisons: one for each systematic that changed.
        gone: systematics that have no effect left anywhere, and are parameters no more.
    """

    workspace: dict[str, Any]
    changes: tuple[Change, ...]
    comparisons: tuple[Comparison, ...]
    gone: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Settings:
    smooth: Algorithm | None
    symmetrise: Symmetry | None
    prune_norm: float
    prune_shape: float
    tolerance: float


def smooth_workspace(
    workspace: Mapping[str, Any],
    *,
    smooth: Algorithm | None = None,
    symmetrise: Symmetry | None = None,
    prune_norm: float = 0.0,
    prune_shape: float = 0.0,
    tolerance: float = TOLERANCE,
    only: Sequence[str] = ("*",),
) -> Smoothed:
    """Symmetrise, then smooth, then prune the variations (histosys, normsys) of every sample in every channel.

    Args:
        workspace: pyhf's JSON, decoded; it is left as it is.
        smooth: "353QH" (twice), or "ratio" (bins grouped by their statistical errors, staterror or shapesys).
        symmetrise: "two-sided", "one-sided", "maximum", "up-only" or "down-only".
        prune_norm: variations whose integrals both differ by less (relative) keep their shape alone.
        prune_shape: variations whose bins all differ by less, integrals being equal, keep their norm alone.
        tolerance: relative statistical error that ends a group, for "ratio".
        only: patterns of systematics' names, such as "jes*". Those that extensions use are not pruned.

    Raises:
        InvalidSmoothing: a setting out of range, or a pattern that fits no systematic.
    """
    settings = _Settings(smooth, symmetrise, prune_norm, prune_shape, tolerance)
    _check(settings, workspace, only)
    made = copy.deepcopy(dict(workspace))
    record, unpruned = _Record(), replace(settings, prune_norm=0.0, prune_shape=0.0)
    extensions = str(workspace.get("extensions", ""))
    for channel in made["channels"]:
        for sample in channel["samples"]:
            for name in _systematics([sample]):
                if any(fnmatchcase(name, pattern) for pattern in only):
                    # what an extension speaks of must stay a parameter
                    _change(channel["name"], sample, name, unpruned if name in extensions else settings, record)
    before, after = (_systematics(_samples(each)) for each in (workspace, made))
    gone = tuple(sorted(set(before) - set(after) - set(_others(made))))
    for measurement in made["measurements"]:
        kept = [each for each in measurement["config"].get("parameters", ()) if each["name"] not in gone]
        measurement["config"]["parameters"] = kept
    return Smoothed(made, tuple(record.changes), tuple(record.comparisons), gone)


@dataclass(slots=True)
class _Record:
    changes: list[Change] = field(default_factory=list)
    comparisons: list[Comparison] = field(default_factory=list)


def _check(settings: _Settings, workspace: Mapping[str, Any], only: Sequence[str]) -> None:
    for what, value in (("norm", settings.prune_norm), ("shape", settings.prune_shape), ("error", settings.tolerance)):
        if not 0 <= value < 1:
            raise InvalidSmoothing(f"a threshold of {value:g} for the {what}: it is a fraction, such as 0.005")
    for chosen, known in ((settings.smooth, Algorithm), (settings.symmetrise, Symmetry)):
        if chosen is not None and chosen not in get_args(known):
            raise InvalidSmoothing(f"there is no {chosen!r}; {nearest(chosen, get_args(known))}")
    names = _systematics(_samples(workspace))
    for pattern in only:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise InvalidSmoothing(f"no systematic is named {pattern!r}; {nearest(pattern, names)}")


def _samples(workspace: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [sample for channel in workspace["channels"] for sample in channel["samples"]]


def _systematics(samples: Sequence[Mapping[str, Any]]) -> list[str]:
    """Names of the variations, each once."""
    names = (each["name"] for sample in samples for each in sample["modifiers"] if each["type"] in KINDS)
    return list(dict.fromkeys(names))


def _others(workspace: Mapping[str, Any]) -> set[str]:
    """Names of what is no variation."""
    samples = _samples(workspace)
    return {each["name"] for sample in samples for each in sample["modifiers"] if each["type"] not in KINDS}


def _change(channel: str, sample: dict[str, Any], name: str, settings: _Settings, record: _Record) -> None:
    first = before = _read(sample, name)
    if before.nominal.sum() <= 0:
        return
    changed = False
    for step, after, reason in _steps(before, settings):
        size = _distance(before, after)
        if step.endswith("pruned") or size > NEGLIGIBLE:
            record.changes.append(Change(channel, sample["name"], name, step, reason, size))
            before, changed = after, True
    if changed:
        _write(sample, name, before)
        templates = (first.nominal, first.errors, *first.sides, *before.sides)
        record.comparisons.append(Comparison(channel, sample["name"], name, *map(_plain, templates)))


def _steps(effect: Effect, settings: _Settings) -> list[tuple[str, Effect, str]]:
    """Step by step what the effect becomes, and why."""
    steps: list[tuple[str, Effect, str]] = []
    if settings.symmetrise is not None:
        effect = symmetrised(effect, settings.symmetrise)
        steps.append(("symmetrised", effect, settings.symmetrise))
    if settings.smooth is not None and effect.shaped:
        effect = smoothed(effect, settings.smooth, settings.tolerance)
        grouped = f", groups of {settings.tolerance:.3g} statistical error" if settings.smooth == "ratio" else ", twice"
        steps.append(("smoothed", effect, settings.smooth + grouped))
    if min(float(side.sum()) for side in effect.sides) <= 0:
        return steps
    up, down = (norm - 1 for norm in effect.norms)
    small = max(abs(up), abs(down)) < settings.prune_norm
    if effect.shaped and (size := effect.shape_size) < settings.prune_shape:
        effect = without_shape(effect)
        steps.append(("shape pruned", effect, f"bins differ by {size:.2%} at most, below {settings.prune_shape:.3g}"))
    if small and ((effect.high, effect.low) != (1.0, 1.0) or max(abs(up), abs(down)) > NEGLIGIBLE):
        effect = without_norm(effect)
        steps.append(("norm pruned", effect, f"{up:+.2%} and {down:+.2%}, below {settings.prune_norm:.3g}"))
    return steps


def _read(sample: Mapping[str, Any], name: str) -> Effect:
    nominal = np.asarray(sample["data"], dtype=float)
    effect = Effect(nominal, _errors(sample, len(nominal)), nominal, nominal, shaped=False)
    for modifier in sample["modifiers"]:
        if modifier["name"] != name:
            continue
        data = modifier["data"]
        if modifier["type"] == "histosys":
            up, down = (np.asarray(data[side], dtype=float) for side in ("hi_data", "lo_data"))
            effect = replace(effect, up=up, down=down, shaped=True)
        elif modifier["type"] == "normsys":
            effect = replace(effect, high=float(data["hi"]), low=float(data["lo"]))
    return effect


def _errors(sample: Mapping[str, Any], bins: int) -> Floats:
    """From the sample's staterror, or else its shapesys."""
    for kind in ("staterror", "shapesys"):
        for modifier in sample["modifiers"]:
            if modifier["type"] == kind:
                return np.asarray(modifier["data"], dtype=float)
    return np.zeros(bins)


def _write(sample: dict[str, Any], name: str, effect: Effect) -> None:
    """In the place of the first of the systematic's modifiers."""
    made: list[dict[str, Any]] = []
    if effect.shaped:
        data: Any = {"hi_data": effect.up.tolist(), "lo_data": effect.down.tolist()}
        made.append({"name": name, "type": "histosys", "data": data})
    if (effect.high, effect.low) != (1.0, 1.0):
        made.append({"name": name, "type": "normsys", "data": {"hi": effect.high, "lo": effect.low}})
    modifiers = sample["modifiers"]
    mine = [index for index, each in enumerate(modifiers) if each["name"] == name and each["type"] in KINDS]
    others = [each for index, each in enumerate(modifiers) if index not in mine]
    sample["modifiers"] = [*others[: mine[0]], *made, *others[mine[0] :]]


def _distance(before: Effect, after: Effect) -> float:
    """Largest difference of the sides, relative to the nominal contents."""
    filled = before.nominal > 0
    pairs = zip(before.sides, after.sides, strict=True)
    return max(float((np.abs(new - old)[filled] / before.nominal[filled]).max(initial=0.0)) for old, new in pairs)


def _plain(values: Floats) -> tuple[float, ...]:
    return tuple(values.tolist())
