"""Thinning: events are kept with a probability that makes the spectra follow the AGC's reference histograms.

The table of a sample has one probability per bin of the observable in each region (27 bins of the AGC's histograms:
underflow, 25 bins of 20 GeV from 50 to 550 GeV, overflow). Events that are nearly in a region, which a shift of the jet
energies may bring in, are treated as those of the bin next to them; all others are kept with one probability.
"""

import json
from collections.abc import Mapping
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
        keep: probability per bin of the observable, by region.
        near: factor on the probability of the bin for events that are nearly in a region.
        far: probability of all other events.
        passed: fraction of the events simulated at parton level that pass the parton-level filter.
        kept: fraction of those that are kept.
        filter_efficiency: events written per event generated: what turns written events into ``nevts``.
    """

    keep: dict[int, npt.NDArray[np.float64]]
    near: float
    far: float
    passed: float
    kept: float
    filter_efficiency: float

    def draw(self, rng: np.random.Generator, selected: Selected) -> Mask:
        """Which of the classified events are kept."""
        table = probabilities(self.keep, self.near, self.far)
        probability = table[selected.region, np.digitize(selected.observable, EDGES)]
        kept: Mask = rng.random(selected.region.size) < probability
        return kept

    def to_json(self) -> dict[str, Any]:
        """The table as plain values."""
        return {
            "filter_efficiency": self.filter_efficiency,
            "passed": self.passed,
            "kept": self.kept,
            "far": self.far,
            "near": self.near,
            "keep": {REGIONS[region]: [round(float(p), 5) for p in keep] for region, keep in self.keep.items()},
        }


def probabilities(keep: Mapping[int, npt.NDArray[np.float64]], near: float, far: float) -> npt.NDArray[np.float64]:
    """Probability by region (as `classify` numbers them) and bin: shape (5, 27)."""
    inside = np.stack([keep[region] for region in REGIONS])
    return np.concatenate([np.full((1, inside.shape[1]), far), inside, np.minimum(near * inside, 1)])


@cache
def load() -> dict[str, Thinning]:
    """The shipped tables, by sample name."""
    text = files("skimflow.simulate").joinpath("thinning.json").read_text(encoding="utf-8")
    tables: dict[str, Thinning] = {}
    for name, entry in json.loads(text)["samples"].items():
        keep = {region: np.array(entry["keep"][label]) for region, label in REGIONS.items()}
        tables[name] = Thinning(
            keep, entry["near"], entry["far"], entry["passed"], entry["kept"], entry["filter_efficiency"]
        )
    return tables


def of(name: str) -> Thinning:
    """The table of one sample."""
    try:
        return load()[name]
    except KeyError:
        message = f"No thinning table for sample {name!r}; there are tables for {', '.join(load())}."
        raise SimulationError(message) from None
