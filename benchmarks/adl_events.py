"""Events for the ADL benchmark queries: ``python -m benchmarks.adl_events SAMPLE.root OUT.root [--events N]``.

Events are drawn at random from the 1000 real ones that SAMPLE holds, and their measured numbers shifted by a few parts
in ten thousand: cuts pass as often as in the sample, and no two events have equal bytes, so that the file compresses as
real ones do. Only the branches that the eight queries read are written.
"""

import argparse
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import uproot

MEASURED = {
    "MET": ("pt", "phi"),
    "Jet": ("pt", "eta", "phi", "mass", "btag"),
    "Muon": ("pt", "eta", "phi"),
    "Electron": ("pt", "eta", "phi"),
}
KEPT = {"MET": (), "Jet": (), "Muon": ("mass", "charge"), "Electron": ("mass", "charge")}
BLOCK = 50_000
SPREAD = 3e-4


def make_events(sample: Path, output: Path, events: int, seed: int = 1) -> Path:
    """Write `events` events, zlib level 1 as the sample; the same arguments give the same events."""
    rng = np.random.default_rng(seed)
    with uproot.open(sample) as opened:
        known = {name: _objects(opened["Events"], name) for name in KEPT}
    with uproot.recreate(output, compression=uproot.ZLIB(1)) as file:
        tree = None
        for start in range(0, events, BLOCK):
            block = _block(known, rng, min(BLOCK, events - start))
            if tree is None:
                tree = file.mktree("Events", {name: array.type.content for name, array in block.items()})
            tree.extend(block)
    return output


def _objects(tree: Any, name: str) -> Any:
    columns = {part: tree[f"{name}_{part}"].array() for part in MEASURED[name] + KEPT[name]}
    return ak.zip(columns)


def _block(known: dict[str, Any], rng: np.random.Generator, events: int) -> dict[str, Any]:
    drawn = rng.integers(0, len(known["MET"]), events)
    block = {}
    for name, every in known.items():
        parts = dict(zip(ak.fields(every), ak.unzip(every[drawn]), strict=True))
        block[name] = ak.zip({n: _jittered(part, rng) if n in MEASURED[name] else part for n, part in parts.items()})
    return block


def _jittered(column: Any, rng: np.random.Generator) -> Any:
    flat = ak.to_numpy(ak.flatten(column, axis=None))
    shifted = flat * (1 + rng.normal(0, SPREAD, len(flat)).astype(flat.dtype))
    return ak.unflatten(shifted, ak.num(column)) if column.ndim > 1 else ak.Array(shifted)


def main() -> None:
    """Make the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sample", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--events", type=int, default=1_000_000)
    options = parser.parse_args()
    make_events(options.sample, options.output, options.events)


if __name__ == "__main__":
    main()
