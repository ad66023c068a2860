"""Parquet files that are encoded here hold what Arrow's own hold: table, schema, statistics and all."""

from io import BytesIO
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from delivery.engine.values import Lists, offsets_of, to_awkward
from delivery.engine.writers import container
from delivery.engine.writers.container import NumbersFile, arrow_footer, suits
from delivery.engine.writers.layouts import in_one_form
from delivery.engine.writers.thrift import Kind, decode, encode, i32, i64, many

DTYPES = ["?", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"]
FEW = st.sampled_from([0.0, -0.0, 1.5, -2.0, float("nan"), float("inf")])  # zeros and NaN have rules of their own


@st.composite
def numbers(draw: st.DrawFn, length: int) -> Any:
    dtype = np.dtype(draw(st.sampled_from(DTYPES)))
    values = draw(st.sampled_from([None, FEW])) if dtype.kind == "f" else None
    return draw(hnp.arrays(dtype, length, elements=values))


@st.composite
def tables(draw: st.DrawFn) -> Any:
    """Two columns of numbers, two of lists and one of records of lists, of one collection or not."""
    rows = draw(st.integers(0, 40))
    counts = draw(hnp.arrays(np.int64, rows, elements=st.integers(0, draw(st.integers(0, 5)))))
    columns = {name: ak.Array(draw(numbers(rows))) for name in "ab"}
    for name in "cd":
        columns[name] = to_awkward(Lists(offsets_of(counts), draw(numbers(int(counts.sum())))))
        counts = draw(st.sampled_from([counts, counts[::-1]]))
    columns["r"] = ak.zip({"x": columns["c"], "y": columns["c"]})
    return in_one_form(ak.zip(columns, depth_limit=1))


def arrows(rows: Any) -> pq.ParquetFile:
    file, table = BytesIO(), ak.to_arrow_table(rows)
    pq.write_table(table, file, compression="snappy")
    return pq.ParquetFile(file)


def ours(path: Path, *groups: Any) -> pq.ParquetFile:
    sample = groups[0][:0]
    footer = arrow_footer(ak.to_arrow_table(sample).schema)
    assert suits(sample.layout, footer)
    file = NumbersFile(path, footer, sample.layout)
    for rows in groups:
        file.write(rows.layout)
    file.close({"key": "value"})
    return pq.ParquetFile(path)


def described(file: pq.ParquetFile, group: int = 0) -> list[dict[str, Any]]:
    """What the footer says of each column's values."""
    row_group = file.metadata.row_group(group)
    columns = [row_group.column(number).to_dict() for number in range(row_group.num_columns)]
    return [{k: c[k] for k in ("path_in_schema", "physical_type", "num_values", "statistics")} for c in columns]


@given(tables())
@example(in_one_form(ak.Array({"a": np.array([0.0, -1.0]), "b": np.array([-0.0, 1.0], np.float32)})))
@example(in_one_form(ak.Array({"a": np.array([np.nan, np.nan])})))
@example(in_one_form(ak.Array([[1, 2], [], [3]])))
@example(in_one_form(ak.Array({"a.b": [1], 'c"': [[2.0, 3.0]]})))
def test_a_file_holds_what_arrows_holds(tmp_path_factory: pytest.TempPathFactory, rows: Any) -> None:
    theirs, own = arrows(rows), ours(tmp_path_factory.mktemp("out") / "rows", rows)
    assert own.schema_arrow.equals(theirs.schema_arrow, check_metadata=False)
    assert own.schema.equals(theirs.schema)
    table = own.read()
    table.validate(full=True)
    assert ak.array_equal(ak.from_arrow(table), ak.from_arrow(theirs.read()), equal_nan=True)
    if len(rows):  # Arrow has no statistics of no rows
        assert repr(described(own)) == repr(described(theirs)), "as text, in which zeros have signs"
    assert own.metadata.metadata[b"key"] == b"value"


def test_many_rows_in_two_groups(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    counts = random.poisson(1.5, 100_000)
    content = random.normal(size=counts.sum()).astype(np.float32)
    rows = in_one_form(ak.Array({"lists": ak.unflatten(content, counts), "flags": counts > 1, "counts": counts}))
    few = in_one_form(rows[:12_345])
    file = ours(tmp_path / "out", rows, few)
    assert file.metadata.num_row_groups == 2
    for number, part in enumerate((rows, few)):
        assert ak.from_arrow(file.read_row_group(number)).to_list() == part.to_list()
        assert described(file, number) == described(arrows(part))


def test_no_chunk_is_too_large_for_its_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(container, "_LARGEST_CHUNK", 100)
    rows = in_one_form(ak.Array({"a": [[float(i)] * (i % 3) for i in range(40)] + [[7.0] * 50]}))
    file = ours(tmp_path / "out", rows)
    assert file.metadata.num_row_groups > 3
    assert ak.from_arrow(file.read()).to_list() == rows.to_list()


@pytest.mark.parametrize("other", [{"a": [1]}, {"b": [1.0]}, {"a": [[1.0]]}, {"a": [1.0], "b": [1]}, {"a": ["x"]}])
def test_rows_of_another_type_are_refused(other: Any, tmp_path: Path) -> None:
    sample = ak.Array({"a": np.zeros(0)})
    file = NumbersFile(tmp_path / "out", arrow_footer(ak.to_arrow_table(sample).schema), sample.layout)
    with pytest.raises(ValueError, match="in a file of"):
        file.write(in_one_form(ak.Array(other)).layout)
    file.abandon()


@pytest.mark.parametrize(
    "rows", [["text"], [[b"bytes"]], [None, 1], [[1, None]], [[[1]]], [(1, "x")], np.zeros((2, 3)), [1, "x"]]
)
def test_other_types_are_left_to_arrow(rows: Any) -> None:
    sample = in_one_form(ak.Array({"a": ak.Array(rows), "b": np.arange(len(rows))}))[:0]
    table = ak.to_arrow_table(sample[["b"]] if sample.a.layout.is_union else sample)
    assert not suits(sample.layout, arrow_footer(table.schema))


def test_thrift_gives_arrows_bytes_back() -> None:
    file = BytesIO()
    rows = ak.Array({f"column{i}": [[1.5]] for i in range(20)})
    pq.write_table(ak.to_arrow_table(rows), file)
    content = file.getvalue()
    footer = content[-8 - int.from_bytes(content[-8:-4], "little") : -8]
    assert encode(decode(footer)) == footer


@given(st.integers(-(2**63), 2**63 - 1), st.lists(st.integers(-(2**31) + 1, 2**31 - 1), max_size=20))
def test_thrift_reads_what_it_writes(number: int, several: list[int]) -> None:
    fields = {1: i64(number), 3: many(Kind.I32, several), 16: (Kind.TRUE, b"")}
    assert decode(encode(fields)) == fields


def test_thrift_refuses_what_it_cannot_write() -> None:
    with pytest.raises(OverflowError):
        i32(2**31)
    with pytest.raises(ValueError, match="field 17 behind field 1"):
        encode({1: i32(0), 17: i32(0)})
