"""Reproducible normal numbers, one per jet, from what names the jet.

The AGC smears jets with an unseeded generator, so that no two runs agree. Here the number of a jet depends on its
run, luminosity block, event number and place in the event's whole jet collection, and on nothing else: chunking,
workers and skims that keep whole collections do not change it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import ndtri

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
SALT = np.uint64(0x6A6574726573)  # "jetres": another use of the same event gets other numbers with another salt


def mix(counter: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Finalizer of SplitMix64: a bijection of 64-bit integers in which every bit depends on every bit.

    Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators" (OOPSLA 2014), with the
    constants of Vigna's public-domain version.
    """
    z = (counter ^ (counter >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def jet_normals(run: ArrayLike, luminosity_block: ArrayLike, event: ArrayLike, jet: ArrayLike) -> NDArray[np.float64]:
    """Standard normal numbers keyed by jet.

    Args:
        run: of each jet's event; all four arguments are flat, of one length and of any integer type.
        luminosity_block: of each jet's event.
        event: number of each jet's event.
        jet: index of the jet in the whole collection of its event, from 0.

    Returns:
        float64 numbers of the same length. The uniform number underneath is the middle of one of 2^52 equal
        bins, hence never 0 or 1, and no |z| exceeds 8.21.
    """
    with np.errstate(over="ignore"):  # the arithmetic is meant modulo 2^64
        key = mix(SALT + (_unsigned(run) << np.uint64(32)) + _unsigned(luminosity_block))
        key = mix(key + GOLDEN * _unsigned(event))
        bits = mix(key + GOLDEN * (_unsigned(jet) + np.uint64(1)))
    uniform = ((bits >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52
    normal: NDArray[np.float64] = ndtri(uniform)
    return normal


def _unsigned(values: Any) -> NDArray[np.uint64]:
    return np.asarray(values).astype(np.uint64)
