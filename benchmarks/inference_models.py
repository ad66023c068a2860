"""The models of the inference benchmarks: two published ones, and generated ones of any size."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
Workspace = dict[str, Any]


def agc(files: str = "all") -> Workspace:
    """The AGC's workspace from its reference histograms of so many files per process."""
    from inference.templates import load_histograms
    from inference.workspace import build

    [path] = (DATA / "agc" / "reference").glob(f"histos_{files}_file*.json")
    return build(load_histograms(path), "ttbar")


def sbottom(signal: str = "sbottom_1300_205_60", region: str = "RegionA") -> Workspace:
    """ATLAS sbottom (HEPData ins1748602): background and one signal."""
    import jsonpatch

    archive = DATA / "likelihoods" / "pyhf-ins1748602-probability-models.tar.gz"
    with tarfile.open(archive) as tar:
        documents = {}
        for member in tar.getmembers():
            if member.name.endswith((f"{region}/BkgOnly.json", f"{region}/patch.{signal}.json")):
                file = tar.extractfile(member)
                assert file is not None
                documents[Path(member.name).name] = json.load(file)
    return dict(jsonpatch.apply_patch(documents["BkgOnly.json"], documents[f"patch.{signal}.json"]))


def generated(bins: int, shapes: int, *, channels: int = 5, backgrounds: int = 10, pois: int = 1) -> Workspace:
    """A signal for each POI and backgrounds in equal channels, every shape on every sample, one staterror a channel.

    Two-sided shapes of some per cent, smooth in the bins; the data are a Poisson draw of the nominal sum.
    """
    random = np.random.default_rng([bins, shapes, channels, backgrounds, pois])
    width = bins // channels
    rows, observed = [], []
    for channel in range(channels):
        x = np.linspace(0, 1, width)
        samples, total, variance = [], np.zeros(width), np.zeros(width)
        for index in range(pois + backgrounds):
            signal = index < pois
            place = (index + 0.5) / pois if signal else random.uniform()
            peak = np.exp(-0.5 * ((x - place) / (0.15 if signal else 0.5)) ** 2)
            nominal = (60.0 if signal else 200.0) * random.uniform(0.5, 1.5) * (peak + 0.05)
            error = nominal * 0.03
            modifiers: list[dict[str, Any]] = [
                {"name": f"stat_{channel}", "type": "staterror", "data": error.tolist()},
                *(_shape(f"shape_{number}", nominal, x, random) for number in range(shapes)),
            ]
            if signal:
                modifiers.append({"name": f"mu_{index}" if pois > 1 else "mu", "type": "normfactor", "data": None})
            samples.append({"name": f"sample_{index}", "data": nominal.tolist(), "modifiers": modifiers})
            total, variance = total + nominal, variance + error**2
        rows.append({"name": f"channel_{channel}", "samples": samples})
        observed.append({"name": f"channel_{channel}", "data": random.poisson(total).astype(float).tolist()})
    poi = "mu_0" if pois > 1 else "mu"
    return {
        "channels": rows,
        "observations": observed,
        "measurements": [{"name": "measurement", "config": {"poi": poi, "parameters": []}}],
        "version": "1.0.0",
    }


def _shape(name: str, nominal: Any, x: Any, random: np.random.Generator) -> dict[str, Any]:
    size, tilt, bend = 0.03 * random.normal(), 0.03 * random.normal(), 0.005 * random.normal()
    up = nominal * (1 + size + tilt * (x - 0.5) + bend)
    down = nominal * (1 - size - tilt * (x - 0.5) + bend)
    return {"name": name, "type": "histosys", "data": {"hi_data": up.tolist(), "lo_data": down.tolist()}}
