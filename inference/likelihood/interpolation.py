"""Between nominal and ±1 standard deviation: HistFactory's interpolation codes.

Every code of histosys adds ``odd · α + even · f(α)`` with ``odd`` half of up minus down, ``even`` half of up plus
down minus nominal, and a function f of its own; so a whole stack of shapes is two matrix products. normsys
multiplies: code 1 by powers, code 4 by a polynomial of sixth order within ±1 that meets the powers with two
derivatives, and "combine" by exp(α κ(α)), where κ goes smoothly from one logarithm to the other within ±1/2.

Sources: CERN-OPEN-2012-016; pyhf's documentation of its interpolators; ROOT's PiecewiseInterpolation and
FlexibleInterpVar; CMS Combine's ProcessNormalization::logKappaForX, whose vertical morphing is code 4p.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.errors import InvalidWorkspace, nearest

# What each type of modifier may be interpolated with, pyhf's own choice first.
CODES = {"histosys": ("code4p", "code0", "code2"), "normsys": ("code4", "code1", "combine")}


def chosen_codes(workspace: Mapping[str, Any]) -> dict[str, str]:
    """Code of "histosys" and of "normsys": what the workspace's own key "interpolation" says, else pyhf's defaults.

    Raises:
        InvalidWorkspace: there is no such code or type.
    """
    chosen = workspace.get("interpolation", {})
    if not isinstance(chosen, Mapping):
        raise InvalidWorkspace('interpolation must be a mapping such as {"normsys": "combine"}')
    for kind, code in chosen.items():
        if kind not in CODES:
            raise InvalidWorkspace(f"interpolation of {kind!r} cannot be chosen; {nearest(str(kind), CODES)}")
        if code not in CODES[kind]:
            raise InvalidWorkspace(f"{kind} has no interpolation {code!r}; {nearest(str(code), CODES[kind])}")
    return {kind: str(chosen.get(kind, codes[0])) for kind, codes in CODES.items()}


def even(alpha: Any, code: str) -> tuple[Any, Any, Any]:
    """f and its first two derivatives for "code0", "code2", "code4p".

    code0 has a kink at 0, code2 a jump of the second derivative at ±1, code4p neither.
    """
    import jax.numpy as jnp

    size, sign = jnp.abs(alpha), jnp.sign(alpha)
    outside = size > 1
    square = alpha * alpha
    if code == "code0":
        return size, sign, jnp.zeros_like(alpha)
    if code == "code2":
        return (
            jnp.where(outside, 2 * size - 1, square),
            jnp.where(outside, 2 * sign, 2 * alpha),
            jnp.where(outside, 0.0, 2.0),
        )
    return (
        jnp.where(outside, size, square * (15 + square * (3 * square - 10)) / 8),
        jnp.where(outside, sign, alpha * (15 + square * (9 * square - 20)) / 4),
        jnp.where(outside, 0.0, (15 + square * (45 * square - 60)) / 4),
    )


def norm(alpha: Any, poly: Any, logs: Any, code: str) -> tuple[Any, Any, Any]:
    """normsys factors and their first two derivatives.

    ``poly`` (6, ...) is from `normsys_coefficients`, ``logs`` (2, ...) are the logarithms of up and down.
    """
    import jax.numpy as jnp

    if code == "combine":
        # α times the mean slope plus half the difference times the even function of 2α
        bent, first, second = even(2 * alpha, "code4p")
        half = 0.5 * (logs[0] + logs[1])
        slope = 0.5 * (logs[0] - logs[1]) + half * first
        power = jnp.exp(0.5 * (alpha * (logs[0] - logs[1]) + half * bent))
        return power, slope * power, (2 * half * second + slope * slope) * power
    slope = jnp.where(alpha >= 0, logs[0], -logs[1])
    power = jnp.exp(alpha * slope)
    if code == "code1":
        return power, slope * power, slope * slope * power
    outside = jnp.abs(alpha) > 1
    near = jnp.clip(alpha, -1.0, 1.0)
    value, first, half = poly[5], 0.0, 0.0
    for coefficient in (*poly[4::-1], 1.0):  # Horner's scheme, of the derivatives too
        half = half * near + first
        first = first * near + value
        value = value * near + coefficient
    return (
        jnp.where(outside, power, value),
        jnp.where(outside, slope * power, first),
        jnp.where(outside, slope * slope * power, 2 * half),
    )


def normsys_coefficients(up: float, down: float, code: str) -> NDArray[np.float64]:
    """Powers 1 to 6 of code 4's polynomial: value, slope and curvature of the powers at α = ±1; else zeros."""
    if code != "code4":
        return np.zeros(6)
    conditions = np.array(
        [
            [1, 1, 1, 1, 1, 1],
            [-1, 1, -1, 1, -1, 1],
            [1, 2, 3, 4, 5, 6],
            [1, -2, 3, -4, 5, -6],
            [0, 2, 6, 12, 20, 30],
            [0, 2, -6, 12, -20, 30],
        ],
        dtype=float,
    )
    log_up, log_down = np.log(up), np.log(down)
    values = [up - 1, down - 1, up * log_up, -down * log_down, up * log_up**2, down * log_down**2]
    return np.asarray(np.linalg.solve(conditions, np.asarray(values)))
