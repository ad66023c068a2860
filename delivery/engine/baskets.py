"""ROOT baskets: from the bytes on disk to contents and offsets.

A basket is a key header (its length tells where the payload begins), the payload in compressed blocks of at most 16 MB,
and, for branches of varying length, the entries' byte offsets behind the contents.
"""

import struct
from dataclasses import dataclass

import numpy as np

from delivery.engine.compression import Damaged, decompress
from delivery.engine.runs import Run, byte_starts, in_items
from delivery.engine.values import Array, Column, Lists

_KEY = struct.Struct(">ihiIhh")  # fNbytes, version, fObjlen, fDatime, fKeylen, fCycle
_BASKET = struct.Struct(">Hiiii")  # version, fBufferSize, fNevBufSize, fNevBuf, fLast; one flag byte follows


class OffsetsNotStored(Exception):
    """The entries' places are to be worked out from the counter branch (ROOT's kGenerateOffsetMap)."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How a branch's bytes are to be read: big-endian `dtype`; lists if `jagged`, `header` bytes before each list."""

    dtype: np.dtype[np.generic]
    jagged: bool
    header: int = 0


def decode_basket(raw: bytes | memoryview, layout: Layout, entries: int) -> Column | Run:
    """Contents (big-endian, a view of the decompressed bytes) and, for lists, their places, of a basket as it lies in
    the file.

    Raises `Damaged` if it does not hold `entries` entries or its sizes disagree, `OffsetsNotStored`. The places of a
    `Run` are still to be checked.
    """
    if len(raw) < _KEY.size:
        raise Damaged("it is shorter than its header")
    nbytes, _, objlen, _, keylen, _ = _KEY.unpack_from(raw)
    if nbytes != len(raw) or not _KEY.size + _BASKET.size < keylen <= nbytes or objlen < 0:
        raise Damaged("its header is damaged")
    _, _, _, nevents, last = _BASKET.unpack_from(raw, keylen - _BASKET.size - 1)
    if nevents != entries:
        raise Damaged(f"it holds {nevents} entries where the tree says {entries}")
    payload = memoryview(raw)[keylen:]
    data = np.frombuffer(payload, np.uint8) if nbytes - keylen == objlen else decompress(payload, objlen)
    border = last - keylen
    if not 0 <= border <= objlen:
        raise Damaged("its contents end outside of it")
    if border == objlen:
        return from_bytes(data, None, 0, layout, entries)
    offsets = data[border:].view(">i4") if (objlen - border) % 4 == 0 else None
    if offsets is None or len(offsets) < entries + 1:
        raise Damaged("its offsets are damaged")
    # those stored count from the key's beginning and lack the last
    return from_bytes(data[:border], offsets[1 : entries + 1], keylen, layout, entries)


def from_bytes(data: Array, starts: Array | None, origin: int, layout: Layout, entries: int) -> Column | Run:
    """Column from a basket's content bytes and, for lists, where each begins `origin` bytes before it does.

    ``starts`` is None if entries have one fixed size. Raises what `decode_basket` raises.
    """
    size = layout.dtype.itemsize
    if not layout.jagged:
        if len(data) != entries * size:
            raise Damaged(f"it holds {len(data)} bytes for {entries} numbers of {size} bytes")
        return data.view(layout.dtype)
    if starts is None:
        if len(data) and entries:
            raise OffsetsNotStored
        starts = np.full(entries, origin, np.int32)
    if len(starts) != entries:
        raise Damaged("its offsets are damaged")
    if layout.header:
        places = byte_starts([Run(data, starts, origin)])
        offsets = in_items(places, size, layout.header)
        return Lists(offsets, _without_headers(data, places[:-1], layout.header).view(layout.dtype))
    if len(data) % size:
        raise Damaged("a list's bytes are no whole number of items")
    return Run(data.view(layout.dtype), starts, origin)


def _without_headers(data: Array, starts: Array, header: int) -> Array:
    """The bytes without the `header` bytes at each start (the length that std::vector writes before its items)."""
    keep = np.ones(len(data), np.bool_)
    for byte in range(header):
        keep[starts + byte] = False
    return data[keep]
