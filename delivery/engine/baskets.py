"""ROOT baskets: from the bytes on disk to contents and offsets.

A basket is a key header (its length tells where the payload begins), the payload in compressed blocks of at most 16 MB,
and, for branches of varying length, the entries' byte offsets behind the contents.
"""

import struct
import threading
from dataclasses import dataclass

import numpy as np

from delivery.engine.compression import Damaged, decompress
from delivery.engine.values import Array, Column, Lists, Offsets

_KEY = struct.Struct(">ihiIhh")  # fNbytes, version, fObjlen, fDatime, fKeylen, fCycle
_BASKET = struct.Struct(">Hiiii")  # version, fBufferSize, fNevBufSize, fNevBuf, fLast; one flag byte follows

_DECODED = threading.local()
_REMEMBERED = 64  # baskets per thread
_LONGEST = 1 << 14  # offsets, of 12 bytes each, that are remembered


class OffsetsNotStored(Exception):
    """The entries' places are to be worked out from the counter branch (ROOT's kGenerateOffsetMap)."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How a branch's bytes are to be read: big-endian `dtype`; lists if `jagged`, `header` bytes before each list."""

    dtype: np.dtype[np.generic]
    jagged: bool
    header: int = 0


def decode_basket(raw: bytes | memoryview, layout: Layout, entries: int) -> Column:
    """Contents (big-endian, a view of the decompressed bytes) and offsets of a basket as it lies in the file.

    Raises `Damaged` if it does not hold `entries` entries or its sizes disagree, `OffsetsNotStored`.
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
        return from_bytes(data, None, layout, entries)
    offsets = data[border:].view(">i4") if (objlen - border) % 4 == 0 else None
    if offsets is None or len(offsets) < entries + 1:
        raise Damaged("its offsets are damaged")
    starts = np.empty(entries + 1, np.int32)  # the stored ones count from the key's beginning and lack the last
    starts[:entries] = offsets[1 : entries + 1]
    starts[entries] = last
    starts -= keylen
    return from_bytes(data[:border], starts, layout, entries)


def from_bytes(data: Array, starts: Array | None, layout: Layout, entries: int) -> Column:
    """Column from a basket's content bytes and its entries' byte offsets (None if entries have one fixed size)."""
    size = layout.dtype.itemsize
    if not layout.jagged:
        if len(data) != entries * size:
            raise Damaged(f"it holds {len(data)} bytes for {entries} numbers of {size} bytes")
        return data.view(layout.dtype)
    if starts is None:
        if len(data) and entries:
            raise OffsetsNotStored
        starts = np.zeros(entries + 1, np.int32)
    if len(starts) != entries + 1 or starts[0] != 0 or starts[-1] != len(data):
        raise Damaged("its offsets are damaged")
    offsets = _offsets(np.asarray(starts), size, layout.header)
    if layout.header:
        data = _without_headers(data, starts[:-1], layout.header)
    return Lists(offsets, data.view(layout.dtype))


def _offsets(starts: Array, size: int, header: int) -> Offsets:
    """Offsets in items from those in bytes.

    The branches of one collection have equal ones, basket by basket: those decoded last are used again if so.
    """
    decoded: dict[object, tuple[Array, Offsets]] = _DECODED.__dict__.setdefault("offsets", {})
    kind = size, header, len(starts), int(starts[-1])
    known = decoded.get(kind)
    if known is not None and np.array_equal(known[0], starts):
        return known[1]
    offsets = _in_items(starts, size, header)
    if len(decoded) >= _REMEMBERED:
        del decoded[next(iter(decoded))]  # the oldest
    if len(starts) <= _LONGEST:
        decoded[kind] = starts, offsets
    return offsets


def _in_items(starts: Array, size: int, header: int) -> Offsets:
    plain = starts - header * np.arange(len(starts)) if header else starts
    if (plain[1:] < plain[:-1]).any():
        raise Damaged("its offsets are damaged")
    if size > 1 and np.bitwise_or.reduce(plain) % size:
        raise Damaged("a list's bytes are no whole number of items")
    items: Offsets = (plain >> (size.bit_length() - 1)).astype(np.int64)  # sizes are powers of two
    return items


def _without_headers(data: Array, starts: Array, header: int) -> Array:
    """The bytes without the `header` bytes at each start (the length that std::vector writes before its items)."""
    keep = np.ones(len(data), np.bool_)
    for byte in range(header):
        keep[starts + byte] = False
    return data[keep]
