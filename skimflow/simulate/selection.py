"""The analysis regions and observables on padded arrays, for thinning.

The definitions are those of the AGC (task version 2): one good lepton, at least four good jets, of them one b-tagged
(4j1b, observable H_T) or more (4j2b, observable the mass of the three-jet system of largest transverse momentum that
contains a b-tagged jet).
"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from skimflow.simulate.detector import Event
from skimflow.simulate.kinematics import Mask, from_cylinder
from skimflow.simulate.leptons import ELECTRON, MUON, Leptons

FAR, REGION_4J1B, REGION_4J2B, NEAR_4J1B, NEAR_4J2B = range(5)
THRESHOLD, NEAR_THRESHOLD = 30.0, 27.0
"""Smallest transverse momentum of a jet in GeV, and the lower one that says which events are nearly selected."""


@dataclass(frozen=True, slots=True)
class Selected:
    """Per event: the region and its observable in GeV.

    Regions are 1 (4j1b) and 2 (4j2b), as given by `classify` also 3 and 4 for events that are in one of them only with
    the lower threshold. All others are 0, and their observable is 0.
    """

    region: npt.NDArray[np.int8]
    observable: npt.NDArray[np.float64]


def good_leptons(leptons: Leptons) -> Mask:
    """Leptons as the analysis selects them, shape (leptons, n)."""
    common = (leptons.pt > 30) & (np.abs(leptons.eta) < 2.1) & (leptons.sip3d < 4)
    electron = (leptons.pdg == ELECTRON) & (leptons.quality == 4)
    muon = (leptons.pdg == MUON) & (leptons.quality > 0) & (leptons.isolation < 0.15)
    good: Mask = common & (electron | muon)
    return good


def classify(event: Event) -> Selected:
    """Region and observable of each event, also of those that a shift of the jet energies may bring in."""
    inside, near = select(event), select(event, threshold=NEAR_THRESHOLD)
    is_inside, is_near = inside.region > 0, near.region > 0
    region = np.where(is_inside, inside.region, near.region + 2 * is_near).astype(np.int8)
    return Selected(region, np.where(is_inside, inside.observable, near.observable))


def select(event: Event, jet_scale: float | npt.NDArray[np.float32] = 1.0, threshold: float = THRESHOLD) -> Selected:
    """Region and observable of each event; ``jet_scale`` multiplies the jets' transverse momenta."""
    pt = event.jets.pt * jet_scale
    good = (pt > threshold) & (np.abs(event.jets.eta) < 2.4) & (event.taggers.jet_id == 6)
    tagged = good & (event.taggers.csv > 0.5)
    candidate = (good.sum(axis=0) >= 4) & (good_leptons(event.leptons).sum(axis=0) == 1)
    b_jets = tagged.sum(axis=0)
    region = (candidate * np.minimum(b_jets, 2)).astype(np.int8)
    observable = np.zeros(region.shape)
    one = np.flatnonzero(region == REGION_4J1B)
    observable[one] = (pt[:, one] * good[:, one]).sum(axis=0)
    two = np.flatnonzero(region == REGION_4J2B)
    if two.size:
        observable[two] = _trijet_mass(event, pt, good, tagged, two)
    return Selected(region, observable)


def _trijet_mass(
    event: Event, pt: npt.NDArray[np.float32], good: Mask, tagged: Mask, events: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """Mass of the b-tagged three-jet system of largest transverse momentum."""
    most = int(good[:, events].sum(axis=0).max())
    hardest = np.argsort(np.where(good[:, events], -pt[:, events], 0), axis=0)[:most]
    there = np.take_along_axis(good[:, events], hardest, axis=0)
    b_tagged = np.take_along_axis(tagged[:, events], hardest, axis=0)
    jet = [
        np.take_along_axis(array[:, events], hardest, axis=0).astype(np.float64)
        for array in (pt, event.jets.eta, event.jets.phi, event.jets.mass)
    ]
    px, py, pz, e = from_cylinder(*jet)  # double precision: masses are differences
    best, mass = np.full(events.size, -1.0), np.zeros(events.size)
    for i, j, k in combinations(range(most), 3):
        x, y = px[i] + px[j] + px[k], py[i] + py[j] + py[k]
        squared = x * x + y * y
        better = there[k] & (b_tagged[i] | b_tagged[j] | b_tagged[k]) & (squared > best)
        z, energy = pz[i] + pz[j] + pz[k], e[i] + e[j] + e[k]
        best[better] = squared[better]
        mass[better] = np.sqrt(np.maximum(energy**2 - squared - z * z, 0))[better]
    return mass
