"""Measured electrons and muons: prompt ones from W bosons and taus, and those in or near jets.

Arrays have the shape (leptons, events); a lepton that is not there has transverse momentum 0. Units GeV and radian.
"""

from dataclasses import dataclass

import numpy as np

from skimflow.simulate.jets import CONE, Jets
from skimflow.simulate.kinematics import (
    F32,
    I32,
    TWO_PI,
    Mask,
    Momentum,
    delta_phi,
    exponential,
    normal,
    to_cylinder,
    uniform,
    wrap_phi,
)
from skimflow.simulate.partons import FIRST_DAUGHTER, TAU_DAUGHTER_FLAGS, Partons

ELECTRON, MUON = 11, 13
ELECTRON_MASS, MUON_MASS = 0.000511, 0.10566
SOFT_LEPTONS = 3


@dataclass(frozen=True, slots=True)
class LeptonSettings:
    """Numbers of the lepton model that are tuned: identification efficiencies of isolated leptons."""

    electron_efficiency: float = 0.62
    muon_efficiency: float = 0.93
    reconstruction: float = 0.95


@dataclass(frozen=True, slots=True)
class Leptons:
    """Measured leptons. ``pdg`` is 11 or 13; ``isolation`` relative; ``quality`` 0–4 (4: tight electron, good muon)."""

    pt: F32
    eta: F32
    phi: F32
    charge: I32
    pdg: I32
    sip3d: F32
    isolation: F32
    quality: I32


def generated(partons: Partons) -> tuple[F32, F32, F32, I32, Mask]:
    """(pt, eta, phi, pdg, from a tau) of the electron or muon of each W boson; pt is 0 where there is none."""
    taus = [i for i, flags in enumerate(partons.flags) if flags == TAU_DAUGHTER_FLAGS]
    direct = [partons.mother[i] for i in taus]
    from_tau = np.abs(partons.pdg[direct]) == -FIRST_DAUGHTER[2]
    pdg = np.where(from_tau, partons.pdg[taus], partons.pdg[direct])
    momentum = Momentum(*(np.where(from_tau, part[taus], part[direct]) for part in partons.momentum))
    pt, eta, phi = to_cylinder(momentum)
    is_lepton = (np.abs(pdg) == ELECTRON) | (np.abs(pdg) == MUON)
    return pt * is_lepton, eta, phi, pdg * is_lepton, from_tau


def prompt(rng: np.random.Generator, partons: Partons, jets: Jets, settings: LeptonSettings) -> Leptons:
    """Electrons and muons of W bosons and taus, isolated unless a jet is near."""
    pt, eta, phi, pdg, from_tau = generated(partons)
    shape = pt.shape
    flavour = np.abs(pdg)
    pt = pt * (1 + np.float32(0.015) * normal(rng, shape))
    limit = np.where(flavour == MUON, np.float32(2.4), np.float32(2.5))
    u, v = uniform(rng, (2, *shape))
    pt *= (pt > 4) & (np.abs(eta) < limit) & (u < settings.reconstruction)
    near = energy_near(eta, phi, jets) / np.maximum(pt, 1)
    isolation = np.float32(0.03) * exponential(rng, shape) + near
    efficiency = np.where(flavour == MUON, settings.muon_efficiency, settings.electron_efficiency)
    isolated = (flavour == MUON) | (near < 0.1)
    # What is not tight spreads over the looser working points.
    looser = np.floor(4 * (v - efficiency) / (1 - efficiency))
    quality = np.where((v < efficiency) & isolated, 4, np.maximum(looser, 0)).astype(np.int32)
    sip3d = np.where(flavour == MUON, np.float32(0.75), np.float32(1.2)) * exponential(rng, shape) * (1 + from_tau)
    charge = -np.sign(pdg).astype(np.int32)
    return Leptons(pt, eta, phi, charge, flavour, sip3d.astype(np.float32), isolation, quality)


def energy_near(eta: F32, phi: F32, jets: Jets) -> F32:
    """Sum of the transverse momenta of jets within the cone around each lepton."""
    near = np.zeros(eta.shape, np.float32)
    for k in range(eta.shape[0]):
        for j in range(jets.pt.shape[0]):
            inside = (eta[k] - jets.eta[j]) ** 2 + delta_phi(phi[k], jets.phi[j]) ** 2 < CONE**2
            near[k] += jets.pt[j] * inside
    return near


def in_jets(rng: np.random.Generator, jets: Jets) -> Leptons:
    """Leptons of heavy-flavour decays and fakes: in a jet, mostly displaced, not isolated, badly identified."""
    slots, n = jets.pt.shape
    shape = (SOFT_LEPTONS, n)
    parent = rng.integers(slots, size=shape) * n + np.arange(n)
    flavour = jets.flavour.ravel()[parent]
    probability = np.float32(0.015) + (flavour == 5) * np.float32(0.22) + (flavour == 4) * np.float32(0.10)
    u, v, w, x, y = uniform(rng, (5, *shape))
    share = np.float32(0.02) + np.float32(0.7) * v * v
    pt = jets.pt.ravel()[parent] * share * (u < probability * np.float32(slots / SOFT_LEPTONS))
    pdg = np.where(w < 0.4, ELECTRON, MUON).astype(np.int32)
    angle, radius = TWO_PI * x, np.float32(0.15) * y
    eta = jets.eta.ravel()[parent] + radius * np.cos(angle)
    phi = wrap_phi(jets.phi.ravel()[parent] + radius * np.sin(angle))
    pt *= (np.abs(eta) < 2.4) & (pt > np.where(pdg == MUON, 3, 5))
    heavy = flavour >= 4
    sip3d = exponential(rng, shape) * np.where(heavy & (flavour != 21), 8, np.float32(1.5))
    isolation = (1 / share - 1) * uniform(rng, shape)
    quality = np.floor(5 * uniform(rng, shape) ** np.where(pdg == MUON, np.float32(0.4), 4))
    charge = np.where(uniform(rng, shape) < 0.5, 1, -1).astype(np.int32)
    return Leptons(
        pt.astype(np.float32), eta, phi, charge, pdg, sip3d.astype(np.float32), isolation, quality.astype(np.int32)
    )


def as_jets(leptons: Leptons) -> Jets:
    """The jets that isolated leptons are also clustered into."""
    return Jets(leptons.pt, leptons.eta, leptons.phi, np.float32(0.1) * leptons.pt, np.zeros_like(leptons.pdg))


def join(one: Leptons, other: Leptons) -> Leptons:
    """Two collections of leptons of the same events."""
    return Leptons(
        *(
            np.concatenate([getattr(one, name), getattr(other, name)])
            for name in ("pt", "eta", "phi", "charge", "pdg", "sip3d", "isolation", "quality")
        )
    )
