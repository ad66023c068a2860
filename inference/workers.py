"""Workers that tools share the work out to."""

from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager


@contextmanager
def executor_of(workers: int | Executor) -> Iterator[Executor]:
    """That many threads for as long as they are needed, or the executor that was given, which is left open."""
    if isinstance(workers, Executor):
        yield workers
    else:
        with ThreadPoolExecutor(workers) as threads:
            yield threads
