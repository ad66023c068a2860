"""A file behind any other protocol that fsspec knows (``s3://``, ``gs://``, ``memory://`` and so on)."""

from collections.abc import Sequence

import fsspec  # type: ignore[import-untyped]

from delivery.engine.storage.ranges import Range


class FsspecStorage:
    """A file at a URL of a protocol that fsspec has an implementation of. Raises what that raises."""

    remote = True
    head = b""

    def __init__(self, url: str) -> None:
        self._system, self._path = fsspec.core.url_to_fs(url)
        self.size = int(self._system.info(self._path)["size"])

    def fetch(self, ranges: Sequence[Range]) -> list[bytes]:
        """The bytes of each range."""
        paths, starts, stops = [self._path] * len(ranges), [a for a, _ in ranges], [b for _, b in ranges]
        found: list[bytes] = self._system.cat_ranges(paths, starts, stops, on_error="raise")
        for content, (start, stop) in zip(found, ranges, strict=True):
            if len(content) != stop - start:
                raise OSError(f"{len(content)} bytes came where {start} to {stop} were asked for")
        return found

    def close(self) -> None:
        """Nothing is held open."""
