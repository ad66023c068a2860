"""What toys want of a likelihood, for all of them at once: what Python does for one costs as much as its fit."""

from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from inference.likelihood import compiled, evaluate
from inference.likelihood.bulk import fit_all, in_calls
from inference.likelihood.certificate import EDM_ENOUGH
from inference.likelihood.minimise import Ended
from inference.likelihood.model import Observation
from inference.likelihood.specification import Floats
from inference.toys.generate import Toys

if TYPE_CHECKING:
    from inference.likelihood.model import Likelihood


class Ends(NamedTuple):
    """Where many fits ended; leaves have one row for each toy."""

    ended: Ended
    parameters: Floats  # (N, parameters)
    nll: Floats  # (N,)

    @property
    def certified(self) -> NDArray[np.bool_]:
        """As ``certificate.certify`` judges, (N,)."""
        return np.asarray(self.ended.feasible & self.ended.positive & (self.ended.edm < EDM_ENOUGH))

    def row(self, number: int) -> Ended:
        """One of them."""
        return Ended(*(leaf[number] for leaf in self.ended))

    def put(self, rows: NDArray[np.intp], other: "Ends", theirs: NDArray[np.intp]) -> None:
        """Others in the place of some."""
        for leaf, new in zip(jax.tree.leaves(self), jax.tree.leaves(other), strict=True):
            leaf[rows] = new[theirs]


def minimise(likelihood: "Likelihood", toys: Toys, begin: Floats, free: NDArray[np.bool_]) -> Ends:
    """Fit each toy from ``begin`` (N, parameters) in the ``free`` (parameters,) ones; others stay where they begin."""
    places = likelihood.places
    ended = fit_all(likelihood, likelihood.task(toys.seen, begin, free))
    parameters = begin.copy()
    parameters[:, places.reduced] = ended.theta
    has = places.gamma >= 0
    parameters[:, places.gamma[has]] = ended.gamma[:, has]
    return Ends(ended, parameters, ended.value + likelihood.saturated(toys.seen))


def uncertainties(likelihood: "Likelihood", toys: Toys, at: Floats, free: NDArray[np.bool_]) -> Floats:
    """Square roots of the diagonal of ``Likelihood.covariance`` at the toys' minima (N, parameters).

    Zero for parameters that are fixed or held by a bound, NaN where the Hessian is not positive definite.
    """
    places, model = likelihood.places, (likelihood.arrays, likelihood.layout)
    reduced, has = places.reduced, places.gamma >= 0
    moves = np.tile(free[reduced], (len(toys), 1))
    low, high = (np.tile(bound[reduced], (len(toys), 1)) for bound in (likelihood.lower, likelihood.upper))
    rows = (at[:, reduced], moves, low, high, likelihood.data(toys.seen, at, free))
    inner, gammas = in_calls(lambda _, piece: _spreads(*piece, *model), rows)
    variances = np.zeros_like(at)
    variances[:, reduced] = inner
    variances[:, places.gamma[has]] = gammas.reshape(-1, *has.shape)[:, has]
    return np.sqrt(np.where(variances >= 0, variances, np.nan))


def expected(likelihood: "Likelihood", parameters: Floats) -> Floats:
    """``Likelihood.expected`` at many points: (N, parameters) to (N, bins)."""
    count, model = len(parameters), (likelihood.arrays, likelihood.layout)
    one = likelihood.observation(np.zeros(likelihood.bins))
    seen = Observation(np.tile(one.main, (count, 1)), np.tile(one.auxiliary, (count, 1)), one.mask)
    data = likelihood.data(seen, parameters, np.zeros(len(likelihood.labels), dtype=bool))
    found = in_calls(lambda _, piece: _totals(*piece, *model), (parameters[:, likelihood.places.reduced], data))
    full = np.zeros((count, likelihood.bins + 1))
    full[:, likelihood.places.bin_at] = found
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


_spreads = compiled.jit(_variances)


def _rates(theta: Any, data: Any, arrays: Any, layout: Any) -> Any:
    """Of every bin (N, C, W)."""
    return jax.lax.map(lambda row: evaluate.rates(row[0], arrays, layout, row[1]).total, (theta, data))


_totals = compiled.jit(_rates)
