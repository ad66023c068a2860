"""Workspaces drawn at random: every modifier, names shared across channels and types, empty and single bins.

What is random is what acts where and by how much; the numbers of channels, bins, samples and parameters come in a few
kinds, so that a compiled function serves many workspaces.
"""

from typing import Any

import numpy as np

# Bins of each channel, samples of each.
KINDS = (((3, 1, 3), 3), ((1,), 2), ((2, 2), 2))


def random_workspace(seed: int) -> dict[str, Any]:
    """A workspace in pyhf's JSON, the same one for the same seed."""
    rng = np.random.default_rng(seed)
    bins, count = KINDS[rng.integers(len(KINDS))]
    channels = [_channel(rng, f"channel{index}", size, count) for index, size in enumerate(bins)]
    samples = [sample for channel in channels for sample in channel["samples"]]
    _shared(rng, samples)
    if rng.random() < 0.5:
        _staterrors(rng, channels)
    for channel in channels:
        if channel is channels[-1] or (len(set(bins)) == 1 and rng.random() < 0.5):
            channel["samples"][-1]["modifiers"].append({"name": "shape", "type": "shapefactor", "data": None})
    lumi = {"name": "lumi", "inits": [1.1], "bounds": [[0.5, 1.5]], "auxdata": [1.0], "sigmas": [0.03]}
    return {
        "channels": channels,
        "observations": [{"name": channel["name"], "data": _observed(rng, channel)} for channel in channels],
        "measurements": [{"name": "m", "config": {"poi": "mu", "parameters": [lumi]}}],
        "version": "1.0.0",
    }


def _channel(rng: np.random.Generator, name: str, bins: int, count: int) -> dict[str, Any]:
    samples = []
    for index in range(count):
        data = rng.uniform(5, 60, bins) * (rng.random(bins) > 0.15)
        errors = rng.uniform(0.02, 0.4, bins) * data * (rng.random(bins) > 0.2)
        own = {"name": f"shapesys_{name}_{index}", "type": "shapesys", "data": errors.tolist()}
        samples.append({"name": f"sample{index}", "data": data.tolist(), "modifiers": [own]})
    return {"name": name, "samples": samples}


def _shared(rng: np.random.Generator, samples: list[dict[str, Any]]) -> None:
    """Modifiers whose parameters several samples share, each in one sample at least."""
    for name, kind in (
        *((name, kind) for name in ("alpha", "beta", "gamma") for kind in ("histosys", "normsys")),
        ("mu", "normfactor"),
        ("norm", "normfactor"),
        ("lumi", "lumi"),
    ):
        chosen = rng.random(len(samples)) < 0.4
        chosen[rng.integers(len(samples))] = True
        for sample, there in zip(samples, chosen, strict=True):
            if there:
                data = _effect(rng, kind, np.asarray(sample["data"]))
                sample["modifiers"].append({"name": name, "type": kind, "data": data})


def _effect(rng: np.random.Generator, kind: str, nominal: np.ndarray) -> dict[str, Any] | None:
    if kind == "histosys":
        up, down = ((nominal * rng.uniform(0.7, 1.4, len(nominal)) + 0.3).tolist() for _ in range(2))
        return {"hi_data": up, "lo_data": down}
    if kind == "normsys":
        return {"hi": float(rng.uniform(0.8, 1.4)), "lo": float(rng.uniform(0.7, 1.2))}
    return None


def _staterrors(rng: np.random.Generator, channels: list[dict[str, Any]]) -> None:
    for channel in channels:
        members = [sample for sample in channel["samples"] if rng.random() < 0.7] or channel["samples"][:1]
        for sample in members:
            errors = rng.uniform(0, 0.3, len(sample["data"])) * np.asarray(sample["data"])
            name = f"staterror_{channel['name']}"
            sample["modifiers"].append({"name": name, "type": "staterror", "data": errors.tolist()})


def _observed(rng: np.random.Generator, channel: dict[str, Any]) -> list[float]:
    total = np.sum([sample["data"] for sample in channel["samples"]], axis=0)
    return [float(value) for value in rng.poisson(total)]
