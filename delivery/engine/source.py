"""An input file's tree: its header, its basket boundaries, and its columns read by ranges of entries.

Only what is asked for is read: a basket without a wanted entry is neither read nor decompressed.
"""

from collections.abc import Sequence
from contextlib import closing
from typing import Any, Protocol

from uproot.reading import ReadOnlyFile

from delivery.engine.branches import private_classes
from delivery.engine.header import ColumnType
from delivery.engine.ntuple_source import NtupleSource
from delivery.engine.reading import reading
from delivery.engine.storage.held import HeldBytes
from delivery.engine.storage.opening import UprootSource, open_held
from delivery.engine.tree_source import TreeSource
from delivery.engine.values import Column, Mask
from delivery.errors import NotARootFile, TruncatedFile, UnknownTree

__all__ = ["Source", "open_source", "reading"]

_MAGIC = b"root"
_BIG_FILE_VERSION = 1_000_000
_SHORTEST = 64  # bytes of a file header
_TREES = ("TTree", "TNtuple", "TNtupleD", "ROOT::RNTuple")


class Source(Protocol):
    """A tree that can be read column by column, by many threads at once."""

    file: str
    tree: str
    entries: int
    identity: bytes
    file_bytes: int

    @property
    def bytes_read(self) -> int:
        """Compressed bytes of baskets or pages read so far."""

    def names(self) -> list[str]:
        """All columns."""

    def column_type(self, name: str) -> ColumnType | str:
        """Type of a column, or the name of a type that the engine cannot read; KeyError if there is none."""

    def size(self, name: str) -> tuple[int, int]:
        """Compressed and uncompressed bytes of a column, from the header alone."""

    def boundaries(self, names: Sequence[str], /) -> list[int]:
        """Entries, from 0 to the last, where all of these columns begin a basket or cluster."""

    def prefetch(self, names: Sequence[str], start: int, stop: int, keep: Mask | None) -> None:
        """Fetch what `read` of the same entries will need of these columns, in as few round trips as possible.

        What is fetched is kept until `read` is called for the column with the same `start` and `stop` (its `keep` may
        be narrower), and no longer than memory allows; a local file needs no fetching ahead.
        """

    def read(self, name: str, start: int, stop: int, keep: Mask | None) -> Column:
        """Entries `start` to `stop` of a column, those of them where `keep` is True (None: all)."""

    def close(self) -> None:
        """Let go of the file."""


def open_source(file: str, tree: str | None) -> Source:
    """The tree of this name of a local or remote ROOT file; None means the first TTree, or else the first RNTuple.

    Raises NotARootFile, TruncatedFile, MissingFile, another UnreadableFile, or UnknownTree.
    """
    with reading(file):
        held = open_held(file)
        try:
            _check(file, held)
            classes = private_classes()
            opened = ReadOnlyFile(
                file, handler=UprootSource, held=held, object_cache=None, array_cache=None, custom_classes=classes
            ).root_directory
            key = _tree_key(opened, file, tree)
            kind = NtupleSource if key.fClassName == "ROOT::RNTuple" else TreeSource
            return kind(file, opened, key, held)
        except BaseException:
            held.close()
            raise


def root_header(file: str) -> tuple[int, str]:
    """Size in bytes and UUID of a ROOT file; raises what `open_source` raises, but for UnknownTree."""
    with reading(file), closing(open_held(file)) as held:
        _check(file, held)
        return held.size, str(ReadOnlyFile(file, handler=UprootSource, held=held).uuid)


def _check(file: str, held: HeldBytes) -> None:
    """The file begins as a ROOT file and is as long as it says."""
    head = bytes(held.read(0, min(_SHORTEST, held.size)))
    if not head:
        raise NotARootFile(file, "the file is empty")
    if head[:4] != _MAGIC or len(head) < _SHORTEST:
        raise NotARootFile(file, f"no ROOT file (it begins with {head[:4]!r})")
    big = int.from_bytes(head[4:8], "big") >= _BIG_FILE_VERSION
    end = int.from_bytes(head[12:20] if big else head[12:16], "big")
    if held.size < end:
        raise TruncatedFile(file, f"truncated: it has {held.size} of {end} bytes")


def _tree_key(directory: Any, file: str, tree: str | None) -> Any:
    kinds = {name.rsplit(";", 1)[0]: kind for name, kind in directory.classnames(recursive=True).items()}
    trees = [name for name, kind in kinds.items() if kind in _TREES]
    if tree is None and trees:
        tree = min(trees, key=lambda name: kinds[name] != "TTree")
    if tree is None or tree.split(";")[0] not in trees:
        raise UnknownTree(file, tree, trees)
    return directory.key(tree)
