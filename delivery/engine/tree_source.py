"""A TTree read column by column.

Flat numbers and lists of numbers, which nearly all columns are, go through the short way of `delivery.engine.baskets`;
every other kind of branch is read by uproot, basket by basket.
"""

import math
import re
from collections.abc import Sequence
from typing import Any

import awkward as ak
import numpy as np
from uproot.interpretation.grouped import AsGrouped
from uproot.interpretation.identify import UnknownInterpretation
from uproot.interpretation.jagged import AsJagged
from uproot.interpretation.numerical import AsDtype
from uproot.interpretation.objects import CannotBeAwkward

from delivery.engine.baskets import Layout, OffsetsNotStored, decode_basket, from_bytes
from delivery.engine.branches import LazyTree
from delivery.engine.compression import Damaged
from delivery.engine.header import ColumnType
from delivery.engine.reading import one_line, reading
from delivery.engine.runs import Run
from delivery.engine.storage.held import HeldBytes
from delivery.engine.storage.ranges import Range
from delivery.engine.units import Counter, Part, Units, parts_of
from delivery.engine.values import Column, Lists, Mask, from_awkward
from delivery.errors import CorruptBasket, UnreadableFile


class TreeSource:
    """A TTree of an opened file."""

    def __init__(self, file: str, opened: Any, key: Any, held: HeldBytes) -> None:
        self.file, self.tree = file, str(key.fName)
        self.identity = opened.file.uuid.bytes
        self.file_bytes = held.size
        self._opened, self._held = opened, held
        self._lazy = LazyTree(key)
        self.entries = self._lazy.num_entries
        self._types: dict[str, ColumnType | str] = {}
        self._layouts: dict[str, Layout] = {}
        self._borders: dict[str, list[int]] = {}
        self._baskets: dict[str, list[Range]] = {}
        self._units = Units()
        self._read_bytes = Counter()

    @property
    def bytes_read(self) -> int:
        """Compressed bytes of baskets read so far."""
        return self._read_bytes.total

    def close(self) -> None:
        """Let go of the file."""
        self._opened.close()

    def names(self) -> list[str]:
        """All branches that hold values: those without sub-branches, and the sub-branches of the others."""
        with reading(self.file):
            return self._lazy.keys()

    def column_type(self, name: str) -> ColumnType | str:
        """Type of a branch, or the name of a type that the engine cannot read; KeyError if there is no such branch."""
        if name not in self._types:
            with reading(self.file):
                known = name in self._lazy
                if known:
                    self._types[name] = self._typed(name)
            if not known:
                raise KeyError(name)
        return self._types[name]

    def _typed(self, name: str) -> ColumnType | str:
        branch = self._lazy.branch(name)
        try:
            layout = _layout(branch.interpretation)
            sample = _empty(layout) if layout is not None else _none_of(branch)
        except (CannotBeAwkward, UnknownInterpretation):
            return str(branch.typename)
        _check_shape(branch)
        if layout is None:
            return ColumnType(sample)
        self._layouts[name] = layout
        (leaf, *_) = branch.member("fLeaves")
        counter = leaf.member("fLeafCount") if layout.jagged and not layout.header else None
        return ColumnType(sample, None if counter is None else counter.member("fName"))

    def size(self, name: str) -> tuple[int, int]:
        """Compressed and uncompressed bytes of a branch and its sub-branches."""
        with reading(self.file):
            branches = [self._lazy.branch(name), *self._lazy.branch(name).itervalues(recursive=True)]
            packed = sum(int(each.member("fZipBytes")) for each in branches)
            return packed, sum(int(each.member("fTotBytes")) for each in branches)

    def boundaries(self, names: Sequence[str]) -> list[int]:
        """Entries where all of these branches begin a basket."""
        with reading(self.file):
            common: set[int] | None = None
            for name in dict.fromkeys(names):
                starts = {entry for entry in self._starts(name) if 0 <= entry <= self.entries}
                common = starts if common is None else common & starts
            return sorted({0, self.entries} | (common or set()))

    def _starts(self, name: str) -> list[int]:
        """First entries of a branch's baskets and the end of the last; of a group's, whatever its parts have."""
        if name not in self._borders:
            branch = self._lazy.branch(name)
            if isinstance(branch.interpretation, AsGrouped):
                self._borders[name] = [0, self.entries]
            else:
                self._borders[name] = [int(entry) for entry in branch.entry_offsets]
        return self._borders[name]

    def prefetch(self, names: Sequence[str], start: int, stop: int, keep: Mask | None) -> None:
        """Fetch the baskets that `read` will need for these entries, all together; nothing to do for a local file."""
        if self._held.remote:
            with reading(self.file):
                self._held.hold({(name, start, stop): self._places(name, start, stop, keep) for name in names})

    def _places(self, name: str, start: int, stop: int, keep: Mask | None) -> list[Range]:
        places = self._baskets_of(name)
        kept = None if keep is None else np.flatnonzero(keep)
        parts = parts_of(self._starts(name), start, stop, kept)
        return [places[part.number] for part in parts if part.number < len(places)]

    def _baskets_of(self, name: str) -> list[Range]:
        """Where a branch's baskets lie in the file, but for those that lie in the tree's header."""
        if name not in self._baskets:
            with reading(self.file):
                branch = self._lazy.branch(name)
                count = branch._num_normal_baskets
                starts, sizes = (branch.member(each)[:count].tolist() for each in ("fBasketSeek", "fBasketBytes"))
                self._baskets[name] = [(start, start + size) for start, size in zip(starts, sizes, strict=True)]
        return self._baskets[name]

    def read(self, name: str, start: int, stop: int, keep: Mask | None) -> Column:
        """Entries of a branch; only baskets with a wanted entry are read."""
        kind = self.column_type(name)
        if isinstance(kind, str):
            raise UnreadableFile(self.file, f"branch {name} is of type {kind}, which has no form as columns")
        branch = self._lazy.branch(name)
        borders = self._starts(name)
        try:
            found = self._units.read(name, borders, start, stop, keep, lambda part: self._basket(name, branch, part))
        except Damaged as error:
            raise CorruptBasket(self.file, name, error.unit, str(error)) from error
        finally:
            self._held.release((name, start, stop))
        column = kind.sample if found is None else found
        expected = stop - start if keep is None else int(np.count_nonzero(keep))
        if len(column) != expected:
            reason = f"branch {name} has {len(column)} of the {expected} entries wanted from {start} to {stop}"
            raise UnreadableFile(self.file, reason)
        return column

    def _basket(self, name: str, branch: Any, part: Part) -> Column | Run:
        """A whole basket decoded."""
        layout = self._layouts.get(name)
        try:
            if layout is not None:
                return self._decode(name, branch, part, layout)
        except OffsetsNotStored:
            pass
        return self._by_uproot(branch, part)

    def _decode(self, name: str, branch: Any, part: Part, layout: Layout) -> Column | Run:
        entries, places = part.high - part.low, self._baskets_of(name)
        if part.number >= len(places):
            basket = branch.embedded_baskets[part.number - len(places)]
            self._read_bytes.add(len(basket.data))
            return _embedded(basket, layout, entries)
        start, stop = places[part.number]
        if not 0 <= start < stop <= self.file_bytes:
            raise Damaged(f"its bytes {start} to {stop} lie beyond the file's end")
        try:
            raw = self._held.read(start, stop)
        except Exception:
            with reading(self.file):
                raise
        self._read_bytes.add(stop - start)
        return decode_basket(raw, layout, entries)

    def _by_uproot(self, branch: Any, part: Part) -> Column:
        group = isinstance(branch.interpretation, AsGrouped)
        if group:
            self._read_bytes.add(sum(int(each.member("fZipBytes")) for each in branch.itervalues(recursive=True)))
        elif part.number < branch._num_normal_baskets:
            self._read_bytes.add(int(branch.member("fBasketBytes")[part.number]))
        else:
            self._read_bytes.add(len(branch.embedded_baskets[part.number - branch._num_normal_baskets].data))
        try:
            array = branch.array(entry_start=part.low, entry_stop=part.high, library="ak")
        except OSError:
            raise
        except Exception as error:  # damaged bytes make uproot fail in any way
            raise Damaged(f"uproot cannot read it as {branch.typename} ({one_line(error)})") from error
        return from_awkward(array)


def _embedded(basket: Any, layout: Layout, entries: int) -> Column | Run:
    """A basket that lies in the tree's header, where uproot has read it."""
    data, offsets = np.asarray(basket.data), basket.byte_offsets
    if offsets is None:
        return from_bytes(data, None, 0, layout, entries)
    if offsets[-1] != len(data):
        raise Damaged("its offsets are damaged")
    return from_bytes(data, offsets[:-1], 0, layout, entries)


def _layout(interpretation: Any) -> Layout | None:
    """How the short way reads a branch; None if only uproot can."""
    jagged = isinstance(interpretation, AsJagged)
    content = interpretation.content if jagged else interpretation
    if type(content) is not AsDtype or content.inner_shape or content.from_dtype.fields:
        return None
    if content.from_dtype.itemsize not in (1, 2, 4, 8) or content.from_dtype != content.to_dtype.newbyteorder(">"):
        return None
    return Layout(content.from_dtype, jagged, int(interpretation.header_bytes) if jagged else 0)


def _check_shape(branch: Any) -> None:
    """A plain branch of one leaf says its fixed lengths twice; ValueError if they differ, for then one is damaged."""
    leaves, content = branch.member("fLeaves"), branch.interpretation
    content = content.content if isinstance(content, AsJagged) else content
    if branch.classname != "TBranch" or len(leaves) != 1 or type(content) is not AsDtype:
        return
    title = leaves[0].member("fTitle")
    if "[" in title:
        told = math.prod(int(length) for length in re.findall(r"\[(\d+)\]", title))
        if told != math.prod(content.inner_shape):
            raise ValueError(f"{title!r} has entries of shape {content.inner_shape}")


def _empty(layout: Layout) -> Column:
    empty = np.empty(0, layout.dtype.newbyteorder("="))
    return Lists(np.zeros(1, np.int64), empty) if layout.jagged else empty


def _none_of(branch: Any) -> Column:
    """No entries of a branch that uproot reads."""
    form = branch.interpretation.awkward_form(branch.file)
    return from_awkward(ak.Array(form.length_zero_array(highlevel=False)))
