"""What extensions compute, for JAX: outputs that set parameters of HistFactory, and residuals.

Each operator takes its argument (the parameters that it reads, in one vector), the program and the arrays of its
document, and gives two vectors: the outputs, and residuals of which −log L gets ½ Σ residual².
"""

import functools
import operator
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from inference.extensions.morphing import exponents

Outputs = tuple[Any, Any]


def vector(argument: Any, _: None, arrays: tuple[Any, Any]) -> Outputs:
    """Offset plus strengths times templates."""
    templates, offset = arrays
    return offset + argument @ templates, jnp.zeros(0)


def unfold(argument: Any, regularised: bool, arrays: tuple[Any, Any, Any]) -> Outputs:
    """Response times strengths, and τ L (x − bias)."""
    response, conditions, target = arrays
    strengths = argument[: response.shape[1]]
    if not regularised:
        return response @ strengths, jnp.zeros(0)
    return response @ strengths, argument[-1] * (conditions @ (strengths - target))


def eft(argument: Any, order: Any, arrays: tuple[Any]) -> Outputs:
    """Polynomials of the coefficients."""
    [polynomials] = arrays
    padded = jnp.append(argument, 1.0)
    size = len(argument)
    pairs = [(*each, size, size)[:2] for each in exponents(size, order)]
    first, second = (jnp.asarray([pair[side] for pair in pairs]) for side in (0, 1))
    return (padded[first] * padded[second]) @ polynomials, jnp.zeros(0)


def abcd(argument: Any, has_closure: bool, arrays: tuple[Any, Any, Any, Any]) -> Outputs:
    """Product of powers, bin by bin."""
    places, powers, scale, logs = arrays
    factors = argument[places]
    output = scale * jnp.prod(factors[: len(powers)] ** powers[:, None], axis=0)
    return (output * jnp.exp(logs * factors[-1]) if has_closure else output), jnp.zeros(0)


def formula(argument: Any, trees: Any, arrays: tuple[Any, Any]) -> Outputs:
    """Each tree's values, for all formulas that have it at once, then in the order of the formulas."""
    leaves, order = arrays
    values = [
        jnp.broadcast_to(_value(tree, argument[places], numbers), places.shape[-1:])
        for tree, (places, numbers) in zip(trees, leaves, strict=True)
    ]
    return jnp.concatenate(values)[order], jnp.zeros(0)


def smooth_step(x: Any) -> Any:
    """x (15 − 10 x² + 3 x⁴) / 8 within ±1, ±1 beyond: CMS Combine's way from one side to the other."""
    inside = jnp.clip(x, -1.0, 1.0)
    return 0.125 * inside * (inside**2 * (3 * inside**2 - 10) + 15)


def logarithms(argument: Any, _: None, arrays: tuple[Any, Any, Any, Any, Any, Any]) -> Outputs:
    """Exponentials of the interpolated logarithms, by which the sum of the nominal contents does not change."""
    places, scales, up, down, nominal, region = arrays
    x = scales * argument[places]
    moved = jnp.exp(_interpolated(x, smooth_step(x / region), up, down))
    return moved * jnp.sum(nominal) / jnp.sum(nominal * moved), jnp.zeros(0)


def _interpolated(x: Any, step: Any, up: Any, down: Any) -> Any:
    """Sum over parameters (N,) of what moves logarithms, given for each at +1 and -1, shape (N, outputs)."""
    return 0.5 * (x @ (up - down) + (x * step) @ (up + down))


OPERATIONS: Mapping[str, Callable[..., Any]] = {
    "add": operator.add,
    "subtract": operator.sub,
    "multiply": operator.mul,
    "divide": operator.truediv,
    "power": jnp.power,
    "negative": operator.neg,
    "exp": jnp.exp,
    "log": jnp.log,
    "sqrt": jnp.sqrt,
    "abs": jnp.abs,
    "min": lambda *values: functools.reduce(jnp.minimum, values),
    "max": lambda *values: functools.reduce(jnp.maximum, values),
}


def _value(tree: Any, argument: Any, numbers: Any) -> Any:
    match tree:
        case ("label", place):
            return argument[place]
        case ("number", place):
            return numbers[place]
        case ("whole_power", base, power):
            return jax.lax.integer_pow(_value(base, argument, numbers), power)
    return OPERATIONS[tree[0]](*(_value(child, argument, numbers) for child in tree[1:]))


def function(argument: Any, program: Any, _: tuple[()]) -> Outputs:
    """The user's own."""
    cuts, count, compute, residuals = program
    named, first = {}, 0
    for name, size in cuts:
        named[name] = argument[first : first + size] if size else argument[first]
        first += size or 1
    outputs = jnp.zeros(0) if compute is None else jnp.reshape(jnp.asarray(compute(named), dtype=float), (count,))
    terms = jnp.zeros(0) if residuals is None else jnp.ravel(jnp.asarray(residuals(named), dtype=float))
    return outputs, terms


OPERATORS: Mapping[str, Callable[[Any, Any, Any], Outputs]] = {
    "vector": vector,
    "unfold": unfold,
    "eft": eft,
    "formula": formula,
    "abcd": abcd,
    "logarithms": logarithms,
    "callable": function,
}
