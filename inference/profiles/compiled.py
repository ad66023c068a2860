"""The compiled function of this room: one for each shape of model."""

from typing import Any

import jax

from inference.likelihood import compiled
from inference.likelihood.minimise import minimise


def _walks(starts: Any, free: Any, lower: Any, upper: Any, data: Any, arrays: Any, layout: Any) -> Any:
    def one(row: Any) -> Any:
        start, mask, low, high, seen = row
        return minimise(start, mask, low, high, seen, arrays, layout)

    return jax.lax.map(one, (starts, free, lower, upper, data))


# Fits one after the other in one call, each with the gradient and the exact Hessian where it ended.
walks = compiled.jit(_walks)
