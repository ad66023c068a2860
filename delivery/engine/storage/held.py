"""A file's bytes as the readers ask for them: those fetched ahead, the others when they are asked for.

Bytes are fetched ahead under a claim (the reader's name for what it will read) and kept until that claim is released.
Ranges that several claims share are fetched once. What is held is bounded: beyond the limit the oldest claims lose
their bytes, which are then fetched when they are read.
"""

import threading
from collections.abc import Hashable, Iterable, Mapping
from concurrent.futures import Future

from delivery.engine.storage.ranges import Range, Storage, merged

HELD_LIMIT = 64 * 1024 * 1024
LONGEST = 1 << 30  # ROOT writes no object of more than 1 GiB: a longer one is a damaged length
HEAD, TAIL = 256 * 1024, 1024 * 1024  # a ROOT file's directory and tree lie at its end, its header at the beginning


class HeldBytes:
    """The bytes of one file; safe to use from many threads."""

    def __init__(self, storage: Storage, limit: int = HELD_LIMIT) -> None:
        self._storage, self._limit = storage, limit
        self.size, self.remote = storage.size, storage.remote
        self._lock = threading.Lock()
        self._pieces: dict[Range, Future[bytes]] = {}
        self._claims: dict[Hashable, set[Range]] = {}
        self._users: dict[Range, int] = {}
        self._held = 0
        self._ends: dict[Range, bytes] = self._fetch_ends() if self.remote else {}

    def _fetch_ends(self) -> dict[Range, bytes]:
        head = self._storage.head
        wanted = [(0 if not head else self.size, min(HEAD, self.size)), (max(len(head), self.size - TAIL), self.size)]
        ranges = merged((start, stop) for start, stop in wanted if start < stop)
        ends = dict(zip(ranges, self._storage.fetch(ranges), strict=True)) if ranges else {}
        return {(0, len(head)): head, **ends} if head else ends

    def read(self, start: int, stop: int) -> bytes | memoryview:
        """These bytes, fetched now unless they are held; ValueError if the file has no such bytes."""
        if not 0 <= start <= stop <= self.size:
            raise ValueError(f"bytes {start} to {stop} lie beyond the file's end at {self.size}")
        if stop - start > LONGEST:
            raise ValueError(f"{stop - start} bytes from {start} on are more than ROOT writes in one piece")
        if self.remote:
            with self._lock:
                piece = self._pieces.get((start, stop))
            if piece is not None:
                return piece.result()
            end = self._end_around(start, stop)
            if end is not None:
                return memoryview(self._ends[end])[start - end[0] : stop - end[0]]
        return self._storage.fetch([(start, stop)])[0] if stop > start else b""

    def _end_around(self, start: int, stop: int) -> Range | None:
        return next((end for end in self._ends if end[0] <= start and stop <= end[1]), None)

    def hold(self, wanted: Mapping[Hashable, Iterable[Range]]) -> None:
        """Fetch the ranges of each claim that are not held, near ones together, and keep them until it is released."""
        if not self.remote:
            return
        with self._lock:
            new = self._claim(wanted)
        if not new:
            return
        spans = merged(new)
        try:
            fetched = dict(zip(spans, self._storage.fetch(spans), strict=True))
        except BaseException as error:
            self._fail(new, error)
            raise
        place = iter(fetched.items())
        (first, last), content = next(place)
        for start, stop in sorted(new):
            while stop > last:
                (first, last), content = next(place)
            new[start, stop].set_result(content[start - first : stop - first])

    def _claim(self, wanted: Mapping[Hashable, Iterable[Range]]) -> dict[Range, Future[bytes]]:
        """Enter the claims; the ranges among them that nobody has fetched or is fetching."""
        new: dict[Range, Future[bytes]] = {}
        for claim, ranges in wanted.items():
            claimed = self._claims.setdefault(claim, set())
            for piece in ranges:
                start, stop = piece
                if piece in claimed or not 0 <= start < stop <= self.size or self._end_around(start, stop):
                    continue
                if piece not in self._pieces:
                    if not self._room(stop - start, wanted):
                        continue
                    new[piece] = self._pieces[piece] = Future()
                    self._held += stop - start
                claimed.add(piece)
                self._users[piece] = self._users.get(piece, 0) + 1
        return new

    def _room(self, size: int, mine: Mapping[Hashable, object]) -> bool:
        """Make room for so many bytes by releasing the oldest claims of others."""
        while self._held + size > self._limit:
            oldest = next((claim for claim in self._claims if claim not in mine), None)
            if oldest is None:
                return False
            self._release(oldest)
        return True

    def _fail(self, new: Mapping[Range, Future[bytes]], error: BaseException) -> None:
        with self._lock:
            for piece in new:
                if self._pieces.pop(piece, None) is not None:
                    self._held -= piece[1] - piece[0]
        for future in new.values():
            future.set_exception(error)

    def release(self, claim: Hashable) -> None:
        """Let go of what is held for this claim alone."""
        with self._lock:
            self._release(claim)

    def _release(self, claim: Hashable) -> None:
        for piece in self._claims.pop(claim, ()):
            self._users[piece] -= 1
            if not self._users[piece]:
                del self._users[piece]
                if self._pieces.pop(piece, None) is not None:
                    self._held -= piece[1] - piece[0]

    def close(self) -> None:
        """Let go of the file and of all that is held."""
        with self._lock:
            self._pieces.clear()
            self._claims.clear()
            self._users.clear()
            self._ends, self._held = {}, 0
        self._storage.close()
