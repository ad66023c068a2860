"""Layouts: one form for each type, whatever form the values come in; groups that the rows alone decide."""

from typing import Any

import awkward as ak
import numpy as np
import pytest
from awkward.contents import (
    ByteMaskedArray,
    IndexedArray,
    IndexedOptionArray,
    ListArray,
    ListOffsetArray,
    NumpyArray,
    RecordArray,
    RegularArray,
    UnmaskedArray,
)
from awkward.index import Index8, Index32, Index64
from hypothesis import given, settings
from hypothesis import strategies as st

from delivery.engine.writers import Grouped
from delivery.engine.writers.layouts import in_one_form, joined, normal, size_of


@st.composite
def layouts(draw: Any, length: int, depth: int) -> Any:
    """A layout of this length in any of awkward's forms, with more content than its rows refer to."""
    kinds = (
        ["numbers", "strings"]
        if depth == 0
        else ["numbers", "lists", "starts", "index", "mask", "option", "all there", "regular", "record", "tuple"]
    )
    kind = draw(st.sampled_from(kinds))
    if kind == "numbers":
        values = np.arange(length + 2).astype(draw(st.sampled_from(["f4", "i8", "u1", "?", "f8"])))
        return NumpyArray(np.repeat(values, 2)[::2] if draw(st.booleans()) else values)[1 : length + 1]
    if kind == "strings":
        return ak.to_layout([f"{i}" * (i % 3) for i in range(length + 1)])[1:]
    if kind in {"record", "tuple"}:
        fields = ["x", "y"] if kind == "record" else None
        return RecordArray([draw(layouts(length + extra, depth - 1)) for extra in (0, 1)], fields, length)
    if kind == "regular":
        return RegularArray(draw(layouts(2 * length + 1, depth - 1)), 2)[:length]
    counts = np.array(draw(st.lists(st.integers(0, 3), min_size=length, max_size=length)), np.int64)
    inside = (
        draw(layouts(int(counts.sum()) + 2, depth - 1))
        if kind in {"lists", "starts"}
        else draw(layouts(length + 2, depth - 1))
    )
    offsets = np.cumsum([1, *counts])
    numbers = np.array(draw(st.lists(st.integers(0, length + 1), min_size=length, max_size=length)), np.int64)
    there = np.array(draw(st.lists(st.booleans(), min_size=length, max_size=length)), bool)
    if kind == "lists":
        return ListOffsetArray(Index32(offsets.astype(np.int32)), inside)
    if kind == "starts":
        turned = np.arange(length)[::-1]
        return ListArray(Index64(offsets[:-1][turned]), Index64(offsets[1:][turned]), inside)
    if kind == "index":
        return IndexedArray.simplified(Index64(numbers), inside)
    if kind == "mask":
        return ByteMaskedArray.simplified(Index8(there.astype(np.int8)), inside, valid_when=True)
    if kind == "option":
        return IndexedOptionArray.simplified(Index64(np.where(there, numbers, -1)), inside)
    return UnmaskedArray.simplified(inside[:length])


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_one_form_of_the_same_values(data: Any) -> None:
    length = data.draw(st.integers(0, 7))
    layout = data.draw(layouts(length, data.draw(st.integers(1, 3))))
    array, ours = ak.Array(layout), in_one_form(layout)
    assert ours.to_list() == array.to_list()
    assert ours.type == array.type
    assert normal(ours.layout).form == ours.layout.form
    empty = in_one_form(array[:0])
    assert empty.layout.form == ours.layout.form
    cut = data.draw(st.integers(0, length))
    parts = [normal(layout[:cut]), normal(layout[cut:])]
    assert parts[0].form == ours.layout.form == parts[1].form
    assert joined(parts).form == ours.layout.form
    assert ak.Array(joined(parts)).to_list() == array.to_list()
    sizes = [size_of(part, 0, part.length) for part in parts]
    assert sum(sizes) == size_of(ours.layout, 0, length) == size_of(joined(parts), 0, length)
    assert sizes == [size_of(ours.layout, 0, cut), size_of(ours.layout, cut, length)]


class Kept:
    """Takes groups, as a writer does."""

    def __init__(self) -> None:
        self.groups: list[Any] = []

    def write(self, rows: Any, tree: str = "servicex") -> None:
        self.groups.append(rows.to_list())


def groups(array: Any, cuts: list[int], rows: int, size: int) -> list[Any]:
    kept = Kept()
    grouped = Grouped(kept, "servicex", rows, size)  # type: ignore[arg-type]
    for start, stop in zip([0, *cuts], [*cuts, len(array)], strict=True):
        grouped.add(array[start:stop])
    grouped.end()
    return kept.groups


@settings(max_examples=40, deadline=None)
@given(
    cuts=st.lists(st.integers(0, 9000), max_size=6).map(sorted),
    rows=st.sampled_from([700, 1000, 2500, 4000, 20_000]),
    size=st.sampled_from([1, 30_000, 100_000, 10**9]),
)
def test_groups_depend_on_the_rows_alone(cuts: list[int], rows: int, size: int) -> None:
    counts = np.arange(9000) % 7 * (np.arange(9000) > 3000)
    array = ak.zip({"n": counts, "x": ak.unflatten(np.arange(counts.sum()), counts)}, depth_limit=1)
    found = groups(array, cuts, rows, size)
    assert found == groups(array, [], rows, size)
    assert [row for group in found for row in group] == array.to_list()
    assert all(len(group) == rows or len(group) % 1000 == 0 for group in found[:-1])
    assert all(len(group) <= rows for group in found)


def test_a_group_ends_at_the_first_thousand_rows_that_fill_it() -> None:
    array = ak.Array({"x": np.arange(10_000.0)})
    assert [len(group) for group in groups(array, [10, 4321], 100_000, 8 * 2500)] == [3000, 3000, 3000, 1000]
    assert [len(group) for group in groups(array, [], 4000, 10**9)] == [4000, 4000, 2000]
    assert [len(group) for group in groups(array[:0], [], 4000, 10**9)] == []


def test_no_group_has_no_rows() -> None:
    with pytest.raises(ValueError, match="groups of 0 rows"):
        Grouped(Kept(), "servicex", 0)  # type: ignore[arg-type]
