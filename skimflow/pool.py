"""Work in several processes of this machine, so that it ends at once when it is broken off."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import active_children, get_context
from typing import TypeVar

from skimflow.errors import ProcessDied

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_processes(work: Callable[[Item], Result], items: Sequence[Item], jobs: int) -> Iterator[tuple[Item, Result]]:
    """Each item with its result, in the order in which they end.

    Args:
        work: a function of a module, since fresh processes import it (forking one that holds threads can deadlock).
        items: what to work on.
        jobs: processes at most; one works in this process.

    Raises:
        ProcessDied: a process was killed, or could not start because the calling script has no main guard.
        Whatever `work` raises.
    """
    if jobs <= 1 or len(items) <= 1:
        for item in items:
            yield item, work(item)
        return
    others = active_children()
    pool = ProcessPoolExecutor(min(jobs, len(items)), mp_context=get_context("spawn"), initializer=_ignore_interrupts)
    try:
        futures = {pool.submit(work, item): item for item in items}
        for future in as_completed(futures):
            yield futures[future], future.result()
        pool.shutdown()
    except BrokenProcessPool as error:
        raise ProcessDied(
            "a process died: it ran out of memory or was killed, or a script uses skimflow outside of "
            "`if __name__ == '__main__':`; what was finished is kept"
        ) from error
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in active_children():
            if process not in others:
                process.terminate()


def _ignore_interrupts() -> None:
    """Ctrl-C reaches every process of the terminal: the parent ends the others, they need not say a word."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
