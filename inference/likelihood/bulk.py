"""Any number of fits, in compiled calls of always as many rows, so that nothing compiles anew.

Few go one by one through the processor. Many go to the accelerator, if there is one (see ``many.py``).
"""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import jax
import numpy as np

from inference.likelihood import compiled
from inference.likelihood.minimise import Ended, Task

if TYPE_CHECKING:
    from inference.likelihood.model import Likelihood

Tree = TypeVar("Tree")

# Rows of a call, of which as many are worked on as there are.
ROWS = 64
# The same on an accelerator; fewer fits than this are not worth the way there.
LANE_ROWS, LEAST = 8192, 256
# Fits side by side, and what their Hessians may take of the accelerator's memory: two are kept, some more made.
MOST_PLACES, MEMORY, HESSIANS = 1024, 2**31, 8


def fit_all(likelihood: "Likelihood", tasks: Task, device: Any = None) -> Ended:
    """Fit every row of ``tasks`` (N, …); leaves of what is returned have N rows, of Hessians there are none.

    Args:
        device: to fit side by side on, however few; if None, an accelerator where there is one and they are many.
    """
    if device is None and len(tasks.start) >= LEAST:
        device = compiled.accelerator()
    if device is None:
        return in_calls(partial(_one_by_one, likelihood), tasks)
    arrays = jax.device_put(likelihood.arrays, device)
    return in_calls(partial(_side_by_side, likelihood, arrays, device), tasks, LANE_ROWS)


def _one_by_one(likelihood: "Likelihood", count: int, tasks: Task) -> Ended:
    ended: Ended = compiled.fits(count, tasks, likelihood.arrays, likelihood.layout)
    return ended


def _side_by_side(likelihood: "Likelihood", arrays: Any, device: Any, count: int, tasks: Task) -> Ended:
    tasks, side = jax.device_put(tasks, device), places(len(likelihood.places.reduced))
    ended: Ended = compiled.lanes(count, tasks, arrays, likelihood.layout, places=side)
    return ended


def at_once() -> int:
    """How many fits are best asked for together on this machine."""
    return ROWS if compiled.accelerator() is None else LANE_ROWS


def places(parameters: int) -> int:
    """How many fits of so many parameters an accelerator makes side by side."""
    return max(1, min(MOST_PLACES, MEMORY // (8 * HESSIANS * parameters**2)))


def in_calls(function: Callable[[int, Any], Tree], leaves: Any, rows: int = ROWS) -> Tree:
    """``function(count, piece)`` of trees of arrays (rows, …), ``count`` of whose rows matter, for any number of them.

    The last row stands in for those that are missing in the last piece.
    """
    count = len(jax.tree.leaves(leaves)[0])
    done = []
    for at in range(0, count, rows):
        here = min(rows, count - at)
        piece = jax.tree.map(lambda leaf, at=at: _filled(leaf[at : at + rows], rows), leaves)
        done.append(jax.tree.map(lambda leaf, here=here: np.asarray(leaf)[:here], function(here, piece)))
    joined: Tree = jax.tree.map(lambda *parts: np.concatenate(parts), *done)
    return joined


def _filled(leaf: Any, rows: int) -> Any:
    missing = rows - len(leaf)
    return leaf if not missing else np.concatenate([leaf, np.repeat(leaf[-1:], missing, axis=0)])
