"""HistFactory's −log L at a point, with its exact gradient and Hessian. Pure functions of arrays, compiled by JAX in
float64.

What is returned is −log L minus that of the saturated model (each bin predicted as observed, each auxiliary measurement
met), which is half the deviance: sums of small terms, so that differences near a minimum are exact to rounding.

The rate of an entry (block c, slot s, bin w) is ``(nominal + shapes) · cell · layers · gamma``; rates of the slots
add up to λ. The Hessian uses this structure instead of differentiating twice:

    H = Jᵀ diag(n/λ²) J  +  Σ_b (1 − n_b/λ_b) ∂²λ_b  −  Cᵀ diag(1/H_γγ) C  +  constraints

J the Jacobian of λ, C the mixed derivatives with the profiled gammas (Schur complement). ∂²λ has entries only on the
diagonal of the shapes, between shapes and cells, and among cells and layers, each of which is a small matrix product.

Profiled gammas: for a normal constraint the best λ = γa + c solves λ² + b λ = q (Conway, arXiv:1103.0354, for c = 0),
for a Poisson constraint γ solves a quadratic equation; clipped to its bounds it is exact there too, since −log L is
convex in γ.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp

from inference.likelihood.arrays import Arrays, Layout
from inference.likelihood.interpolation import even, norm

NOWHERE: dict[str, Any] = {"mode": "drop", "wrap_negative_indices": False}  # places beyond the end are none
TINY = 1e-150  # stands for a factor of exactly 0, so that logarithmic derivatives stay finite and their products exact


class Data(NamedTuple):
    """What was observed, and what gammas may be; all arrays, so that other data need no other compiled function."""

    observed: Any  # (C, W)
    mask: Any  # (C, W): 1 for bins that count
    normal: Any  # (Q,) auxiliary measurements of the normal constraints
    poisson: Any  # (T,)
    gamma: Any  # (C, W) of the profiled gammas
    gamma_lower: Any  # (C, W); equal to the upper one if held
    gamma_upper: Any  # (C, W)


class Rates(NamedTuple):
    """Parts of the entries' rates that all of the derivatives use."""

    slopes: Any  # (C, S, W, K) of the shapes
    bends: Any  # (N,) second derivatives of the even function
    base: Any  # (C, S, W) nominal plus shapes
    cell: Any  # (C, S)
    cell_slopes: Any  # (C, S, G): ∂ log cell
    cell_bends: Any  # (C, S, G): ∂² cell / cell
    layer: Any  # (C, S, W)
    noise_slopes: Any  # (C, W, G): ∂ log of errors that follow the cells; () without
    gamma: Any  # (C, W)
    scaled: Any  # (C, W): a, the part that gamma scales, before it does
    total: Any  # (C, W): λ


class Point(NamedTuple):
    """Value and derivatives; ``curvature`` (R, R) exact, ``fisher`` (R, R) without second derivatives of the rates.

    ``gamma`` (C, W) are the profiled gammas there.
    """

    value: Any
    gradient: Any
    curvature: Any
    fisher: Any
    gamma: Any


def rates(theta: Any, arrays: Arrays, layout: Layout, data: Data) -> Rates:
    """All rates at the reduced parameters ``theta`` (R,), gammas profiled."""
    shapes = picked(theta, arrays.shapes)
    bent, slope, bends = even(shapes, layout.histosys)
    if layout.sparse_shapes:
        padded = jnp.concatenate([jnp.stack([shapes, bent, slope]), jnp.zeros((3, 1))], axis=1)[:, arrays.shape_par]
        odd, curved, slope = padded[:, :, None, None, :]
        base = arrays.nominal + jnp.sum(odd * arrays.shape_odd + curved * arrays.shape_even, axis=3)
    else:
        flat = (arrays.nominal.size, arrays.shapes.shape[0])
        moved = arrays.shape_odd.reshape(flat) @ shapes + arrays.shape_even.reshape(flat) @ bent
        base = arrays.nominal + moved.reshape(arrays.nominal.shape)
    slopes = arrays.shape_odd + slope * arrays.shape_even
    cell, cell_slopes, cell_bends = _cells(theta, arrays, layout)
    layer = jnp.prod(_layer_factors(theta, arrays), axis=0)
    noise_slopes: Any = ()
    if layout.noise:
        noise, noise_slopes = _noise(cell, cell_slopes, arrays)
        layer = layer * jnp.where(arrays.noise_on > 0, noise[:, None, :], 1.0)
    entries = base * cell[:, :, None] * layer
    scaled = jnp.sum(entries * arrays.gamma_on, axis=1)
    rest = jnp.sum(entries * (1 - arrays.gamma_on), axis=1)
    gamma = profiled(scaled, rest, arrays, layout, data)
    total = gamma * scaled + rest
    return Rates(slopes, bends, base, cell, cell_slopes, cell_bends, layer, noise_slopes, gamma, scaled, total)


def _cells(theta: Any, arrays: Arrays, layout: Layout) -> tuple[Any, Any, Any]:
    alpha = picked(theta, arrays.cells)
    value, first, second = norm(alpha, arrays.norm_poly, arrays.norm_logs, layout.normsys)
    scale = arrays.factor > 0
    value = jnp.where(scale, alpha, value)
    value = jnp.where(value == 0, TINY, value)
    first, second = jnp.where(scale, 1.0, first), jnp.where(scale, 0.0, second)
    return jnp.prod(value, axis=2), first / value, second / value


def _noise(cell: Any, cell_slopes: Any, arrays: Arrays) -> tuple[Any, Any]:
    """Errors of the bins (C, W), in quadrature over slots whose cells scale theirs; slopes of the logarithm."""
    squares = (cell[:, :, None] * arrays.error) ** 2
    total = jnp.sum(squares, axis=1)
    some = total > 0
    shares = squares / jnp.where(some, total, 1.0)[:, None, :]
    return jnp.where(some, jnp.sqrt(jnp.where(some, total, 1.0)), 0.0), jnp.einsum("csw,csg->cwg", shares, cell_slopes)


def _layer_factors(theta: Any, arrays: Arrays) -> Any:
    """(L, C, S, W)"""
    value = picked(jnp.append(theta, 1.0), arrays.layer_par)
    return jnp.where(value == 0, TINY, value)


def profiled(scaled: Any, rest: Any, arrays: Arrays, layout: Layout, data: Data) -> Any:
    """The gamma of each bin that makes −log L least, within its bounds; 1 where there is none."""
    has = arrays.gamma_weight > 0
    variance = jnp.where(has, 1 / jnp.where(has, arrays.gamma_weight, 1.0), 0.0)
    size = data.mask * variance * scaled * scaled
    linear = size - (rest + data.gamma * scaled)
    target = size * data.observed
    root = _root(linear * linear + 4 * target)
    total = jnp.where(linear > 0, 2 * target / jnp.where(linear > 0, linear + root, 1.0), 0.5 * (root - linear))
    ratio = jnp.where(target > 0, data.observed / jnp.where(total > 0, total, 1.0), 0.0)
    best = data.gamma + data.mask * variance * scaled * (ratio - 1)
    if layout.poisson_gammas:
        best = jnp.where(arrays.gamma_poisson, _profiled_poisson(scaled, rest, arrays, data), best)
        has = has | arrays.gamma_poisson
    return jnp.where(has, jnp.clip(best, data.gamma_lower, data.gamma_upper), 1.0)


def _root(square: Any) -> Any:
    """Square root, 0 of what is not positive; its derivative there is 0, not infinite, for bins that are padding."""
    some = square > 0
    return jnp.where(some, jnp.sqrt(jnp.where(some, square, 1.0)), 0.0)


def _profiled_poisson(scaled: Any, rest: Any, arrays: Arrays, data: Data) -> Any:
    counts, factor = data.gamma, jnp.where(arrays.gamma_poisson, arrays.gamma_factor, 1.0)
    sum_ = data.mask * scaled + factor
    square, constant = scaled * sum_, -counts * rest
    linear = rest * sum_ - data.mask * data.observed * scaled - counts * scaled
    root = _root(linear * linear - 4 * square * constant)
    # both roots in the form that loses no digits
    outer = -0.5 * (linear + jnp.where(linear >= 0, root, -root))
    first = constant / jnp.where(outer == 0, 1.0, outer)
    second = outer / jnp.where(square == 0, 1.0, square)
    first = jnp.where(outer == 0, counts / factor, first)
    good = (second > 0) & (second * scaled + rest >= 0) & (square != 0)
    return jnp.where(good, jnp.where((square > 0) | (first <= 0), second, jnp.minimum(first, second)), first)


def value(theta: Any, arrays: Arrays, layout: Layout, data: Data) -> Any:
    """−log L above the saturated model's; infinite where a bin with events has no rate."""
    found = rates(theta, arrays, layout, data)
    return _value(theta, found, arrays, layout, data)


def _value(theta: Any, found: Rates, arrays: Arrays, layout: Layout, data: Data) -> Any:
    main = jnp.sum(jnp.where(data.mask > 0, half_deviance(data.observed, found.total), 0.0))
    pull = data.normal - picked(theta, arrays.normal_par)
    main = main + 0.5 * jnp.sum(arrays.normal_weight * pull * pull)
    main = main + jnp.sum(half_deviance(data.poisson, picked(theta, arrays.poisson_par) * arrays.poisson_factor))
    pull = data.gamma - found.gamma
    main = main + 0.5 * jnp.sum(arrays.gamma_weight * pull * pull)
    if layout.poisson_gammas:
        counted = half_deviance(data.gamma, found.gamma * arrays.gamma_factor)
        main = main + jnp.sum(jnp.where(arrays.gamma_poisson, counted, 0.0))
    return main


def half_deviance(seen: Any, rate: Any) -> Any:
    """λ − n − n log(λ/n); infinite where λ ≤ 0 < n; λ where n is 0, also below 0, as pyhf continues it."""
    some = seen > 0
    excess = (rate - seen) / jnp.where(some, seen, 1.0)
    good = excess > -1
    bent = excess - jnp.log1p(jnp.where(good, excess, 0.0))
    return jnp.where(some, jnp.where(good, seen * bent, jnp.inf), rate)


def point(theta: Any, arrays: Arrays, layout: Layout, data: Data) -> Point:
    """Value, gradient and both Hessians at the reduced parameters."""
    found = rates(theta, arrays, layout, data)
    bins = data.observed.size
    near = _near(theta, found, arrays, layout, data)
    diagonal = columns(arrays.normal_weight, arrays.normal_at)
    diagonal = diagonal + columns(data.poisson / picked(theta, arrays.poisson_par) ** 2, arrays.poisson_at)
    mixed, inverse = _mixed(found, near, arrays, layout, data)
    rows = jnp.concatenate([near.jacobian, mixed])
    exact = (rows * jnp.concatenate([near.fisher, -inverse])[:, None]).T @ rows
    exact = exact + _rate_curvature(theta, found, near.weighted, arrays, layout) + jnp.diag(diagonal)
    # of the Fisher term that part remains by which the gammas do not follow
    followed = inverse * (found.scaled * found.scaled).reshape(bins) * near.fisher
    fisher = (near.jacobian * (near.fisher * (1 - followed))[:, None]).T @ near.jacobian + jnp.diag(diagonal)
    slope = _gradient(theta, found, near.weighted, arrays, layout, data)
    return Point(_value(theta, found, arrays, layout, data), slope, exact, fisher, found.gamma)


def gradient(theta: Any, arrays: Arrays, layout: Layout, data: Data) -> tuple[Any, Any, Any]:
    """Value, gradient (R,), and derivatives with respect to the profiled gammas (C, W); without the Jacobian."""
    found = rates(theta, arrays, layout, data)
    weight = _weight(found, data)[0]
    slope = _gradient(theta, found, _weighted(found, weight, arrays), arrays, layout, data)
    by_gamma = weight * found.scaled + arrays.gamma_weight * (found.gamma - data.gamma)
    if layout.poisson_gammas:
        by_gamma = by_gamma + jnp.where(arrays.gamma_poisson, arrays.gamma_factor - data.gamma / found.gamma, 0.0)
    return _value(theta, found, arrays, layout, data), slope, by_gamma


def _gradient(theta: Any, found: Rates, weighted: Any, arrays: Arrays, layout: Layout, data: Data) -> Any:
    by_shape = _of_shapes(weighted, arrays.shape_odd, arrays, layout)
    by_shape = by_shape + even(picked(theta, arrays.shapes), layout.histosys)[1] * _of_shapes(
        weighted, arrays.shape_even, arrays, layout
    )
    cells = jnp.sum(weighted * found.base, axis=2)
    by_cell = jnp.einsum("cs,csg->g", cells, found.cell_slopes)
    if layout.noise:
        by_cell = by_cell + jnp.einsum("cw,cwg->g", _of_noise(weighted, found, arrays), found.noise_slopes)
    total = columns(by_shape, arrays.shape_at) + columns(by_cell, arrays.cell_at)
    if layout.layers:
        entries = weighted * found.base
        for place, factor in zip(arrays.layer_par, _layer_factors(theta, arrays), strict=True):
            total = total.at[place].add(entries / factor, **NOWHERE)
    pulls = arrays.normal_weight * (picked(theta, arrays.normal_par) - data.normal)
    counted = arrays.poisson_factor - data.poisson / picked(theta, arrays.poisson_par)
    return total + columns(pulls, arrays.normal_at) + columns(counted, arrays.poisson_at)


def _of_noise(weighted: Any, found: Rates, arrays: Arrays) -> Any:
    """Weights of the rates of the errors, (C, W)."""
    return jnp.sum(weighted * found.base * arrays.noise_on, axis=1)


def _of_shapes(weights: Any, shapes: Any, arrays: Arrays, layout: Layout) -> Any:
    """Σ weights · shape over all entries, for each shape parameter of all (N,)."""
    if not layout.sparse_shapes:
        return weights.reshape(-1) @ shapes.reshape(weights.size, shapes.shape[3])
    sums = jnp.sum(weights[..., None] * shapes, axis=(1, 2))
    return jnp.zeros(arrays.shapes.shape[0]).at[arrays.shape_par].add(sums, **NOWHERE)


class _Near(NamedTuple):
    """What the Hessians are made of."""

    weight: Any  # (C, W): ∂(−log L)/∂λ
    along: Any  # (C, W): ∂²(−log L)/∂λ∂gamma at fixed a
    fisher: Any  # (C·W,): ∂²(−log L)/∂λ²
    weighted: Any  # (C, S, W): weight · cell · layer · gamma
    scaled: Any  # (C·W, R): Jacobian of the part that gamma scales, before it does
    jacobian: Any  # (C·W, R): of λ


def _near(theta: Any, found: Rates, arrays: Arrays, layout: Layout, data: Data) -> _Near:
    size, bins = theta.shape[0], data.observed.size
    weight, bent = _weight(found, data)
    scaled, jacobian = _jacobians(theta, found, arrays, layout)
    return _Near(
        weight,
        bent * found.scaled,
        bent.reshape(bins),
        _weighted(found, weight, arrays),
        scaled.reshape(bins, size),
        jacobian.reshape(bins, size),
    )


def _weight(found: Rates, data: Data) -> tuple[Any, Any]:
    """First and second derivative of −log L with respect to λ, (C, W)."""
    safe = jnp.where(found.total > 0, found.total, 1.0)
    ratio = jnp.where(data.observed > 0, data.observed / safe, 0.0)
    return data.mask * (1 - ratio), data.mask * ratio / safe


def _weighted(found: Rates, weight: Any, arrays: Arrays) -> Any:
    per_slot = jnp.where(arrays.gamma_on > 0, found.gamma[:, None, :], 1.0)
    return weight[:, None, :] * found.cell[:, :, None] * found.layer * per_slot


def gamma_derivatives(theta: Any, arrays: Arrays, layout: Layout, data: Data) -> tuple[Any, Any]:
    """Mixed derivatives with the profiled gammas (C·W, R) and 1 / their own second derivatives (C·W,); 0 at a bound."""
    found = rates(theta, arrays, layout, data)
    return _mixed(found, _near(theta, found, arrays, layout, data), arrays, layout, data)


def columns(values: Any, places: Any) -> Any:
    """Last axis from its own parameters to the reduced ones, 0 where a reduced parameter is none of them."""
    padding = jnp.zeros((*values.shape[:-1], 1))
    return picked(jnp.concatenate([values, padding], axis=-1), places)


def picked(values: Any, places: Any) -> Any:
    """Elements of the last axis; all places are within it, which JAX need not look after."""
    return values.at[..., places].get(mode="promise_in_bounds", wrap_negative_indices=False)


def _jacobians(theta: Any, found: Rates, arrays: Arrays, layout: Layout) -> tuple[Any, Any]:
    """Of ``scaled`` (before gamma) and of λ, each (C, W, R)."""
    on = jnp.stack([arrays.gamma_on, 1 - arrays.gamma_on])  # both at once, (2, C, S, W): what gamma scales, the rest
    entries = found.cell[:, :, None] * found.layer * on
    rates_ = found.base * entries
    shapes = jnp.sum(entries[..., None] * found.slopes, axis=2)
    cells = jnp.sum(rates_[..., None] * found.cell_slopes[:, :, None, :], axis=2)
    if layout.noise:
        cells = cells + jnp.sum(rates_ * arrays.noise_on, axis=2)[..., None] * found.noise_slopes
    both = columns(_to_shapes(shapes, arrays, layout), arrays.shape_at) + columns(cells, arrays.cell_at)
    if layout.layers:
        blocks, _, width = found.base.shape
        c, w = jnp.arange(blocks)[:, None, None], jnp.arange(width)[None, None, :]
        for place, factor in zip(arrays.layer_par, _layer_factors(theta, arrays), strict=True):
            both = both.at[:, c, w, place].add(rates_ / factor, **NOWHERE)
    scaled, rest = both
    return scaled, found.gamma[:, :, None] * scaled + rest


def _to_shapes(values: Any, arrays: Arrays, layout: Layout) -> Any:
    """(..., C, X, K) of the shapes of each block to (..., C, X, N) of all shape parameters."""
    if not layout.sparse_shapes:
        return values
    blocks, rows, _ = values.shape[-3:]
    wide = jnp.zeros((*values.shape[:-1], arrays.shapes.shape[0]))
    c, x = jnp.arange(blocks)[:, None, None], jnp.arange(rows)[None, :, None]
    return wide.at[..., c, x, arrays.shape_par[:, None, :]].add(values, **NOWHERE)


def _mixed(found: Rates, near: _Near, arrays: Arrays, layout: Layout, data: Data) -> tuple[Any, Any]:
    own = near.along * found.scaled + arrays.gamma_weight
    if layout.poisson_gammas:
        own = own + jnp.where(arrays.gamma_poisson, data.gamma / (found.gamma * found.gamma), 0.0)
    has = (arrays.gamma_weight > 0) | arrays.gamma_poisson
    moves = has & (found.gamma > data.gamma_lower) & (found.gamma < data.gamma_upper) & (own > 0)
    inverse = jnp.where(moves, 1 / jnp.where(moves, own, 1.0), 0.0)
    mixed = near.weight.reshape(-1, 1) * near.scaled + near.along.reshape(-1, 1) * near.jacobian
    return mixed, inverse.reshape(-1)


def _rate_curvature(theta: Any, found: Rates, weighted: Any, arrays: Arrays, layout: Layout) -> Any:
    """Σ (1 − n/λ) ∂²λ at fixed gammas, (R, R)."""
    bent = _of_shapes(weighted, arrays.shape_even, arrays, layout)
    sums = jnp.sum(weighted[..., None] * found.slopes, axis=2)
    shapes = _to_shapes(sums, arrays, layout)  # (C, S, N)
    mixed = spread(jnp.einsum("csg,csn->gn", found.cell_slopes, shapes), arrays.cell_at, arrays.shape_at)
    cells = jnp.sum(weighted * found.base, axis=2)
    among = jnp.einsum("csg,csh->gh", cells[:, :, None] * found.cell_slopes, found.cell_slopes)
    own = jnp.einsum("cs,csg->g", cells, found.cell_bends)
    among = jnp.where(jnp.eye(len(own), dtype=bool), own, among)
    if layout.noise:
        among = among + _noise_curvature(found, weighted, arrays)
    diagonal = columns(bent * found.bends, arrays.shape_at)
    curvature = mixed + mixed.T + spread(among, arrays.cell_at, arrays.cell_at) + jnp.diag(diagonal)
    if layout.layers:
        curvature = curvature + _layer_curvature(theta, found, weighted, arrays, layout)
    return curvature


def _noise_curvature(found: Rates, weighted: Any, arrays: Arrays) -> Any:
    """Of e = √Q, Q = Σ (cell · error)²: Σ weight e (∂²Q / 2Q − ∂log e ∂log eᵀ), (G, G)."""
    weight = _of_noise(weighted, found, arrays)
    squares = (found.cell[:, :, None] * arrays.error) ** 2
    total = jnp.sum(squares, axis=1)
    shares = jnp.sum(squares * jnp.where(total > 0, weight / jnp.where(total > 0, total, 1.0), 0.0)[:, None, :], axis=2)
    slopes = found.cell_slopes
    among = 2 * jnp.einsum("csg,csh->gh", shares[:, :, None] * slopes, slopes)
    own = jnp.einsum("cs,csg->g", shares, slopes**2 + found.cell_bends)
    among = jnp.where(jnp.eye(len(own), dtype=bool), own, among)
    return among - jnp.einsum("cwg,cwh->gh", weight[..., None] * found.noise_slopes, found.noise_slopes)


def spread(matrix: Any, rows: Any, across: Any) -> Any:
    """Both axes to the reduced parameters."""
    return columns(columns(matrix, across).T, rows).T


def _layer_curvature(theta: Any, found: Rates, weighted: Any, arrays: Arrays, layout: Layout) -> Any:
    """Second derivatives in which a parameter of a single entry takes part."""
    size = theta.shape[0]
    factors = _layer_factors(theta, arrays)
    half = jnp.zeros((size, size))
    pairs = jnp.zeros((size, size))
    for index in range(layout.layers):
        place = arrays.layer_par[index]
        entries = weighted * found.base / factors[index]
        by_cell = entries[..., None] * found.cell_slopes[:, :, None, :]
        if layout.noise:
            by_cell = by_cell + (entries * arrays.noise_on)[..., None] * found.noise_slopes[:, None]
        others = columns(by_cell, arrays.cell_at)  # (C, S, W, R)
        by_shape = (weighted / factors[index])[..., None] * found.slopes  # (C, S, W, K)
        if layout.sparse_shapes:
            reduced = jnp.append(arrays.shapes, size)[arrays.shape_par]
            half = half.at[place[..., None], reduced[:, None, None, :]].add(by_shape, **NOWHERE)
        else:
            others = others + columns(by_shape, arrays.shape_at)
        half = half.at[place].add(others, **NOWHERE)
        for other in range(index):
            both = weighted * found.base / (factors[index] * factors[other])
            pairs = pairs.at[place, arrays.layer_par[other]].add(both, **NOWHERE)
    half = half + pairs
    return half + half.T
