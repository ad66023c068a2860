"""Drawing from densities without rejection."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from skimflow.simulate.kinematics import F32, uniform


class GridDensity:
    """A density on a box, taken as constant in each cell of a grid.

    Args:
        density: vectorised function of the coordinates (not normalised).
        edges: cell edges along each axis; narrow cells where the density changes fast.
    """

    def __init__(
        self, density: Callable[..., npt.NDArray[np.float64]], edges: Sequence[npt.NDArray[np.float64]]
    ) -> None:
        centres = np.meshgrid(*((axis[1:] + axis[:-1]) / 2 for axis in edges), indexing="ij")
        volumes = np.meshgrid(*(np.diff(axis) for axis in edges), indexing="ij")
        weights = density(*centres) * np.prod(volumes, axis=0)
        integral = np.cumsum(weights.ravel())
        self._cumulative = (integral / integral[-1]).astype(np.float64)
        self._shape = weights.shape
        self._low = [axis[:-1].astype(np.float32) for axis in edges]
        self._width = [np.diff(axis).astype(np.float32) for axis in edges]

    def draw(self, rng: np.random.Generator, n: int) -> list[F32]:
        """``n`` points: one float32 array per coordinate."""
        # Sorted draws walk through the table in order, which is several times faster than jumping about.
        cells = np.searchsorted(self._cumulative, _sorted_uniform(rng, n), side="right")
        cells = rng.permuted(np.minimum(cells, self._cumulative.size - 1))
        points: list[F32] = []
        for low, width, index in zip(self._low, self._width, np.unravel_index(cells, self._shape), strict=True):
            points.append(low[index] + width[index] * uniform(rng, n))
        return points


def _sorted_uniform(rng: np.random.Generator, n: int) -> npt.NDArray[np.float64]:
    """``n`` independent uniform numbers in increasing order (partial sums of exponentials)."""
    sums = np.cumsum(rng.standard_exponential(n + 1))
    uniform: npt.NDArray[np.float64] = sums[:-1] / sums[-1]
    return uniform


def power_law(rng: np.random.Generator, shape: tuple[int, ...], low: float, index: float, high: float) -> F32:
    """Numbers with density x**-(index + 1) from ``low``, values above ``high`` put there."""
    u = np.maximum(uniform(rng, shape), np.float32(1e-6))
    values: F32 = np.minimum(np.float32(low) * u ** np.float32(-1 / index), np.float32(high))
    return values


def counts(rng: np.random.Generator, mean: float, n: int, largest: int) -> npt.NDArray[np.int64]:
    """Poisson counts, values above ``largest`` put there (by table: numpy's own sampler is ten times slower)."""
    k = np.arange(largest)
    terms = np.exp(-mean) * mean**k / np.array([float(np.prod(np.arange(1, i + 1))) for i in k])
    drawn: npt.NDArray[np.int64] = np.searchsorted(np.cumsum(terms), rng.random(n), side="right")
    return drawn
