"""Every type in every format: what ServiceX's template makes of the whole array, or an error that says what to do."""

import sys
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import uproot

from delivery.engine.writers import Grouped, open_writer
from delivery.errors import UnwritableType
from delivery.requests import OutputFormat

sys.path.insert(0, str(Path(__file__).parent))
from writer_inputs import ROWS, cases, template

CASES = cases()
FORMATS: list[OutputFormat] = ["parquet", "root-file", "root-rntuple"]
IDENTITY = bytes(range(32))


def write(path: Path, output_format: OutputFormat, array: Any, cuts: list[int], rows: int = 10) -> Path:
    """Written in groups of ``rows``, given in pieces that end at these rows."""
    writer = open_writer(path, output_format, {"servicex": array[:0]}, IDENTITY)
    try:
        grouped = Grouped(writer, "servicex", rows)
        for start, stop in zip([0, *cuts], [*cuts, len(array)], strict=True):
            grouped.add(array[start:stop])
        grouped.end()
        writer.close({"events_out": len(array)})
    except BaseException:
        writer.abandon()
        raise
    return path


def storage(kind: Any) -> Any:
    """An Arrow type without the names that awkward gives to its parts."""
    if isinstance(kind, pa.BaseExtensionType):
        return storage(kind.storage_type)
    if pa.types.is_struct(kind) or pa.types.is_nested(kind):
        fields = [kind.field(i) for i in range(kind.num_fields)]
        return (
            type(kind).__name__,
            getattr(kind, "list_size", None),
            [(f.name, storage(f.type), f.nullable) for f in fields],
        )
    return kind


def contents(path: Path, output_format: str) -> tuple[Any, Any]:
    """Names and types of a file's columns, and their values."""
    if output_format == "parquet":
        table = pq.read_table(path)
        return [(f.name, storage(f.type), f.nullable) for f in table.schema], ak.from_arrow(table).to_list()
    with uproot.open(path) as file:
        tree = file["servicex"]
        kinds = list(tree.typenames().items())
        if output_format == "root-file":
            kinds = [(branch.name, branch.typename, branch.title) for branch in tree.branches]
        return kinds, tree.arrays().to_list() if kinds else []


def expected(array: Any, output_format: str, path: Path) -> tuple[Any, Any] | None:
    """What the template makes of the array, None where it fails or makes a file that cannot be read."""
    try:
        template(array, output_format, path)
    except (AssertionError, KeyError, NotImplementedError, TypeError, ValueError):
        return None
    try:
        return contents(path, output_format)
    except ValueError:
        return None


# uproot writes a union, and reads it wrong as soon as the RNTuple has more than one cluster.
REFUSED = {("numbers or strings", "root-rntuple")}

# uproot names no type for optional records in an RNTuple, and reads them back as lists; tuples as records.
READ_DIFFERENTLY = {"missing records", "lists of missing records", "missing lists of records", "rows of tuples"}


@pytest.mark.parametrize("output_format", FORMATS)
@pytest.mark.parametrize("name", CASES)
def test_as_the_template(name: str, output_format: OutputFormat, tmp_path: Path) -> None:
    array = CASES[name]
    wanted = expected(array, output_format, tmp_path / "whole")
    if wanted is None or (name, output_format) in REFUSED:
        with pytest.raises(UnwritableType) as error:
            write(tmp_path / "ours", output_format, array, [])
        assert "--format" in str(error.value) or "names" in str(error.value) or "convert" in str(error.value)
        assert not [path for path in tmp_path.iterdir() if path.name != "whole"]
        return
    columns, values = contents(write(tmp_path / "ours", output_format, array, [4, 5, 17]), output_format)
    assert columns == wanted[0]
    assert values == wanted[1]
    if output_format == "parquet" or (output_format == "root-rntuple" and name not in READ_DIFFERENTLY):
        assert values == array.to_list()


@pytest.mark.parametrize("output_format", FORMATS)
@pytest.mark.parametrize("name", CASES)
def test_pieces_do_not_show(name: str, output_format: OutputFormat, tmp_path: Path) -> None:
    array = CASES[name]
    try:
        whole = write(tmp_path / "whole", output_format, array, []).read_bytes()
    except UnwritableType:
        return
    mixed = [ak.Array(piece.layout) for piece in (array[:4], array[4:4], array[4:])]
    assert write(tmp_path / "cut", output_format, ak.concatenate(mixed), [0, 4, 5, 17]).read_bytes() == whole
    behind = ak.concatenate([array[::-1], array])  # the rows lie elsewhere in the contents, and by index
    picked = behind[np.arange(len(array), 2 * len(array))]
    assert write(tmp_path / "picked", output_format, picked, [9]).read_bytes() == whole


def test_there_are_sixty_types() -> None:
    assert len({str(array.type.content) for array in CASES.values()}) >= 60
    assert all(len(array) in {0, ROWS} for array in CASES.values())
