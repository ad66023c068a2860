"""HS3 documents with points at which pyhs3 is asked, and pyhf's answers to compare with."""

import json
import tarfile
from pathlib import Path
from typing import Any

import jsonpatch
import numpy as np
import pyhf
from random_workspaces import random_workspace

from inference.formats.hs3_writer import to_hs3
from inference.likelihood.specification import specification
from inference.templates import load_histograms
from inference.workspace import build

GENERATED = range(8)
POINTS = 3
LEAST = -600  # pyhs3 0.4.2 multiplies probabilities, and they vanish below e^-745


def workspaces(shared_data: Path) -> dict[str, Any]:
    """Generated ones, the AGC's, and one published: by name."""
    histograms = load_histograms(shared_data / "agc" / "reference" / "histos_1_file_per_process.json")
    return {
        **{f"generated {seed}": random_workspace(seed) for seed in GENERATED},
        "agc": build(histograms),
        "sbottom": sbottom(shared_data),
    }


def sbottom(shared_data: Path) -> dict[str, Any]:
    """ATLAS's published likelihood, region A with one signal (ins1748602)."""
    with tarfile.open(shared_data / "likelihoods" / "pyhf-ins1748602-probability-models.tar.gz") as files:
        background, patch = (
            json.loads(files.extractfile(f"RegionA/{name}.json").read())
            for name in ("BkgOnly", "patch.sbottom_1300_205_60")
        )
    return jsonpatch.apply_patch(background, patch)


def case(workspace: dict[str, Any], seed: int) -> tuple[dict[str, Any], list[float]]:
    """Document and points, and pyhf's log L there."""
    pyhf.set_backend("numpy")
    parsed = pyhf.Workspace(workspace)
    codes = {"normsys": {"interpcode": "code4"}, "histosys": {"interpcode": "code4p"}}
    model = parsed.model(modifier_settings=codes)
    made, document = specification(workspace), to_hs3(workspace)
    names = [each["name"] for each in document["parameter_points"][0]["parameters"]]
    rng = np.random.default_rng(seed)
    init, lower, upper, fixed = (made.joined(what) for what in ("init", "lower", "upper", "fixed"))
    points, values = [], []
    for _ in range(POINTS):
        step = np.where(fixed > 0, 0.0, rng.normal(size=len(init)) * np.where(init == 0, 0.6, 0.1))
        value = -np.inf
        while value < LEAST:
            point = np.where(fixed > 0, init, np.clip(init + step, lower, upper))
            value, step = float(model.logpdf(point, parsed.data(model))[0]), step / 2
        points.append(dict(zip(names, point.tolist(), strict=True)))
        values.append(value)
    return {"document": document, "points": points}, values
