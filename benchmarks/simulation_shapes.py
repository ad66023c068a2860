"""Compare the simulation with the AGC's reference histograms, before and after thinning.

    python benchmarks/simulation_shapes.py REFERENCE.json

draws docs/figures/simulation_*.png, and prints the tables that docs/simulation.md shows. The events are independent of
those from which the thinning tables were derived.
"""

import argparse
import json
import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from skimflow.simulate import thinning
from skimflow.simulate.calibrate import CROSS_SECTIONS_PB, LUMINOSITY_PB, reference_acceptance
from skimflow.simulate.generate import blocks, generator
from skimflow.simulate.partons import leptonic_fraction
from skimflow.simulate.samples import SAMPLES, Sample
from skimflow.simulate.selection import REGION_4J1B, REGION_4J2B, Selected
from skimflow.simulate.thinning import EDGES, REGIONS

Array = npt.NDArray[np.float64]
FIGURES = Path(__file__).resolve().parents[1] / "docs" / "figures"
SEED = 4711
BLOCK = 65_536
W_BOSONS = {"ttbar": 2, "single_top_tW": 2, "single_top_s_chan": 1, "single_top_t_chan": 1}
OBSERVABLES = {REGION_4J1B: "$H_T$ [GeV]", REGION_4J2B: "$m_{bjj}$ [GeV]"}
COUNTED = 0.01  # bins with less than this share of the region's yield are left out of the largest deviation


@dataclass(frozen=True)
class Compared:
    """One sample: acceptances per bin (27 bins) and region, per generated event.

    ``before`` is per event that passes the filter; ``before_scale`` makes it one per generated event where the
    simulation is of the inclusive process (not W+jets). ``counts`` are the events behind ``after``.
    """

    sample: Sample
    reference: dict[int, Array]
    before: dict[int, Array]
    before_scale: float | None
    after: dict[int, Array]
    counts: dict[int, Array]
    events: int
    seconds: float


def compare(sample: Sample, reference: Mapping[str, Any], generated: int) -> Compared:
    """Simulate ``generated`` events of a sample and thin them."""
    rng, table = generator(sample.seed(SEED, 0)), thinning.of(sample.name)
    start = time.perf_counter()
    before, counts = ({region: np.zeros(len(EDGES) + 1) for region in REGIONS} for _ in range(2))
    passed = kept_events = 0
    source = blocks(sample, rng, BLOCK)
    for _ in range(-(-generated // BLOCK)):
        selected = next(source).selected
        kept = table.draw(rng, selected)
        passed, kept_events = passed + kept.size, kept_events + int(kept.sum())
        for region in REGIONS:
            before[region] += spectrum(selected, region)
            counts[region] += spectrum(selected, region, kept)
    scale = None
    if sample.process in W_BOSONS:
        scale = leptonic_fraction(W_BOSONS[sample.process]) * passed / (BLOCK * -(-generated // BLOCK))
    return Compared(
        sample,
        reference_acceptance(dict(reference), sample),
        {region: content / passed for region, content in before.items()},
        scale,
        {region: content / kept_events * table.filter_efficiency for region, content in counts.items()},
        counts,
        kept_events,
        time.perf_counter() - start,
    )


def spectrum(selected: Selected, region: int, kept: npt.NDArray[np.bool_] | None = None) -> Array:
    """Events of a region per bin, under- and overflow included."""
    inside = (selected.region == region) if kept is None else (selected.region == region) & kept
    at = np.digitize(selected.observable[inside], EDGES)
    return np.bincount(at, minlength=len(EDGES) + 1).astype(np.float64)


def shape(content: Array) -> Array:
    """Normalised to 1."""
    normalised: Array = content / content.sum()
    return normalised


def largest_deviation(content: Array, reference: Array) -> tuple[float, int]:
    """Largest relative deviation of the shapes in bins that count, and the bin (0: underflow)."""
    counted = shape(reference) > COUNTED
    deviation = np.where(counted, shape(content) / np.maximum(shape(reference), 1e-12) - 1, 0)
    at = int(np.argmax(np.abs(deviation)))
    return float(deviation[at]), at


def bin_name(index: int) -> str:
    """A bin by its edges."""
    if index == len(EDGES):
        return f"> {EDGES[-1]:.0f} GeV"
    return f"{EDGES[index - 1]:.0f}–{EDGES[index]:.0f} GeV"


def chi2(one: Compared, region: int) -> tuple[float, int]:
    """χ² of the yields after thinning against the reference (statistics of both), and the number of bins.

    The reference counts come from events of one weight; bins with fewer than ten events in either are left out.
    """
    wanted, counts = one.reference[region], one.counts[region]
    per_event = wanted.sum() / max(counts.sum(), 1)
    used = (counts >= 10) & (wanted > 10 * per_event)
    variance = counts * (one.after[region].sum() / counts.sum()) ** 2
    return float((((one.after[region] - wanted) ** 2)[used] / variance[used]).sum()), int(used.sum())


def draw_region(compared: list[Compared], region: int) -> Figure:
    """Shapes of all samples in one region, with the ratio to the reference."""
    figure = Figure(figsize=(13.5, 12.5), layout="constrained")
    outer = figure.add_gridspec(3, 3)
    centres = (EDGES[1:] + EDGES[:-1]) / 2
    for index, one in enumerate(compared):
        inner = outer[index].subgridspec(2, 1, height_ratios=(3, 1.2), hspace=0)
        upper = figure.add_subplot(inner[0])
        lower = figure.add_subplot(inner[1], sharex=upper)
        upper.tick_params(labelbottom=False)
        reference, before, after = (shape(s[region])[1:-1] for s in (one.reference, one.before, one.after))
        error = after / np.sqrt(np.maximum(one.counts[region][1:-1], 1))
        upper.stairs(reference, EDGES, color="black", fill=False, label="AGC reference", linewidth=1.3)
        upper.stairs(before, EDGES, color="tab:blue", label="before thinning", linewidth=1.1, linestyle="--")
        upper.errorbar(centres, after, error, fmt="o", ms=3, color="tab:red", label="simulation", elinewidth=1)
        upper.set_title(one.sample.name, fontsize=10)
        upper.set_ylim(bottom=0)
        upper.tick_params(labelsize=8)
        solid = reference > 0
        lower.axhline(1, color="black", linewidth=1)
        lower.stairs(np.where(solid, before / np.maximum(reference, 1e-12), np.nan), EDGES, color="tab:blue", ls="--")
        ratio = np.where(solid, after / np.maximum(reference, 1e-12), np.nan)
        ratio_error = np.where(solid, error / np.maximum(reference, 1e-12), np.nan)
        lower.errorbar(centres, ratio, ratio_error, fmt="o", ms=3, color="tab:red", elinewidth=1)
        lower.set_ylim(0.5, 1.5)
        lower.tick_params(labelsize=8)
        lower.set_xlabel(OBSERVABLES[region], fontsize=9)
    figure.axes[0].legend(fontsize=8, frameon=False)
    figure.axes[0].set_ylabel("share of the region", fontsize=9)
    figure.axes[1].set_ylabel("ratio", fontsize=9)
    return figure


def draw_acceptances(compared: list[Compared]) -> Figure:
    """Selection efficiency of each sample and region, with the ratio to the reference."""
    figure = Figure(figsize=(11, 6), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1.2))
    x = np.arange(len(compared))
    for offset, region, filled in ((-0.14, REGION_4J1B, False), (0.14, REGION_4J2B, True)):
        reference = np.array([one.reference[region].sum() for one in compared])
        after = np.array([one.after[region].sum() for one in compared])
        scales = [np.nan if one.before_scale is None else one.before_scale for one in compared]
        before = np.array([one.before[region].sum() * scale for one, scale in zip(compared, scales, strict=True)])
        error = after / np.sqrt([one.counts[region].sum() for one in compared])
        face = "tab:red" if filled else "white"
        upper.hlines(reference, x + offset - 0.12, x + offset + 0.12, color="black", linewidth=1.6)
        upper.plot(x + offset, before, "_", ms=14, color="tab:blue")
        upper.errorbar(
            x + offset, after, error, fmt="o", color="tab:red", mfc=face, label=f"simulation, {REGIONS[region]}"
        )
        lower.errorbar(x + offset, after / reference, error / reference, fmt="o", color="tab:red", mfc=face)
    upper.hlines([], 0, 0, color="black", label="AGC reference")
    upper.plot([], [], "_", ms=14, color="tab:blue", label="before thinning")
    upper.set_yscale("log")
    upper.set_ylabel("selected / generated")
    upper.legend(frameon=False, fontsize=9)
    lower.axhline(1, color="black", linewidth=1)
    lower.set_ylabel("ratio")
    lower.set_ylim(0.95, 1.05)
    lower.set_xticks(x, [one.sample.name.replace("__", "\n") for one in compared], fontsize=8)
    return figure


def print_tables(compared: list[Compared]) -> None:
    """Yields and deviations, as Markdown."""
    print("| sample | region | reference | simulation | ratio | before thinning |")
    print("|---|---|---:|---:|---:|---:|")
    for one in compared:
        scale = CROSS_SECTIONS_PB[one.sample.process] * LUMINOSITY_PB
        for region, label in REGIONS.items():
            wanted, got = one.reference[region].sum(), one.after[region].sum()
            error = 1 / np.sqrt(one.counts[region].sum())
            before = "–" if one.before_scale is None else f"{one.before[region].sum() * one.before_scale / wanted:.2f}"
            print(
                f"| {one.sample.name} | {label} | {wanted * scale:,.1f} | {got * scale:,.1f} | "
                f"{got / wanted:.3f} ± {got / wanted * error:.3f} | {before} |"
            )
    print("\n| sample | region | largest deviation before | after | χ²/bins |")
    print("|---|---|---:|---:|---:|")
    for one in compared:
        for region, label in REGIONS.items():
            raw, raw_at = largest_deviation(one.before[region], one.reference[region])
            after, after_at = largest_deviation(one.after[region], one.reference[region])
            square, bins = chi2(one, region)
            error = 1 / np.sqrt(one.counts[region][after_at])
            print(
                f"| {one.sample.name} | {label} | {raw:+.0%} in {bin_name(raw_at)} | "
                f"{after:+.1%} ± {error:.1%} in {bin_name(after_at)} | {square:.0f}/{bins} |"
            )


def main() -> None:
    """Simulate, compare, draw, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("reference", type=Path)
    parser.add_argument("--generated", type=int, default=4_000_000)
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    reference = json.loads(options.reference.read_text(encoding="utf-8"))
    with ProcessPoolExecutor(options.jobs) as pool:
        n = len(SAMPLES)
        compared = list(pool.map(compare, SAMPLES, [reference] * n, [options.generated] * n))
    FIGURES.mkdir(exist_ok=True)
    figures = {REGIONS[region]: draw_region(compared, region) for region in REGIONS}
    for name, figure in {**figures, "acceptances": draw_acceptances(compared)}.items():
        figure.savefig(FIGURES / f"simulation_{name}.png", dpi=110, metadata={"Software": None})
    print_tables(compared)


if __name__ == "__main__":
    main()
