"""The steps of a transform that cannot be left out, each measured alone on the same file, for `benchmarks.engine`."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import uproot

from benchmarks.measuring import timed
from delivery.engine import TransformRequest, evaluate
from delivery.engine.compression import decompress
from delivery.engine.rows import run_range
from delivery.engine.skim import planned
from delivery.engine.stream import ranges
from delivery.engine.values import Choice, Column, Lists, Mask
from delivery.engine.writers import TREE as WRITTEN
from delivery.engine.writers import open_writer

TREE = "Events"
Format = Literal["root-file", "parquet"]
Work = Callable[[], None]


@dataclass(frozen=True)
class Steps:
    """CPU seconds of each step; `writing` by output format."""

    planning: float  # the header, the needed branches, the query
    reading: float
    decompressing: float
    turning: float  # the columns that selections read, once into this machine's byte order
    selecting: float  # the selections and their rows, columns being in memory
    writing: dict[str, float]  # the rows that passed

    def total(self, kind: str) -> float:
        """All of them."""
        return sum((self.planning, self.reading, self.decompressing, self.turning, self.selecting, self.writing[kind]))


class InMemory:
    """Columns of a range of entries that need no reading."""

    def __init__(self, columns: dict[str, Column]) -> None:
        self._columns = columns
        self._keep: Mask | None = None

    def prefetch(self, *_: object) -> None:
        """Nothing is to be fetched."""

    def read(self, name: str, _start: int, _stop: int, keep: Mask | None) -> Column:
        """The entries where `keep` is True (None: all)."""
        if keep is None:
            return self._columns[name]
        if keep is not self._keep:
            self._keep, self._choice = keep, Choice(np.flatnonzero(keep))
        return self._choice.of(self._columns[name])


def measure(request: TransformRequest) -> Steps:
    """Time the steps of a request to transform a local file."""
    file = Path(request.input)
    with planned(request) as (_, plan, source):
        names = plan.columns
        cut = ranges(source, names, request.chunk_bytes, 1)
        parts = [{name: source.read(name, *each, None) for name in names} for each in cut]
    selected = {name for selection in plan.selections for name in selection.columns}

    def select() -> None:
        for (start, stop), columns in zip(cut, parts, strict=True):
            run_range(plan, InMemory(columns), start, stop)  # type: ignore[arg-type] # of a source, rows need no more

    return Steps(
        planning=timed(lambda: _plan(request)).cpu,
        reading=timed(_only_read(file, names)).cpu,
        decompressing=timed(_only_decompress(file, names)).cpu,
        turning=timed(_only_turn([columns[name] for columns in parts for name in selected])).cpu,
        selecting=timed(select).cpu,
        writing={kind: timed(_only_write(request, kind), output=request.output).cpu for kind in get_args(Format)},
    )


def _plan(request: TransformRequest) -> None:
    with planned(request):
        pass


def _baskets(file: Path, columns: Sequence[str]) -> list[tuple[int, int, Any]]:
    """Place, length and uproot's basket of all baskets of these columns."""
    found = []
    with uproot.open(file) as opened:
        for name in columns:
            branch = opened[TREE][name]
            places = branch.member("fBasketSeek")
            baskets = [branch.basket(number) for number in range(branch.num_baskets)]
            found += [(int(place), each.compressed_bytes, each) for place, each in zip(places, baskets, strict=False)]
    return found


def _only_read(file: Path, columns: Sequence[str]) -> Work:
    """The bytes of all baskets into one buffer, which is there already."""
    places = [(place, length) for place, length, _ in _baskets(file, columns)]
    buffer = memoryview(bytearray(max(length for _, length in places)))

    def work() -> None:
        with file.open("rb", buffering=0) as stream:
            for place, length in places:
                os.preadv(stream.fileno(), [buffer[:length]], place)

    return work


def _only_decompress(file: Path, columns: Sequence[str]) -> Work:
    """All baskets, already in memory."""
    payloads = []
    with file.open("rb") as stream:
        for place, length, basket in _baskets(file, columns):
            stream.seek(place)
            raw = stream.read(length)
            if basket.block_compression_info is not None:
                key = basket.member("fKeylen")
                payloads.append((raw[key:], basket.uncompressed_bytes - key))

    def work() -> None:
        for packed, size in payloads:
            decompress(packed, size)

    return work


def _only_turn(columns: Sequence[Column]) -> Work:
    """The columns' numbers from the file's byte order; the offsets of equally long lists once."""
    contents = [column.content if isinstance(column, Lists) else column for column in columns]
    foreign = [
        content.astype(content.dtype.newbyteorder(">")) for content in contents if isinstance(content, np.ndarray)
    ]
    shared = {id(column.offsets): column.offsets for column in columns if isinstance(column, Lists)}
    stored = [offsets.astype(">i4") for offsets in shared.values()]

    def work() -> None:
        for content in foreign:
            content.astype(content.dtype.newbyteorder("="))
        for offsets in stored:
            offsets.astype(np.int64)

    return work


def _only_write(request: TransformRequest, kind: Format) -> Work:
    """The query's result, already in memory."""
    rows = evaluate(request.text, [request.input])

    def work() -> None:
        writer = open_writer(request.output, kind, {WRITTEN: rows[:0]}, bytes(16))
        writer.write(rows)
        writer.close({})

    return work
