"""Ranges of a file's bytes: which to fetch together."""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Protocol, TypeAlias

Range: TypeAlias = tuple[int, int]
"""First byte, and the first one that is no more part of it."""

NEAR = 16 * 1024
"""A gap of so many bytes is fetched along: less than what a further range costs a server."""


class Storage(Protocol):
    """A file somewhere, read by ranges; safe to use from many threads.

    ``size`` is the file's length in bytes, ``remote`` whether fetching crosses a network, ``head`` the file's first
    bytes, as far as opening it has brought them.
    """

    @property
    def size(self) -> int:
        """Length of the file in bytes."""

    @property
    def remote(self) -> bool:
        """Whether fetching costs a round trip."""

    @property
    def head(self) -> bytes:
        """The file's first bytes that came with opening it."""

    def fetch(self, ranges: Sequence[Range], /) -> list[bytes]:
        """The bytes of each range, in as few requests as the protocol allows.

        The ranges are in order, apart and within the file. Raises OSError (or what the protocol's library raises) if
        they cannot be had, also if fewer bytes come than were asked for.
        """

    def close(self) -> None:
        """Let go of the file."""


def merged(ranges: Iterable[Range], near: int = NEAR) -> list[Range]:
    """The ranges in order, those that overlap or have a gap of at most `near` bytes joined."""
    found: list[Range] = []
    for start, stop in sorted(ranges):
        if found and start <= found[-1][1] + near:
            found[-1] = (found[-1][0], max(stop, found[-1][1]))
        else:
            found.append((start, stop))
    return found


def cut(ranges: Iterable[Range], longest: int) -> list[Range]:
    """The ranges, longer ones cut into pieces of at most `longest` bytes."""
    return [piece for start, stop in ranges for piece in pairwise([*range(start, stop, longest), stop]) if stop > start]


def joined(ranges: Iterable[Range], pieces: Iterable[bytes]) -> list[bytes]:
    """What `cut` has cut put together again: the bytes of each of the ranges from those of the pieces in order."""
    coming = iter(pieces)
    found = []
    for start, stop in ranges:
        parts: list[bytes] = []
        while (have := sum(map(len, parts))) < stop - start:
            part = next(coming)
            if not part:
                raise OSError(f"no bytes at {start + have}")
            parts.append(part)
        found.append(parts[0] if len(parts) == 1 else b"".join(parts))
    return found
