"""An input file's tree: its header, its basket boundaries, and its columns read by ranges of entries.

Only what is asked for is read: a basket without a wanted entry is neither read nor decompressed.
"""

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import uproot
from uproot.behaviors.RNTuple import HasFields
from uproot.interpretation.jagged import AsJagged
from uproot.interpretation.numerical import AsDtype

from delivery.engine.baskets import BasketDamaged, Layout, decode_basket, from_bytes
from delivery.engine.branches import LazyTree, private_classes
from delivery.engine.header import ColumnType
from delivery.engine.values import Column, Lists, Mask, concatenate, keep_rows, native, row_range
from delivery.errors import DeliveryError, InputUnreachable, UnknownTree, UnreadableFile
from delivery.retry import is_transient

_MAGIC = b"root"
_BIG_FILE_VERSION = 1_000_000


class Source(Protocol):
    """A tree that can be read column by column."""

    file: str
    tree: str
    entries: int
    identity: bytes

    @property
    def bytes_read(self) -> int:
        """Compressed bytes read so far."""

    def names(self) -> list[str]:
        """All branches."""

    def column_type(self, name: str) -> ColumnType | str:
        """Type of a branch, or the name of a type that the engine cannot read."""

    def size(self, name: str) -> tuple[int, int]:
        """Compressed and uncompressed bytes of a branch."""

    def boundaries(self, names: Sequence[str], /) -> list[int]:
        """Entries, from 0 to the last, where all of these branches begin a basket."""

    def read(self, name: str, start: int, stop: int, keep: Mask | None) -> Column:
        """Entries `start` to `stop` of a branch, those of them where `keep` is True (None: all)."""

    def close(self) -> None:
        """Let go of the file."""


def open_source(file: str, tree: str | None) -> Source:
    """The tree of this name (None: the first tree) of a local or remote ROOT file.

    Raises UnreadableFile or UnknownTree.
    """
    with reading(file):
        if "://" not in file:
            _check_local(file)
        opened = uproot.open(file, object_cache=None, array_cache=None, custom_classes=private_classes())
        try:
            key = _tree_key(opened, file, tree)
            kind = NtupleSource if key.fClassName == "ROOT::RNTuple" else TreeSource
            return kind(file, opened, key)
        except BaseException:
            opened.close()
            raise


@contextmanager
def reading(file: str) -> Iterator[None]:
    """Turns whatever goes wrong while bytes are read into UnreadableFile (InputUnreachable where a retry may help)."""
    try:
        yield
    except DeliveryError:
        raise
    except FileNotFoundError as error:
        raise UnreadableFile(file, "there is no such file") from error
    except (IsADirectoryError, PermissionError) as error:
        raise UnreadableFile(file, error.strerror or _one_line(error)) from error
    except MemoryError as error:
        raise UnreadableFile(file, "a damaged length asks for more memory than there is") from error
    except Exception as error:  # damaged bytes make uproot fail in any way
        if is_transient(error, file):
            raise InputUnreachable(file, _one_line(error)) from error
        what = "it cannot be read" if isinstance(error, OSError) else "its structure is damaged"
        raise UnreadableFile(file, f"{what} ({_one_line(error)})") from error


def _one_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _check_local(file: str) -> None:
    """The file begins as a ROOT file and is as long as it says."""
    with Path(file).open("rb") as stream:
        head = stream.read(64)
        size = os.fstat(stream.fileno()).st_size
    if not head:
        raise UnreadableFile(file, "the file is empty")
    if head[:4] != _MAGIC or len(head) < 64:
        raise UnreadableFile(file, f"no ROOT file (it begins with {head[:4]!r})")
    big = int.from_bytes(head[4:8], "big") >= _BIG_FILE_VERSION
    end = int.from_bytes(head[12:20] if big else head[12:16], "big")
    if size < end:
        raise UnreadableFile(file, f"truncated: it has {size} of {end} bytes")


def _tree_key(opened: Any, file: str, tree: str | None) -> Any:
    classes = opened.classnames(recursive=True)
    names = [k for k, kind in classes.items() if kind in ("TTree", "TNtuple", "TNtupleD", "ROOT::RNTuple")]
    trees = list(dict.fromkeys(name.rsplit(";", 1)[0] for name in names))
    if tree is None and trees:
        tree = trees[0]
    if tree is None or tree.split(";")[0] not in trees:
        raise UnknownTree(file, tree, trees)
    return opened.key(tree)


class _Counter:
    """Sum of bytes read, by any thread."""

    def __init__(self) -> None:
        self.total, self._lock = 0, threading.Lock()

    def add(self, count: int) -> None:
        with self._lock:
            self.total += count


class TreeSource:
    """A TTree."""

    def __init__(self, file: str, opened: Any, key: Any) -> None:
        self.file, self.tree = file, str(key.fName)
        self._opened, self.identity = opened, opened.file.uuid.bytes
        self._lazy = LazyTree(key)
        self.entries = self._lazy.num_entries
        self._types: dict[str, ColumnType | str] = {}
        self._layouts: dict[str, Layout] = {}
        self._last: dict[str, tuple[int, Column]] = {}
        self._read_bytes = _Counter()
        self._local = os.open(file, os.O_RDONLY) if "://" not in file else None

    @property
    def bytes_read(self) -> int:
        """Compressed bytes of baskets read so far."""
        return self._read_bytes.total

    def close(self) -> None:
        """Let go of the file."""
        if self._local is not None:
            os.close(self._local)
            self._local = None
        self._opened.close()

    def names(self) -> list[str]:
        """All branches."""
        return self._lazy.keys()

    def column_type(self, name: str) -> ColumnType | str:
        """Type of a branch, or the name of a type that the engine cannot read."""
        if name not in self._types:
            with reading(self.file):
                self._types[name] = self._typed(name)
        return self._types[name]

    def _typed(self, name: str) -> ColumnType | str:
        branch = self._lazy.branch(name)
        interpretation = branch.interpretation
        jagged = isinstance(interpretation, AsJagged)
        content = interpretation.content if jagged else interpretation
        if type(content) is not AsDtype or content.inner_shape or content.from_dtype.fields:
            return str(branch.typename)
        header = int(interpretation.header_bytes) if jagged else 0
        self._layouts[name] = Layout(content.from_dtype, jagged, header)
        (leaf, *_) = branch.member("fLeaves")
        counter = leaf.member("fLeafCount") if jagged else None
        return ColumnType(self._empty(name), None if counter is None else counter.member("fName"))

    def size(self, name: str) -> tuple[int, int]:
        """Compressed and uncompressed bytes of a branch."""
        branch = self._lazy.branch(name)
        return int(branch.member("fZipBytes")), int(branch.member("fTotBytes"))

    def boundaries(self, names: Sequence[str]) -> list[int]:
        """Entries where all of these branches begin a basket."""
        with reading(self.file):
            starts = [np.asarray(self._lazy.branch(name).entry_offsets, np.int64) for name in names]
            common = starts[0] if starts else np.array([0, self.entries])
            for other in starts[1:]:
                if not np.array_equal(common, other):
                    common = np.intersect1d(common, other)
            return sorted({0, self.entries, *(int(e) for e in common if 0 <= e <= self.entries)})

    def read(self, name: str, start: int, stop: int, keep: Mask | None) -> Column:
        """Entries of a branch; only baskets with a wanted entry are read."""
        branch = self._lazy.branch(name)
        starts = branch.entry_offsets
        first = int(np.searchsorted(starts, start, "right")) - 1
        parts: list[Column] = []
        for number in range(max(first, 0), len(starts) - 1):
            low, high = int(starts[number]), int(starts[number + 1])
            if low >= stop:
                break
            begin, end = max(low, start), min(high, stop)
            wanted = None if keep is None else keep[begin - start : end - start]
            if begin >= end or (wanted is not None and not wanted.any()):
                continue
            part = row_range(self._basket(name, branch, number, high - low, high > stop), begin - low, end - low)
            if wanted is not None and not wanted.all():
                part = keep_rows(part, wanted)
            parts.append(part)
        column = native(concatenate(parts)) if parts else self._empty(name)
        expected = stop - start if keep is None else int(np.count_nonzero(keep))
        if len(column) != expected:
            reason = f"branch {name} has {len(column)} of the {expected} entries wanted from {start} to {stop}"
            raise UnreadableFile(self.file, reason)
        return column

    def _empty(self, name: str) -> Column:
        layout = self._layouts[name]
        empty = np.empty(0, layout.dtype.newbyteorder("="))
        return Lists(np.zeros(1, np.int64), empty) if layout.jagged else empty

    def _basket(self, name: str, branch: Any, number: int, entries: int, again: bool) -> Column:
        """A basket decoded; kept if the next range of entries begins in it (`again`)."""
        held = self._last.get(name)
        if held is not None and held[0] == number:
            return held[1]
        try:
            column = self._decode(name, branch, number, entries)
        except BasketDamaged as error:
            raise UnreadableFile(self.file, f"basket {number} of branch {name} is damaged: {error}") from error
        if again:
            self._last[name] = (number, column)
        else:
            self._last.pop(name, None)
        return column

    def _decode(self, name: str, branch: Any, number: int, entries: int) -> Column:
        layout = self._layouts[name]
        if number >= branch._num_normal_baskets:
            basket = branch.embedded_baskets[number - branch._num_normal_baskets]
            self._read_bytes.add(len(basket.data))
            return from_bytes(np.asarray(basket.data), basket.byte_offsets, layout, entries)
        seek, size = int(branch.member("fBasketSeek")[number]), int(branch.member("fBasketBytes")[number])
        self._read_bytes.add(size)
        return decode_basket(self._bytes(seek, size), layout, entries)

    def _bytes(self, seek: int, size: int) -> bytes:
        if self._local is None:
            with reading(self.file):
                return bytes(self._opened.file.source.chunk(seek, seek + size).raw_data)
        raw = os.pread(self._local, size, seek) if size > 0 and seek >= 0 else b""
        if len(raw) != size:
            raise BasketDamaged(f"its bytes {seek} to {seek + size} lie beyond the file's end")
        return raw


class NtupleSource:
    """An RNTuple, read through uproot."""

    def __init__(self, file: str, opened: Any, key: Any) -> None:
        self.file, self.tree = file, str(key.fName)
        self._opened, self._ntuple = opened, key.get()
        self.identity = opened.file.uuid.bytes
        if not isinstance(self._ntuple, HasFields):
            raise UnreadableFile(file, f"{self.tree} is no RNTuple that can be read")
        self.entries = int(self._ntuple.num_entries)
        self._names = list(self._ntuple.keys(recursive=False))
        self._lock = threading.Lock()

    @property
    def bytes_read(self) -> int:
        """Not known: uproot does not tell what it reads of an RNTuple."""
        return 0

    def close(self) -> None:
        """Let go of the file."""
        self._opened.close()

    def names(self) -> list[str]:
        """All fields."""
        return self._names

    def column_type(self, name: str) -> ColumnType | str:
        """Type of a field, or the name of a type that the engine cannot read."""
        empty = self._arrays(name, 0, 0)
        return str(self._ntuple[name].typename) if isinstance(empty, str) else ColumnType(empty)

    def size(self, name: str) -> tuple[int, int]:
        """Bytes of a field; an RNTuple's are not told apart by field here, so all count alike."""
        return len(name), 8 * self.entries

    def boundaries(self, _: Sequence[str]) -> list[int]:
        """First entries of the clusters."""
        firsts = {int(c.num_first_entry) for c in self._ntuple.cluster_summaries}
        return sorted({0, self.entries} | firsts)

    def read(self, name: str, start: int, stop: int, keep: Mask | None) -> Column:
        """Entries of a field."""
        with reading(self.file):
            column = self._arrays(name, start, stop)
        if isinstance(column, str):
            raise UnreadableFile(self.file, f"field {name} is of type {column}")
        return column if keep is None else keep_rows(column, keep)

    def _arrays(self, name: str, start: int, stop: int) -> Column | str:
        with self._lock:
            layout = self._ntuple[name].array(entry_start=start, entry_stop=stop).layout
        if layout.is_numpy and layout.data.ndim == 1:
            return np.asarray(layout.data)
        if layout.is_list and layout.content.is_numpy:
            lists = layout.to_ListOffsetArray64(True)
            content = np.asarray(lists.content.data)
            return Lists(np.asarray(lists.offsets.data), content[: lists.offsets.data[-1]])
        return str(layout.form.type)
