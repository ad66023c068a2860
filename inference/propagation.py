"""How uncertainties of the parameters become uncertainties of the predicted rates.

*Linear*: the covariance C = L Lᵀ, and the rates' exact derivative along every column of L; their squares add up to the
variance, also of sums of rates. *Varied*: instead of the derivative half the difference between one column up and one
down. *Sampled*: the rates at many draws of the parameters. Either way one compiled call walks through the rows and
keeps sums alone, so memory does not grow with the number of rows.

Rates are those of each sample in each bin, gammas included: profiled ones are ordinary parameters here.
"""

from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from inference.likelihood import evaluate
from inference.likelihood.specification import Floats

if TYPE_CHECKING:
    from inference.likelihood.model import Likelihood


class Rates(NamedTuple):
    """Rates, changes of rates, or their variances: of samples, of which slot i is a channel's i-th, and of their sums.

    Attributes:
        entries: shape (slots, bins), 0 where a channel has no such sample.
        bins: sum of the samples, shape (bins,).
        samples: sum of a channel's bins, shape (channels, slots).
        channels: of both, shape (channels,).
    """

    entries: Any
    bins: Any
    samples: Any
    channels: Any


def square_root(covariance: Floats) -> Floats:
    """L of C = L Lᵀ, shape (parameters, parameters), also where C has rows of 0."""
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0)))


def linear(likelihood: "Likelihood", parameters: Floats, root: Floats) -> Rates:
    """Variances of the rates at ``parameters`` for a covariance ``root`` · ``root``ᵀ, by their derivatives."""
    return _moments(_linear, likelihood, parameters, root.T)[1]


def varied(likelihood: "Likelihood", parameters: Floats, root: Floats) -> Rates:
    """As `linear`, by the differences between ``parameters`` plus and minus each column of ``root``."""
    return _moments(_varied, likelihood, parameters, root.T)[1]


def sampled(likelihood: "Likelihood", parameters: Floats, draws: Floats) -> Rates:
    """Variances of the rates over ``draws``, shape (N, parameters), about their mean."""
    sums, squares = _moments(_sampled, likelihood, parameters, draws - parameters)
    count = len(draws)
    return Rates(*(np.maximum(b / count - (a / count) ** 2, 0.0) for a, b in zip(sums, squares, strict=True)))


def along(likelihood: "Likelihood", parameters: Floats, directions: Floats) -> Floats:
    """Derivative of each bin's rate along each of the directions, (N, parameters) to (N, bins)."""
    at = _place(likelihood, parameters)
    found = np.asarray(
        _slopes(at, _rows(likelihood, directions), likelihood.arrays, likelihood.layout, _blank(likelihood))
    )
    full = np.zeros((len(directions), likelihood.bins + 1))
    full[:, likelihood.places.bin_at] = found
    return full[:, :-1]


def _moments(compiled_sums: Any, likelihood: "Likelihood", parameters: Floats, steps: Floats) -> list[Rates]:
    """Sums, and sums of squares, of the changes of the rates for each step."""
    names = [channel.name for channel in likelihood.specification.channels]
    belongs = np.asarray([[float(name == of) for of in likelihood.places.channel_of] for name in names])
    place, rows = _place(likelihood, parameters), _rows(likelihood, steps)
    found = compiled_sums(place, rows, belongs, likelihood.arrays, likelihood.layout, _blank(likelihood))
    return [_flat(likelihood, jax.tree.map(np.asarray, each)) for each in found]


def _place(likelihood: "Likelihood", parameters: Floats) -> tuple[Floats, Floats]:
    # Exactly 0 the likelihood replaces by TINY, which has no derivative; TINY itself has one.
    [theta], [gamma] = _rows(likelihood, parameters[None])
    gamma = np.where(likelihood.places.gamma >= 0, gamma, 1.0)
    return np.where(theta == 0, evaluate.TINY, theta), gamma


def _rows(likelihood: "Likelihood", rows: Floats) -> tuple[Floats, Floats]:
    """Of the reduced parameters (N, R) and of the profiled gammas (N, C, W), 0 where a bin has none."""
    places = likelihood.places
    return rows[:, places.reduced], np.where(places.gamma >= 0, rows[:, places.gamma], 0.0)


def _blank(likelihood: "Likelihood") -> evaluate.Data:
    """Data for functions of the rates alone, which need none."""
    nothing = likelihood.observation(np.zeros(likelihood.bins))
    return likelihood.data(nothing, likelihood.init, np.zeros(len(likelihood.labels), dtype=bool))


def _flat(likelihood: "Likelihood", found: Rates) -> Rates:
    bin_at = likelihood.places.bin_at
    entries = np.zeros((found.entries.shape[1], likelihood.bins + 1))
    entries[:, bin_at] = np.moveaxis(found.entries, 1, 0)
    totals = np.zeros(likelihood.bins + 1)
    totals[bin_at] = found.bins
    return Rates(entries[:, :-1], totals[:-1], found.samples, found.channels)


def _entries(place: Any, arrays: Any, layout: Any, blank: Any) -> Any:
    """(C, S, W) at reduced parameters and gammas that do not follow them."""
    theta, gamma = place
    found = evaluate.rates(theta, arrays, layout, blank)
    scale = jnp.where(arrays.gamma_on > 0, gamma[:, None, :], 1.0)
    return found.base * found.cell[:, :, None] * found.layer * scale


def _sums(change: Any, belongs: Any) -> Rates:
    samples = belongs @ change.sum(axis=2)
    return Rates(change, change.sum(axis=1), samples, samples.sum(axis=1))


def _add_up(changes: Any, rows: Any, zero: Any, belongs: Any) -> tuple[Rates, Rates]:
    """Sums and sums of squares of ``changes(row)``."""

    def step(state: Any, row: Any) -> tuple[Any, None]:
        change = _sums(changes(row), belongs)
        first, second = state
        first = jax.tree.map(lambda total, new: total + new, first, change)
        return (first, jax.tree.map(lambda total, new: total + new * new, second, change)), None

    nothing = _sums(zero, belongs)
    ended, _ = jax.lax.scan(step, (nothing, nothing), rows)
    return ended


def _derivative(place: Any, row: Any, arrays: Any, layout: Any, blank: Any) -> Any:
    return jax.jvp(lambda at: _entries(at, arrays, layout, blank), (place,), (row,))[1]


def _half_difference(place: Any, row: Any, arrays: Any, layout: Any, blank: Any) -> Any:
    up, down = (jax.tree.map(lambda at, step, sign=sign: at + sign * step, place, row) for sign in (1, -1))
    return 0.5 * (_entries(up, arrays, layout, blank) - _entries(down, arrays, layout, blank))


def _difference(place: Any, row: Any, arrays: Any, layout: Any, blank: Any) -> Any:
    there = jax.tree.map(jnp.add, place, row)
    return _entries(there, arrays, layout, blank) - _entries(place, arrays, layout, blank)


def _summed(change: Any) -> Any:
    """Compiled: sums and sums of squares of ``change`` over rows."""

    def sums(place: Any, rows: Any, belongs: Any, arrays: Any, layout: Any, blank: Any) -> tuple[Rates, Rates]:
        zero = jnp.zeros_like(arrays.nominal)
        return _add_up(lambda row: change(place, row, arrays, layout, blank), rows, zero, belongs)

    return jax.jit(sums, static_argnames="layout")


def _bin_slopes(place: Any, rows: Any, arrays: Any, layout: Any, blank: Any) -> Any:
    return jax.lax.map(lambda row: _derivative(place, row, arrays, layout, blank).sum(axis=1), rows)


# Whoever has a likelihood has set double precision and the cache on disk.
_linear, _varied, _sampled = _summed(_derivative), _summed(_half_difference), _summed(_difference)
_slopes = jax.jit(_bin_slopes, static_argnames="layout")
