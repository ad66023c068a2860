"""Globs over any tree of folders: ``*``, ``?``, ``[…]`` within a name, ``**`` for folders, ``{a,b}`` for one of two.

Names that begin with a dot are matched only by a pattern that does. What is a folder and not a file stands for the
``*.root`` files in it and in the folders below. The tree is reached through a `Lister` alone.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import translate
from functools import lru_cache
from typing import Final, Protocol

from delivery.datasets.errors import DatasetError

MOST_FOLDERS: Final = 20_000
"""Folders that one lookup lists."""
DEEPEST: Final = 20
"""Levels of folders that ``**`` goes down."""
MOST_ALTERNATIVES: Final = 1000
"""Patterns that the braces of one pattern stand for."""

_MAGIC = re.compile(r"[*?[{]")
_INNER_BRACES = re.compile(r"\{([^{}]*)\}")
_BELOW: Final = ("**", "*.root")


@dataclass(frozen=True, slots=True)
class Entry:
    """What a folder holds: `size` in bytes, `link` if it only points to what it is."""

    name: str
    folder: bool
    size: int = 0
    link: bool = False


class Lister(Protocol):
    """A tree of folders; paths are its own, names are joined to them by ``/``."""

    def entries(self, folder: str) -> Sequence[Entry]:
        """What a folder holds. Raises FileNotFoundError, NotADirectoryError; DatasetError for all else."""
        ...

    def entry(self, path: str) -> Entry:
        """What a path names. Raises FileNotFoundError, NotADirectoryError; DatasetError for all else."""
        ...


def has_magic(text: str) -> bool:
    """Whether a name is a pattern."""
    return _MAGIC.search(text) is not None


def alternatives(pattern: str) -> list[str]:
    """The patterns without braces that one with braces stands for, in their order.

    Braces without a comma, or without their other half, are letters. Raises DatasetError if they are too many.
    """
    found = next((braces for braces in _INNER_BRACES.finditer(pattern) if "," in braces[1]), None)
    if found is None:
        return [pattern]
    head, tail = pattern[: found.start()], pattern[found.end() :]
    result: list[str] = []
    for part in found[1].split(","):
        result += alternatives(head + part + tail)
        if len(result) > MOST_ALTERNATIVES:
            reason = f"the braces of {pattern[:200]!r} stand for more than {MOST_ALTERNATIVES} patterns"
            raise DatasetError("bad_name", reason)
    return list(dict.fromkeys(result))


class Walk:
    """One lookup of a pattern; folders are listed once each, at most `MOST_FOLDERS`.

    most: files that it may find.
    """

    def __init__(self, lister: Lister, most: int) -> None:
        self._lister, self._most = lister, most
        self._listed: dict[str, Sequence[Entry]] = {}

    def files(self, pattern: str) -> list[tuple[str, int]]:
        """Path and size of each file that matches, sorted by path.

        Raises DatasetError: does_not_exist if none does, bad_name if there are too many.
        """
        found: dict[str, int] = {}
        for one in alternatives(pattern):
            base, parts = split(one)
            matches = self._named(base) if not parts else self._below(base, parts, DEEPEST)
            for path, size in matches:
                found[path] = size
                if len(found) > self._most:
                    raise DatasetError("bad_name", f"{pattern} matches more than {self._most:,} files; split it")
        if not found:
            raise DatasetError("does_not_exist", f"no file matches {pattern}")
        return sorted(found.items())

    def _named(self, path: str) -> Iterator[tuple[str, int]]:
        """The file, or the files of the folder, that a path without wildcards names."""
        try:
            entry = self._lister.entry(path)
        except (FileNotFoundError, NotADirectoryError):
            return
        yield from self._meant(path, entry)

    def _meant(self, path: str, entry: Entry) -> Iterator[tuple[str, int]]:
        if not entry.folder:
            yield path, entry.size
        else:
            yield from self._below(path, _BELOW, DEEPEST, folders=False)

    def _below(
        self, folder: str, parts: Sequence[str], depth: int, *, folders: bool = True
    ) -> Iterator[tuple[str, int]]:
        """Files that match the parts of a pattern below a folder.

        folders: whether a folder that matches stands for its files; else it does not match.
        """
        part, rest = parts[0], parts[1:]
        if part == "**":
            if rest:
                yield from self._below(folder, rest, depth, folders=folders)
            for entry in self._entries(folder):
                path = f"{folder.rstrip('/')}/{entry.name}"
                if entry.folder and not entry.link and not entry.name.startswith(".") and depth > 0:
                    yield from self._below(path, parts, depth - 1, folders=folders)
                elif not rest and not entry.folder and not entry.name.startswith("."):
                    yield path, entry.size
            return
        for entry in self._matching(folder, part):
            path = f"{folder.rstrip('/')}/{entry.name}"
            if rest:
                if entry.folder:
                    yield from self._below(path, rest, depth, folders=folders)
            elif folders or not entry.folder:
                yield from self._meant(path, entry)

    def _matching(self, folder: str, part: str) -> list[Entry]:
        """The entries whose names match; a plain name is looked at alone, its folder may be closed to us."""
        if not has_magic(part):
            try:
                return [self._lister.entry(f"{folder.rstrip('/')}/{part}")]
            except (FileNotFoundError, NotADirectoryError):
                return []
        matches = _matcher(part)
        return [entry for entry in self._entries(folder) if matches.fullmatch(entry.name)]

    def _entries(self, folder: str) -> Sequence[Entry]:
        if folder not in self._listed:
            if len(self._listed) >= MOST_FOLDERS:
                reason = f"the pattern leads through more than {MOST_FOLDERS:,} folders; say more of its path"
                raise DatasetError("bad_name", reason)
            try:
                entries = self._lister.entries(folder)
            except (FileNotFoundError, NotADirectoryError):
                entries = ()
            self._listed[folder] = sorted(entries, key=lambda entry: entry.name)
        return self._listed[folder]


def split(pattern: str) -> tuple[str, tuple[str, ...]]:
    """The folder that holds all matches, as it was written, and the parts of the pattern below it."""
    found = _MAGIC.search(pattern)
    if found is None:
        return pattern, ()
    end = pattern.rfind("/", 0, found.start()) + 1
    parts = tuple(part for part in pattern[end:].split("/") if part)
    return pattern[:end], parts


@lru_cache(maxsize=256)
def _matcher(part: str) -> re.Pattern[str]:
    """The names that one part of a pattern matches."""
    hidden = "" if part.startswith(".") else r"(?!\.)"
    return re.compile(hidden + translate(part))
