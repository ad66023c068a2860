"""Models of the inference benchmarks with one extension each, on a generated workspace of 5 × 20 bins and 30 shapes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.inference_models import Workspace, generated

BINS = 20  # of a channel
CHANNEL = "channel_0"


def unfold() -> Workspace:
    """Ten generated bins seen in twenty, curvature regularised."""
    x = (np.arange(BINS) + 0.5) / BINS
    response = 0.1 * np.exp(-0.5 * ((x[:, None] - (np.arange(10) + 0.5) / 10) / 0.06) ** 2)
    document = {
        "operator": "unfold",
        "name": "spectrum",
        "parameter": "x",
        "sets": ["free"],
        "response": response.tolist(),
        "truth": [100.0] * 10,
        "edges": list(range(11)),
        "bounds": [-5, 5],
        "regularisation": "curvature",
        "tau": 0.1,
    }
    return _attached(_with_free_shape(), document)


def vector() -> Workspace:
    """Three strengths of templates."""
    document = {
        "operator": "vector",
        "name": "templates",
        "parameters": [{"name": "s", "size": 3, "bounds": [0, 5]}],
        "sets": ["free"],
        "templates": np.random.default_rng(1).uniform(1, 10, (3, BINS)).tolist(),
    }
    return _attached(_with_free_shape(), document)


def eft() -> Workspace:
    """Two coefficients, quadratic, bin by bin."""
    basis = [[0, 0], [1, 0], [-1, 0], [0, 1], [0, -1], [1, 1]]
    bends = np.outer([0.0, 0.5, -0.2, 0.3, -0.1, 0.9], np.linspace(0, 1, BINS))
    document = {
        "operator": "eft",
        "name": "morphing",
        "parameters": [{"name": name, "bounds": [-3, 3]} for name in ("c1", "c2")],
        "sets": ["free"],
        "basis": basis,
        "yields": (100 * (1 + bends)).tolist(),
    }
    return _attached(_with_free_shape(100.0), document)


def formula() -> Workspace:
    """A strength in each bin of three parameters."""
    document = {
        "operator": "formula",
        "name": "rates",
        "parameters": [{"name": name, "init": 0.5, "bounds": [-3, 3]} for name in ("k", "l", "m")],
        "formulas": {"free": [f"exp(k) + {index} * l**2 + m" for index in range(BINS)]},
    }
    return _attached(_with_free_shape(), document)


def abcd() -> Workspace:
    """A region predicted bin by bin from the strengths of three others."""
    given = _with_free_shape()
    for channel, norm in zip(given["channels"][1:4], "bcd", strict=True):
        channel["samples"][-1]["modifiers"].append({"name": norm, "type": "normfactor", "data": None})
    document = {
        "operator": "abcd",
        "name": "transfer",
        "sets": "free",
        "numerator": ["b", "c"],
        "denominator": ["d"],
        "scale": [20.0] * BINS,
        "closure": {"parameter": "closure", "size": BINS, "uncertainty": [0.2] * BINS},
    }
    return _attached(given, document)


def correlation() -> Workspace:
    """Ten nuisances with one correlation matrix."""
    labels = [f"shape_{index}" for index in range(10)]
    matrix = np.full((10, 10), 0.3) + np.diag([0.7] * 10)
    document = {"operator": "correlation", "name": "related", "of": labels, "matrix": matrix.tolist()}
    return _attached(generated(100, 30), document)


def errors() -> Workspace:
    """Statistical errors that follow the norms, in every channel (what CMS Combine's autoMCStats become)."""
    given, documents, settings = generated(100, 30), [], []
    for channel in given["channels"]:
        name, contents = f"noise_{channel['name']}", {}
        for sample in channel["samples"]:
            [own] = [each for each in sample["modifiers"] if each["type"] == "staterror"]
            sample["modifiers"].remove(own)
            contents[sample["name"]] = own["data"]
        noise = {"name": name, "type": "staterror", "data": [1.0] * BINS}
        channel["samples"].append({"name": "noise", "data": [1.0] * BINS, "modifiers": [noise]})
        document = {"operator": "errors", "name": f"{name}_errors", "channel": channel["name"], "sample": "noise"}
        documents.append(document | {"errors": contents})
        zeros = [0.0] * BINS
        settings.append({"name": name, "inits": zeros, "auxdata": zeros, "bounds": [[-7.0, 7.0]] * BINS})
    given["measurements"][0]["config"]["parameters"] = settings
    return _attached(given, *documents)


def logarithms() -> Workspace:
    """Six shapes interpolated in the logarithms of their contents (Combine's shapeN)."""
    random = np.random.default_rng(1)
    ratios = random.uniform(0.9, 1.1, (6, 2, BINS))
    morphs = [
        {"parameter": f"shape_{index}", "up": up.tolist(), "down": down.tolist()}
        for index, (up, down) in enumerate(ratios)
    ]
    nominal = random.uniform(10, 30, BINS).tolist()
    document = {"operator": "logarithms", "name": "morphed", "sets": "free", "nominal": nominal, "morphs": morphs}
    return _attached(_with_free_shape(), document)


EXTENDED: dict[str, Callable[[], Workspace]] = {
    each.__name__: each for each in (vector, correlation, unfold, eft, formula, abcd, errors, logarithms)
}


def _with_free_shape(contents: float = 1.0) -> Workspace:
    """One more sample, in the first channel times a shapefactor."""
    given = generated(100, 30)
    free = {"name": "free", "type": "shapefactor", "data": None}
    given["channels"][0]["samples"].append({"name": "free", "data": [contents] * BINS, "modifiers": [free]})
    return given


def _attached(workspace: Workspace, *documents: dict[str, Any]) -> Workspace:
    from inference.extensions.workspaces import attach

    return attach(workspace, *documents)
