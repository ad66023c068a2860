"""ROOT files whose bytes depend on what is written alone."""

import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import cramjam
import uproot

from delivery.engine.writers.record import NAME, Json, to_text
from delivery.engine.writers.unfinished import Unfinished
from delivery.errors import UnwritableType

_DATE = (5 << 26) | (1 << 22) | (1 << 17)  # 2000-01-01 00:00:00 as ROOT packs it
_DATES_ARE_FIXED: ContextVar[bool] = ContextVar("_DATES_ARE_FIXED", default=False)


class _FastZLIB(uproot.ZLIB):  # type: ignore[misc]
    """What uproot writes by default (ZLIB, level 1), compressed twice as fast; any reader of ZLIB reads it.

    isal is faster still, but not always the same: of some 20,000 baskets it compressed two to a stream of another
    length than a minute before, which the same numbers came out of.
    """

    @property
    def code_pair(self) -> tuple[int, int]:
        """What the file says of its compression; uproot looks for the class itself."""
        pair: tuple[int, int] = uproot.ZLIB(self.level).code_pair
        return pair

    def compress(self, data: Any) -> bytes:
        """As a ZLIB stream."""
        return bytes(cramjam.zlib.compress(data, 1))


class RootWriter:
    """A ROOT file with output trees, copied objects and the record of what was done.

    Subclasses say how a tree is made and extended.
    """

    def __init__(self, path: Path, samples: Mapping[str, Any], identity: bytes) -> None:
        for tree, sample in samples.items():
            _check_name(tree)
            self._check(sample)
        identifier = uuid.UUID(bytes=identity[:16], version=4)
        self._unfinished = Unfinished(path)
        try:
            with self._unfinished.refusals(), fixed_dates():
                # Of a file without a path uproot writes no name into the file.
                self._stream = self._unfinished.place.open("rb+")
                self._file = uproot.recreate(self._stream, uuid_function=lambda: identifier, compression=_FastZLIB(1))
                self._trees = {tree: self._make(tree, sample) for tree, sample in samples.items()}
        except BaseException:
            self.abandon()
            raise

    def write(self, rows: Any, tree: str = "servicex") -> None:
        """Append rows: one basket per branch, or one cluster."""
        with self._unfinished.refusals(), fixed_dates():
            self._extend(self._trees[tree], rows)

    def copy(self, name: str, source: Any) -> None:
        """Copy the object ``name`` of an uproot directory; its folders are made.

        Raises UnwritableType for a tree, and what uproot raises for an object that it cannot read.
        """
        _check_name(name)
        # Read once before, so that what is wrong with the source is not taken for the output's fault.
        source.key(name).get_uncompressed_chunk_cursor()
        with self._unfinished.refusals(), fixed_dates():
            try:
                _copy_streamers(self._file, source, name)
                self._file.copy_from(source, filter_name=lambda other: other == name)
            except NotImplementedError as error:
                raise UnwritableType(f"{name!r} is a tree, which cannot be copied as an object") from error

    def close(self, record: Mapping[str, Json]) -> None:
        """End the file."""
        try:
            with self._unfinished.refusals(), fixed_dates():
                self._file[NAME] = to_text(record)
                self._file.close()
                self._stream.close()
            self._unfinished.finish()
        except BaseException:
            self.abandon()
            raise

    def abandon(self) -> None:
        """Remove the unfinished file."""
        with suppress(OSError, AttributeError):  # a full disk refuses what was buffered
            self._stream.close()
        self._unfinished.discard()

    def _check(self, sample: Any) -> None:
        """Raise UnwritableType for a type that the tree cannot hold."""
        raise NotImplementedError

    def _make(self, tree: str, sample: Any) -> Any:
        """An empty tree for rows of the sample's type."""
        raise NotImplementedError

    def _extend(self, tree: Any, rows: Any) -> None:
        """Append rows."""
        raise NotImplementedError


def _check_name(name: str) -> None:
    if name == NAME:
        raise UnwritableType(f"the name {NAME!r} is kept for the record of what was done", hint="use another name")


def _copy_streamers(file: Any, source: Any, name: str) -> None:
    """Copy what describes an object's class, in an order that does not change (uproot's follows a set's)."""
    streamers = source.file.streamers
    needed: list[tuple[str, int]] = []
    for streamer in source.file.streamers_named(source.classname_of(name)):
        streamer._dependencies(streamers, needed)
    writable = file.file._cascading.streamers
    writable.update_streamers(file.file.sink, [source.file.streamer_named(*pair) for pair in dict.fromkeys(needed)])


@contextmanager
def fixed_dates() -> Iterator[None]:
    """In this block every time that uproot writes is the same one.

    uproot stamps the time of writing into every key and has no option for it. The function that packs a time is
    replaced once, by one that looks at the context (which each thread has for itself), so nobody waits for anybody.
    """
    if uproot._util.datetime_to_code is not _datetime_to_code:
        uproot._util.datetime_to_code = _datetime_to_code
    token = _DATES_ARE_FIXED.set(True)
    try:
        yield
    finally:
        _DATES_ARE_FIXED.reset(token)


_uproots_datetime_to_code = uproot._util.datetime_to_code


def _datetime_to_code(moment: Any) -> int:
    return _DATE if _DATES_ARE_FIXED.get() else int(_uproots_datetime_to_code(moment))
