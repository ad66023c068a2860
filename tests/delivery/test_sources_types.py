"""Columns of every kind as uproot reads them, whatever range of entries is asked for, from any layout of the file."""

import re
import struct
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import awkward as ak
import numpy as np
import pytest
import uproot
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from delivery.engine.source import open_source
from delivery.engine.values import to_awkward
from delivery.errors import CorruptBasket, UnreadableFile

PHYSLITE = "root/PHYSLITE_example.root"
ENTRIES = 300
CODECS = {"zlib": uproot.ZLIB(4), "lzma": uproot.LZMA(2), "lz4": uproot.LZ4(3), "zstd": uproot.ZSTD(3), "none": None}


def arrays(size: int = ENTRIES) -> dict[str, ak.Array]:
    """A column of each kind that uproot can write into a tree."""
    random = np.random.default_rng(7)
    counts = random.integers(0, 5, size)
    kinds = {name: random.integers(0, 100, size).astype(name) for name in ("u1", "i2", "u4", "i8", "f4", "f8", "?")}
    return {
        **{f"flat_{name.replace('?', 'b')}": ak.Array(numbers) for name, numbers in kinds.items()},
        "lists": ak.unflatten(random.random(counts.sum()), counts),
        "fixed": ak.from_regular(ak.Array(random.random((size, 3))), axis=None),
        "matrix": ak.Array(random.integers(0, 9, (size, 2, 2), "i4")),
        "text": ak.Array(["ab" * int(count) for count in counts]),
    }


def write(path: Path, codec: str = "zlib", kind: str = "tree", parts: int = 6) -> Path:
    """A file with these columns as a tree or an RNTuple, in `parts` baskets or clusters each."""
    columns = arrays()
    with uproot.recreate(path, compression=CODECS[codec]) as file:
        make = file.mktree if kind == "tree" else file.mkrntuple
        tree = make(
            "Events", {name: column.type.content if kind == "tree" else column[:0] for name, column in columns.items()}
        )
        for start in range(0, ENTRIES, ENTRIES // parts):
            tree.extend({name: column[start : start + ENTRIES // parts] for name, column in columns.items()})
    return path


def item_type(array: ak.Array) -> str:
    return str(array.type.content)


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("kind", ["tree", "ntuple"])
def test_every_kind_of_column_and_compression(tmp_path, kind, codec):
    path = write(tmp_path / "in.root", codec, kind)
    with closing(open_source(str(path), None)) as source, uproot.open(path) as file:
        tree = file["Events"]
        assert source.names() == tree.keys()
        assert source.file_bytes == path.stat().st_size
        keep = np.arange(ENTRIES) % 7 == 3
        for name in source.names():
            expected, sample = tree[name].array(), source.column_type(name).sample
            found = to_awkward(source.read(name, 0, ENTRIES, None))
            assert item_type(found) == item_type(expected) == item_type(to_awkward(sample))
            assert ak.array_equal(found, expected), name
            assert ak.array_equal(to_awkward(source.read(name, 0, ENTRIES, keep)), expected[keep]), name


@pytest.fixture(scope="module", params=["tree", "ntuple"])
def opened(request, tmp_path_factory):
    path = write(tmp_path_factory.mktemp("opened") / "in.root", kind=request.param)
    with closing(open_source(str(path), None)) as source, uproot.open(path) as file:
        yield source, file["Events"].arrays()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    bounds=st.tuples(st.integers(0, ENTRIES), st.integers(0, ENTRIES)), seed=st.integers(0, 99), rate=st.floats(0, 1)
)
def test_any_range_of_entries_with_any_of_them_kept(opened, bounds, seed, rate):
    source, expected = opened
    start, stop = sorted(bounds)
    keep = np.random.default_rng(seed).random(stop - start) < rate
    for name in ("flat_f4", "lists", "fixed", "text"):
        column = to_awkward(source.read(name, start, stop, keep))
        assert ak.array_equal(column, expected[name][start:stop][keep]), name


def test_ranges_read_by_many_threads_at_once(opened):
    source, expected = opened
    cuts = [(name, start, start + 37) for start in range(0, ENTRIES - 37, 37) for name in source.names()]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda cut: to_awkward(source.read(*cut, None)), cuts))
    for column, (name, start, stop) in zip(found, cuts, strict=True):
        assert ak.array_equal(column, expected[name][start:stop]), (name, start)


def test_only_baskets_or_clusters_with_a_kept_entry_are_read(tmp_path):
    for kind in ("tree", "ntuple"):
        with closing(open_source(str(write(tmp_path / "in.root", kind=kind)), None)) as source:
            keep = np.zeros(ENTRIES, np.bool_)
            keep[120] = True  # in the third of six
            source.read("flat_f8", 0, ENTRIES, keep)
            some = source.bytes_read
            source.read("flat_f8", 0, ENTRIES, None)
            whole = source.bytes_read - some
            assert 0 < some < whole / 4
            assert whole == source.size("flat_f8")[0]
            assert source.size("flat_f8")[1] >= 8 * ENTRIES
            assert source.boundaries(["flat_f8", "lists"]) == list(range(0, ENTRIES + 1, 50))


def test_the_branches_of_physlite_are_those_that_the_reference_engine_has(shared_data):
    with uproot.open(shared_data / PHYSLITE) as file, closing(open_source(str(shared_data / PHYSLITE), None)) as source:
        tree = file["CollectionTree"]
        values = [branch for branch in tree.itervalues() if type(branch.interpretation).__name__ != "AsGrouped"]
        assert source.names() == list(dict.fromkeys(branch.name for branch in values))
        readable = [name for name in source.names() if not isinstance(source.column_type(name), str)]
        assert len(readable) == 1201  # as many fields has what the reference engine makes of this file


def test_one_branch_of_physlite_of_each_type(shared_data):
    with uproot.open(shared_data / PHYSLITE) as file, closing(open_source(str(shared_data / PHYSLITE), None)) as source:
        tree, seen = file["CollectionTree"], {}
        for name in source.names():
            seen.setdefault(tree[name].typename, name)
        assert len(seen) > 50
        readable = 0
        for name in seen.values():
            try:
                expected = tree[name].array(entry_stop=30)
            except (ValueError, uproot.interpretation.identify.UnknownInterpretation):
                with pytest.raises(UnreadableFile, match=re.escape(name)):
                    source.read(name, 0, 30, None)
                continue
            found, sample = to_awkward(source.read(name, 0, 30, None)), source.column_type(name).sample
            assert item_type(found) == item_type(expected) == item_type(to_awkward(sample)), name
            assert ak.array_equal(found, expected, equal_nan=True), name
            readable += 1
        assert readable > 30


def test_a_sub_branch_by_its_name_or_by_its_path_and_a_group_as_a_record(shared_data):
    group, name = "EventInfoAux.", "AntiKt10UFOCSSKJetsAux.eta"
    with uproot.open(shared_data / PHYSLITE) as file, closing(open_source(str(shared_data / PHYSLITE), None)) as source:
        tree = file["CollectionTree"]
        path = f"AntiKt10UFOCSSKJetsAux./{name}"
        expected = tree[path].array()
        for each in (name, path):
            assert ak.array_equal(to_awkward(source.read(each, 0, 100, None)), expected)
        assert not isinstance(source.column_type(group), str)
        with pytest.raises(KeyError):
            source.column_type("NoSuchBranch")


def rewritten(path: Path, old: bytes, new: bytes) -> bytes:
    """The file's bytes with this one place changed."""
    content = path.read_bytes()
    assert content.count(old) == 1
    return content.replace(old, new)


def test_offsets_that_are_not_stored_come_from_the_counter(tmp_path):
    """As ROOT's kGenerateOffsetMap writes them: the basket ends with its contents."""
    path = write(tmp_path / "in.root", "none", parts=1)
    with uproot.open(path) as file:
        branch = file["Events/lists"]
        place, length = int(branch.member("fBasketSeek")[0]), int(branch.member("fBasketBytes")[0])
        expected, border, header = branch.array(), branch.basket(0).border, branch.basket(0).member("fKeylen")
        lengths = np.asarray(branch.member("fBasketBytes"), ">i4")
    shorter = lengths.copy()
    shorter[0] = border + header
    content = bytearray(rewritten(path, lengths.tobytes(), shorter.tobytes()))
    struct.pack_into(">i", content, place, border + header)
    struct.pack_into(">i", content, place + 6, border)
    path.write_bytes(content)
    with closing(open_source(str(path), None)) as source:
        found = source.read("lists", 0, ENTRIES, None)
        assert length > border + header
        assert ak.array_equal(to_awkward(found), expected)


def test_a_basket_beyond_two_gigabytes(tmp_path):
    path, far = write(tmp_path / "in.root", "none", parts=3), 5_000_000_000
    with uproot.open(path) as file:
        branch = file["Events/lists"]
        places, expected = np.asarray(branch.member("fBasketSeek"), ">i8"), branch.array()
        length = int(branch.member("fBasketBytes")[1])
    moved = places.copy()
    moved[1] = far
    content = rewritten(path, places.tobytes(), moved.tobytes())
    basket = content[places[1] : places[1] + length]
    path.write_bytes(content)
    with path.open("r+b") as file:  # the gap takes no room on the disk
        file.seek(far)
        file.write(basket)
    with closing(open_source(str(path), None)) as source:
        assert source.file_bytes == far + length
        assert ak.array_equal(to_awkward(source.read("lists", 0, ENTRIES, None)), expected)


@pytest.mark.parametrize("codec", ["zlib", "lzma", "lz4"])  # ROOT writes zstd without a checksum
def test_a_flipped_bit_in_a_basket_is_found(tmp_path, codec):
    path = write(tmp_path / "in.root", codec, parts=1)
    with uproot.open(path) as file:
        branch = file["Events/flat_f8"]
        start, length = int(branch.member("fBasketSeek")[0]), int(branch.member("fBasketBytes")[0])
        header = int(branch.basket(0).member("fKeylen")) + 9
        expected = branch.array(library="np")
    content = path.read_bytes()
    found = 0
    for index in range(start + header, start + length, 97):
        damaged = bytearray(content)
        damaged[index] ^= 4
        path.write_bytes(damaged)
        with closing(open_source(str(path), None)) as source:
            try:
                assert np.array_equal(source.read("flat_f8", 0, ENTRIES, None), expected)  # of no consequence
            except CorruptBasket as error:
                found += (error.branch, error.number) == ("flat_f8", 0)
    assert found >= (length - header) // 97 - 1


@pytest.mark.parametrize("part", ["all", "some of them", "within the basket"])
def test_damaged_offsets_are_told_with_their_basket(tmp_path, part):
    path, parts = write(tmp_path / "in.root", "none", parts=3), ENTRIES // 3
    with uproot.open(path) as file:
        branch = file["Events/lists"]
        place = int(branch.member("fBasketSeek")[1]) + int(branch.member("fBasketBytes")[1]) - 4 * (parts // 2)
    content = bytearray(path.read_bytes())
    content[place : place + 4] = (1 << 20).to_bytes(4, "big")  # one offset in the middle of the second basket's
    path.write_bytes(content)
    keep = np.arange(ENTRIES) % 5 == 0
    start, stop, kept = {
        "all": (0, ENTRIES, None),
        "some of them": (0, ENTRIES, keep),
        "within the basket": (parts + 1, parts + 3, None),  # whose own offsets are sound
    }[part]
    with closing(open_source(str(path), None)) as source:
        with pytest.raises(CorruptBasket, match="offsets are damaged") as caught:
            source.read("lists", start, stop, kept)
        assert (caught.value.branch, caught.value.number) == ("lists", 1)
        assert len(source.read("lists", 0, parts, None)) == parts
