"""The compiled functions: one for each shape of model, kept on disk between runs.

Arrays of the model, data, masks, bounds and starts are all arguments. So a second model of the same shape, other
data, toys and refits with other parameters held need no other compilation.
"""

import os
from typing import Any

import jax

from artifacts.copies import user_cache
from inference.likelihood import evaluate
from inference.likelihood.minimise import minimise


def _ready() -> None:
    """Double precision; compiled functions are kept where only the user writes."""
    settings: dict[str, object] = {"jax_enable_x64": True}
    folder = user_cache() / "compiled"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        usable = os.access(folder, os.W_OK)
    except OSError:
        usable = False
    if usable:
        settings["jax_compilation_cache_dir"] = str(folder)
        settings["jax_persistent_cache_min_compile_time_secs"] = 0.0
        settings["jax_persistent_cache_min_entry_size_bytes"] = -1
    for name, chosen in settings.items():
        jax.config.update(name, chosen)  # type: ignore[no-untyped-call]
    _one_thread()


def _one_thread() -> None:
    """SciPy's BLAS, whose LAPACK JAX calls, works in the calling thread.

    Its matrices are small here: waking threads for them costs more than it brings, most of all on a busy machine, and
    the order of their sums would depend on the number of cores. NumPy's own BLAS stays as it is.
    """
    import scipy.linalg  # noqa: F401 - loads the library
    from threadpoolctl import ThreadpoolController

    for library in ThreadpoolController().select(user_api="blas").lib_controllers:
        if "scipy.libs" in (library.filepath or ""):
            library.set_num_threads(1)


_ready()

value = jax.jit(evaluate.value, static_argnames="layout")
point = jax.jit(evaluate.point, static_argnames="layout")
gradient = jax.jit(evaluate.gradient, static_argnames="layout")
rates = jax.jit(evaluate.rates, static_argnames="layout")
mixed = jax.jit(evaluate.gamma_derivatives, static_argnames="layout")
fit = jax.jit(minimise, static_argnames="layout")


def _fits(starts: Any, free: Any, lower: Any, upper: Any, data: Any, arrays: Any, layout: Any) -> Any:
    def one(row: Any) -> Any:
        start, mask, low, high, seen = row
        return minimise(start, mask, low, high, seen, arrays, layout)._replace(curvature=jax.numpy.zeros(()))

    return jax.lax.map(one, (starts, free, lower, upper, data))


# Many fits one after the other in one call: rows of starts, free, lower, upper (N, R) and of data; no Hessians come
# back.
fits = jax.jit(_fits, static_argnames="layout")
