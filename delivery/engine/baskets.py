"""ROOT baskets: from the bytes on disk to contents and offsets.

A basket is a key header (its length tells where the payload begins), the payload in compressed blocks of at most 16 MB,
and, for branches of varying length, the entries' byte offsets behind the contents.
"""

import struct
import zlib
from dataclasses import dataclass

import cramjam
import numpy as np
from isal import isal_zlib

from delivery.engine.values import Array, Column, Lists

_KEY = struct.Struct(">ihiIhh")  # fNbytes, version, fObjlen, fDatime, fKeylen, fCycle
_BASKET = struct.Struct(">Hiiii")  # version, fBufferSize, fNevBufSize, fNevBuf, fLast; one flag byte follows
_BLOCK_HEADER = 9
_LZ4_CHECKSUM = 8


class BasketDamaged(Exception):
    """A basket's bytes contradict themselves."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How a branch's bytes are to be read: big-endian `dtype`; lists if `jagged`, `header` bytes before each list."""

    dtype: np.dtype[np.generic]
    jagged: bool
    header: int = 0


def decode_basket(raw: bytes, layout: Layout, entries: int) -> Column:
    """Contents (big-endian, a view of the decompressed bytes) and offsets of a basket as it lies in the file.

    Raises `BasketDamaged` if it does not hold `entries` entries or its sizes disagree.
    """
    if len(raw) < _KEY.size:
        raise BasketDamaged("it is shorter than its header")
    nbytes, _, objlen, _, keylen, _ = _KEY.unpack_from(raw)
    if nbytes != len(raw) or not _KEY.size + _BASKET.size < keylen <= nbytes or objlen < 0:
        raise BasketDamaged("its header is damaged")
    _, _, _, nevents, last = _BASKET.unpack_from(raw, keylen - _BASKET.size - 1)
    if nevents != entries:
        raise BasketDamaged(f"it holds {nevents} entries where the tree says {entries}")
    payload = raw[keylen:] if nbytes - keylen == objlen else decompress(raw, keylen, objlen)
    border = last - keylen
    if not 0 <= border <= objlen:
        raise BasketDamaged("its contents end outside of it")
    data = np.frombuffer(payload, np.uint8)
    if border == objlen:
        return from_bytes(data, None, layout, entries)
    offsets = np.frombuffer(payload, ">i4", offset=border) if (objlen - border) % 4 == 0 else None
    if offsets is None or len(offsets) < entries + 1:
        raise BasketDamaged("its offsets are damaged")
    starts = np.empty(entries + 1, np.int64)  # the stored ones count from the key's beginning and lack the last
    starts[:entries] = offsets[1 : entries + 1]
    starts[entries] = last
    starts -= keylen
    return from_bytes(data[:border], starts, layout, entries)


def from_bytes(data: Array, starts: Array | None, layout: Layout, entries: int) -> Column:
    """Column from a basket's content bytes and its entries' byte offsets (None if entries have one fixed size)."""
    size = layout.dtype.itemsize
    if not layout.jagged:
        if len(data) != entries * size:
            raise BasketDamaged(f"it holds {len(data)} bytes for {entries} numbers of {size} bytes")
        return data.view(layout.dtype)
    if starts is None:
        if len(data) and entries:
            raise BasketDamaged("it has lists but no offsets")
        starts = np.zeros(entries + 1, np.int64)
    offsets = np.asarray(starts, np.int64)
    steps = offsets[1:] - offsets[:-1]
    if len(offsets) != entries + 1 or offsets[0] != 0 or offsets[-1] != len(data):
        raise BasketDamaged("its offsets are damaged")
    if entries and steps.min() < layout.header:
        raise BasketDamaged("its offsets are damaged")
    if layout.header:
        data = _without_headers(data, offsets[:-1], layout.header)
        offsets = offsets - layout.header * np.arange(entries + 1)
    if size > 1:
        if np.bitwise_or.reduce(offsets) % size:
            raise BasketDamaged("a list's bytes are no whole number of items")
        offsets = offsets >> (size.bit_length() - 1)  # sizes of numbers are powers of two
    return Lists(offsets, data.view(layout.dtype))


def _without_headers(data: Array, starts: Array, header: int) -> Array:
    """The bytes without the `header` bytes at each start (the length that std::vector writes before its items)."""
    keep = np.ones(len(data), np.bool_)
    for byte in range(header):
        keep[starts + byte] = False
    return data[keep]


def decompress(raw: bytes, start: int, size: int) -> bytes:
    """Decompress the blocks of `raw` from `start` to its end into exactly `size` bytes."""
    view, parts, total = memoryview(raw), [], 0
    while total < size:
        if start + _BLOCK_HEADER > len(raw):
            raise BasketDamaged("its compressed blocks end early")
        method = bytes(view[start : start + 2])
        packed = int.from_bytes(view[start + 3 : start + 6], "little")
        plain = int.from_bytes(view[start + 6 : start + 9], "little")
        start += _BLOCK_HEADER
        block = view[start : start + packed]
        if len(block) != packed:
            raise BasketDamaged("its compressed blocks end early")
        if plain > size - total:
            raise BasketDamaged("it decompresses to another size than its header says")
        parts.append(_decompress_block(method, block, plain))
        start, total = start + packed, total + plain
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _decompress_block(method: bytes, block: memoryview, size: int) -> bytes:
    plain: bytes
    try:
        if method == b"ZL":
            plain = isal_zlib.decompress(block, bufsize=size)
        elif method == b"ZS":
            plain = bytes(cramjam.zstd.decompress(block, output_len=size))
        elif method == b"L4":
            plain = bytes(cramjam.lz4.decompress_block(block[_LZ4_CHECKSUM:], output_len=size))
        elif method == b"XZ":
            plain = bytes(cramjam.xz.decompress(block, output_len=size))
        else:
            raise BasketDamaged(f"its compression {method!r} is unknown")
    except (isal_zlib.error, zlib.error, cramjam.DecompressionError) as error:  # type: ignore[misc] # isal's stub
        raise BasketDamaged(f"it does not decompress ({error})") from error
    if len(plain) != size:
        raise BasketDamaged("it decompresses to another size than its header says")
    return plain
