"""The AGC's ttbar analysis (task version 2, without machine learning) as a coffea processor.

Objects and regions come from ``queries.objects``, which the delivery query is made from too. Selections and
observables are computed once per kinematic variation of the jets (nominal, energy scale, energy resolution); the
weight variations reuse the nominal ones.
"""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Any

import awkward as ak
import hist
import numpy as np
from coffea.processor import ProcessorABC

from processing.chunks import ChunkResult, Cutflow
from processing.corrections import ttbar_corrections
from processing.errors import MissingColumns
from processing.jer import jet_normals
from queries.objects import (
    B_TAG,
    ELECTRONS,
    JET_ENERGY_SCALE,
    JET_RESOLUTION,
    JETS,
    MIN_JETS,
    MUONS,
    N_LEPTONS,
    REGIONS,
    ObjectDefinition,
    Region,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]
    Mask = NDArray[np.bool_]

BINS, LOW, HIGH = 25, 50.0, 550.0  # GeV
DIRECTIONS = ("up", "down")
KINEMATIC = ("nominal", "pt_scale_up", "pt_res_up")
N_BTAG = 4
FOUR_VECTOR = ("pt", "eta", "phi", "mass")
EVENT_IDS = ("run", "luminosityBlock", "event")
JET_CUTS = ObjectDefinition(JETS.collection, tuple(cut for cut in JETS.cuts if cut.field != "pt"))
JET_PT_CUTS = ObjectDefinition(JETS.collection, tuple(cut for cut in JETS.cuts if cut.field == "pt"))
READ = {
    "Electron": ELECTRONS.fields,
    "Muon": MUONS.fields,
    "Jet": tuple(dict.fromkeys((*JETS.fields, *FOUR_VECTOR, B_TAG.field))),
}


def _columns() -> tuple[str, ...]:
    schema = {"Electron": (*FOUR_VECTOR, "charge"), "Muon": (*FOUR_VECTOR, "charge"), "Jet": FOUR_VECTOR}
    names = dict.fromkeys(EVENT_IDS)
    for collection, fields in READ.items():
        names[f"n{collection}"] = None
        names.update(dict.fromkeys(f"{collection}_{field}" for field in (*fields, *schema[collection])))
    return tuple(names)


class FlatObjects:
    """One collection of a chunk: the number of objects per event, and flat columns read when first asked for."""

    def __init__(self, collection: ak.Array) -> None:
        self._collection = collection
        self.counts: Integers = np.asarray(ak.num(collection, axis=1))

    def __getattr__(self, field: str) -> NDArray[Any]:
        column: NDArray[Any] = np.asarray(ak.flatten(self._collection[field]))
        setattr(self, field, column)
        return column

    def per_event(self, mask: Mask) -> Integers:
        """Number of objects per event for which ``mask`` (flat) holds."""
        passed = np.concatenate(([0], np.cumsum(mask)))
        stops = np.cumsum(self.counts)
        counted: Integers = passed[stops] - passed[stops - self.counts]
        return counted


class Jets:
    """Flat columns of some jets, event by event.

    ``event`` counts events from 0 within the ``n_events`` kept; momenta are float64, in GeV.
    """

    def __init__(self, event: Integers, n_events: int, columns: Mapping[str, NDArray[Any]]) -> None:
        self.event, self.n_events, self.columns = event, n_events, columns

    def __getattr__(self, name: str) -> NDArray[Any]:
        return self.columns[name]

    def where(self, mask: Mask) -> Jets:
        """The jets for which ``mask`` holds; events stay, even empty ones."""
        return Jets(self.event[mask], self.n_events, {name: c[mask] for name, c in self.columns.items()})

    def in_events(self, mask: Mask) -> Jets:
        """The jets of the events for which ``mask`` holds; the other events are dropped."""
        number = np.cumsum(mask) - 1
        kept = self.where(mask[self.event])
        return Jets(number[kept.event], int(mask.sum()), kept.columns)

    def per_event(self, mask: Mask | None = None) -> Integers:
        """Number of jets per event, of those for which ``mask`` holds if given."""
        event = self.event if mask is None else self.event[mask]
        return np.bincount(event, minlength=self.n_events)


class TtbarProcessor(ProcessorABC):  # type: ignore[misc]
    """Histograms of H_T (4j1b) and m_bjj (4j2b) with the AGC's systematic variations.

    ``events.metadata`` must name the ``process`` and the ``variation``. Samples of variation "nominal" get every
    object and weight variation; the others are filled once, under their own name. ``columns`` lists the branches
    that are read or that NanoAODSchema needs to see.
    """

    columns = _columns()

    def __init__(self) -> None:
        self._corrections: Any = None

    def __getstate__(self) -> dict[str, Any]:
        return {"_corrections": None}  # evaluators stay where they were made

    def process(self, events: ak.Array) -> ChunkResult:
        """Fill all histograms from one chunk of NanoEvents.

        Raises:
            MissingColumns: the file lacks a column that the selection or an observable needs.
        """
        _require_columns(events)
        process, variation = events.metadata["process"], events.metadata["variation"]
        names = variation_names(process, variation)
        histograms = {region.name: _empty(names) for region in REGIONS}
        jets, cutflow = _candidate_jets(events)
        for kinematic in KINEMATIC if variation == "nominal" else KINEMATIC[:1]:
            selected = _vary(jets, events, kinematic)
            n_b = selected.per_event(B_TAG.mask(selected))
            enough = selected.per_event() >= MIN_JETS
            for region in REGIONS:
                chosen = selected.in_events(enough & region.mask(n_b))
                observable = OBSERVABLES[region.name](chosen)
                histogram = histograms[region.name]
                histogram.fill(variation=variation if len(names) == 1 else kinematic, observable=observable)
                if kinematic != "nominal":
                    continue
                _count(cutflow, region, int(enough.sum()), chosen.n_events)
                if variation == "nominal":
                    for name, weight in self._weights(process, _leading(chosen)):
                        histogram.fill(variation=name, observable=observable, weight=weight)
        return ChunkResult(len(events), cutflow, histograms)

    def postprocess(self, accumulator: Any) -> None:
        """Nothing: normalisation needs the whole result and is done by ``processing.run``."""

    def _weights(self, process: str, pts: Floats) -> Iterator[tuple[str, Floats]]:
        """Name of each weight variation and its weights, from the pT of the leading jets, shape (events, 4)."""
        if self._corrections is None:
            self._corrections = ttbar_corrections()
        for direction in DIRECTIONS:
            for i in range(N_BTAG):
                yield f"btag_var_{i}_{direction}", self._corrections["btag"].evaluate(direction, pts[:, i])
            if process == "wjets":
                scale = self._corrections["wjets_scale"].evaluate(direction)
                yield f"scale_var_{direction}", np.full(len(pts), scale)


def variation_names(process: str, variation: str) -> list[str]:
    """Names under which a sample is filled: all systematic variations if it is nominal, else its own."""
    if variation != "nominal":
        return [variation]
    weighted = [f"btag_var_{i}" for i in range(N_BTAG)] + ["scale_var"] * (process == "wjets")
    return [*KINEMATIC, *(f"{name}_{direction}" for name in weighted for direction in DIRECTIONS)]


def _require_columns(events: ak.Array) -> None:
    missing = [
        f"{collection}_{field}"
        for collection, fields in READ.items()
        for field in fields
        if collection not in events.fields or field not in events[collection].fields
    ]
    if missing:
        raise MissingColumns(
            f"the tree lacks {', '.join(missing)}, which the selection reads; give files with these columns"
        )


def _candidate_jets(events: ak.Array) -> tuple[Jets, Cutflow]:
    """Jets that pass every requirement but that on pT, in events with one lepton and enough jets at all."""
    electrons, muons = FlatObjects(events.Electron), FlatObjects(events.Muon)
    n_leptons = electrons.per_event(ELECTRONS.mask(electrons)) + muons.per_event(MUONS.mask(muons))
    one_lepton = n_leptons == N_LEPTONS
    flat = FlatObjects(events.Jet)
    kept = one_lepton & (flat.counts >= MIN_JETS)
    good = np.repeat(kept, flat.counts)
    good &= JET_CUTS.mask(flat)
    event = np.repeat(np.arange(len(kept)), flat.counts)[good]
    first = np.repeat(np.cumsum(flat.counts) - flat.counts, flat.counts)
    index = (np.arange(len(good)) - first)[good]
    columns = {field: getattr(flat, field)[good].astype(np.float64) for field in FOUR_VECTOR}
    columns |= {B_TAG.field: getattr(flat, B_TAG.field)[good], "index": index, "row": event}
    cutflow = {region.name: {"all": len(events), "exactly_1l": int(one_lepton.sum())} for region in REGIONS}
    return Jets(event, len(events), columns), cutflow


def _vary(jets: Jets, events: ak.Array, name: str) -> Jets:
    """The jets above threshold with pT as in the kinematic variation ``name``; masses stay, as in the AGC."""
    pt = jets.columns["pt"]
    if name == "pt_scale_up":
        pt = pt * JET_ENERGY_SCALE
    elif name == "pt_res_up":
        run, luminosity_block, event = (np.asarray(events[field])[jets.row] for field in EVENT_IDS)
        pt = pt * (1 + JET_RESOLUTION * jet_normals(run, luminosity_block, event, jets.index))
    varied = Jets(jets.event, jets.n_events, {**jets.columns, "pt": pt})
    return varied.where(JET_PT_CUTS.mask(varied))


def _count(cutflow: Cutflow, region: Region, enough_jets: int, selected: int) -> None:
    cutflow[region.name]["atleast_4j"] = enough_jets
    cutflow[region.name]["exactly_1b" if region.op == "==" else "atleast_2b"] = selected


def _leading(jets: Jets) -> Floats:
    """pT of the first four selected jets of each event in the order of the file, shape (events, 4)."""
    counts = jets.per_event()
    first = np.cumsum(counts) - counts
    leading: Floats = jets.pt[first[:, None] + np.arange(N_BTAG)]
    return leading


def scalar_sum_pt(jets: Jets) -> Floats:
    """H_T: sum of the jets' transverse momenta per event, in GeV."""
    return np.asarray(np.bincount(jets.event, weights=jets.pt, minlength=jets.n_events), dtype=np.float64)


def trijet_mass(jets: Jets) -> Floats:
    """m_bjj: mass in GeV of the three jets, at least one b-tagged, with the largest combined pT, per event."""
    px, py = jets.pt * np.cos(jets.phi), jets.pt * np.sin(jets.phi)
    pz = jets.pt * np.sinh(jets.eta)
    energy = np.sqrt(px**2 + py**2 + pz**2 + jets.mass**2)
    b_tag = B_TAG.mask(jets)
    counts = jets.per_event()
    first = np.cumsum(counts) - counts
    mass = np.empty(jets.n_events)
    for n in np.unique(counts):  # events with equally many jets make rectangular arrays
        events = np.flatnonzero(counts == n)
        rows = first[events][:, None]
        a, b, c = (rows + column for column in np.array(list(combinations(range(n), 3))).T)
        sums = [component[a] + component[b] + component[c] for component in (px, py, pz, energy)]
        tagged = b_tag[a] | b_tag[b] | b_tag[c]
        pt2 = np.where(tagged, sums[0] ** 2 + sums[1] ** 2, -1.0)
        best = (np.arange(len(events)), np.argmax(pt2, axis=1))
        x, y, z, e = (component[best] for component in sums)
        mass[events] = np.sqrt(np.maximum(e**2 - x**2 - y**2 - z**2, 0.0))
    return mass


OBSERVABLES: dict[str, Callable[[Jets], Floats]] = {"4j1b": scalar_sum_pt, "4j2b": trijet_mass}


def _empty(variations: list[str]) -> hist.Hist[Any]:
    return hist.Hist(
        hist.axis.StrCategory(variations, name="variation", label="Systematic variation"),
        hist.axis.Regular(BINS, LOW, HIGH, name="observable", label="observable [GeV]"),
        storage=hist.storage.Weight(),
    )
