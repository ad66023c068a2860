"""Relativistic kinematics on plain arrays, shaped for speed.

Momenta are tuples of four equally shaped arrays (px, py, pz, e) in GeV. Particles of one kind are stacked on the first
axis and events lie on the last one, so that every operation runs over contiguous memory.
"""

from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

# The arrays are float32 for speed; the type says less, because numpy's stubs lose the precision in mixed arithmetic.
F32: TypeAlias = npt.NDArray[np.floating[Any]]
I32: TypeAlias = npt.NDArray[np.int32]
Mask: TypeAlias = npt.NDArray[np.bool_]

PI = np.float32(np.pi)
TWO_PI = np.float32(2 * np.pi)


def uniform(rng: np.random.Generator, shape: int | tuple[int, ...]) -> F32:
    """float32 numbers in [0, 1)."""
    numbers: F32 = rng.random(shape, dtype=np.float32)
    return numbers


def normal(rng: np.random.Generator, shape: int | tuple[int, ...]) -> F32:
    """float32 numbers of a standard normal distribution."""
    numbers: F32 = rng.standard_normal(shape, dtype=np.float32)
    return numbers


def exponential(rng: np.random.Generator, shape: int | tuple[int, ...]) -> F32:
    """float32 numbers of an exponential distribution of mean 1."""
    numbers: F32 = rng.standard_exponential(shape, dtype=np.float32)
    return numbers


class Momentum(NamedTuple):
    """Four-momenta in GeV: equally shaped float32 arrays."""

    px: F32
    py: F32
    pz: F32
    e: F32

    def minus(self, other: "Momentum") -> "Momentum":
        """Difference, component by component."""
        return Momentum(*(a - b for a, b in zip(self, other, strict=True)))


def stack(momenta: list[Momentum]) -> Momentum:
    """Momenta of shape (n,) each, stacked to shape (len(momenta), n)."""
    return Momentum(*(np.stack(component) for component in zip(*momenta, strict=True)))


def from_cylinder(pt: F32, eta: F32, phi: F32, mass: F32 | float) -> Momentum:
    """Momentum from transverse momentum, pseudorapidity, azimuth and mass (GeV, radian)."""
    px, py, pz = pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)
    return Momentum(px, py, pz, np.sqrt(pt * pt + pz * pz + mass * mass))


def to_cylinder(p: Momentum) -> tuple[F32, F32, F32]:
    """(pt, eta, phi) of momenta; particles without transverse momentum get a finite, very large eta."""
    pt = np.sqrt(p.px * p.px + p.py * p.py)
    return pt, np.arcsinh(p.pz / np.maximum(pt, np.float32(1e-6))), np.arctan2(p.py, p.px)


def boost(p: Momentum, frame: Momentum, mass: F32 | float) -> Momentum:
    """``p``, given in the rest frame of a particle, as seen where that particle has momentum ``frame``."""
    gamma = frame.e / mass
    ux, uy, uz = frame.px / mass, frame.py / mass, frame.pz / mass
    along = (p.px * ux + p.py * uy + p.pz * uz) / (gamma + 1) + p.e
    e = gamma * p.e + p.px * ux + p.py * uy + p.pz * uz
    return Momentum(p.px + along * ux, p.py + along * uy, p.pz + along * uz, e)


def breakup_momentum(mass: F32, first: F32 | float, second: F32 | float) -> F32:
    """Momentum of both daughters in the rest frame of a decay mass → first + second (Källén function)."""
    triangle = (mass**2 - (first + second) ** 2) * (mass**2 - (first - second) ** 2)
    momentum: F32 = np.sqrt(np.maximum(triangle, 0)) / (2 * mass)
    return momentum


class Direction(NamedTuple):
    """Unit vectors by their angles, with the frame (theta-hat, phi-hat) that stands on them."""

    cos: F32
    sin: F32
    cos_phi: F32
    sin_phi: F32

    def momentum(self, p: F32, e: F32) -> Momentum:
        """Momenta of size ``p`` along the directions."""
        transverse = p * self.sin
        return Momentum(transverse * self.cos_phi, transverse * self.sin_phi, p * self.cos, e)

    def rotate(self, p: Momentum) -> Momentum:
        """``p``, given in a frame whose z axis is the direction, as seen in the frame of the direction."""
        x = self.cos * p.px + self.sin * p.pz
        z = self.cos * p.pz - self.sin * p.px
        return Momentum(self.cos_phi * x - self.sin_phi * p.py, self.sin_phi * x + self.cos_phi * p.py, z, p.e)


def direction(rng: np.random.Generator, cos: F32) -> Direction:
    """Directions with given polar cosines and uniform azimuths."""
    phi = TWO_PI * uniform(rng, cos.shape)
    return Direction(cos, np.sqrt(np.maximum(1 - cos * cos, 0)), np.cos(phi), np.sin(phi))


def delta_phi(a: F32, b: F32) -> F32:
    """Size of the azimuthal difference, wrapped to [0, pi]; both in [-pi, pi]."""
    size = np.abs(a - b)
    wrapped: F32 = np.minimum(size, TWO_PI - size)
    return wrapped


def wrap_phi(phi: F32) -> F32:
    """Azimuths wrapped to [-pi, pi]."""
    wrapped: F32 = phi - TWO_PI * np.rint(phi / TWO_PI)
    return wrapped


def breit_wigner(rng: np.random.Generator, shape: Any, mass: float, width: float, cut: float) -> F32:
    """Masses after a non-relativistic Breit-Wigner cut off at ``mass ± cut`` (GeV), by inverting its integral."""
    edge = np.float32(np.arctan(2 * cut / width))
    angle = (2 * uniform(rng, shape) - 1) * edge
    masses: F32 = np.float32(mass) + np.float32(width / 2) * np.tan(angle)
    return masses
