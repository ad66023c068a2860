"""Bytes fetched ahead and kept, ranges joined and cut, compressed blocks that contradict themselves."""

import bz2
import lzma
import threading
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import cramjam
import numpy as np
import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from delivery.engine.compression import Damaged, decompress
from delivery.engine.storage.held import HEAD, TAIL, HeldBytes
from delivery.engine.storage.ranges import Range, cut, joined, merged

CONTENT = np.random.default_rng(3).bytes(HEAD + TAIL + 1_000_000)
MIDDLE = HEAD  # where what opening fetches ends


class MemoryStorage:
    """A remote file in memory that remembers what was fetched; it breaks while ``broken`` is set."""

    remote = True
    head = b""

    def __init__(self) -> None:
        self.size, self.broken = len(CONTENT), False
        self.fetched: list[list[Range]] = []
        self.gate = threading.Event()
        self.gate.set()

    def fetch(self, ranges: Sequence[Range]) -> list[bytes]:
        self.fetched.append(list(ranges))
        self.gate.wait(10)
        if self.broken:
            raise OSError("the line is cut")
        return [CONTENT[start:stop] for start, stop in ranges]

    def close(self) -> None:
        pass


@pytest.fixture
def storage() -> MemoryStorage:
    return MemoryStorage()


def at(start: int, length: int) -> Range:
    return MIDDLE + start, MIDDLE + start + length


def test_a_file_is_opened_by_one_fetch_of_both_ends(storage):
    held = HeldBytes(storage)
    assert storage.fetched == [[(0, HEAD), (storage.size - TAIL, storage.size)]]
    assert bytes(held.read(100, 500)) == CONTENT[100:500]
    assert bytes(held.read(storage.size - 9, storage.size)) == CONTENT[-9:]
    assert len(storage.fetched) == 1


def test_claims_share_what_they_have_in_common_and_let_go_of_it_when_the_last_is_released(storage):
    held = HeldBytes(storage)
    near, far, other = at(0, 1000), at(1500, 1000), at(500_000, 1000)
    held.hold({"a": [near, far], "b": [other]})
    assert storage.fetched[1:] == [[(near[0], far[1]), other]]  # a small gap is fetched along
    held.hold({"c": [far, other]})
    assert len(storage.fetched) == 2
    held.release("a")
    for piece in (far, other):
        assert held.read(*piece) == CONTENT[slice(*piece)]
    assert len(storage.fetched) == 2
    assert held.read(*near) == CONTENT[slice(*near)]  # nobody's any more
    assert storage.fetched[2:] == [[near]]
    held.release("b")
    held.release("c")
    held.read(*far)
    assert len(storage.fetched) == 4


def test_a_range_that_another_thread_fetches_is_waited_for(storage):
    held, piece = HeldBytes(storage), at(0, 1000)
    storage.gate.clear()
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(held.hold, {"a": [piece]})
        while len(storage.fetched) < 2:
            pass
        held.hold({"b": [piece]})
        second = pool.submit(held.read, *piece)
        assert not second.done()
        storage.gate.set()
        first.result()
        assert second.result() == CONTENT[slice(*piece)]
    assert len(storage.fetched) == 2


def test_a_fetch_that_fails_is_no_longer_expected(storage):
    held, piece = HeldBytes(storage), at(0, 1000)
    storage.broken = True
    with pytest.raises(OSError, match="the line is cut"):
        held.hold({"a": [piece]})
    storage.broken = False
    assert held.read(*piece) == CONTENT[slice(*piece)]
    held.release("a")
    held.hold({"a": [piece]})
    assert len(storage.fetched) == 4


def test_beyond_the_limit_the_oldest_claims_lose_their_bytes(storage):
    held, pieces = HeldBytes(storage, limit=3000), [at(100_000 * number, 1000) for number in range(5)]
    held.hold({0: pieces[:2]})
    held.hold({1: pieces[2:4]})  # no room for four: the older claim goes
    held.hold({2: [pieces[4]] * 2})
    before = len(storage.fetched)
    assert [held.read(*piece) for piece in pieces[2:]] == [CONTENT[slice(*piece)] for piece in pieces[2:]]
    assert len(storage.fetched) == before
    held.read(*pieces[0])
    assert len(storage.fetched) == before + 1
    held.hold({3: [at(200_000, 100_000)]})  # more than may be held at all
    assert len(storage.fetched) == before + 1


@pytest.mark.parametrize("piece", [(-1, 5), (5, 4), (0, len(CONTENT) + 1)])
def test_bytes_that_the_file_does_not_have(storage, piece):
    with pytest.raises(ValueError, match="lie beyond the file's end"):
        HeldBytes(storage).read(*piece)


RANGES = st.lists(st.tuples(st.integers(0, 500), st.integers(1, 60)), max_size=12)


@given(spans=RANGES, near=st.integers(0, 30))
def test_merged_ranges_hold_all_of_them_and_no_longer_gap(spans, near):
    ranges = [(start, start + length) for start, length in spans]
    found = merged(ranges, near)
    assert all(any(first <= start and stop <= last for first, last in found) for start, stop in ranges)
    assert all(later[0] - earlier[1] > near for earlier, later in pairwise(found))
    wanted = {byte for start, stop in ranges for byte in range(start, stop)}
    fetched = {byte for start, stop in found for byte in range(start, stop)}
    assert wanted <= fetched
    assert all(any(byte + step in wanted for step in range(-near, near + 1)) for byte in fetched)


@given(spans=RANGES, longest=st.integers(1, 20))
def test_what_is_cut_is_put_together_again(spans, longest):
    ranges = merged([(start, start + length) for start, length in spans])
    pieces = cut(ranges, longest)
    assert all(0 < stop - start <= longest for start, stop in pieces)
    assert joined(ranges, [CONTENT[a:b] for a, b in pieces]) == [CONTENT[a:b] for a, b in ranges]


PLAIN = np.arange(5000, dtype=">i4").tobytes()


def lz4_block(plain: bytes) -> bytes:
    packed = bytes(cramjam.lz4.compress_block(plain, store_size=False))
    return xxhash.xxh64(packed).digest() + packed


METHODS = {
    b"ZL": zlib.compress,
    b"XZ": lzma.compress,
    b"ZS": lambda plain: bytes(cramjam.zstd.compress(plain)),
    b"L4": lz4_block,
}


def block(method: bytes, packed: bytes, size: int) -> bytes:
    return method + b"\x08" + len(packed).to_bytes(3, "little") + size.to_bytes(3, "little") + packed


@pytest.mark.parametrize("method", METHODS)
def test_blocks_unpack_to_what_was_packed(method):
    one = block(method, METHODS[method](PLAIN), len(PLAIN))
    two = one + block(method, METHODS[method](PLAIN[:16]), 16)
    assert decompress(one, len(PLAIN)).tobytes() == PLAIN
    assert decompress(memoryview(two), len(PLAIN) + 16).tobytes() == PLAIN + PLAIN[:16]


@pytest.mark.parametrize("method", METHODS)
def test_a_block_that_unpacks_to_another_size_or_ends_early(method):
    packed = METHODS[method](PLAIN)
    for size in (len(PLAIN) - 1, len(PLAIN) + 1, 1):
        with pytest.raises(Damaged):
            decompress(block(method, packed, size), size)
    for bad in (
        block(method, packed[:-5], len(PLAIN)),
        block(method, packed, len(PLAIN))[:-5],
        block(method, b"", 9),
        b"",
    ):
        with pytest.raises(Damaged):
            decompress(bad, len(PLAIN))


@pytest.mark.parametrize("method", METHODS)
def test_a_block_made_to_unfold_without_end_does_not(method):
    bomb = METHODS[method](bytes(30_000_000))
    with pytest.raises(Damaged):
        decompress(block(method, bomb[: (1 << 24) - 1], 1000), 1000)


def test_an_unknown_method_is_named():
    with pytest.raises(Damaged, match="b'BZ' is unknown"):
        decompress(block(b"BZ", bz2.compress(PLAIN), len(PLAIN)), len(PLAIN))
