"""A whole file by way of its storage: what an input is fetched with for a reader that has no network."""

from collections.abc import Iterator
from contextlib import closing

from delivery.engine.reading import reading
from delivery.engine.storage.opening import open_storage
from delivery.errors import UnreadableFile

PIECE = 4 * 1024 * 1024


def whole(file: str, longest: int) -> Iterator[bytes]:
    """The file's content in pieces, read under the limits and guards of every other read.

    Raises UnreadableFile, also before the first piece for a file of more than ``longest`` bytes, and its kinds.
    """
    with reading(file), closing(open_storage(file)) as storage:
        if storage.size > longest:
            raise UnreadableFile(file, f"it has {storage.size:,} bytes, and a file of {longest:,} at most is fetched")
        for start in range(0, storage.size, PIECE):
            yield storage.fetch([(start, min(start + PIECE, storage.size))])[0]
