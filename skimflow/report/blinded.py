"""What the report of a blinded pipeline leaves out besides: histograms and cutflow of the data themselves."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from inference.model import Model

Cutflow = dict[str, dict[str, dict[str, int]]]


def data_alone(model: Model) -> frozenset[str]:
    """What the data are made of and no template is: names of histograms without their region."""
    templates = {sample.histogram for sample in model.samples}
    for systematic in model.systematics:
        for side in (systematic.up, systematic.down):
            templates |= {f"{sample.histogram}_{side}" for sample in model.samples}
    return frozenset({term.histogram for term in model.data.terms} - templates)


def histograms_left(text: bytes, model: Model) -> bytes:
    """The histograms (UHI JSON by name) without those of the data."""
    hidden = {f"{region.histogram}_{name}" for region in model.regions for name in data_alone(model)}
    return json.dumps({name: one for name, one in json.loads(text).items() if name not in hidden}).encode()


def cutflow_left(cutflow: Cutflow, model: Model) -> Cutflow:
    """The cutflow without the samples of the data."""
    hidden = data_alone(model)
    return {sample: flows for sample, flows in cutflow.items() if _histogram(sample) not in hidden}


def _histogram(sample: str) -> str:
    """Name, without its region, of the histograms of a sample such as `ttbar__ME_var`."""
    process, _, variation = sample.partition("__")
    return process if variation in {"", "nominal"} else f"{process}_{variation}"


def facts_left(facts: dict[str, Any], model: Model) -> dict[str, Any]:
    """What processing says, its cutflow without that of the data."""
    return {**facts, "cutflow": cutflow_left(facts["cutflow"], model)}
