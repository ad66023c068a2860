"""Parton-level kinematics of the five processes, at leading order with toy parton densities.

Two-body production is drawn from (invariant mass, rapidity, polar angle) with the leading-order matrix element; the
transverse recoil of the system, further jets and soft b quarks from gluon splitting are added by falling spectra.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from skimflow.simulate.kinematics import (
    F32,
    I32,
    TWO_PI,
    Momentum,
    boost,
    breakup_momentum,
    breit_wigner,
    direction,
    exponential,
    from_cylinder,
    normal,
    uniform,
)
from skimflow.simulate.partons import (
    FIRST_FLAGS,
    INCOMING,
    INCOMING_FLAGS,
    INTERMEDIATE,
    LAST_COPY,
    LAST_FLAGS,
    ONLY_FLAGS,
    OUTGOING,
    SHOWER_FLAGS,
    TOP_MASS,
    TOP_WIDTH,
    W_MASS,
    W_WIDTH,
    Particle,
    Partons,
    constant,
    decay_free_w,
    decay_tau,
    decay_top,
    draw_channels,
    identity,
    table,
    w_with_daughters,
)
from skimflow.simulate.samples import Radiation
from skimflow.simulate.sampling import GridDensity, counts, power_law

BEAM_ENERGY = 13000.0
EXTRA_JETS = 3


# Toy parton densities, x f(x).
def _gluon(x: Any) -> Any:
    return 3.0 * x**-0.25 * (1 - x) ** 5.5


def _sea(x: Any) -> Any:
    return 0.25 * x**-0.25 * (1 - x) ** 7


def _quark(x: Any) -> Any:
    return 2.1 * x**0.75 * (1 - x) ** 3.5 + _sea(x)


def _two_body(threshold: float, highest: float, matrix: Callable[..., Any]) -> GridDensity:
    """Density in (mass, rapidity over its limit, cosine) of a 2 → 2 process.

    ``matrix(x1, x2, s, cos)`` is parton luminosity times dσ/dcos, apart from constants.
    """

    def density(mass: Any, relative_rapidity: Any, cos: Any) -> Any:
        tau = (mass / BEAM_ENERGY) ** 2
        limit = -0.5 * np.log(tau)
        x1 = np.sqrt(tau) * np.exp(relative_rapidity * limit)
        x2 = np.sqrt(tau) * np.exp(-relative_rapidity * limit)
        return matrix(x1, x2, mass**2, cos) * limit * mass / tau

    masses = threshold + np.concatenate([[0.0], np.geomspace(2.0, highest - threshold, 100)])
    return GridDensity(density, [masses, np.linspace(-1, 1, 61), np.linspace(-1, 1, 41)])


@cache
def _top_pairs() -> GridDensity:
    """gg, qq̄ → tt̄ (leading order, e.g. Combridge 1979)."""

    def matrix(x1: Any, x2: Any, s: Any, cos: Any) -> Any:
        rho = 4 * TOP_MASS**2 / s
        beta = np.sqrt(np.maximum(1 - rho, 0))
        t1, t2 = (1 - beta * cos) / 2, (1 + beta * cos) / 2
        gluons = (1 / (6 * t1 * t2) - 3 / 8) * (t1**2 + t2**2 + rho - rho**2 / (4 * t1 * t2))
        quarks = 4 / 9 * (t1**2 + t2**2 + rho / 2)
        luminosity = _quark(x1) * _sea(x2) + _sea(x1) * _quark(x2)
        return (_gluon(x1) * _gluon(x2) * gluons + 2 * luminosity * quarks) * beta / s

    return _two_body(2 * TOP_MASS + 1, 4000.0, matrix)


@cache
def _top_w() -> GridDensity:
    """g b → t W: luminosity and phase space, angular dependence weak."""

    def matrix(x1: Any, x2: Any, s: Any, cos: Any) -> Any:
        beta = np.sqrt(np.maximum(1 - (TOP_MASS + W_MASS) ** 2 / s, 0))
        luminosity = _gluon(x1) * _sea(x2) + _sea(x1) * _gluon(x2)
        return luminosity * beta / s * (1 + 0.5 * cos**2)

    return _two_body(TOP_MASS + W_MASS + 1, 3000.0, matrix)


@cache
def _top_t_channel() -> GridDensity:
    """q b → q' t by exchange of a W; the cosine is that between the incoming and the outgoing light quark."""

    def matrix(x1: Any, x2: Any, s: Any, cos: Any) -> Any:
        t = -(s - TOP_MASS**2) / 2 * (1 - cos)
        return _quark(x1) * _sea(x2) * (1 - TOP_MASS**2 / s) ** 2 * s / (t - W_MASS**2) ** 2

    return _two_body(TOP_MASS + 5, 3000.0, matrix)


@cache
def _top_s_channel() -> GridDensity:
    """q q̄' → W* → t b̄; the cosine is that between the incoming quark and the b̄."""

    def matrix(x1: Any, x2: Any, s: Any, cos: Any) -> Any:
        return _quark(x1) * _sea(x2) * (1 - TOP_MASS**2 / s) ** 2 * s / (s - W_MASS**2) ** 2 * (1 + cos) ** 2

    return _two_body(TOP_MASS + 10, 2000.0, matrix)


def _produce(
    rng: np.random.Generator, density: GridDensity, first: F32, second: F32, radiation: Radiation, mirror: bool
) -> tuple[Momentum, Momentum, F32, F32]:
    """Two particles of masses ``first`` and ``second``, and the (pt, phi) of the jets they recoil against.

    ``mirror`` lets the first parton come from either beam, for processes whose density tells the beams apart.
    """
    n = first.shape[0]
    mass, relative_rapidity, cos = density.draw(rng, n)
    mass = np.maximum(mass, first + second + np.float32(0.5))
    rapidity = relative_rapidity * -np.log(mass / np.float32(BEAM_ENERGY))
    if mirror:
        side = np.sign(uniform(rng, n) - np.float32(0.5))
        rapidity, cos = rapidity * side, cos * side
    u = uniform(rng, n)
    pt = np.minimum(12 * radiation.isr * np.sqrt((1 - u) ** np.float32(-1 / 0.62) - 1), 800).astype(np.float32)
    phi = TWO_PI * uniform(rng, n) - np.float32(np.pi)
    transverse_mass = np.sqrt(mass * mass + pt * pt)
    system = Momentum(
        pt * np.cos(phi), pt * np.sin(phi), transverse_mass * np.sinh(rapidity), transverse_mass * np.cosh(rapidity)
    )
    p = breakup_momentum(mass, first, second)
    one = boost(direction(rng, cos).momentum(p, np.sqrt(p * p + first * first)), system, mass)
    return one, system.minus(one), pt, phi + np.float32(np.pi)


def _parton(momentum: Momentum, pdg: I32, flags: int = SHOWER_FLAGS) -> Particle:
    return Particle(momentum, constant(0.0, pdg.shape[0]), pdg, 0, OUTGOING, flags)


def _flavours(rng: np.random.Generator, n: int, bottom: float, charm: float, light: float) -> I32:
    """Identities of partons: b, c, light quarks with these fractions, gluons else."""
    limits = np.cumsum([bottom, charm, light])
    cells = np.searchsorted(limits, rng.random(n), side="right")
    return np.array([5, 4, 1, 21], dtype=np.int32)[cells]


def _jets(rng: np.random.Generator, recoil_pt: F32, recoil_phi: F32, radiation: Radiation) -> list[Particle]:
    """One jet that takes most of the recoil, and up to three further ones."""
    n = recoil_pt.shape[0]
    share = uniform(rng, n) ** np.float32(0.25)
    phi = recoil_phi + np.float32(0.35) * normal(rng, n)
    eta = np.float32(2.0) * normal(rng, n)
    recoiling = from_cylinder(recoil_pt * share, np.clip(eta, -5, 5), phi, 0.0)
    particles = [_parton(recoiling, identity(21, n))]
    number = counts(rng, radiation.extra * radiation.isr, n, EXTRA_JETS)
    for k in range(EXTRA_JETS):
        pt = power_law(rng, (n,), 13.0, 1.25, 250.0) * (number > k)
        eta = np.float32(2.1) * normal(rng, n)
        phi = TWO_PI * uniform(rng, n)
        pdg = _flavours(rng, n, 0.03, 0.05, 0.0) * (number > k).astype(np.int32)
        particles.append(_parton(from_cylinder(pt.astype(np.float32), np.clip(eta, -5, 5), phi, 0.0), pdg))
    return particles


def _soft_bottom(rng: np.random.Generator, sign: I32) -> Particle:
    """The b quark left over from a gluon that split, soft and often forward."""
    n = sign.shape[0]
    eta = np.clip(np.float32(1.5) * normal(rng, n), -5, 5)
    phi = TWO_PI * uniform(rng, n)
    momentum = from_cylinder(power_law(rng, (n,), 14.0, 1.5, 300.0), eta, phi, 4.8)
    return Particle(momentum, constant(4.8, n), -5 * sign, 0, OUTGOING, ONLY_FLAGS)


def _incoming(rng: np.random.Generator, n: int, first: int, second: int) -> list[Particle]:
    """The two incoming partons, along the beams."""
    none = constant(0.0, n)
    energy = 100 + 200 * exponential(rng, n)
    return [
        Particle(Momentum(none, none, side * energy, energy), none, identity(pdg, n), -1, INCOMING, INCOMING_FLAGS)
        for side, pdg in ((np.float32(1), first), (np.float32(-1), second))
    ]


def _top_mass(rng: np.random.Generator, n: int) -> F32:
    return breit_wigner(rng, n, TOP_MASS, TOP_WIDTH, 15.0)


def _random_sign(rng: np.random.Generator, n: int, positive: float) -> I32:
    return np.where(rng.random(n) < positive, 1, -1).astype(np.int32)


def top_pair(rng: np.random.Generator, n: int, radiation: Radiation) -> Partons:
    """tt̄ with at least one W decaying to leptons."""
    plus, minus = _top_mass(rng, n), _top_mass(rng, n)
    top, antitop, pt, phi = _produce(rng, _top_pairs(), plus, minus, radiation, mirror=False)
    channels, one = draw_channels(rng, 2, n), identity(1, n)
    lines = _incoming(rng, n, 21, 21)
    for status, flags, mothers in ((INTERMEDIATE, FIRST_FLAGS, (0, 0)), (LAST_COPY, LAST_FLAGS, (2, 3))):
        lines.append(Particle(top, plus, 6 * one, mothers[0], status, flags))
        lines.append(Particle(antitop, minus, -6 * one, mothers[1], status, flags))
    lines += decay_top(rng, top, plus, one, channels[0], 4, 6)
    lines += decay_top(rng, antitop, minus, -one, channels[1], 5, 10)
    lines += [decay_tau(rng, lines[8], 8), decay_tau(rng, lines[12], 12)]
    return table(lines + _jets(rng, pt, phi, radiation))


def single_top_w(rng: np.random.Generator, n: int, radiation: Radiation) -> Partons:
    """A top quark and a W boson, at least one W decaying to leptons, and a soft b quark."""
    top_mass, w_mass = _top_mass(rng, n), breit_wigner(rng, n, W_MASS, W_WIDTH, 20.0)
    top, w, pt, phi = _produce(rng, _top_w(), top_mass, w_mass, radiation, mirror=False)
    channels, sign = draw_channels(rng, 2, n), _random_sign(rng, n, 0.5)
    lines = _incoming(rng, n, 21, 5)
    lines.append(Particle(top, top_mass, 6 * sign, 0, INTERMEDIATE, FIRST_FLAGS))
    lines.append(Particle(top, top_mass, 6 * sign, 2, LAST_COPY, LAST_FLAGS))
    lines += decay_top(rng, top, top_mass, sign, channels[0], 3, 4)
    lines += w_with_daughters(w, w_mass, decay_free_w(rng, w, w_mass), -sign, channels[1], 0, 8)
    lines += [decay_tau(rng, lines[6], 6), decay_tau(rng, lines[9], 9), _soft_bottom(rng, sign)]
    return table(lines + _jets(rng, pt, phi, radiation))


def _single_top(
    rng: np.random.Generator, top: Momentum, mass: F32, other: Particle, sign: I32, incoming: tuple[int, int]
) -> list[Particle]:
    """The lines that t-channel and s-channel share: top, what is produced with it, and the top's decay."""
    n = mass.shape[0]
    lines = _incoming(rng, n, *incoming)
    lines.append(Particle(top, mass, 6 * sign, 0, INTERMEDIATE, FIRST_FLAGS))
    lines.append(Particle(top, mass, 6 * sign, 2, LAST_COPY, LAST_FLAGS))
    lines += decay_top(rng, top, mass, sign, draw_channels(rng, 1, n)[0], 3, 4)
    return [*lines, decay_tau(rng, lines[6], 6), other]


def single_top_t(rng: np.random.Generator, n: int, radiation: Radiation) -> Partons:
    """A top quark that decays to leptons, a light quark that stays forward, and a soft b quark."""
    mass, sign = _top_mass(rng, n), _random_sign(rng, n, 0.625)
    light, top, pt, phi = _produce(rng, _top_t_channel(), constant(0.0, n), mass, radiation, mirror=True)
    other = _parton(light, sign, ONLY_FLAGS)
    lines = _single_top(rng, top, mass, other, sign, (2, 5))
    return table([*lines, _soft_bottom(rng, sign), *_jets(rng, pt, phi, radiation)])


def single_top_s(rng: np.random.Generator, n: int, radiation: Radiation) -> Partons:
    """A top quark that decays to leptons, and a b quark."""
    mass, sign = _top_mass(rng, n), _random_sign(rng, n, 0.615)
    bottom_mass = constant(4.8, n)
    bottom, top, pt, phi = _produce(rng, _top_s_channel(), bottom_mass, mass, radiation, mirror=True)
    other = Particle(bottom, bottom_mass, -5 * sign, 0, OUTGOING, ONLY_FLAGS)
    lines = _single_top(rng, top, mass, other, sign, (2, -1))
    return table(lines + _jets(rng, pt, phi, radiation))


W_JETS = (3, 6)  # smallest and largest number of partons beside the W


def w_jets(rng: np.random.Generator, n: int, radiation: Radiation) -> Partons:
    """A W boson that decays to leptons and recoils against three to six partons with falling spectra."""
    fewest, most = W_JETS
    number = fewest + np.searchsorted([0.40, 0.75, 0.92], rng.random(n), side="right")
    splits = rng.random(n) < 0.05  # the first two partons are b b̄ from a gluon
    present = number[None, :] > np.arange(most)[:, None]
    hardness = power_law(rng, (n,), 1.0, 2.8, 8.0)
    pt = hardness * power_law(rng, (most, n), 13.0 * radiation.isr, 1.8, 500.0) * present
    eta = np.clip(np.float32(1.7) * normal(rng, (most, n)), -5, 5)
    phi = TWO_PI * uniform(rng, (most, n))
    # b and b̄ from one gluon stay near each other.
    near = np.float32(0.8) * normal(rng, (2, n))
    eta[1] = np.where(splits, eta[0] + near[0], eta[1])
    phi[1] = np.where(splits, phi[0] + near[1], phi[1])
    partons = from_cylinder(pt.astype(np.float32), eta, phi, 0.0)
    flavours = _flavours(rng, most * n, 0.008, 0.075, 0.40).reshape(most, n)
    flavours[0], flavours[1] = np.where(splits, 5, flavours[0]), np.where(splits, -5, flavours[1])
    flavours *= present
    mass = breit_wigner(rng, n, W_MASS, W_WIDTH, 20.0)
    px, py = -partons.px.sum(axis=0), -partons.py.sum(axis=0)
    transverse = np.sqrt(px * px + py * py + mass * mass)
    rapidity = np.float32(1.5) * normal(rng, n)
    w = Momentum(px, py, transverse * np.sinh(rapidity), transverse * np.cosh(rapidity))
    sign = _random_sign(rng, n, 0.58)
    lines = _incoming(rng, n, 2, -1)
    first = decay_free_w(rng, w, mass)
    lines += w_with_daughters(w, mass, first, sign, draw_channels(rng, 1, n)[0], 0, 2)
    lines.append(decay_tau(rng, lines[3], 3))
    for k in range(most):
        lines.append(_parton(Momentum(*(part[k] for part in partons)), flavours[k], ONLY_FLAGS))
    return table(lines)


PROCESSES: dict[str, Callable[[np.random.Generator, int, Radiation], Partons]] = {
    "ttbar": top_pair,
    "single_top_tW": single_top_w,
    "single_top_t_chan": single_top_t,
    "single_top_s_chan": single_top_s,
    "wjets": w_jets,
}
