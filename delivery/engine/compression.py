"""ROOT's compressed blocks: 9 bytes of header (method, level, both sizes), then at most 16 MB of plain data each.

The libraries were chosen by measuring; each lets other threads run while it works. None may write more than the header
says: a block made to unfold without end does not.
"""

import lzma
from collections.abc import Iterator

import cramjam
import numpy as np
import xxhash
from isal import isal_zlib

from delivery.engine.values import Array

_HEADER = 9
_CHECKSUM = 8  # before an LZ4 block: xxh64 of what follows
_LZMA_MEMORY = 128 * 1024 * 1024  # twice what the highest level needs


class Damaged(Exception):
    """A unit's bytes contradict themselves; `unit` is its number, once it is known."""

    unit = -1


def decompress(raw: bytes | memoryview, size: int) -> Array:
    """The plain bytes of all blocks in `raw`, which must be `size`. Raises `Damaged`."""
    blocks = list(_blocks(memoryview(raw), size))
    if len(blocks) == 1:
        return _decompressed(*blocks[0])
    plain, place = np.empty(size, np.uint8), 0
    for method, packed, length in blocks:
        plain[place : place + length] = _decompressed(method, packed, length)
        place += length
    return plain


def _blocks(raw: memoryview, size: int) -> Iterator[tuple[bytes, memoryview, int]]:
    """Method, compressed bytes and plain size of each block; together they are of `size` bytes."""
    start = total = 0
    while total < size:
        header = raw[start : start + _HEADER]
        packed, plain = int.from_bytes(header[3:6], "little"), int.from_bytes(header[6:9], "little")
        start += _HEADER
        block = raw[start : start + packed]
        if len(header) != _HEADER or len(block) != packed:
            raise Damaged("its compressed blocks end early")
        if not 0 < plain <= size - total:
            raise Damaged("it decompresses to another size than its header says")
        yield bytes(header[:2]), block, plain
        start, total = start + packed, total + plain


def _decompressed(method: bytes, block: memoryview, size: int) -> Array:
    try:
        if method == b"ZL":
            return _inflated(block, size)
        plain = np.empty(size, np.uint8)
        if method == b"ZS":
            count = cramjam.zstd.decompress_into(block, plain.data)
        elif method == b"L4":
            if xxhash.xxh64_intdigest(block[_CHECKSUM:]) != int.from_bytes(block[:_CHECKSUM], "big"):
                raise Damaged("its checksum does not match")
            count = cramjam.lz4.decompress_block_into(block[_CHECKSUM:], plain.data, output_len=size)
        elif method == b"XZ":
            return _unpacked(block, size)
        else:
            raise Damaged(f"its compression {method!r} is unknown")
    except (isal_zlib.error, lzma.LZMAError, cramjam.DecompressionError) as error:  # type: ignore[misc] # isal's stub
        raise Damaged(f"it does not decompress ({error})") from error
    if count != size:
        raise Damaged("it decompresses to another size than its header says")
    return plain


def _inflated(block: memoryview, size: int) -> Array:
    stream = isal_zlib.decompressobj()
    plain = stream.decompress(block, size)
    more = b"" if stream.eof else stream.decompress(stream.unconsumed_tail, 1)  # reads the checksum behind
    return _complete(plain, more, stream.eof, size)


def _unpacked(block: memoryview, size: int) -> Array:
    stream = lzma.LZMADecompressor(lzma.FORMAT_XZ, _LZMA_MEMORY)
    plain = stream.decompress(block, size)
    more = b"" if stream.eof else stream.decompress(b"", 1)
    return _complete(plain, more, stream.eof, size)


def _complete(plain: bytes, more: bytes, ended: bool, size: int) -> Array:
    if len(plain) != size or more or not ended:
        raise Damaged("it decompresses to another size than its header says")
    return np.frombuffer(plain, np.uint8)
