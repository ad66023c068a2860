"""The measured and generated events as a CMS NanoAOD tree.

Branch names, types and counters are those of the 2015 Open Data NanoAOD, as far as the AGC's query, processor and the
training of its classifier read them. Floats are rounded to the mantissas NanoAOD keeps. The same events always give
the same bytes: the file's unique identifier and its dates are fixed.
"""

import re
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import awkward as ak
import numpy as np
import numpy.typing as npt
import uproot

from skimflow.simulate.detector import Event
from skimflow.simulate.kinematics import F32, Mask, to_cylinder
from skimflow.simulate.leptons import ELECTRON, ELECTRON_MASS, MUON, MUON_MASS
from skimflow.simulate.partons import Partons

Collection: TypeAlias = dict[str, npt.NDArray[Any]]
"""Column name → flat values; the key ``""`` holds the number of objects of each event."""

TREE = "Events"
COLLECTIONS: dict[str, dict[str, str]] = {
    "Electron": {
        **dict.fromkeys(("pt", "eta", "phi", "mass", "sip3d"), "float32"),
        **dict.fromkeys(("charge", "cutBased"), "int32"),
    },
    "Muon": {
        **dict.fromkeys(("pt", "eta", "phi", "mass", "sip3d", "pfRelIso04_all"), "float32"),
        "charge": "int32",
        "tightId": "bool",
    },
    "Jet": {**dict.fromkeys(("pt", "eta", "phi", "mass", "btagCSVV2", "qgl"), "float32"), "jetId": "int32"},
    "GenPart": {
        **dict.fromkeys(("pt", "eta", "phi", "mass"), "float32"),
        **dict.fromkeys(("pdgId", "status", "statusFlags", "genPartIdxMother"), "int32"),
    },
}
SCALARS = {"run": "uint32", "luminosityBlock": "uint32", "event": "uint64"}
EVENTS_PER_LUMI = 1000
EVENTS_PER_FILE_LIMIT = 10_000_000
SMALLEST_JET_PT = 15.0
_BYTES_PER_BASKET = 4 + 8 + 8  # in the header of its branch: its size, its first entry, its place
COMPRESSIONS = {"zlib": ("ZLIB", 1), "lzma": ("LZMA", 9), "zstd": ("ZSTD", 3), "lz4": ("LZ4", 4)}


def rounded(values: F32, bits: int) -> F32:
    """``values`` rounded to ``bits`` bits of mantissa."""
    half, mask = np.uint32(1 << (22 - bits)), np.uint32(0xFFFFFFFF ^ ((1 << (23 - bits)) - 1))
    raw = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32)
    return ((raw + half) & mask).view(np.float32)


def _sorted_objects(pt: F32, there: Mask, kept: npt.NDArray[np.int64]) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Counts per kept event, and flat positions into (objects, n) arrays by falling pt."""
    n = pt.shape[1]
    kept_pt = np.where(np.take(there, kept, axis=1), np.take(pt, kept, axis=1), 0).T
    order = np.argsort(-kept_pt, axis=1, kind="stable")
    counts = (kept_pt > 0).sum(axis=1)
    valid = np.arange(order.shape[1]) < counts[:, None]
    return counts, (order * n + kept[:, None])[valid]


def jets(event: Event, kept: npt.NDArray[np.int64]) -> Collection:
    """The Jet collection of the kept events: above 15 GeV."""
    counts, at = _sorted_objects(event.jets.pt, event.jets.pt > SMALLEST_JET_PT, kept)
    return {
        "": counts,
        "pt": rounded(event.jets.pt.ravel()[at], 10),
        "eta": rounded(event.jets.eta.ravel()[at], 12),
        "phi": rounded(event.jets.phi.ravel()[at], 12),
        "mass": rounded(event.jets.mass.ravel()[at], 10),
        "btagCSVV2": rounded(event.taggers.csv.ravel()[at], 10),
        "qgl": rounded(event.taggers.qgl.ravel()[at], 10),
        "jetId": event.taggers.jet_id.ravel()[at],
    }


def _leptons(event: Event, kept: npt.NDArray[np.int64], pdg: int, mass: float) -> tuple[Collection, npt.NDArray[Any]]:
    """What electrons and muons have in common, and the flat positions of those leptons."""
    leptons = event.leptons
    counts, at = _sorted_objects(leptons.pt, (leptons.pt > 0) & (leptons.pdg == pdg), kept)
    return {
        "": counts,
        "pt": rounded(leptons.pt.ravel()[at], 12),
        "eta": rounded(leptons.eta.ravel()[at], 12),
        "phi": rounded(leptons.phi.ravel()[at], 12),
        "mass": np.full(at.size, mass, dtype=np.float32),
        "charge": leptons.charge.ravel()[at],
        "sip3d": rounded(leptons.sip3d.ravel()[at], 10),
    }, at


def electrons(event: Event, kept: npt.NDArray[np.int64]) -> Collection:
    """The Electron collection of the kept events."""
    common, at = _leptons(event, kept, ELECTRON, ELECTRON_MASS)
    return {**common, "cutBased": event.leptons.quality.ravel()[at]}


def muons(event: Event, kept: npt.NDArray[np.int64]) -> Collection:
    """The Muon collection of the kept events."""
    common, at = _leptons(event, kept, MUON, MUON_MASS)
    isolation = rounded(event.leptons.isolation.ravel()[at], 10)
    return {**common, "tightId": event.leptons.quality.ravel()[at] > 0, "pfRelIso04_all": isolation}


def generated(partons: Partons, kept: npt.NDArray[np.int64]) -> Collection:
    """The GenPart collection of the kept events."""
    pdg = np.take(partons.pdg, kept, axis=1).T
    there = pdg != 0
    position = np.cumsum(there, axis=1, dtype=np.int32) - 1
    mothers = np.where(np.array(partons.mother) < 0, np.int32(-1), position[:, np.maximum(partons.mother, 0)])
    at = (np.arange(pdg.shape[1]) * partons.pdg.shape[1] + kept[:, None])[there]
    pt, eta, phi = to_cylinder(type(partons.momentum)(*(part.ravel()[at] for part in partons.momentum)))
    return {
        "": there.sum(axis=1),
        "pt": rounded(pt, 10),
        "eta": rounded(eta, 10),
        "phi": rounded(phi, 10),
        "mass": rounded(partons.mass.ravel()[at], 10),
        "pdgId": pdg[there],
        "status": np.broadcast_to(np.array(partons.status, dtype=np.int32), pdg.shape)[there],
        "statusFlags": np.broadcast_to(np.array(partons.flags, dtype=np.int32), pdg.shape)[there],
        "genPartIdxMother": mothers[there],
    }


def numbering(first: int, n: int, file_index: int) -> Collection:
    """Run, luminosity block and event numbers of ``n`` events from the ``first`` of a file on; unique in a sample."""
    event = np.arange(1 + first, 1 + first + n, dtype=np.uint64) + np.uint64(file_index * EVENTS_PER_FILE_LIMIT)
    return {
        "run": np.ones(n, np.uint32),
        "luminosityBlock": (1 + (event - np.uint64(1)) // np.uint64(EVENTS_PER_LUMI)).astype(np.uint32),
        "event": event,
    }


def columns(scalars: Collection, collections: Mapping[str, Collection]) -> dict[str, Any]:
    """Branches of one cluster, ready for `Writer.extend`."""
    branches: dict[str, Any] = dict(scalars)
    for prefix, collection in collections.items():
        offsets = np.concatenate([[0], np.cumsum(collection[""])]).astype(np.int64)
        for name, values in collection.items():
            if name:
                flat = ak.contents.NumpyArray(np.ascontiguousarray(values))
                branches[f"{prefix}_{name}"] = ak.Array(ak.contents.ListOffsetArray(ak.index.Index64(offsets), flat))
    return branches


class Writer:
    """Writes one file; every `extend` makes one cluster.

    Args:
        path: the file; it appears only when `close` has ended well.
        compression: ``zlib`` (level 1), ``lzma`` (level 9, as CMS), ``zstd`` (level 3) or ``lz4`` (level 4).
        clusters: how many clusters are expected; more are possible.
        leave_out: a branch that the file shall lack.
    """

    def __init__(self, path: Path, compression: str, clusters: int, leave_out: str | None = None) -> None:
        self._path, self._part = path, path.with_suffix(".part")
        self.events = 0
        algorithm, level = COMPRESSIONS[compression]
        types = dict(SCALARS) | {
            f"{prefix}_{name}": f"var * {kind}" for prefix, names in COLLECTIONS.items() for name, kind in names.items()
        }
        types.pop(leave_out or "", None)
        with _fixed_date():
            self._file = uproot.recreate(
                self._part, compression=getattr(uproot, algorithm)(level), uuid_function=lambda: uuid.UUID(int=0)
            )
            self._tree = self._file.mktree(
                TREE,
                types,
                counter_name=lambda branch: "n" + branch.split("_")[0],
                initial_basket_capacity=clusters + 2,
            )
        self._head_bytes = (1 << 18) + _BYTES_PER_BASKET * len(types) * 2 * (clusters + 2)

    def extend(self, branches: dict[str, Any]) -> None:
        """Add one cluster of events."""
        with _fixed_date():
            self._tree.extend(branches)
        self.events += len(branches["event"])

    def close(self) -> None:
        """Finish the file and give it its name."""
        with _fixed_date():
            self._file.close()
        _make_counters_unsigned(self._part, self._head_bytes)
        self._part.replace(self._path)


@contextmanager
def _fixed_date() -> Iterator[None]:
    """Let uproot write a fixed date: it stamps every basket with the time and has no setting for it."""
    original = uproot._util.datetime_to_code
    uproot._util.datetime_to_code = lambda _: 0x50210000
    try:
        yield
    finally:
        uproot._util.datetime_to_code = original


def _make_counters_unsigned(path: Path, head_bytes: int) -> None:
    """Mark the counters as unsigned, as in CMS files: uproot writes them as signed integers (same bytes else).

    They are in the tree's header, which uproot writes first, within ``head_bytes``.

    A leaf is name, title, length 1, four bytes, offset 0, is a range, is not unsigned; the branch's title ends in /I.
    """
    counter = rb"n(?:" + "|".join(COLLECTIONS).encode() + rb")"
    signed_leaf = re.compile(
        rb"(?s)(." + counter + rb"." + counter + rb"\x00\x00\x00\x01\x00\x00\x00\x04\x00\x00\x00\x00\x01)\x00"
    )
    with path.open("r+b") as file:
        head = file.read(head_bytes)
        head, leaves = signed_leaf.subn(lambda found: found[1] + b"\x01", head)
        head = re.sub(rb"(" + counter + rb")/I", rb"\1/i", head)
        if leaves != len(COLLECTIONS):
            message = f"{path}: {leaves} of {len(COLLECTIONS)} counters found; this uproot writes trees differently."
            raise RuntimeError(message)
        file.seek(0)
        file.write(head)
