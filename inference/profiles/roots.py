"""Where a falling function crosses zero, by Newton's method inside a bracket."""

from collections.abc import Callable

import numpy as np

# A step of this, relative to the place, is the last one: what remains after it is about its square.
LAST_STEP = 1e-6
FARTHEST = 1e4
STEPS = 200


class NoCrossing(Exception):
    """The function stays above zero; ``at`` is the farthest place that was looked at."""

    def __init__(self, at: float) -> None:
        super().__init__(f"no crossing up to {at:g}")
        self.at = at


def crossing(function: Callable[[float], tuple[float, float]], low: float, guess: float) -> float:
    """Where ``function`` falls through zero above ``low``.

    Args:
        function: value and slope; above zero at ``low``, where it is not evaluated.
        guess: above ``low``.

    Raises:
        NoCrossing: it is above zero as far as ``FARTHEST`` times the guess.
    """
    high, x = np.inf, guess
    for _ in range(STEPS):
        value, slope = function(x)
        low, high = (x, high) if value > 0 else (low, x)
        after = x - value / slope if slope < 0 else np.inf
        if abs(after - x) <= LAST_STEP * abs(x):
            return float(min(max(after, low), high))
        if np.isfinite(high):
            if high - low <= LAST_STEP**2 * abs(high):
                return float(x)
            x = after if low < after < high else 0.5 * (low + high)
        elif x > FARTHEST * abs(guess):
            break
        else:
            # Threefold at most: where the function is flat, its slope says nothing.
            x = min(after, x + 2 * max(abs(x), abs(guess)))
    raise NoCrossing(low)
