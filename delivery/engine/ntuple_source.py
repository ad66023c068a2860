"""An RNTuple read field by field, through uproot.

A field's values lie in the columns of the field and of all fields below it; each column has its pages in each cluster.
A cluster is to an RNTuple what a basket is to a TTree, but the same for all fields.
"""

import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import awkward as ak
import numpy as np
import xxhash
from uproot.behaviors.RNTuple import HasFields, _fill_container_dict, _recursive_find

from delivery.engine.header import ColumnType
from delivery.engine.reading import one_line, reading
from delivery.engine.storage.held import HeldBytes
from delivery.engine.storage.ranges import Range
from delivery.engine.units import Counter, Part, Units, parts_of
from delivery.engine.values import Column, Mask, from_awkward
from delivery.errors import CorruptBasket, UnreadableFile

_CHECKSUM = 8  # bytes behind an envelope or a page: its xxh3, little-endian


@dataclass(frozen=True, slots=True)
class _Page:
    """Where a page begins in the file, its bytes there and when unpacked, and whether its checksum follows it."""

    start: int
    packed: int
    plain: int
    checked: bool

    @property
    def places(self) -> list[Range]:
        """Where the page lies, and its checksum."""
        end = self.start + self.packed
        return [(self.start, end)] + [(end, end + _CHECKSUM)] * self.checked


class NtupleSource:
    """An RNTuple of an opened file."""

    def __init__(self, file: str, opened: Any, key: Any, held: HeldBytes) -> None:
        self.file, self.tree = file, str(key.fName)
        self._opened, self._held, self._ntuple = opened, held, key.get()
        self.identity = opened.file.uuid.bytes
        self.file_bytes = held.size
        if not isinstance(self._ntuple, HasFields):
            raise UnreadableFile(file, f"{self.tree} is no RNTuple that can be read")
        self._read_page_lists()
        self.entries = int(self._ntuple.num_entries)
        self._fields = {field.name: field for field in self._ntuple.fields}
        self._borders, self._clusters = self._find_clusters()
        self._types: dict[str, ColumnType | str] = {}
        self._forms: dict[str, Any] = {}
        self._columns: dict[str, list[int]] = {}
        self._units = Units()
        self._read_bytes = Counter()
        self._lock = threading.Lock()

    def _read_page_lists(self) -> None:
        """The page lists, checked against their checksums (uproot checks those of anchor, header and footer)."""
        with reading(self.file):
            links = [record.page_list_link for record in self._ntuple.footer.cluster_group_records]
            places = [(int(link.locator.offset), int(link.locator.num_bytes)) for link in links]
            self._held.hold({"page lists": [(start, start + length) for start, length in places]})
            for link in links:
                chunk, _ = self._ntuple.read_locator(link.locator, link.env_uncomp_size)
                content = memoryview(chunk.raw_data)
                if not _sound(content[:-_CHECKSUM], content[-_CHECKSUM:]):
                    raise UnreadableFile(self.file, f"the checksum of a page list of {self.tree} does not match")
            _ = self._ntuple.page_list_envelopes  # read now, while their bytes are here
            self._held.release("page lists")

    def _find_clusters(self) -> tuple[list[int], list[int]]:
        """First entries of the clusters that have some, and the end of the last; their numbers in the file."""
        firsts, numbers, end = [0], [], 0
        for number, cluster in enumerate(self._ntuple.cluster_summaries):
            if int(cluster.num_first_entry) != end:
                raise UnreadableFile(self.file, f"cluster {number} of {self.tree} does not begin where others end")
            if int(cluster.num_entries):
                end += int(cluster.num_entries)
                firsts.append(end)
                numbers.append(number)
        return firsts, numbers

    @property
    def bytes_read(self) -> int:
        """Compressed bytes of pages read so far."""
        return self._read_bytes.total

    def close(self) -> None:
        """Let go of the file."""
        self._opened.close()

    def names(self) -> list[str]:
        """All fields of the first level."""
        return list(self._fields)

    def column_type(self, name: str) -> ColumnType | str:
        """Type of a field, or the name of a type that the engine cannot read."""
        field = self._fields[name]
        if name not in self._types:
            try:
                with self._lock, reading(self.file):
                    self._forms[name] = field.to_akform()[0]
                    # Fields that share the column of their lists' ends, as projected fields do, are one collection.
                    content = self._forms[name].contents[0]
                    counter = str(content.form_key) if content.is_list else None
                    self._types[name] = ColumnType(from_awkward(self._array(name, None)), counter)
            except UnreadableFile as error:
                if not isinstance(error.__cause__, NotImplementedError):
                    raise
                self._types[name] = str(field.typename)
        return self._types[name]

    def size(self, name: str) -> tuple[int, int]:
        """Compressed and uncompressed bytes of a field's pages."""
        with reading(self.file):
            pages = list(self._pages(name, range(len(self._clusters))))
            return sum(page.packed for page in pages), sum(page.plain for page in pages)

    def boundaries(self, _: Sequence[str]) -> list[int]:
        """First entries of the clusters."""
        return self._borders

    def prefetch(self, names: Sequence[str], start: int, stop: int, keep: Mask | None) -> None:
        """Fetch the pages that `read` will need for these entries, all together; nothing to do for a local file."""
        if self._held.remote:
            with reading(self.file):
                kept = None if keep is None else np.flatnonzero(keep)
                clusters = [part.number for part in parts_of(self._borders, start, stop, kept)]
                self._held.hold({(name, start, stop): self._places(name, clusters) for name in names})

    def _places(self, name: str, clusters: Iterable[int]) -> list[Range]:
        return [place for page in self._pages(name, clusters) for place in page.places]

    def _pages(self, name: str, clusters: Iterable[int]) -> Iterator["_Page"]:
        """The pages of a field's columns in these of the clusters that have entries."""
        links, records = self._ntuple.page_link_list, self._ntuple.column_records
        for cluster in (self._clusters[number] for number in clusters):
            for column in self._columns_of(name):
                if column < len(links[cluster]):  # a column may have come with a later cluster
                    bits = int(records[column].nbits)
                    for page in links[cluster][column].pages:
                        plain = (int(page.num_elements) * bits + 7) // 8
                        place, packed = int(page.locator.offset), int(page.locator.num_bytes)
                        yield _Page(place, packed, plain, bool(page.has_checksum))

    def read(self, name: str, start: int, stop: int, keep: Mask | None) -> Column:
        """Entries of a field; only clusters with a wanted entry are read."""
        kind = self.column_type(name)
        if isinstance(kind, str):
            raise UnreadableFile(self.file, f"field {name} is of type {kind}, which has no form as columns")
        try:
            found = self._units.read(name, self._borders, start, stop, keep, lambda part: self._cluster(name, part))
        finally:
            self._held.release((name, start, stop))
        column = kind.sample if found is None else found
        expected = stop - start if keep is None else int(np.count_nonzero(keep))
        if len(column) != expected:
            reason = f"field {name} has {len(column)} of the {expected} entries wanted from {start} to {stop}"
            raise UnreadableFile(self.file, reason)
        return column

    def _cluster(self, name: str, part: Part) -> Column:
        """A field's values of a whole cluster."""
        with reading(self.file):
            for page in self._pages(name, [part.number]):
                self._read_bytes.add(page.packed)
                if page.checked and not _sound(*(self._held.read(*place) for place in page.places)):
                    raise CorruptBasket(self.file, name, part.number, "a checksum does not match", "page")
        try:
            return from_awkward(self._array(name, part))
        except OSError:
            with reading(self.file):
                raise
        except Exception as error:  # damaged bytes make uproot fail in any way
            raise CorruptBasket(self.file, name, part.number, one_line(error), "page") from error

    def _array(self, name: str, part: Part | None) -> ak.Array:
        """A field's values of a cluster, of none if there is none.

        This is what uproot does for a range of entries, but uproot also reads the cluster behind a range that ends
        where a cluster does.
        """
        form = self._forms[name]
        if part is None:
            return ak.Array(form.length_zero_array(highlevel=False))[name]
        keys: list[str] = []
        buffers: dict[str, Any] = {}
        _recursive_find(form, keys)
        cluster, records = self._clusters[part.number], self._ntuple.column_records
        for key in keys:
            if "column" in key:
                number = int(key.split("-")[1])
                missing = max(int(records[number].first_element_index) - part.low, 0)
                content = self._ntuple.read_cluster_range(
                    number, cluster, cluster + 1, missing_element_padding=missing, array_cache=None
                )
                _fill_container_dict(buffers, content, key, records[number].type, None)
        return ak.from_buffers(form, part.high - part.low, buffers)[name]

    def _columns_of(self, name: str) -> list[int]:
        """Numbers of the columns that hold the field's values; a projected field's are those of other fields."""
        if name not in self._columns:
            fields = set(self._below(int(self._fields[name].field_id)))
            records = self._ntuple.column_records
            own = {number for number, record in enumerate(records) if int(record.field_id) in fields}
            keys: list[str] = []
            if not isinstance(self.column_type(name), str):
                _recursive_find(self._forms[name], keys)
            self._columns[name] = sorted(own | {int(key.split("-")[1]) for key in keys if "column" in key})
        return self._columns[name]

    def _below(self, field: int) -> Iterator[int]:
        """A field's number and those of all fields below it."""
        yield field
        for inner in self._ntuple._related_ids.get(field, ()):
            yield from self._below(inner)


def _sound(content: bytes | memoryview, checksum: bytes | memoryview) -> bool:
    """Whether this is the content's checksum."""
    return xxhash.xxh3_64_intdigest(content) == int.from_bytes(checksum, "little")
