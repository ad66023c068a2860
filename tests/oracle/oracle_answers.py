"""What a query gave, as JSON: type, length and every bit of the values, the Parquet schema, the ROOT branches.

Runs in the peer's environments too (Python 3.10, awkward 2.6), so it needs nothing of the project.
"""

import json
import tempfile
import zlib
from base64 import b64decode, b64encode
from pathlib import Path

import awkward as ak
import numpy as np

LARGEST = 24_000  # bytes of values that are kept; of larger answers only a checksum is


def describe(result):
    """A JSON document of a result: an awkward Array, or what a reduction of the whole dataset gives."""
    if result is None:  # the least or greatest of nothing
        return {"kind": "scalar", "type": "None", "length": 1, "crc": 0}
    if isinstance(result, ak.Array):
        layout = normal(result.layout)
        kind, content = "array", ak.Array(layout)
    elif isinstance(result, ak.Record):
        kind, content = "record", ak.Array(normal(result.layout.array[result.layout.at : result.layout.at + 1]))
    else:
        kind, content = "scalar", ak.Array(normal(ak.Array(np.asarray(result).reshape(1)).layout))
    form, length, buffers = ak.to_buffers(content, byteorder="<")
    buffers = {name: np.ascontiguousarray(buffer).tobytes() for name, buffer in buffers.items()}
    data = b"".join(buffers[name] for name in sorted(buffers))
    document = {
        "kind": kind,
        "type": str(content.type.content),
        "length": length,
        "crc": zlib.crc32(data),
    }
    if len(data) <= LARGEST:
        document["form"] = form.to_dict(verbose=False)
        document["buffers"] = {name: b64encode(buffer).decode() for name, buffer in buffers.items()}
    return document


def array_of(document):
    """The array that a document was made of; None where only a checksum was kept."""
    if "buffers" not in document:
        return None
    form = ak.forms.from_dict(document["form"])
    buffers = {name: b64decode(text) for name, text in document["buffers"].items()}
    return ak.from_buffers(form, document["length"], buffers, byteorder="<")


def normal(layout):
    """The same values in one layout: packed, 64-bit offsets, one kind of missing, one NaN."""
    if layout.is_indexed and not layout.is_option:
        return normal(layout.project())
    if layout.is_option:
        there = np.asarray(layout.mask_as_bool(valid_when=True))
        index = np.where(there, np.cumsum(there) - 1, -1)
        return ak.contents.IndexedOptionArray(
            ak.index.Index64(index), normal(layout.project()), parameters=layout.parameters
        )
    if layout.is_regular:
        content = layout.content[: layout.size * layout.length]
        return ak.contents.RegularArray(normal(content), layout.size, layout.length, parameters=layout.parameters)
    if layout.is_list:
        lists = layout.to_ListOffsetArray64(True)
        offsets = np.asarray(lists.offsets)
        return ak.contents.ListOffsetArray(
            ak.index.Index64(offsets.astype(np.int64)),
            normal(lists.content[: offsets[-1]]),
            parameters=layout.parameters,
        )
    if layout.is_record:
        contents = [normal(content[: layout.length]) for content in layout.contents]
        fields = None if layout.is_tuple else layout.fields
        return ak.contents.RecordArray(contents, fields, layout.length, parameters=layout.parameters)
    if layout.is_union:
        tags = np.asarray(layout.tags)
        index = np.zeros(len(tags), np.int64)
        for tag in range(len(layout.contents)):
            index[tags == tag] = np.arange((tags == tag).sum())
        contents = [normal(layout.project(tag)) for tag in range(len(layout.contents))]
        return ak.contents.UnionArray(
            ak.index.Index8(tags), ak.index.Index64(index), contents, parameters=layout.parameters
        )
    if layout.is_numpy:
        data = np.ascontiguousarray(layout.data)
        if data.ndim > 1:
            return normal(layout.to_RegularArray())
        if data.dtype.kind == "f":
            data = np.where(np.isnan(data), data.dtype.type(np.nan), data)
        return ak.contents.NumpyArray(data.astype(data.dtype.newbyteorder("=")), parameters=layout.parameters)
    return layout


def parquet_schema(result):
    """Columns that the server's Parquet template writes: name, storage type, nullability of every level."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not isinstance(result, ak.Array):
        raise TypeError("not an array")
    table = ak.to_arrow_table(result)
    pq.write_table(table, pa.BufferOutputStream())
    return [field_of(field, pa) for field in table.schema]


def field_of(field, pa):
    """``[name, type, nullable]`` of an Arrow field, without extension types; type is a name or ``[name, fields]``."""
    kind = field.type
    if isinstance(kind, pa.BaseExtensionType):
        kind = kind.storage_type
    if pa.types.is_struct(kind):
        shown = ["struct", [field_of(kind.field(i), pa) for i in range(kind.num_fields)]]
    elif pa.types.is_large_list(kind) or pa.types.is_list(kind):
        name = "large_list" if pa.types.is_large_list(kind) else "list"
        shown = [name, [field_of(kind.value_field, pa)]]
    elif pa.types.is_fixed_size_list(kind):
        shown = [f"fixed_size_list[{kind.list_size}]", [field_of(kind.value_field, pa)]]
    else:
        shown = str(kind)
    return [field.name, shown, field.nullable]


def root_branches(result):
    """Branches that the server's newest ROOT template makes, in order: ``[name, typename]``."""
    import uproot

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "out.root"
        with uproot.recreate(path) as file:
            file.mktree("servicex", {field: result[field] for field in result.fields})
        with uproot.open(path) as file:
            return [[branch.name, branch.typename] for branch in file["servicex"].branches]


def shown(document, limit=1500):
    """A document in words, for messages."""
    if "error" in document:
        return f"fails: {document['error']}: {document['message']}"
    array = array_of(document)
    values = "(too long to keep)" if array is None else json.dumps(array.to_list(), default=str)
    return f"{document['kind']} {document['length']} * {document['type']}\n    {values[:limit]}"
