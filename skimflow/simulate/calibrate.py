"""Derive the thinning tables: ``python -m skimflow.simulate.calibrate REFERENCE.json``.

REFERENCE.json holds the AGC's reference histograms (``histos_all_file_per_process.json``, MIT licence). For each
sample a large number of events is simulated without thinning. With h the simulated fraction of events per bin and R
the reference's acceptance per bin (content over cross-section times luminosity), a bin is kept with probability
s R / h, where s is the largest number for which (nearly) no probability exceeds 1: every simulated event stands for s
generated ones. Events outside the regions are kept with one probability, chosen so that the yields rise as in the
reference when the jet energy scale rises by 3 %.
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
from skimflow.simulate.thinning import EDGES, REGIONS, Thinning

LUMINOSITY_PB = 3378.0
CROSS_SECTIONS_PB = {
    "ttbar": 396.87 + 332.97,
    "single_top_s_chan": 2.0268 + 1.2676,
    "single_top_t_chan": (36.993 + 22.175) / 0.252,
    "single_top_tW": 37.936 + 37.906,
    "wjets": 61457 * 0.252,
}
BLOCK = 65_536
SMALLEST_SHARE = 0.004
"""Bins with less than this share of a region's yield do not limit the scale; their probability is cut at 1."""
SEED = 20_150_813
JES = 1.03

Spectra = dict[int, npt.NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class Calibration:
    """What was simulated of one sample: fractions of the events that pass the parton-level filter.

    Attributes:
        passed: fraction of events that pass the parton-level filter.
        spectra: fraction of events per bin, by region.
        moved_in: by region, fraction of events that enter it from outside when the jet energy scale rises.
        stayed: by region and nominal region, fraction per nominal bin of events in it with the raised scale.
    """

    passed: float
    spectra: Spectra
    moved_in: dict[int, float]
    stayed: dict[int, Spectra]


def measure(sample: Sample, generated: int) -> Calibration:
    """Simulate at least ``generated`` events of a sample without thinning."""
    rng = generator(sample.seed(SEED, 0))
    bins = len(EDGES) + 1
    spectra = {region: np.zeros(bins) for region in REGIONS}
    stayed = {region: {origin: np.zeros(bins) for origin in REGIONS} for region in REGIONS}
    moved_in = dict.fromkeys(REGIONS, 0.0)
    made = passed = 0
    for block in blocks(sample, rng, BLOCK):
        raised = select(block.event, JES).region
        region, at = block.selected.region, np.digitize(block.selected.observable, EDGES)
        for one in REGIONS:
            spectra[one] += np.bincount(at[region == one], minlength=bins)
            moved_in[one] += np.count_nonzero((raised == one) & (region == 0))
            for origin in REGIONS:
                stayed[one][origin] += np.bincount(at[(raised == one) & (region == origin)], minlength=bins)
        made, passed = made + BLOCK, passed + region.size
        if made >= generated:
            break
    return Calibration(
        passed / made,
        {one: spectrum / passed for one, spectrum in spectra.items()},
        {one: count / passed for one, count in moved_in.items()},
        {one: {origin: count / passed for origin, count in by.items()} for one, by in stayed.items()},
    )


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
    for region, spectrum in calibration.spectra.items():
        matters = wanted[region] > SMALLEST_SHARE * wanted[region].sum()
        limits.append((spectrum[matters] / wanted[region][matters]).min())
    scale = min(limits)
    keep = {
        region: np.clip(scale * wanted[region] / np.maximum(spectrum, 1e-12), 0, 1)
        for region, spectrum in calibration.spectra.items()
    }
    outside = _outside(sample, calibration, reference, keep)
    inside = sum(float(keep[region] @ spectrum) for region, spectrum in calibration.spectra.items())
    rest = 1 - sum(float(spectrum.sum()) for spectrum in calibration.spectra.values())
    kept = inside + rest * outside
    return Thinning(keep, outside, calibration.passed, kept, kept / scale)


def _outside(sample: Sample, calibration: Calibration, reference: dict[str, Any], keep: Spectra) -> float:
    """Probability for events outside the regions: yields rise with the energy scale as in the reference."""
    nominal = Sample(sample.process, "nominal")
    usual, raised = reference_acceptance(reference, nominal), reference_acceptance(reference, nominal, "pt_scale_up")
    lacking = moving = 0.0
    for region, spectrum in calibration.spectra.items():
        kept = float(keep[region] @ spectrum)
        stays = sum(float(keep[origin] @ by) for origin, by in calibration.stayed[region].items())
        lacking += kept * raised[region].sum() / usual[region].sum() - stays
        moving += calibration.moved_in[region]
    return float(np.clip(lacking / moving, 0.02, 1))


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
            | {"simulated": {REGIONS[region]: float(s.sum()) for region, s in calibration.spectra.items()}}
            for sample, calibration in zip(SAMPLES, measured, strict=True)
        },
    }
    options.output.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
