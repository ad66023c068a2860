"""Small files with columns of every kind, for queries that are wrong and for damage."""

from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import uproot


def _lists(counts: list[int], dtype: str, seed: int) -> ak.Array:
    values = np.random.default_rng(seed).integers(0, 100, sum(counts)).astype(dtype)
    return ak.unflatten(ak.Array(values), counts)


def small_columns(events: int = 400) -> dict[str, Any]:
    """Columns of numbers of all sizes and signs, bools, fixed arrays, two collections; every fifth event is empty."""
    numbers = np.arange(events)
    jets, muons = [int(n % 5) for n in numbers], [int(n % 3) for n in numbers]
    return {
        "met": (numbers * 1.25).astype(np.float32),
        "run": (numbers + 1).astype(np.uint32),
        "byte": (numbers % 256).astype(np.uint8),
        "flag": numbers % 2 == 0,
        "short": (numbers % 50 * 7 - 100).astype(np.int16),
        "long": numbers * 10**12,
        "vv": np.arange(3 * events, dtype=np.float64).reshape(events, 3),
        "Jet": ak.zip(
            {
                "pt": _lists(jets, "float32", 1),
                "eta": _lists(jets, "float32", 2),
                "phi": _lists(jets, "float32", 3),
                "mass": _lists(jets, "float32", 4),
                "id": _lists(jets, "int32", 5),
            }
        ),
        "Mu": ak.zip({"pt": _lists(muons, "float64", 6)}),
    }


def small_tree(path: Path, compression: Any = None, baskets: int = 2) -> Path:
    """`small_columns` as a TTree `Events` in this number of baskets."""
    columns = {name: ak.Array(column) for name, column in small_columns().items()}
    step = -(-len(columns["met"]) // baskets)
    with uproot.recreate(path, compression=compression) as file:
        tree = file.mktree("Events", {name: array.type.content for name, array in columns.items()})
        for start in range(0, len(columns["met"]), step):
            tree.extend({name: array[start : start + step] for name, array in columns.items()})
    return path


def small_ntuple(path: Path) -> Path:
    """`small_columns` as an RNTuple `Events` in two clusters."""
    columns = ak.zip({n: c for n, c in small_columns().items() if n != "Jet"}, depth_limit=1)
    jets = small_columns()["Jet"]
    for field in jets.fields:
        columns[f"Jet_{field}"] = jets[field]
    with uproot.recreate(path) as file:
        ntuple = file.mkrntuple("Events", columns[:200])
        ntuple.extend(columns[200:])
    return path


EVENTS = "(call EventDataset 'bogus.root' 'Events')"


def columns(*names: str, source: str = EVENTS) -> str:
    """A query for these columns."""
    keys, values = " ".join(f"'{n}'" for n in names), " ".join(f"(attr e '{n}')" for n in names)
    return f"(Select {source} (lambda (list e) (dict (list {keys}) (list {values}))))"


def with_two(name: str) -> str:
    """The events with at least two items in a column."""
    return f"(Where {EVENTS} (lambda (list e) (> (Count (attr e '{name}')) 1)))"


SMALL = {
    columns("Jet_pt", "met", "Jet_id"): ["Jet_pt", "met", "Jet_id"],
    columns("long", "flag", source=with_two("Mu_pt")): ["Mu_pt", "long", "flag"],
}
NANO = {
    columns("Jet_eta", "run"): ["Jet_eta", "run"],
    columns("Muon_pt", "MET_pt", source=with_two("Jet_pt")): ["Jet_pt", "Muon_pt", "MET_pt"],
}
COMPRESSIONS = {
    "none": None,
    "zlib": uproot.ZLIB(1),
    "lz4": uproot.LZ4(1),
    "zstd": uproot.ZSTD(1),
    "lzma": uproot.LZMA(1),
}
REAL = {
    "embedded baskets": "nanoAOD_2015_CMS_Open_Data_ttbar.root",
    "NanoAOD": "nano_dy.root",
    "NanoAOD as RNTuple": "cmsopendata2015_ttbar_19980_NANOAOD_RNTupleImporter_rntuple_v1-0-0-1.root",
}


def damage_input(kind: str, folder: Path, real: Path) -> tuple[Path, dict[str, list[str]]]:
    """A file to damage, written to the folder or one of the ``real`` ones, and queries with the columns they read."""
    if kind in REAL:
        return real / REAL[kind], NANO
    if kind == "small RNTuple":
        return small_ntuple(folder / "good.root"), {columns("Jet_pt", "met", "Jet_id"): ["Jet_pt", "met", "Jet_id"]}
    return small_tree(folder / "good.root", COMPRESSIONS[kind]), SMALL
