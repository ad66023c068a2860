"""Small ROOT files, the same on every machine, on which the peer and the engine are compared.

Every tree is `Events` and has the same branches:

- scalars ``s_<dtype>`` and lists ``v_<dtype>`` of every dtype (all lists of one event have the same length),
  ``w_f32`` and ``w_i32`` with other lengths;
- collections ``Jet``, ``Muon``, ``Electron`` (branches ``Jet_pt`` and so on, counters ``nJet``);
- ``r_f32``, three numbers in each event;
- ``MET_pt``, ``MET_phi``, ``run``, ``event``, ``HLT``.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import uproot

DTYPES = {
    "b": "bool",
    "i8": "int8",
    "i16": "int16",
    "i32": "int32",
    "i64": "int64",
    "u8": "uint8",
    "u16": "uint16",
    "u32": "uint32",
    "u64": "uint64",
    "f32": "float32",
    "f64": "float64",
}
SHARED = {
    "adl": "adl/Run2012B_SingleMu_1000.root",
    "cms": "root/nanoAOD_2015_CMS_Open_Data_ttbar.root",
    "dy": "root/nano_dy.root",
    "dimuon": "root/nano_dimuon.root",
    "physlite": "root/PHYSLITE_example.root",
}
GENERATED = ("types", "no_empty", "equal", "one_event", "empty", "baskets")
TREES = {"physlite": "CollectionTree"}


def tree_of(file: str) -> str:
    """The tree of an input that queries are about."""
    return TREES.get(file, "Events")


def write_inputs(folder: Path) -> dict[str, Path]:
    """Write every generated input below a folder; returns the files by name."""
    folder.mkdir(parents=True, exist_ok=True)
    v = [3, 0, 1, 2, 4, 0, 1, 2, 5, 1, 3, 2]
    jets = [4, 0, 2, 1, 3, 2, 0, 5, 1, 3, 2, 6]
    muons = [2, 1, 0, 2, 3, 0, 0, 2, 1, 4, 2, 1]
    plan: dict[str, tuple[Sequence[int], Sequence[int], Sequence[int], int]] = {
        "types": (v, jets, muons, 1),
        "no_empty": ([n % 3 + 1 for n in v], [n % 4 + 2 for n in jets], [n % 2 + 2 for n in muons], 2),
        "equal": (v, jets, jets, 3),
        "one_event": ([3], [4], [2], 4),
        "empty": ([], [], [], 5),
        "baskets": (v * 8, jets * 8, muons * 8, 6),
    }
    paths = {}
    for name, (lists, jet, muon, seed) in plan.items():
        sizes = [1, 7, 2, 30, 3, 11] if name == "baskets" else []
        paths[name] = write_tree(folder / f"{name}.root", columns(lists, jet, muon, seed), sizes)
    return paths


def columns(v: Sequence[int], jets: Sequence[int], muons: Sequence[int], seed: int) -> dict[str, Any]:
    """The branches for these numbers of items per event."""
    random = np.random.default_rng(seed)
    scalars = {f"s_{key}": values(dtype, len(v), random) for key, dtype in DTYPES.items()}
    lists = {f"v_{key}": split(values(dtype, sum(v), random), v) for key, dtype in DTYPES.items()}
    w = [(3 * n + 1) % 4 for n in v]
    lists["w_f32"] = split(np.float32(around_zero(sum(w), 30, random)), w)
    lists["w_i32"] = split(np.int32(random.integers(-5, 6, sum(w))), w)
    n = len(v)
    return {
        "run": np.full(n, 190456, np.uint32) + np.arange(n, dtype=np.uint32) // 5,
        "event": np.arange(n, dtype=np.uint64) * np.uint64(7919) + np.uint64(2**40),
        "HLT": random.random(n) < 0.6,
        **scalars,
        **lists,
        "Jet": collection(jets, random, id=np.int32, btag=np.float32),
        "Muon": collection(muons, random, charge=np.int32, tight=np.bool_),
        "Electron": collection([(2 * n + 1) % 3 for n in muons], random, charge=np.int32),
        "MET_pt": np.float32(falling(n, 40, random)),
        "MET_phi": np.float32(random.uniform(-np.pi, np.pi, n)),
        "r_f32": np.float32(around_zero(3 * n, 20, random)).reshape(n, 3),
    }


def values(dtype: str, n: int, random: np.random.Generator) -> Any:
    """Ordinary numbers and, every third one, an extreme of the type; floats have NaN, infinities and -0."""
    kind = np.dtype(dtype)
    if kind.kind == "b":
        return random.random(n) < 0.5
    if kind.kind == "f":
        special = np.array([np.nan, np.inf, -np.inf, -0.0, 3.3, np.finfo(kind).max, np.finfo(kind).tiny, 0.1], kind)
        ordinary = around_zero(n, 20, random).astype(kind)
    else:
        limits = np.iinfo(kind)
        special = np.array([limits.max, limits.min, 0, 1, limits.max - 1], kind)
        ordinary = random.integers(0 if kind.kind == "u" else -20, 60, n).astype(kind)
    place = np.arange(n)
    return np.where(place % 3 == 2, special[(place // 3) % len(special)], ordinary)


def collection(counts: Sequence[int], random: np.random.Generator, **extra: Any) -> Any:
    """Records pt, eta, phi, mass and what else is asked for, ordered by falling pt in most events only."""
    n = sum(counts)
    parts: dict[str, Any] = {
        "pt": np.float32(np.round(falling(n, 35, random) + 5, 1)),
        "eta": np.float32(around_zero(n, 1.5, random)),
        "phi": np.float32(random.uniform(-np.pi, np.pi, n)),
        "mass": np.float32(falling(n, 8, random)),
    }
    for name, dtype in extra.items():
        draws = random.integers(0, 2, n) * 2 - 1 if name == "charge" else random.integers(0, 8, n)
        parts[name] = dtype(draws % 2 == 0) if dtype is np.bool_ else dtype(draws)
        if name == "btag":
            parts[name] = np.float32(random.random(n))
    return split(ak.zip(parts), counts)


def around_zero(n: int, width: float, random: np.random.Generator) -> Any:
    """Numbers on both sides of zero; sums and products only, so that every machine has the same bits."""
    return width * (random.random((3, n)) * 2 - 1).sum(axis=0)


def falling(n: int, scale: float, random: np.random.Generator) -> Any:
    """Positive numbers with a tail."""
    u = random.random(n)
    return scale * u / (1.1 - u)


def split(items: Any, counts: Sequence[int]) -> Any:
    """Lists of these lengths."""
    return ak.unflatten(items, np.array(counts, np.int64))


def write_tree(path: Path, branches: dict[str, Any], baskets: Sequence[int] = (), compression: Any = None) -> Path:
    """A file with a tree `Events`, cut into baskets of these lengths and one with the rest."""
    arrays = {name: ak.Array(branch) for name, branch in branches.items()}
    (length,) = {len(array) for array in arrays.values()}
    with uproot.recreate(path, compression=compression) as file:
        tree = file.mktree("Events", {name: array.type.content for name, array in arrays.items()})
        start = 0
        for size in [*baskets, length]:
            stop = min(start + size, length)
            if stop > start:
                tree.extend({name: array[start:stop] for name, array in arrays.items()})
            start = stop
    return path
