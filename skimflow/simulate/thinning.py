"""Thinning: events are kept with a probability that makes the spectra follow the AGC's reference histograms.

The table of a sample has one probability per bin of the observable in each region (27 bins of the AGC's histograms:
underflow, 25 bins of 20 GeV from 50 to 550 GeV, overflow) and one for all events outside the regions.
"""

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
import numpy.typing as npt

from skimflow.errors import SimulationError
from skimflow.simulate.kinematics import Mask
from skimflow.simulate.selection import REGION_4J1B, REGION_4J2B, Selected

EDGES = np.linspace(50, 550, 26)
REGIONS = {REGION_4J1B: "4j1b", REGION_4J2B: "4j2b"}


@dataclass(frozen=True, slots=True)
class Thinning:
    """Probabilities and bookkeeping of one sample.

    Attributes:
        keep: probability per bin, by region.
        outside: probability of events outside both regions.
        passed: fraction of the events simulated at parton level that pass the parton-level filter.
        kept: fraction of those that are kept.
        filter_efficiency: events written per event generated: what turns written events into ``nevts``.
    """

    keep: dict[int, npt.NDArray[np.float64]]
    outside: float
    passed: float
    kept: float
    filter_efficiency: float

    def probability(self, selected: Selected) -> npt.NDArray[np.float64]:
        """Probability of each event to be kept."""
        probability = np.full(selected.region.shape, self.outside)
        bins = np.digitize(selected.observable, EDGES)
        for region, keep in self.keep.items():
            inside = selected.region == region
            probability[inside] = keep[bins[inside]]
        return probability

    def draw(self, rng: np.random.Generator, selected: Selected) -> Mask:
        """Which events are kept."""
        kept: Mask = rng.random(selected.region.size) < self.probability(selected)
        return kept

    def to_json(self) -> dict[str, Any]:
        """The table as plain values."""
        return {
            "filter_efficiency": self.filter_efficiency,
            "passed": self.passed,
            "kept": self.kept,
            "outside": self.outside,
            "keep": {REGIONS[region]: [round(float(p), 5) for p in keep] for region, keep in self.keep.items()},
        }


@cache
def load() -> dict[str, Thinning]:
    """The shipped tables, by sample name."""
    text = files("skimflow.simulate").joinpath("thinning.json").read_text(encoding="utf-8")
    tables: dict[str, Thinning] = {}
    for name, entry in json.loads(text)["samples"].items():
        keep = {region: np.array(entry["keep"][label]) for region, label in REGIONS.items()}
        tables[name] = Thinning(keep, entry["outside"], entry["passed"], entry["kept"], entry["filter_efficiency"])
    return tables


def of(name: str) -> Thinning:
    """The table of one sample."""
    try:
        return load()[name]
    except KeyError:
        message = f"No thinning table for sample {name!r}; there are tables for {', '.join(load())}."
        raise SimulationError(message) from None
