"""What one systematic does to one sample, and how it is symmetrised, smoothed and pruned. Pure functions of arrays."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from inference.likelihood.specification import Floats
from inference.smoothing.algorithms import smooth_353qh, smooth_groups

Algorithm = Literal["353QH", "ratio"]
Symmetry = Literal["two-sided", "one-sided", "maximum", "up-only", "down-only"]
NEGLIGIBLE = 1e-9  # relative: what rounding of templates leaves


@dataclass(frozen=True, slots=True)
class Effect:
    """Templates and factors at ±1σ.

    Attributes:
        nominal, errors: contents of the sample and their statistical errors, shape (bins,).
        up, down: templates of the histosys; the nominal one where there is none.
        high, low: factors of the normsys; 1 where there is none.
        shaped: whether there is a histosys.
    """

    nominal: Floats
    errors: Floats
    up: Floats
    down: Floats
    high: float = 1.0
    low: float = 1.0
    shaped: bool = True

    @property
    def sides(self) -> tuple[Floats, Floats]:
        """Both templates with their factors."""
        return self.up * self.high, self.down * self.low

    @property
    def norms(self) -> tuple[float, float]:
        """Ratios of the integrals to the nominal one."""
        up, down = (float(side.sum() / self.nominal.sum()) for side in self.sides)
        return up, down

    @property
    def shapes(self) -> tuple[Floats, Floats]:
        """Templates scaled to the nominal integral."""
        up, down = (side / (side.sum() / self.nominal.sum()) for side in (self.up, self.down))
        return up, down

    @property
    def shape_size(self) -> float:
        """Largest relative difference of a bin's content from the nominal one, integrals being equal."""
        filled = self.nominal > 0
        return max(float(np.abs(side[filled] / self.nominal[filled] - 1).max(initial=0.0)) for side in self.shapes)


def symmetrised(effect: Effect, mode: Symmetry) -> Effect:
    """Both sides at equal distance from the nominal template, and the factors from 1.

    Args:
        mode: the distance is half of up minus down ("two-sided"); that of the only side there is ("one-sided", other
            variations stay); in each bin the larger one ("maximum"); that of one side ("up-only", "down-only").
    """
    up, down = _mirrored(effect.up, effect.down, effect.nominal, mode)
    factors = _mirrored(np.asarray([effect.high]), np.asarray([effect.low]), np.ones(1), mode)
    high, low = (float(side[0]) for side in factors)
    if min(high, low) <= 0:  # a factor must be positive: beyond 100 % it stays
        high, low = effect.high, effect.low
    return replace(effect, up=up, down=down, high=high, low=low)


def _mirrored(up: Floats, down: Floats, middle: Floats, mode: Symmetry) -> tuple[Floats, Floats]:
    above, below = up - middle, middle - down
    match mode:
        case "two-sided":
            shift = 0.5 * (above + below)
        case "maximum":
            shift = np.where(np.abs(above) >= np.abs(below), above, below)
        case "up-only":
            shift = above
        case "down-only":
            shift = below
        case "one-sided":
            none = [np.allclose(side, 0.0, rtol=0.0, atol=NEGLIGIBLE * np.abs(middle).max()) for side in (above, below)]
            if none[0] == none[1]:
                return up, down
            shift = below if none[0] else above
    return middle + shift, middle - shift


def smoothed(effect: Effect, algorithm: Algorithm, tolerance: float) -> Effect:
    """The templates' ratios to the nominal one smoothed, integrals as before; bins without nominal events stay."""
    up, down = (_smooth(side, effect, algorithm, tolerance) for side in (effect.up, effect.down))
    return replace(effect, up=up, down=down)


def _smooth(side: Floats, effect: Effect, algorithm: Algorithm, tolerance: float) -> Floats:
    filled = effect.nominal > 0
    nominal, contents = effect.nominal[filled], side[filled]
    ratio = contents / nominal
    if algorithm == "353QH":
        curve = smooth_353qh(ratio)
    else:
        curve = smooth_groups(ratio, nominal, effect.errors[filled], tolerance)
    result = side.copy()
    total = float((curve * nominal).sum())
    result[filled] = curve * nominal * (contents.sum() / total if total > 0 else 1.0)
    return result


def without_norm(effect: Effect) -> Effect:
    """The shape alone."""
    up, down = effect.shapes
    return replace(effect, up=up, down=down, high=1.0, low=1.0)


def without_shape(effect: Effect) -> Effect:
    """The norm alone, as factors."""
    high, low = effect.norms
    return replace(effect, up=effect.nominal, down=effect.nominal, high=high, low=low, shaped=False)
