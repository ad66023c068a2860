"""Each kernel gives, bit for bit, what the awkward function that it stands for gives."""

from typing import Any

import awkward as ak
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from delivery.engine.kernels import choose, first_in_order, nested_pairs, rows_of_items, sums
from delivery.engine.values import Lists, Offsets, offsets_of, picked_items, to_awkward

COUNTS = st.lists(st.integers(0, 6), max_size=12).map(lambda counts: np.array(counts, np.int64))
DTYPES = st.sampled_from(["?", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"]).map(np.dtype)


@st.composite
def lists(draw: st.DrawFn, least: int = 0) -> Lists:
    counts = np.maximum(draw(COUNTS), least)
    dtype = draw(DTYPES)
    few = st.sampled_from([0.0, -0.0, 1.0, -1.0, float("nan")]) if dtype.kind == "f" else None  # equal keys and NaN
    values = draw(st.sampled_from([None, few]))
    return Lists(offsets_of(counts), draw(hnp.arrays(dtype, int(counts.sum()), elements=values)))


def positions(offsets: Offsets) -> Any:
    return to_awkward(Lists(offsets, np.arange(offsets[-1])))


@given(COUNTS)
def test_rows_of_items_repeats_each_row(counts: Offsets) -> None:
    rows = rows_of_items(offsets_of(counts))
    assert rows.tolist() == np.repeat(np.arange(len(counts)), counts).tolist()


@given(COUNTS.flatmap(lambda counts: st.tuples(st.just(counts), hnp.arrays(np.bool_, len(counts)))))
def test_picked_items_are_those_of_the_rows_picked(counted: tuple[Offsets, Any]) -> None:
    counts, keep = counted
    offsets = offsets_of(counts)
    kept, items = picked_items(offsets, np.flatnonzero(keep))
    expected = positions(offsets)[keep]
    assert kept.tolist() == offsets_of(counts[keep]).tolist()
    assert items.tolist() == ak.flatten(expected, axis=1).to_list()


@given(COUNTS, st.integers(1, 5))
def test_choose_is_awkwards_combinations(counts: Offsets, n: int) -> None:
    offsets = offsets_of(counts)
    found, places = choose(offsets, n)
    expected = ak.combinations(positions(offsets), n, axis=1)
    assert np.diff(found).tolist() == ak.num(expected, axis=1).to_list()
    for place, column in zip(places, ak.unzip(expected), strict=True):
        assert place.tolist() == ak.flatten(column, axis=1).to_list()


@pytest.mark.parametrize("length", [32, 33, 100])
def test_choose_of_long_lists(length: int) -> None:
    offsets = offsets_of(np.array([2, length, 0, 3]))
    found, places = choose(offsets, 3)
    expected = ak.combinations(positions(offsets), 3, axis=1)
    assert np.diff(found).tolist() == ak.num(expected, axis=1).to_list()
    assert all(
        np.array_equal(place, ak.to_numpy(ak.flatten(column, axis=1)))
        for place, column in zip(places, ak.unzip(expected), strict=True)
    )


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=12))
def test_nested_pairs_are_awkwards_nested_cartesian(counts: list[tuple[int, int]]) -> None:
    left, right = (offsets_of(np.array([pair[side] for pair in counts], np.int64)) for side in (0, 1))
    offsets, first, second = nested_pairs(left, right)
    expected = ak.cartesian((positions(left), positions(right)), axis=1, nested=True)
    assert np.diff(offsets).tolist() == ak.flatten(ak.num(expected, axis=2), axis=1).to_list()
    for place, column in zip((first, second), ak.unzip(expected), strict=True):
        assert place.tolist() == ak.flatten(column, axis=None).to_list()


@given(lists())
@settings(max_examples=200)
def test_sums_add_from_left_to_right_like_awkward(column: Lists) -> None:
    with np.errstate(all="ignore"):
        found, expected = sums(column.offsets, column.content), np.asarray(ak.sum(to_awkward(column), axis=1))
    assert found.dtype == expected.dtype
    assert np.array_equal(np.isnan(found), np.isnan(expected))
    numbers = ~np.isnan(expected)
    assert found[numbers].tobytes() == expected[numbers].tobytes()


def test_float32_sums_round_after_every_item() -> None:
    content = np.array([2**24, 1, 1, 1, 1, 1, 1, 1, 1, 1], np.float32)  # in pairs, or in 64 bits, it would come to more
    assert sums(np.array([0, 10]), content).tolist() == [2.0**24]


@pytest.mark.parametrize("ascending", [True, False])
@given(column=lists(least=1))
@settings(max_examples=200)
def test_first_in_order_is_the_head_of_awkwards_argsort(ascending: bool, column: Lists) -> None:
    order = ak.argsort(to_awkward(column), axis=1, ascending=ascending, stable=True)
    found = first_in_order(column.offsets, column.content, ascending) - column.offsets[:-1]
    assert found.tolist() == order[:, 0].to_list()
