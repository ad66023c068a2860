"""Derive the thinning tables: ``python -m skimflow.simulate.calibrate REFERENCE.json``.

REFERENCE.json holds the AGC's reference histograms (``histos_all_file_per_process.json``, MIT licence). For each
sample a large number of events is simulated without thinning. With h the simulated fraction of events per bin and R
the reference's acceptance per bin (content over cross-section times luminosity), a bin is kept with probability
s R / h, where s is the largest number for which (nearly) no probability exceeds 1: every simulated event stands for s
generated ones. Events that are nearly in a region are kept with the probability of their bin times a factor, chosen
so that the yields rise as in the reference when the jet energy scale rises by 3 %; all others with the mean
probability.
"""

import argparse
import json
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from skimflow.simulate.generate import blocks, generator
from skimflow.simulate.samples import SAMPLES, Sample
from skimflow.simulate.selection import select
from skimflow.simulate.thinning import EDGES, REGIONS, Thinning, probabilities

LUMINOSITY_PB = 3378.0
CROSS_SECTIONS_PB = {
    "ttbar": 396.87 + 332.97,
    "single_top_s_chan": 2.0268 + 1.2676,
    "single_top_t_chan": (36.993 + 22.175) / 0.252,
    "single_top_tW": 37.936 + 37.906,
    "wjets": 61457 * 0.252,
}
BLOCK = 65_536
SMALLEST_SHARE = 0.002
"""Bins with less than this share of a region's yield do not limit the scale; their probability is cut at 1."""
SEED = 20_150_813
JES = 1.03

Array = npt.NDArray[np.float64]
Spectra = dict[int, Array]


@dataclass(frozen=True, slots=True)
class Calibration:
    """What was simulated of one sample: fractions of the events that pass the parton-level filter.

    Attributes:
        passed: fraction of events that pass the parton-level filter.
        spectra: by region, as `classify` numbers them, and bin: shape (5, 27).
        raised: the same of the events that are in 4j1b, in 4j2b with the raised energy scale: shape (2, 5, 27).
    """

    passed: float
    spectra: Array
    raised: Array


def measure(sample: Sample, generated: int) -> Calibration:
    """Simulate at least ``generated`` events of a sample without thinning."""
    rng = generator(sample.seed(SEED, 0))
    bins = len(EDGES) + 1
    spectra, raised = np.zeros((5, bins)), np.zeros((len(REGIONS), 5, bins))
    made = passed = 0
    for block in blocks(sample, rng, BLOCK):
        cell = block.selected.region.astype(np.int64) * bins + np.digitize(block.selected.observable, EDGES)
        spectra += np.bincount(cell, minlength=spectra.size).reshape(spectra.shape)
        shifted = select(block.event, JES).region
        for index, region in enumerate(REGIONS):
            counts = np.bincount(cell[shifted == region], minlength=spectra.size)
            raised[index] += counts.reshape(spectra.shape)
        made, passed = made + BLOCK, passed + cell.size
        if made >= generated:
            break
    return Calibration(passed / made, spectra / passed, raised / passed)


def reference_acceptance(reference: dict[str, Any], sample: Sample, variation: str = "") -> Spectra:
    """Acceptance per bin of the AGC's histograms, by region."""
    suffix = f"_{variation}" if variation else "" if sample.variation == "nominal" else f"_{sample.variation}"
    per_event = 1 / (CROSS_SECTIONS_PB[sample.process] * LUMINOSITY_PB)
    return {
        region: np.array(reference[f"{label}_{sample.process}{suffix}"]["contents"]) * per_event
        for region, label in REGIONS.items()
    }


def table(sample: Sample, calibration: Calibration, reference: dict[str, Any]) -> Thinning:
    """The thinning that turns what was simulated into the reference."""
    wanted = reference_acceptance(reference, sample)
    limits = []
    for region in REGIONS:
        matters = wanted[region] > SMALLEST_SHARE * wanted[region].sum()
        limits.append((calibration.spectra[region][matters] / wanted[region][matters]).min())
    scale = min(limits)
    keep = {
        region: np.clip(scale * wanted[region] / np.maximum(calibration.spectra[region], 1e-12), 0, 1)
        for region in REGIONS
    }
    inside = calibration.spectra[1:3]
    far = float((np.stack(list(keep.values())) * inside).sum() / inside.sum())
    near = _near(sample, calibration, reference, keep, far)
    kept = float((probabilities(keep, near, far) * calibration.spectra).sum())
    return Thinning(keep, near, far, calibration.passed, kept, kept / scale)


def _near(sample: Sample, calibration: Calibration, reference: dict[str, Any], keep: Spectra, far: float) -> float:
    """Factor for events that are nearly selected: yields rise with the energy scale as in the reference."""
    nominal = Sample(sample.process, "nominal")
    usual, raised = reference_acceptance(reference, nominal), reference_acceptance(reference, nominal, "pt_scale_up")
    wanted = sum(
        float(keep[region] @ calibration.spectra[region]) * raised[region].sum() / usual[region].sum()
        for region in REGIONS
    )
    without, with_near = (float((probabilities(keep, near, far) * calibration.raised).sum()) for near in (0.0, 1.0))
    return float(np.clip((wanted - without) / (with_near - without), 0.5, 1.5))


def main(arguments: Sequence[str] | None = None) -> None:
    """Simulate all samples and write the tables."""
    parser = argparse.ArgumentParser(prog="python -m skimflow.simulate.calibrate", description=__doc__.split("\n")[0])
    parser.add_argument("reference", type=Path, help="the AGC's histos_all_file_per_process.json")
    parser.add_argument("--generated", type=int, default=6_000_000, help="events per sample (default 6 million)")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--output", type=Path, default=Path(str(files("skimflow.simulate").joinpath("thinning.json"))))
    options = parser.parse_args(arguments)
    reference = json.loads(options.reference.read_text(encoding="utf-8"))
    with ProcessPoolExecutor(options.jobs) as pool:
        measured = list(pool.map(measure, SAMPLES, [options.generated] * len(SAMPLES)))
    document = {
        "reference": options.reference.name,
        "generated": options.generated,
        "samples": {
            sample.name: table(sample, calibration, reference).to_json()
            | {"simulated": {label: float(calibration.spectra[region].sum()) for region, label in REGIONS.items()}}
            for sample, calibration in zip(SAMPLES, measured, strict=True)
        },
    }
    options.output.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
