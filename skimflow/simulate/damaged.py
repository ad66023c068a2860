"""Files that are wrong in known ways, to try what the rest does with them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np

from skimflow.simulate import nanoaod
from skimflow.simulate.generate import blocks, generator
from skimflow.simulate.production import cluster
from skimflow.simulate.samples import SAMPLES

EVENTS = 2_000
MISSING_BRANCH = "Jet_btagCSVV2"


def write_damaged(folder: Path, seed: int) -> list[Path]:
    """Write the damaged files and ``README.json``, which says of each what is wrong; returns their paths.

    All come from the same ``EVENTS`` nominal tt̄ events, also written intact as ``intact.root``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    events = _events(seed)
    written, says = [], {}
    for name, (damage, meaning) in DAMAGES.items():
        path = folder / f"{name}.root"
        damage(path, events)
        written.append(path)
        says[path.name] = meaning
    readme = folder / "README.json"
    readme.write_text(json.dumps(says, indent=1) + "\n", encoding="utf-8")
    return [*written, readme]


def _events(seed: int) -> dict[str, Any]:
    sample = SAMPLES[0]
    rng = generator((seed, 0))
    block = next(blocks(sample, rng, 4 * EVENTS))
    return cluster(block, np.arange(min(EVENTS, block.selected.region.size)), 0, 0)


def _write(path: Path, events: dict[str, Any], leave_out: str | None = None) -> None:
    writer = nanoaod.Writer(path, "zlib", clusters=1, leave_out=leave_out)
    if len(events["event"]):
        writer.extend({name: values for name, values in events.items() if name != leave_out})
    writer.close()


def _intact(path: Path, events: dict[str, Any]) -> None:
    _write(path, events)


def _truncated(path: Path, events: dict[str, Any]) -> None:
    _write(path, events)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _missing_branch(path: Path, events: dict[str, Any]) -> None:
    _write(path, events, leave_out=MISSING_BRANCH)


def _empty_tree(path: Path, events: dict[str, Any]) -> None:
    _write(path, {name: values[:0] for name, values in events.items()})


def _no_jets(path: Path, events: dict[str, Any]) -> None:
    _write(path, {name: values[:, :0] if name.startswith("Jet_") else values for name, values in events.items()})


def _nan_pt(path: Path, events: dict[str, Any]) -> None:
    counts = ak.num(events["Jet_pt"])
    pt = ak.to_numpy(ak.flatten(events["Jet_pt"])).copy()
    pt[np.repeat(events["event"] % 10 == 0, counts)] = np.nan
    _write(path, {**events, "Jet_pt": ak.unflatten(pt, counts)})


def _not_root(path: Path, events: dict[str, Any]) -> None:
    del events
    path.write_text("<html><body>503 Service Unavailable</body></html>\n", encoding="utf-8")


def _duplicated(path: Path, events: dict[str, Any]) -> None:
    n = len(events["event"])
    twice = np.concatenate([np.arange(n), np.arange(10)])
    _write(path, {name: values[twice] for name, values in events.items()})


DAMAGES: dict[str, tuple[Callable[[Path, dict[str, Any]], None], str]] = {
    "intact": (_intact, "nothing is wrong: the events that the other files are made of"),
    "truncated": (_truncated, "cut off at half of its bytes, as after a transfer that broke"),
    "missing_branch": (_missing_branch, f"has no branch {MISSING_BRANCH}"),
    "empty_tree": (_empty_tree, "has all branches and no event"),
    "no_jets": (_no_jets, "no event has a jet"),
    "nan_pt": (_nan_pt, "all jets of every tenth event have a transverse momentum that is not a number"),
    "not_root": (_not_root, "is no ROOT file but the error page of a web server"),
    "duplicated_events": (_duplicated, "its first ten events come again at the end"),
}
"""File name without suffix → what writes it, and what is wrong with it."""
