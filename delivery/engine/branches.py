"""A TTree of which only the named branches are parsed.

A NanoAOD tree has a thousand branches; uproot parses the records of all of them when a tree is opened, which costs more
than the query. Each record in the tree's list of branches begins with its length, so this list can be walked by names
alone, and uproot parses a record when the query asks for that branch.

The one difficulty is ROOT's back-references: a class name is written where it first occurs and later records point to
that place, and a leaf points to the leaf that counts it. `References` reads what such a pointer points to when it is
followed, since the record that held it may have been skipped.
"""

import struct
from collections.abc import Iterator
from typing import Any

import uproot
from uproot.const import kByteCountMask, kClassMask, kMapOffset, kNewClassTag
from uproot.deserialization import read_object_any
from uproot.model import DispatchByVersion
from uproot.models.TObjArray import Model_TObjArray

_UINT32 = struct.Struct(">I")
_OBJECT_ANY_HEADER = struct.Struct(">II")
_COUNT_AND_VERSION = 6
_TOBJECT = 10


class References(dict[int, Any]):
    """uproot's table of back-references, filled by reading the place pointed to when it is not yet known."""

    def __init__(self, chunk: Any, cursor: Any, context: dict[str, Any], array: Any) -> None:
        super().__init__()
        self._bytes = memoryview(chunk.raw_data)
        self._chunk, self._cursor, self._context, self._array = chunk, cursor, context, array

    def __contains__(self, tag: object) -> bool:
        return super().__contains__(tag) or (isinstance(tag, int) and self._place(tag) is not None)

    def __missing__(self, tag: int) -> Any:
        place = self._place(tag)
        if place is None:
            raise KeyError(tag)
        if _UINT32.unpack_from(self._bytes, place)[0] == kNewClassTag:
            start = place + 4
            stop = bytes(self._bytes[start : start + 256]).index(b"\0") + start
            self[tag] = self._array.file.class_named(bytes(self._bytes[start:stop]).decode())
        else:
            self[tag] = self._array.parse(place)
        return self[tag]

    def _place(self, tag: int) -> int | None:
        """Index in the buffer that a tag points to, None outside of it."""
        place = int(self._cursor.origin) + tag - int(kMapOffset)
        return place if 0 <= place <= len(self._bytes) - 8 else None


def private_classes() -> dict[str, Any]:
    """uproot's classes for one file alone.

    uproot keeps the class of each version that it meets, and makes one from a file's own description where it knows
    none. A damaged file would so change how every later file of the process is read.
    """
    own = {
        name: type(kind.__name__, (kind,), {"known_versions": dict(kind.known_versions)})
        for name, kind in uproot.classes.items()
        if issubclass(kind, DispatchByVersion)
    }
    return {**uproot.classes, **own, "TObjArray": BranchIndex}


class BranchIndex(Model_TObjArray):  # type: ignore[misc]
    """A tree's `fBranches` read as names and places; `parse` gives the uproot branch at a place.

    A tree has two such arrays: the branches come first, its list of leaves (all pointers into the branches) is skipped.
    """

    def read_members(self, chunk: Any, cursor: Any, context: dict[str, Any], file: Any) -> None:
        """Walk the array by its records' lengths (uproot calls this)."""
        self.places: dict[str, int] = {}
        if not isinstance(self._parent, uproot.behaviors.TTree.TTree):
            super().read_members(chunk, cursor, context, file)
            return
        self._data: list[Any] = []
        if "fBranches" not in self._parent._members:
            self.file_object, self.chunk, self.context = file, chunk, dict(context)
            self.origin_cursor = cursor.copy()
            self.origin_cursor._refs = References(chunk, cursor, self.context, self)
            data = memoryview(chunk.raw_data)
            body = cursor.index + _TOBJECT
            body += 1 + data[body] if data[body] < 255 else 5 + _UINT32.unpack_from(data, body + 1)[0]
            size = _UINT32.unpack_from(data, body)[0]
            self.places = dict(_walk(data, body + 8, size))
        cursor.skip_after(self)

    def parse(self, place: int) -> Any:
        """The object whose record begins at this index of the buffer, read by uproot."""
        cursor = self.origin_cursor.copy()
        cursor._refs = self.origin_cursor._refs
        cursor.move_to(place)
        return read_object_any(self.chunk, cursor, dict(self.context), self.file_object, self._file, self._parent)

    @property
    def encoded_classname(self) -> str:
        """The class that uproot takes this for."""
        return "Model_TObjArray"

    @property
    def file(self) -> Any:
        """The uproot file that the array was read from."""
        return self.file_object


def _walk(data: memoryview, place: int, size: int) -> Iterator[tuple[str, int]]:
    """(name, place) of each record of an array of `size` branches that begins at `place`."""
    for _ in range(size):
        count, tag = _OBJECT_ANY_HEADER.unpack_from(data, place)
        if not count & kByteCountMask or not tag & kClassMask:
            raise ValueError(f"the list of branches is damaged at byte {place}")
        body = place + 8
        if tag == kNewClassTag:
            body += bytes(data[body : body + 256]).index(b"\0") + 1
        while _UINT32.unpack_from(data, body)[0] & kByteCountMask:  # TBranch and its bases down to TNamed
            body += _COUNT_AND_VERSION
        body += _TOBJECT
        length, body = data[body], body + 1
        if length == 255:
            length, body = _UINT32.unpack_from(data, body)[0], body + 4
        yield bytes(data[body : body + length]).decode("utf-8", "surrogateescape"), place
        place += 4 + (count & ~kByteCountMask)


class LazyTree:
    """A TTree's entries, branch names, and branches parsed on demand.

    ``key`` is of a file opened with `private_classes`.
    """

    def __init__(self, key: Any) -> None:
        self.tree = key.get()
        self.num_entries = int(self.tree.num_entries)
        self._index = self.tree.member("fBranches")
        self._parsed: dict[str, Any] = {}

    def keys(self) -> list[str]:
        """Names of the top-level branches, in the tree's order."""
        return list(self._index.places)

    def branch(self, name: str) -> Any:
        """The uproot branch of this name; KeyError if the tree lacks it."""
        if name not in self._parsed:
            self._parsed[name] = self._index.parse(self._index.places[name])
        return self._parsed[name]
