"""What the store needs of the place where its bytes lie."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

USED_RESOLUTION = 3600.0
"""Seconds: how exactly the time of last use is kept; finer would cost a write for every read."""


@dataclass(frozen=True, slots=True)
class Item:
    """One named object: its size in bytes, and when it was last written or used (seconds since 1970)."""

    name: str
    size: int
    modified: float


class Backend(Protocol):
    """Named objects in a folder, in memory or in a bucket. Names are relative paths with `/`.

    Absence is `FileNotFoundError`; anything else that goes wrong is an `ArtifactError`.
    """

    url: str

    def read(self, name: str, *, used: bool = False) -> bytes:
        """All bytes of an object; with `used`, its time is brought up to date (to within an hour)."""
        ...

    def chunks(self, name: str) -> Iterator[bytes]:
        """The bytes of an object piece by piece."""
        ...

    def stat(self, name: str) -> Item | None:
        """Size and time of an object, None if there is none."""
        ...

    def items(self, folder: str) -> Iterator[Item]:
        """Every object under the folder that has a name which the store gives."""
        ...

    def write(self, name: str, content: bytes | Path) -> None:
        """Put an object there whole, in place of what there was. A file may become the object itself."""
        ...

    def create(self, name: str, content: bytes) -> bool:
        """Put an object there whole unless there is one; False if there was one."""
        ...

    def delete(self, name: str) -> None:
        """Remove an object; nothing happens if there is none."""
        ...

    def file(self, name: str) -> Path | None:
        """The file that is the object, None where objects are no files."""
        ...

    def sweep(self, before: float) -> int:
        """Remove what killed writers left behind and nobody touched since `before`; how many there were."""
        ...

    def guard(self, *, exclusive: bool) -> AbstractContextManager[bool]:
        """Keep writers (not exclusive) and collectors (exclusive) apart; yields whether it really does."""
        ...
