"""Many rows of a model in few compiled calls, each call of the same number of rows, so that nothing compiles anew.

Rows are laid out for the whole array at once: what Python does for one toy costs as much as its fit.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln, xlogy

from inference.likelihood import compiled, evaluate
from inference.likelihood.certificate import certify
from inference.likelihood.evaluate import Data
from inference.likelihood.minimise import Ended
from inference.likelihood.specification import Floats
from inference.toys.generate import Constraints, Toys

if TYPE_CHECKING:
    from inference.likelihood.model import Likelihood

# Rows of a compiled call: long enough that calling costs nothing, short enough that filling up the last one does not
# either.
ROWS = 64


class Ends(NamedTuple):
    """Where many fits ended, shape (toys, …); as ``minimise.Ended``, ``parameters`` and ``nll`` in full."""

    parameters: Floats  # (N, parameters)
    nll: Floats  # (N,)
    gradient: Floats  # (N, R)
    edm: Floats  # (N,)
    held: NDArray[np.bool_]  # (N, R)
    positive: NDArray[np.bool_]
    iterations: NDArray[np.int64]
    feasible: NDArray[np.bool_]


def minimise(likelihood: "Likelihood", toys: Toys, begin: Floats, free: NDArray[np.bool_]) -> Ends:
    """Fit each toy from ``begin`` (N, parameters) in the ``free`` (parameters,) ones; others stay where they begin."""
    places = likelihood.places
    reduced = places.reduced
    moves = np.tile(free[reduced], (len(toys), 1))
    low = np.where(free, likelihood.lower, begin)[:, reduced]
    high = np.where(free, likelihood.upper, begin)[:, reduced]
    rows = (begin[:, reduced], moves, low, high, stack(likelihood, toys, begin, free))
    pieces = [_fits(likelihood, rows, start) for start in range(0, len(toys), ROWS)]
    ended = jax.tree.map(lambda *parts: np.concatenate(parts), *pieces)
    parameters = begin.copy()
    parameters[:, reduced] = ended.theta
    has = places.gamma >= 0
    parameters[:, places.gamma[has]] = ended.gamma[:, has]
    return Ends(
        parameters,
        ended.value + saturated(likelihood, toys),
        ended.gradient,
        ended.edm,
        ended.held,
        ended.positive,
        ended.iterations,
        ended.feasible,
    )


def _fits(likelihood: "Likelihood", rows: Any, start: int) -> Any:
    """One compiled call; missing rows are those of the first fit with nothing free, which end at once."""
    count = min(ROWS, len(rows[0]) - start)

    def cut(leaf: Any) -> Any:
        piece = leaf[start : start + ROWS]
        return piece if count == ROWS else np.concatenate([piece, np.repeat(piece[:1], ROWS - count, axis=0)])

    starts, free, low, high, data = jax.tree.map(cut, rows)
    free[count:] = False
    ended = compiled.fits(starts, free, low, high, data, likelihood.arrays, likelihood.layout)
    return jax.tree.map(lambda leaf: np.asarray(leaf)[:count], ended)


def reason(likelihood: "Likelihood", toys: Toys, ends: Ends, row: int, free: NDArray[np.bool_]) -> str:
    """Why one of the fits has no certificate; the Hessian, which tells most, is worked out for it alone."""
    reduced = likelihood.places.reduced
    data = likelihood.data(toys[row], ends.parameters[row], free)
    here = compiled.point(ends.parameters[row, reduced], likelihood.arrays, likelihood.layout, data)
    ended = Ended(
        ends.parameters[row, reduced],
        here.gamma,
        here.value,
        ends.gradient[row],
        here.curvature,
        ends.edm[row],
        ends.held[row],
        ends.positive[row],
        ends.iterations[row],
        ends.feasible[row],
    )
    return certify(ended, free[reduced], tuple(likelihood.labels[place] for place in reduced)).reason


def stack(likelihood: "Likelihood", toys: Toys, parameters: Floats, free: NDArray[np.bool_]) -> Data:
    """``Likelihood.data`` of every toy, each leaf with an axis of toys in front."""
    places, arrays = likelihood.places, likelihood.arrays
    has = places.gamma >= 0
    held = has & ~free[places.gamma]
    at = parameters[:, places.gamma]
    nothing = np.zeros((len(toys), 1))
    auxiliary = toys.auxiliary[:, places.reduced]
    mask = np.append(toys.mask, 0.0)[places.bin_at]
    return Data(
        np.concatenate([toys.main, nothing], axis=1)[:, places.bin_at],
        np.broadcast_to(mask, (len(toys), *mask.shape)),
        auxiliary[:, arrays.normal_par],
        auxiliary[:, arrays.poisson_par],
        np.where(has, toys.auxiliary[:, places.gamma], 1.0),
        np.where(has, np.where(held, at, likelihood.lower[places.gamma]), 1.0),
        np.where(has, np.where(held, at, likelihood.upper[places.gamma]), 1.0),
    )


def uncertainties(likelihood: "Likelihood", toys: Toys, at: Floats, free: NDArray[np.bool_]) -> Floats:
    """Square roots of the diagonal of ``Likelihood.covariance`` at the toys' minima (N, parameters).

    Zero for parameters that are fixed or held by a bound, NaN where the Hessian is not positive definite.
    """
    places = likelihood.places
    reduced, has = places.reduced, places.gamma >= 0
    moves = np.tile(free[reduced], (len(toys), 1))
    low, high = (np.tile(bound[reduced], (len(toys), 1)) for bound in (likelihood.lower, likelihood.upper))
    rows = (at[:, reduced], moves, low, high, stack(likelihood, toys, at, free))
    variances = np.zeros_like(at)
    for start, chosen in _pieces(len(toys)):
        piece = jax.tree.map(lambda leaf, chosen=chosen: leaf[chosen], rows)
        inner, gammas = (np.asarray(each) for each in _spreads(*piece, likelihood.arrays, likelihood.layout))
        here = slice(start, min(start + ROWS, len(toys)))
        variances[here, reduced] = inner[: here.stop - start]
        variances[here, places.gamma[has]] = gammas[: here.stop - start].reshape(-1, *has.shape)[:, has]
    return np.sqrt(np.where(variances >= 0, variances, np.nan))


def _pieces(count: int) -> Iterator[tuple[int, NDArray[np.intp]]]:
    """Start of each compiled call and its rows, the last one again where too few are left."""
    for start in range(0, count, ROWS):
        yield start, np.minimum(np.arange(start, start + ROWS), count - 1)


def saturated(likelihood: "Likelihood", toys: Toys) -> Floats:
    """``Likelihood.saturated`` of every toy, shape (toys,)."""
    constraints = Constraints.of(likelihood)
    widths = constraints.scale[constraints.normal]
    normal = float(np.sum(np.log(widths)) + 0.5 * len(widths) * np.log(2 * np.pi))
    counts = np.concatenate([toys.main[:, toys.mask > 0], toys.auxiliary[:, constraints.poisson]], axis=1)
    return np.asarray(normal + np.sum(counts - xlogy(counts, counts) + gammaln(counts + 1), axis=1))


def expected(likelihood: "Likelihood", parameters: Floats) -> Floats:
    """``Likelihood.expected`` at many points: (N, parameters) to (N, bins)."""
    count, places = len(parameters), likelihood.places
    nobody = np.full((count, len(likelihood.labels)), np.nan)
    seen = Toys(np.zeros((count, likelihood.bins)), nobody, np.ones(likelihood.bins), parameters)
    data = stack(likelihood, seen, parameters, np.zeros(len(likelihood.labels), dtype=bool))
    # a gamma that is held needs no auxiliary measurement, but NaN would not stay out of the arithmetic
    rows = (parameters[:, places.reduced], data._replace(gamma=data.gamma_lower))
    full = np.zeros((count, likelihood.bins + 1))
    for start, chosen in _pieces(count):
        stop = min(start + ROWS, count)
        theta, piece = jax.tree.map(lambda leaf, chosen=chosen: leaf[chosen], rows)
        found = np.asarray(_totals(theta, piece, likelihood.arrays, likelihood.layout))
        full[start:stop, places.bin_at] = found[: stop - start]
    return full[:, :-1]


def _variances(theta: Any, free: Any, lower: Any, upper: Any, data: Any, arrays: Any, layout: Any) -> Any:
    """Of the reduced parameters (N, R), and of the profiled gammas (N, C·W) by block inversion."""

    def one(row: Any) -> Any:
        here, mask, low, high, seen = row
        near = evaluate.point(here, arrays, layout, seen)
        held = ((here <= low) & (near.gradient > 0)) | ((here >= high) & (near.gradient < 0))
        moving = mask & ~held
        both = moving[:, None] & moving[None, :]
        inside = jnp.where(both, near.curvature, 0.0) + jnp.diag(jnp.where(moving, 0.0, 1.0))
        inner = jax.scipy.linalg.cho_solve((jnp.linalg.cholesky(inside), True), jnp.eye(len(here)))
        inner = jnp.where(both, inner, 0.0)
        mixed, inverse = evaluate.gamma_derivatives(here, arrays, layout, seen)
        slope = inverse[:, None] * mixed
        return jnp.diag(inner), inverse + jnp.sum((slope @ inner) * slope, axis=1)

    return jax.lax.map(one, (theta, free, lower, upper, data))


_spreads = jax.jit(_variances, static_argnames="layout")


def _rates(theta: Any, data: Any, arrays: Any, layout: Any) -> Any:
    return jax.lax.map(lambda row: evaluate.rates(row[0], arrays, layout, row[1]).total, (theta, data))


_totals = jax.jit(_rates, static_argnames="layout")
