"""Which files go to a worker together: small ones, and so few that little is lost with the worker. Pure."""

from collections.abc import Iterable, Iterator

from delivery.service.runner.flights import Flight

MOST_FILES, MOST_BYTES, MOST_SECONDS = 16, 8 << 20, 0.2
"""Of a batch: files, bytes of their inputs, seconds that they are expected to take."""


def batches(flights: Iterable[Flight]) -> Iterator[list[Flight]]:
    """The flights in their order, put together where that is safe.

    A file goes alone that may be the killer of a worker, that lies behind a network, which may stall, or of whose
    request none was made yet: nobody knows how long it takes.
    """
    batch: list[Flight] = []
    size, seconds = 0, 0.0
    for flight in flights:
        if flight.alone or flight.shrink or flight.bytes is None or flight.pace is None:
            yield [flight]
            continue
        size, seconds = size + flight.bytes, seconds + flight.pace
        if batch and (len(batch) == MOST_FILES or size > MOST_BYTES or seconds > MOST_SECONDS):
            yield batch
            batch, size, seconds = [], flight.bytes, flight.pace
        batch.append(flight)
    if batch:
        yield batch


def paced(before: float | None, seconds: float) -> float:
    """The seconds to expect of a request's next file: they rise at once, and fall slowly."""
    return seconds if before is None else max(seconds, before + 0.2 * (seconds - before))
