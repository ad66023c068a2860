"""Which files go to a worker together: small ones, and so few that little is lost with the worker. Pure."""

from collections.abc import Iterator, Sequence
from math import ceil

from delivery.service.runner.flights import Flight

MOST_FILES, MOST_BYTES, MOST_SECONDS = 16, 8 << 20, 0.5
"""Of a batch: files, bytes of their inputs, seconds that they are expected to take."""


def batches(flights: Sequence[Flight], under_way: int, threads: int) -> Iterator[list[Flight]]:
    """The flights in their order, put together where that is safe; every thread is to have two batches at least.

    under_way: tasks that the workers have already. threads: theirs.

    A file goes alone that may be the killer of a worker, that lies behind a network, which may stall, or of whose
    request none was made yet: nobody knows how long it takes.
    """
    batch: list[Flight] = []
    size, seconds = 0, 0.0
    most = min(MOST_FILES, ceil((under_way + len(flights)) / max(1, 2 * threads)))
    for flight in flights:
        if flight.alone or flight.shrink or flight.bytes is None or flight.pace is None:
            yield [flight]
            continue
        size, seconds = size + flight.bytes, seconds + flight.pace
        if batch and (len(batch) == most or size > MOST_BYTES or seconds > MOST_SECONDS):
            yield batch
            batch, size, seconds = [], flight.bytes, flight.pace
        batch.append(flight)
    if batch:
        yield batch


def paced(before: float | None, seconds: float) -> float:
    """The seconds to expect of a request's next file, after one that took so many; they fall more slowly than rise."""
    return seconds if before is None else before + (0.5 if seconds > before else 0.3) * (seconds - before)
