"""The compiled functions: one for each shape of model, kept on disk between runs.

Arrays of the model, data, masks, bounds and starts are all arguments. So a second model of the same shape, other
data, toys and refits with other parameters held need no other compilation.
"""

import os
from functools import partial
from typing import Any

import jax

from artifacts.copies import user_cache
from inference.likelihood import evaluate
from inference.likelihood.many import one_by_one, side_by_side
from inference.likelihood.minimise import minimise


def _ready() -> None:
    """Double precision; compiled functions are kept where only the user writes."""
    # One fit is a long chain of small steps, which an accelerator is slow at: it gets those made side by side alone.
    settings: dict[str, object] = {"jax_enable_x64": True, "jax_default_device": "cpu"}
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

# A fit is a long chain of small steps: XLA's threads have no part in it, and on few cores can wait for each other.
OPTIONS = {"xla_cpu_multi_thread_eigen": False}
if jax.__version_info__ < (0, 11):  # an option that a version does not know would end every fit
    # The newer way to make code for the processor takes twice as long, for functions that are hardly faster.
    OPTIONS["xla_cpu_use_fusion_emitters"] = False
jit = partial(jax.jit, static_argnames="layout", compiler_options=OPTIONS)

value = jit(evaluate.value)
point = jit(evaluate.point)
gradient = jit(evaluate.gradient)
rates = jit(evaluate.rates)
mixed = jit(evaluate.gamma_derivatives)
fit = jit(minimise)
# Many fits in one call, of which the first so many are made: rows of tasks (N, …); no Hessians come back.
fits = jit(one_by_one)
lanes = jit(side_by_side, static_argnames=("layout", "places"))


def accelerator() -> Any:
    """The first GPU that JAX sees (others have no double precision), None without; ``JAX_PLATFORMS=cpu`` hides it."""
    return next((device for device in jax.devices() if device.platform == "gpu"), None)
