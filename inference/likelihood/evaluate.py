"""−log L of a model at a point, with its exact gradient and Hessian, in the parameters φ of the fit.

Without extensions φ are HistFactory's own parameters θ, and everything is ``histfactory.py``'s. With them, θ is a
function of φ: the first of both are the same parameters, further θ are outputs of the extensions. Then

    −log L(φ) = HistFactory(θ(φ)) + ½ (a − φ)ᵀ V⁻¹ (a − φ) + ½ Σ residual(φ)²

with the normal constraints, V not diagonal where parameters are correlated. Derivatives are composed by the chain
rule: the large part has its exact structure, and automatic differentiation sees only the small maps of the extensions,
each in the few parameters that it reads:

    gradient = Jᵀ g + …        Hessian = Jᵀ H J + Σ gᵢ ∇²θᵢ + …
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from inference.likelihood import histfactory
from inference.likelihood.arrays import Arrays, Layout
from inference.likelihood.histfactory import TINY, Data, Point, Rates, columns, half_deviance, picked, spread

__all__ = [
    "TINY",
    "Data",
    "Point",
    "Rates",
    "gamma_derivatives",
    "gradient",
    "half_deviance",
    "point",
    "rates",
    "value",
]


def rates(parameters: Any, arrays: Arrays, layout: Layout, data: Data) -> Rates:
    """All rates at the reduced parameters (R,), gammas profiled."""
    return histfactory.rates(_theta(parameters, arrays, layout), arrays, layout, data)


def value(parameters: Any, arrays: Arrays, layout: Layout, data: Data) -> Any:
    """−log L above the saturated model's; infinite where a bin with events has no rate."""
    if not layout.extended:
        return histfactory.value(parameters, arrays, layout, data)
    outputs, residuals = _apply(parameters, arrays, layout)
    plain, unseen = _unconstrained(arrays, data)
    theta = _joined(parameters, outputs, arrays)
    pull = data.normal - picked(parameters, arrays.normal_par)
    terms = pull @ arrays.composition.precision @ pull + residuals @ residuals
    return histfactory.value(theta, plain, layout, unseen) + 0.5 * terms


def point(parameters: Any, arrays: Arrays, layout: Layout, data: Data) -> Point:
    """Value, gradient and both Hessians at the reduced parameters."""
    if not layout.extended:
        return histfactory.point(parameters, arrays, layout, data)
    outputs, residuals = _apply(parameters, arrays, layout)
    plain, unseen = _unconstrained(arrays, data)
    inner = histfactory.point(_joined(parameters, outputs, arrays), plain, layout, unseen)
    shared = inner.gradient.shape[0] - outputs.shape[0]
    slopes = _slopes(parameters, arrays, layout, inner.gradient[shared:], residuals)

    terms, slope = _constraints(parameters, arrays, data, slopes, residuals)
    among = slopes.residuals.T @ slopes.residuals
    among = among + spread(arrays.composition.precision, arrays.normal_at, arrays.normal_at)
    half = _back(jnp.stack([inner.curvature, inner.fisher]), slopes.outputs)
    curvature, fisher = _back(half.transpose(0, 2, 1), slopes.outputs)
    return Point(
        inner.value + terms,
        _back(inner.gradient, slopes.outputs) + slope,
        curvature + slopes.bends + among,
        fisher + among,
        inner.gamma,
    )


def gradient(parameters: Any, arrays: Arrays, layout: Layout, data: Data) -> tuple[Any, Any, Any]:
    """Value, gradient (R,), and derivatives with respect to the profiled gammas (C, W)."""
    if not layout.extended:
        return histfactory.gradient(parameters, arrays, layout, data)
    outputs, residuals = _apply(parameters, arrays, layout)
    plain, unseen = _unconstrained(arrays, data)
    inner, slope, by_gamma = histfactory.gradient(_joined(parameters, outputs, arrays), plain, layout, unseen)
    slopes = _slopes(parameters, arrays, layout, jnp.zeros_like(outputs), residuals)
    terms, more = _constraints(parameters, arrays, data, slopes, residuals)
    return inner + terms, _back(slope, slopes.outputs) + more, by_gamma


def gamma_derivatives(parameters: Any, arrays: Arrays, layout: Layout, data: Data) -> tuple[Any, Any]:
    """Mixed derivatives with the profiled gammas (C·W, R) and 1 / their own second derivatives (C·W,); 0 at a bound."""
    if not layout.extended:
        return histfactory.gamma_derivatives(parameters, arrays, layout, data)
    outputs, residuals = _apply(parameters, arrays, layout)
    plain, unseen = _unconstrained(arrays, data)
    theta = _joined(parameters, outputs, arrays)
    mixed, inverse = histfactory.gamma_derivatives(theta, plain, layout, unseen)
    slopes = _slopes(parameters, arrays, layout, jnp.zeros_like(outputs), residuals)
    return _back(mixed, slopes.outputs), inverse


class _Slopes(NamedTuple):
    """Derivatives of all extensions with respect to the R parameters of the fit."""

    outputs: Any  # (outputs, R)
    residuals: Any  # (residuals, R)
    bends: Any  # (R, R): Σ weight · ∇²output + Σ residual · ∇²residual


def _theta(parameters: Any, arrays: Arrays, layout: Layout) -> Any:
    if not layout.extended:
        return parameters
    return _joined(parameters, _apply(parameters, arrays, layout)[0], arrays)


def _joined(parameters: Any, outputs: Any, arrays: Arrays) -> Any:
    """HistFactory's reduced parameters: those that it shares with the fit, then the outputs."""
    return jnp.concatenate([parameters[: arrays.shape_at.shape[0] - outputs.shape[0]], outputs])


def _unconstrained(arrays: Arrays, data: Data) -> tuple[Arrays, Data]:
    """Without the normal constraints, which stand in the parameters of the fit."""
    nothing = jnp.zeros(0)
    nowhere = jnp.zeros_like(arrays.shape_at)
    plain = arrays._replace(normal_par=jnp.zeros(0, dtype=int), normal_at=nowhere, normal_weight=nothing)
    return plain, data._replace(normal=nothing)


def _operators(arrays: Arrays, layout: Layout) -> list[tuple[Any, Any]]:
    """Each extension as a function of its argument, and the places of that among the parameters."""
    from inference.extensions.operators import OPERATORS

    def bound(name: str, program: Any, given: Any) -> Any:
        return lambda argument: OPERATORS[name](argument, program, given)

    return [
        (bound(*operator, given), reads)
        for operator, given, reads in zip(
            layout.operators, arrays.composition.arrays, arrays.composition.reads, strict=True
        )
    ]


def _apply(parameters: Any, arrays: Arrays, layout: Layout) -> tuple[Any, Any]:
    """All outputs and all residuals."""
    found = [compute(picked(parameters, reads)) for compute, reads in _operators(arrays, layout)]
    nothing = jnp.zeros(0)
    return (
        jnp.concatenate([nothing, *(outputs for outputs, _ in found)]),
        jnp.concatenate([nothing, *(residuals for _, residuals in found)]),
    )


def _slopes(parameters: Any, arrays: Arrays, layout: Layout, weights: Any, residuals: Any) -> _Slopes:
    size = parameters.shape[0]
    rows: tuple[list[Any], list[Any]] = ([jnp.zeros((0, size))], [jnp.zeros((0, size))])
    bends = jnp.zeros((size, size))
    first = [0, 0]
    for compute, reads in _operators(arrays, layout):

        def both(at: Any, compute: Any = compute, first: Any = tuple(first)) -> Any:
            """Outputs and residuals, and the gradient of their weighted sum: one pass differentiates both."""
            made, back = jax.vjp(compute, at)
            factors = zip(made, (weights, residuals), first, strict=True)
            return made, back(tuple(jax.lax.dynamic_slice_in_dim(all_, at, len(each)) for each, all_, at in factors))

        jacobians, (bend,) = jax.jacfwd(both)(picked(parameters, reads))
        for side, jacobian in enumerate(jacobians):
            rows[side].append(jnp.zeros((len(jacobian), size)).at[:, reads].add(jacobian))
            first[side] += len(jacobian)
        bends = bends.at[reads[:, None], reads].add(bend)
    return _Slopes(jnp.concatenate(rows[0]), jnp.concatenate(rows[1]), bends)


def _constraints(parameters: Any, arrays: Arrays, data: Data, slopes: _Slopes, residuals: Any) -> tuple[Any, Any]:
    """Terms of the normal constraints and of the residuals, and their gradient (R,)."""
    pull = data.normal - picked(parameters, arrays.normal_par)
    along = arrays.composition.precision @ pull
    slope = slopes.residuals.T @ residuals - columns(along, arrays.normal_at)
    return 0.5 * (pull @ along + residuals @ residuals), slope


def _back(last: Any, outputs: Any) -> Any:
    """Last axis from HistFactory's reduced parameters to those of the fit, by the Jacobian of the outputs."""
    count, size = outputs.shape
    shared = last.shape[-1] - count
    padding = jnp.zeros((*last.shape[:-1], size - shared))
    return jnp.concatenate([last[..., :shared], padding], axis=-1) + last[..., shared:] @ outputs
