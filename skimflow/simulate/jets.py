"""From partons to measured jets: radiation off the partons, cone merging, resolution, pile-up, taggers.

Arrays have the shape (jets, events); a jet that is not there has transverse momentum 0. Units GeV and radian.
"""

from dataclasses import dataclass

import numpy as np

from skimflow.simulate.kinematics import (
    F32,
    I32,
    TWO_PI,
    Mask,
    Momentum,
    delta_phi,
    exponential,
    from_cylinder,
    normal,
    to_cylinder,
    uniform,
    wrap_phi,
)
from skimflow.simulate.partons import OUTGOING, STABLE, Partons
from skimflow.simulate.sampling import counts

CONE = 0.4
EMISSIONS = 3
PILE_UP_JETS, PILE_UP_MEAN = 4, 1.2
TRACKER_ETA = 2.5
JET_IDENTIFICATION = 0.975


@dataclass(frozen=True, slots=True)
class Jets:
    """Measured jets; ``flavour`` is the parton's: 5, 4, 1 (light) or 21, 0 for pile-up and leptons."""

    pt: F32
    eta: F32
    phi: F32
    mass: F32
    flavour: I32


@dataclass(frozen=True, slots=True)
class Taggers:
    """Per jet: combined secondary vertex (−10, −1 undefined), quark-gluon likelihood (−1 undefined), jetId (6 good)."""

    csv: F32
    qgl: F32
    jet_id: I32


@dataclass(frozen=True, slots=True)
class JetSettings:
    """Numbers of the jet model that are tuned."""

    resolution: float = 1.3
    emission: float = 0.17
    loss: float = 0.035
    b_efficiency: float = 0.85
    c_efficiency: float = 0.40
    mistag: float = 0.10


def seeds(partons: Partons) -> Jets:
    """Partons that start a jet: outgoing quarks and gluons and the hadrons of tau decays."""
    lines = [i for i, status in enumerate(partons.status) if status in (OUTGOING, STABLE)]
    pt, eta, phi = to_cylinder(Momentum(*(part[lines] for part in partons.momentum)))
    flavour = np.abs(partons.pdg[lines])
    flavour[(flavour == 211) | (flavour == 2) | (flavour == 3)] = 1
    flavour[(flavour > 5) & (flavour != 21)] = 0
    pt *= flavour > 0
    return Jets(pt, eta, phi, np.maximum(np.float32(0.11) * pt, 3) * (pt > 0), flavour)


def radiate(rng: np.random.Generator, jets: Jets, strength: float, settings: JetSettings) -> Jets:
    """Each jet loses some energy out of its cone, and some jets emit another jet at 0.4 < ΔR < 1."""
    slots, n = jets.pt.shape
    lost = np.abs(normal(rng, (slots, n))) * np.float32(settings.loss * strength)
    pt = jets.pt * (1 - lost)
    probability = settings.emission * strength * slots / EMISSIONS
    new_pt, new_eta, new_phi = (np.empty((EMISSIONS, n), np.float32) for _ in range(3))
    events = np.arange(n)
    for k in range(EMISSIONS):
        u = uniform(rng, (4, n))
        parent = rng.integers(slots, size=n) * n + events
        share = np.float32(0.08) * np.float32(0.5 / 0.08) ** u[0] * (u[1] < probability)
        radius, angle = np.float32(0.4) + np.float32(0.6) * u[2], TWO_PI * u[3]
        new_pt[k] = pt.ravel()[parent] * share
        new_eta[k] = jets.eta.ravel()[parent] + radius * np.cos(angle)
        new_phi[k] = jets.phi.ravel()[parent] + radius * np.sin(angle)
        pt.ravel()[parent] *= 1 - share
    new_mass = np.float32(0.1) * new_pt
    return Jets(
        np.concatenate([pt, new_pt]),
        np.concatenate([jets.eta, new_eta]),
        wrap_phi(np.concatenate([jets.phi, new_phi])),
        np.concatenate([jets.mass * (1 - lost), new_mass]),
        np.concatenate([jets.flavour, np.full((EMISSIONS, n), 21, np.int32)]),
    )


def merge(jets: Jets) -> Jets:
    """Jets nearer than the cone size become one; b wins over c, c over the rest."""
    momentum = from_cylinder(jets.pt, jets.eta, jets.phi, jets.mass)
    flavour, eta, phi = jets.flavour.copy(), jets.eta, jets.phi
    there = jets.pt > 2
    slots = jets.pt.shape[0]
    for a in range(slots):
        for b in range(a + 1, slots):
            near = (eta[a] - eta[b]) ** 2 + delta_phi(phi[a], phi[b]) ** 2 < CONE**2
            events = np.flatnonzero(near & there[a] & there[b])
            if not events.size:
                continue
            for part in momentum:
                part[a, events] += part[b, events]
                part[b, events] = 0
            there[b, events] = False
            flavour[a, events] = _stronger(flavour[a, events], flavour[b, events])
    pt, eta, phi = to_cylinder(momentum)
    squared = momentum.e**2 - pt**2 - momentum.pz**2
    return Jets(pt, eta, phi, np.sqrt(np.maximum(squared, 0)), flavour)


def _stronger(one: I32, other: I32) -> I32:
    heavy = np.where((other == 5) | ((other == 4) & (one != 5)), other, one)
    flavour: I32 = heavy.astype(np.int32)
    return flavour


def measure(rng: np.random.Generator, jets: Jets, settings: JetSettings) -> Jets:
    """Calorimeter resolution, undetected neutrinos of semileptonic b decays, angular resolution."""
    shape = jets.pt.shape
    floor = np.maximum(jets.pt, 5)
    relative = np.float32(settings.resolution) * np.sqrt(9 / floor**2 + np.float32(0.5625) / floor + np.float32(0.002))
    response = 1 + relative * normal(rng, shape)
    u = uniform(rng, shape)
    # One b decay in four is semileptonic; the neutrino takes a sixth of the jet on average.
    semileptonic = (jets.flavour == 5) & (u < 0.24)
    response *= 1 - semileptonic * (1 - (u * np.float32(1 / 0.24)) ** np.float32(0.2))
    response = np.clip(response, np.float32(0.2), np.float32(3))
    smear = np.float32(0.02) * normal(rng, (2, *shape))
    return Jets(
        jets.pt * response, jets.eta + smear[0], wrap_phi(jets.phi + smear[1]), jets.mass * response, jets.flavour
    )


def add_pile_up(rng: np.random.Generator, jets: Jets) -> Jets:
    """Soft jets of other collisions, uniform in pseudorapidity."""
    n = jets.pt.shape[1]
    number = counts(rng, PILE_UP_MEAN, n, PILE_UP_JETS)
    shape = (PILE_UP_JETS, n)
    there = number[None, :] > np.arange(PILE_UP_JETS)[:, None]
    pt = (15 + np.float32(5.5) * exponential(rng, shape)) * there
    eta = 9 * uniform(rng, shape) - np.float32(4.5)
    phi = TWO_PI * uniform(rng, shape) - np.float32(np.pi)
    return join(jets, Jets(pt, eta, phi, np.float32(0.12) * pt, np.zeros(shape, np.int32)))


def join(one: Jets, other: Jets) -> Jets:
    """Two collections of jets of the same events."""
    return Jets(
        np.concatenate([one.pt, other.pt]),
        np.concatenate([one.eta, other.eta]),
        np.concatenate([one.phi, other.phi]),
        np.concatenate([one.mass, other.mass]),
        np.concatenate([one.flavour, other.flavour]),
    )


def tag(rng: np.random.Generator, jets: Jets, is_lepton: Mask, settings: JetSettings) -> Taggers:
    """Tagger values.

    A jet is tagged (CSV above 0.5, the loose point of 2015) with an efficiency that rises to ``b_efficiency`` for b
    jets and is constant for the others; jets without tracks have no value. ``is_lepton`` marks jets that are
    isolated leptons; those and some others fail the identification.
    """
    shape = jets.pt.shape
    flavour = jets.flavour
    is_b, is_c = flavour == 5, flavour == 4
    turn_on = 1 - np.exp(-np.maximum(jets.pt - 8, 0) * np.float32(1 / 18))
    efficiency = np.full(shape, settings.mistag, np.float32)
    efficiency[is_c] = settings.c_efficiency
    efficiency[is_b] = settings.b_efficiency * turn_on[is_b]
    u, v = uniform(rng, shape), uniform(rng, shape)
    tagged = u < efficiency
    half = np.float32(0.5)
    high = np.where(is_b, 1 - half * v**4, half + half * v ** np.float32(1.6))
    low = half * np.sqrt(v) * np.clip((u - efficiency) / (1 - efficiency), 0, 1)
    csv = np.where(tagged, high, low)
    outside = np.abs(jets.eta) > TRACKER_ETA
    w = uniform(rng, shape)
    trackless = outside | (~tagged & (jets.pt < 20) & (w < 0.35)) | (~tagged & (w < 0.04))
    csv[trackless] = -10
    csv[~trackless & ~tagged & (w > 0.995)] = -1
    gluon = (flavour == 21) | (flavour == 0)
    centre = np.float32(0.7) - np.float32(0.35) * gluon
    qgl = np.clip(centre + np.float32(0.25) * normal(rng, shape), 0, 1)
    qgl[(jets.pt < 20) & (u > 0.5)] = -1
    jet_id = np.where(uniform(rng, shape) < JET_IDENTIFICATION, 6, 0).astype(np.int32)
    jet_id[is_lepton & (w < 0.97)] = 2
    return Taggers(csv.astype(np.float32), qgl.astype(np.float32), jet_id)
