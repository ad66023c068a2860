"""The hard event as a table of particles, and the decays of W bosons and top quarks."""

from dataclasses import dataclass

import numpy as np

from skimflow.simulate.kinematics import (
    F32,
    I32,
    Direction,
    Mask,
    Momentum,
    boost,
    breakup_momentum,
    breit_wigner,
    direction,
    stack,
    uniform,
)

TOP_MASS, TOP_WIDTH = 172.5, 1.4
W_MASS, W_WIDTH = 80.4, 2.085
B_MASS = 4.8
LONGITUDINAL_W = 0.69  # fraction of W bosons from top quarks; the rest is left-handed

# GenPart status codes (Pythia's) and flags (CMS): bit 0 prompt, 7 hard process, 8 from hard process,
# 11 from hard process before radiation, 12 first copy, 13 last copy, 14 last copy before radiation.
INCOMING, INTERMEDIATE, OUTGOING, LAST_COPY, STABLE = 21, 22, 23, 62, 1
INCOMING_FLAGS = 1 << 0 | 1 << 7 | 1 << 8 | 1 << 11 | 1 << 13
FIRST_FLAGS = 1 << 0 | 1 << 7 | 1 << 8 | 1 << 12
LAST_FLAGS = 1 << 0 | 1 << 8 | 1 << 11 | 1 << 13
ONLY_FLAGS = FIRST_FLAGS | LAST_FLAGS | 1 << 14
SHOWER_FLAGS = 1 << 0 | 1 << 8 | 1 << 12 | 1 << 13
TAU_DAUGHTER_FLAGS = 1 << 2 | 1 << 3 | 1 << 4 | 1 << 5 | 1 << 9 | 1 << 10 | 1 << 12 | 1 << 13

# Decay channels of the W: e, mu, tau, u d, c s. The first daughter is the charged lepton or down-type quark.
CHANNEL_FRACTIONS = np.array([0.1086, 0.1086, 0.1086, 0.3371, 0.3371])
FIRST_DAUGHTER = np.array([-11, -13, -15, -1, -3], dtype=np.int32)
SECOND_DAUGHTER = np.array([12, 14, 16, 2, 4], dtype=np.int32)
TAU_TO_LEPTON = 0.352


@dataclass(slots=True)
class Particle:
    """One line of the table for all events: where it comes from and where it goes.

    ``pdg`` is one number per event, 0 where the event has no such particle. ``mother`` is the line of the mother.
    """

    momentum: Momentum
    mass: F32
    pdg: I32
    mother: int
    status: int
    flags: int


@dataclass(frozen=True, slots=True)
class Partons:
    """The generated particles of n events: arrays of shape (particles, n); tuples have one entry per particle."""

    momentum: Momentum
    mass: F32
    pdg: I32
    mother: tuple[int, ...]
    status: tuple[int, ...]
    flags: tuple[int, ...]

    def at(self, kept: Mask) -> "Partons":
        """The events that ``kept`` picks."""
        # One gather per array along the contiguous axis: several times faster than masking two-dimensional arrays.
        events = np.flatnonzero(kept)
        momentum = Momentum(*(np.take(part, events, axis=1) for part in self.momentum))
        mass, pdg = np.take(self.mass, events, axis=1), np.take(self.pdg, events, axis=1)
        return Partons(momentum, mass, pdg, self.mother, self.status, self.flags)


def table(particles: list[Particle]) -> Partons:
    """The particles of all lines, stacked."""
    return Partons(
        momentum=stack([one.momentum for one in particles]),
        mass=np.stack([one.mass for one in particles]),
        pdg=np.stack([one.pdg for one in particles]),
        mother=tuple(one.mother for one in particles),
        status=tuple(one.status for one in particles),
        flags=tuple(one.flags for one in particles),
    )


def constant(value: float, n: int) -> F32:
    """A mass that is the same in every event."""
    return np.full(n, value, dtype=np.float32)


def identity(value: int, n: int) -> I32:
    """A particle identity that is the same in every event."""
    return np.full(n, value, dtype=np.int32)


def draw_channels(rng: np.random.Generator, bosons: int, n: int) -> I32:
    """Decay channels of the W bosons of events in which at least one of them decays to leptons: shape (bosons, n)."""
    joint = CHANNEL_FRACTIONS
    for _ in range(bosons - 1):
        joint = np.multiply.outer(joint, CHANNEL_FRACTIONS)
    leptonic = np.indices(joint.shape).min(axis=0) <= 2
    cumulative = np.cumsum(np.where(leptonic, joint, 0).ravel())
    cells = np.searchsorted(cumulative / cumulative[-1], rng.random(n), side="right")
    return np.stack(np.unravel_index(cells, joint.shape)).astype(np.int32)


def leptonic_fraction(bosons: int) -> float:
    """Fraction of events in which at least one of the W bosons decays to leptons."""
    return float(1 - CHANNEL_FRACTIONS[3:].sum() ** bosons)


def decay_polarised_w(rng: np.random.Generator, w: Momentum, mass: F32, way: Direction) -> Momentum:
    """First daughter of W bosons from top quarks, in the top's rest frame, where the W flies along ``way``."""
    half, gamma = mass / 2, w.e / mass
    recoil = np.sqrt(np.maximum(gamma * gamma - 1, 0))
    along = direction(rng, helicity_cosine(rng, mass.shape[0])).momentum(half, half)
    pz, e = gamma * along.pz + recoil * along.e, gamma * along.e + recoil * along.pz
    return way.rotate(Momentum(along.px, along.py, pz, e))


def decay_free_w(rng: np.random.Generator, w: Momentum, mass: F32) -> Momentum:
    """First daughter of W bosons that do not come from a top quark: isotropic in their rest frame."""
    half = mass / 2
    way = direction(rng, 2 * uniform(rng, mass.shape) - 1)
    return boost(way.momentum(half, half), w, mass)


def helicity_cosine(rng: np.random.Generator, n: int) -> F32:
    """Polar cosine of the first daughter in the rest frame of a W from a top quark, about the W's direction.

    A mixture of 3/4 sin² (longitudinal) and 3/8 (1 - cos)² (left-handed), each drawn by inverting its integral.
    """
    u = uniform(rng, n)
    longitudinal = 2 * np.cos((2 * np.pi - np.arccos(1 - 2 * u)) / 3)
    left = 1 - 2 * np.cbrt(u)
    cos: F32 = np.where(uniform(rng, n) < LONGITUDINAL_W, longitudinal, left).astype(np.float32)
    return cos


def decay_top(
    rng: np.random.Generator, top: Momentum, mass: F32, sign: I32, channel: I32, mother: int, line: int
) -> list[Particle]:
    """b, W and the W's two daughters of top quarks (``sign`` -1: antiquarks) that stand in line ``mother``.

    They will stand in ``line`` and the three lines after it.
    """
    n = mass.shape[0]
    w_mass = breit_wigner(rng, n, W_MASS, W_WIDTH, 20.0)
    p = breakup_momentum(mass, w_mass, B_MASS)
    way = direction(rng, 2 * uniform(rng, n) - 1)
    w_at_rest = way.momentum(p, np.sqrt(p * p + w_mass * w_mass))
    first = boost(decay_polarised_w(rng, w_at_rest, w_mass, way), top, mass)
    w = boost(w_at_rest, top, mass)
    bottom = Particle(top.minus(w), constant(B_MASS, n), 5 * sign, mother, OUTGOING, ONLY_FLAGS)
    return [bottom, *w_with_daughters(w, w_mass, first, sign, channel, mother, line + 1)]


def w_with_daughters(
    w: Momentum, mass: F32, first: Momentum, sign: I32, channel: I32, mother: int, line: int
) -> list[Particle]:
    """A W boson that will stand in ``line`` of the table, and its two daughters behind it."""
    n = mass.shape[0]
    massless = constant(0.0, n)
    return [
        Particle(w, mass, 24 * sign, mother, INTERMEDIATE, FIRST_FLAGS | LAST_FLAGS),
        Particle(first, massless, FIRST_DAUGHTER[channel] * sign, line, OUTGOING, ONLY_FLAGS),
        Particle(w.minus(first), massless, SECOND_DAUGHTER[channel] * sign, line, OUTGOING, ONLY_FLAGS),
    ]


def decay_tau(rng: np.random.Generator, tau: Particle, line: int) -> Particle:
    """What is seen of tau leptons (other leptons: nothing): an electron, a muon, or hadrons as one charged pion.

    The decay is collinear: leptons carry 36 % of the tau's momentum on average, hadrons 60 %.
    """
    n = tau.pdg.shape[0]
    is_tau, sign = np.abs(tau.pdg) == 15, np.sign(tau.pdg)
    u, v = uniform(rng, (2, n))
    to_lepton = v < TAU_TO_LEPTON
    lepton = np.where(v < TAU_TO_LEPTON / 2, 11, 13)
    pdg = np.where(is_tau, np.where(to_lepton, lepton, -211) * sign, 0).astype(np.int32)
    fraction = np.where(to_lepton, 1 - u ** np.float32(0.55), u ** np.float32(0.667))
    seen = Momentum(*(part * fraction for part in tau.momentum))
    return Particle(seen, constant(0.0, n), pdg, line, STABLE, TAU_DAUGHTER_FLAGS)
