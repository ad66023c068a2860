"""A TTree of which only the named branches are parsed.

A NanoAOD tree has a thousand branches; uproot parses the records of all of them when a tree is opened, which costs more
than the query. Each record in the tree's list of branches begins with its length, so this list can be walked by names
alone, and uproot parses a record when the query asks for that branch.

The one difficulty is ROOT's back-references: a class name is written where it first occurs and later records point to
that place, and a leaf points to the leaf that counts it. `References` reads what such a pointer points to when it is
followed, since the record that held it may have been skipped.
"""

import struct
import threading
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import uproot
from uproot.const import kByteCountMask, kClassMask, kMapOffset, kNewClassTag
from uproot.deserialization import read_object_any
from uproot.interpretation.grouped import AsGrouped
from uproot.model import DispatchByVersion
from uproot.models.TObjArray import Model_TObjArray

_UINT32 = struct.Struct(">I")
_OBJECT_ANY_HEADER = struct.Struct(">II")
_COUNT_AND_VERSION = 6
_TOBJECT = 10
_CLONES = b"TClonesArray"
_WITH_IO_FEATURES = 13  # the version of TBranch
_BEFORE_IO_FEATURES = 24  # bytes of TBranch's members before fIOFeatures, which version 13 has
_BEFORE_BRANCHES = {10: 60, 11: 68, 12: 68, 13: 44}  # bytes of members (those behind fIOFeatures) before fBranches


class References(dict[int, Any]):
    """uproot's table of back-references, filled by reading the record pointed to when it is not yet known.

    A pointer into the record that is being read right now leads nowhere, as in uproot.
    """

    def __init__(self, array: "BranchIndex") -> None:
        super().__init__()
        self._array = array

    def __contains__(self, tag: object) -> bool:
        if super().__contains__(tag):
            return True
        place = self._place(tag) if isinstance(tag, int) else None
        return place is not None and (self._is_class(place) or self._array.parse_around(place))

    def __missing__(self, tag: int) -> Any:
        place = self._place(tag)
        if place is None:
            raise KeyError(tag)
        if self._is_class(place):
            start, data = place + 4, self._array.data
            stop = bytes(data[start : start + 256]).index(b"\0") + start
            self[tag] = self._array.file.class_named(bytes(data[start:stop]).decode())
        elif not self._array.parse_around(place) or not super().__contains__(tag):
            raise KeyError(tag)
        return self[tag]

    def _is_class(self, place: int) -> bool:
        return bool(_UINT32.unpack_from(self._array.data, place)[0] == kNewClassTag)

    def _place(self, tag: int) -> int | None:
        """Index in the buffer that a tag points to, None outside of it."""
        place = int(self._array.origin_cursor.origin) + tag - int(kMapOffset)
        return place if 0 <= place <= len(self._array.data) - 8 else None


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

    lazy = False

    def read_members(self, chunk: Any, cursor: Any, context: dict[str, Any], file: Any) -> None:
        """Walk the array by its records' lengths (uproot calls this)."""
        if not isinstance(self._parent, uproot.behaviors.TTree.TTree):
            super().read_members(chunk, cursor, context, file)
            return
        self._data: list[Any] = []
        self.places: dict[str, int] = {}
        if not hasattr(self._parent, "branch_index"):
            self._parent.branch_index = self
            self.lazy = True
            self.file_object, self.chunk, self.context = file, chunk, dict(context)
            self.data = data = memoryview(chunk.raw_data)
            body = cursor.index + _TOBJECT
            body += 1 + data[body] if data[body] < 255 else 5 + _UINT32.unpack_from(data, body + 1)[0]
            size = _UINT32.unpack_from(data, body)[0]
            self._starts: list[int] = []
            for name, place in _walk(data, body + 8, size):
                self.places.setdefault(name, place)
                self._starts.append(place)
            self._parsed: dict[int, Any] = {}
            self._under_way: set[int] = set()
            self.origin_cursor = cursor.copy()
            self.origin_cursor._refs = References(self)
        cursor.skip_after(self)

    def parse(self, place: int) -> Any:
        """The branch whose record begins at this index of the buffer, read by uproot."""
        if place not in self._parsed:
            cursor = self.origin_cursor.copy()
            cursor._refs = self.origin_cursor._refs
            cursor.move_to(place)
            self._under_way.add(place)
            try:
                self._parsed[place] = read_object_any(
                    self.chunk, cursor, dict(self.context), self.file_object, self._file, self._parent
                )
                self._parsed[place]._index = bisect_right(self._starts, place) - 1  # uproot's key for the branch
            finally:
                self._under_way.discard(place)
        return self._parsed[place]

    def parse_around(self, place: int) -> bool:
        """Parse the branch in whose record this index of the buffer lies; False if there is none or it is under way."""
        number = bisect_right(self._starts, place) - 1
        if number < 0 or self._starts[number] in self._under_way:
            return False
        self.parse(self._starts[number])
        return True

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


def _sub_branches(data: memoryview, place: int) -> tuple[list[tuple[str, int]], bool]:
    """(name, place) of each sub-branch of the branch whose record begins at `place`; whether it only groups these.

    Raises NotImplementedError for a version of TBranch that is not known here.
    """
    body, bases = place + 8, []
    if _UINT32.unpack_from(data, place + 4)[0] == kNewClassTag:
        body += bytes(data[body : body + 256]).index(b"\0") + 1
    while _UINT32.unpack_from(data, body)[0] & kByteCountMask:
        bases.append(body)
        body += _COUNT_AND_VERSION
    branch, named = bases[-2] if len(bases) > 1 else 0, bases[-1]  # TBranch; TNamed, the first of its bases
    version = int.from_bytes(data[branch + 4 : branch + 6], "big")
    if version not in _BEFORE_BRANCHES:
        raise NotImplementedError(f"version {version} of TBranch")
    members = _after(data, _after(data, named))  # behind TNamed and TAttFill
    if version == _WITH_IO_FEATURES:
        members = _after(data, members + _BEFORE_IO_FEATURES)
    array = members + _BEFORE_BRANCHES[version] + _COUNT_AND_VERSION + _TOBJECT
    array += 1 + data[array] if data[array] < 255 else 5 + _UINT32.unpack_from(data, array + 1)[0]
    size = _UINT32.unpack_from(data, array)[0]
    kind = _after(data, branch) + 1  # TBranchElement's class name, behind TBranch
    clones = len(bases) > 2 and bytes(data[kind : kind + len(_CLONES)]) == _CLONES
    return (list(_walk(data, array + 8, size)), not clones) if size else ([], False)


def _after(data: memoryview, place: int) -> int:
    """Where the object that begins with its length at `place` ends."""
    return place + 4 + (int(_UINT32.unpack_from(data, place)[0]) & ~int(kByteCountMask))


class LazyTree:
    """A TTree's entries, branch names, and branches parsed on demand; safe to use from many threads.

    ``key`` is of a file opened with `private_classes`.
    """

    def __init__(self, key: Any) -> None:
        self.tree = key.get()
        self.num_entries = int(self.tree.num_entries)
        index = self.tree.member("fBranches")
        self._index = index if isinstance(index, BranchIndex) and index.lazy else None  # uproot has parsed an old tree
        self._parsed: dict[str, Any] = {}
        self._keys: list[str] = []
        self._paths: dict[str, tuple[str, str]] | None = None
        self._lock = threading.RLock()

    def keys(self) -> list[str]:
        """Names of the branches that hold values, in the tree's order.

        A branch that only groups sub-branches stands for these, by their own names, as the reference engine has it.
        """
        self._all_paths()
        return list(self._keys)

    def __contains__(self, name: str) -> bool:
        """Whether there is a branch of this name or path, a group or not."""
        if self._index is not None and name in self._index.places:
            return True
        return name in self._all_paths() or (self._index is None and name in self.tree)

    def branch(self, name: str) -> Any:
        """The uproot branch of this name, or of this path (`group/name`); KeyError if the tree lacks it."""
        if name in self._parsed:
            return self._parsed[name]
        with self._lock:
            self._parsed[name] = self._found(name)
            return self._parsed[name]

    def _found(self, name: str) -> Any:
        if self._index is None:
            return self.tree[name]
        if name in self._index.places:
            return self._index.parse(self._index.places[name])
        top, path = self._all_paths()[name]
        return self.branch(top)[path]

    def _all_paths(self) -> dict[str, tuple[str, str]]:
        """Sub-branches by name and by path, each as its branch of the first level and the path from there."""
        with self._lock:
            if self._paths is None:
                self._paths = {}
                for name in self.tree.keys(recursive=False) if self._index is None else self._index.places:
                    inner, group = self._inner(name)
                    self._keys += [] if group else [name]
                    for path, holds in inner:
                        own = path.rsplit("/", 1)[-1]
                        self._keys += [own] if holds else []
                        self._paths.setdefault(own, (name, path))
                        self._paths.setdefault(f"{name}/{path}", (name, path))
                self._keys = list(dict.fromkeys(self._keys))
            return self._paths

    def _inner(self, name: str) -> tuple[list[tuple[str, bool]], bool]:
        """Paths of all branches below one of the first level, each with whether it holds values; whether it groups."""
        if self._index is not None:
            with suppress(NotImplementedError):
                data = self._index.data
                found, group = _sub_branches(data, self._index.places[name])
                if not any(_sub_branches(data, place)[0] for _, place in found):
                    return [(inner, True) for inner, _ in found], group
        branch = self.branch(name)
        below = branch.iteritems(recursive=True)
        return [(path, not _is_group(inner)) for path, inner in below], _is_group(branch)


def _is_group(branch: Any) -> bool:
    return bool(branch.branches) and isinstance(branch.interpretation, AsGrouped)
