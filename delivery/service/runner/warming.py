"""On a worker: what every file needs is imported once, by one thread, and before the first file comes."""

import logging
import threading
from importlib import import_module

NEEDED = (
    "delivery.engine.skim",
    "delivery.engine.parts",
    "delivery.engine.writers.parquet",
    "delivery.engine.writers.tree",
)

log = logging.getLogger(__name__)

_lock = threading.Lock()


def import_engine() -> None:
    """Import the engine, or wait until another thread has.

    Threads that come to uproot by different doors at the same time are given halves of its modules.
    """
    with _lock:
        for name in NEEDED:
            import_module(name)


def warm() -> None:
    """Begin to import the engine, in a thread of its own: the worker answers meanwhile."""
    threading.Thread(target=_try, name="skimflow-warming", daemon=True).start()


def _try() -> None:
    try:
        import_engine()
    except Exception:  # the first file meets it, too, and says more of it
        log.debug("the engine cannot be imported ahead", exc_info=True)
