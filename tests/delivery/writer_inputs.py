"""Arrays of every type that a query can give, and the files that ServiceX's newest template makes of a whole array."""

from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pyarrow.parquet as pq
import uproot

ROWS = 23


def lists(content: Any, shift: int = 0) -> ak.Array:
    """Rows of 0, 1, 2, 3, 0, … items, taken from the content again and again."""
    counts = (np.arange(ROWS) + shift) % 4
    total = int(counts.sum())
    items = ak.Array(content)[np.arange(total) % len(content)]
    return ak.unflatten(items, counts)


def missing(content: Any) -> ak.Array:
    """Every third value missing, by index: uproot's RNTuple shifts the values of an array with a mask."""
    numbers = [None if i % 3 == 0 else i for i in range(len(content))]
    return ak.Array(content)[ak.Array(numbers)]


def cases() -> dict[str, ak.Array]:
    numbers = {
        name: np.arange(ROWS).astype(name)
        for name in ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64")
    }
    numbers["bool"] = np.arange(ROWS) % 3 == 0
    words = ak.Array([f"w{i % 5}" * (i % 3) for i in range(ROWS)])
    floats, ints = numbers["float32"], numbers["int32"]
    pairs = ak.zip({"x": floats, "y": ints})
    list_pairs = ak.zip({"x": lists(floats), "y": lists(ints)})
    out = {f"{name} column": ak.Array({"a": values}) for name, values in numbers.items()}
    out |= {f"{name} lists": ak.Array({"a": lists(values), "b": ints}) for name, values in numbers.items()}
    out |= {f"{name} alone": ak.Array(values) for name, values in numbers.items()}
    out |= {f"{name} missing": ak.Array({"a": missing(values)}) for name, values in numbers.items()}
    columns = {
        "lists of other lengths": {"a": lists(floats), "b": lists(ints, 1)},
        "strings": {"s": words, "a": ints},
        "lists of strings": {"s": lists(words)},
        "lists of lists": {"a": lists(lists(floats))},
        "lists of lists of lists": {"a": lists(lists(lists(floats)))},
        "record": {"p": pairs},
        "record of lists": {"p": ak.zip({"x": lists(floats), "y": ints}, depth_limit=1)},
        "record of records": {"p": ak.zip({"q": pairs, "z": floats}, depth_limit=1)},
        "record of a fixed number": {
            "p": ak.zip({"v": np.arange(2 * ROWS).reshape(-1, 2), "z": floats}, depth_limit=1)
        },
        "lists of records": {"p": list_pairs},
        "lists of records beside lists": {"p": list_pairs, "q": lists(floats)},
        "named lists of records": {"p": ak.with_name(list_pairs, "Momentum4D")},
        "lists of lists of records": {"p": lists(list_pairs)},
        "tuples": {"p": ak.zip((floats, ints))},
        "lists of tuples": {"p": ak.zip((lists(floats), lists(ints)))},
        "fixed number": {"a": np.arange(3.0 * ROWS).reshape(-1, 3)},
        "fixed numbers": {"a": np.arange(6 * ROWS).reshape(-1, 3, 2)},
        "fixed number of lists": {"a": ak.to_regular(ak.unflatten(ak.concatenate([lists(floats)] * 2), 2))},
        "lists of a fixed number": {"a": lists(ak.from_numpy(np.arange(20.0).reshape(10, 2), regulararray=True))},
        "missing lists": {"a": missing(lists(floats))},
        "lists with missing values": {"a": lists(missing(floats))},
        "missing lists with missing values": {"a": missing(lists(missing(floats)))},
        "missing strings": {"a": missing(words)},
        "missing records": {"a": missing(pairs)},
        "lists of missing records": {"a": lists(missing(pairs))},
        "missing lists of records": {"a": missing(list_pairs)},
        "all missing": {"a": ak.mask(ak.Array(floats), np.zeros(ROWS, bool))},
        "all missing lists": {"a": ak.mask(lists(floats), np.zeros(ROWS, bool))},
        "all missing strings": {"a": ak.mask(words, np.zeros(ROWS, bool))},
        "none missing": {"a": ak.mask(ak.Array(floats), np.ones(ROWS, bool))},
        "empty lists of no type": {"a": ak.Array([[] for _ in range(ROWS)]), "b": ints},
        "empty lists": {"a": lists(floats)[:, :0], "b": ints},
        "numbers or strings": {"a": ak.concatenate([floats[:10], words[:13]])},
        "half precision": {"a": floats.astype("float16")},
        "complex": {"a": floats.astype("complex64")},
        "times": {"a": np.arange(ROWS).astype("datetime64[s]")},
        "byte strings": {"a": ak.Array([b"ab" * (i % 3) for i in range(ROWS)])},
        "odd names": {"AnalysisJets.pt": floats, "é": ints, "": ints, "a b": lists(ints)},
        "counter given too": {"nJet": ((np.arange(ROWS)) % 4).astype("uint32"), "Jet": lists(floats)},
    }
    out |= {name: ak.zip(column, depth_limit=1) for name, column in columns.items()}
    out |= {
        "rows of lists": lists(floats),
        "rows of lists of lists": lists(lists(ints)),
        "rows of strings": words,
        "rows of tuples": ak.zip((floats, lists(ints)), depth_limit=1),
        "rows of one-key records in lists": ak.zip({"a": lists(floats)}),
        "rows of lists of records": list_pairs,
        "rows of lists of four-vectors": ak.with_name(list_pairs, "Momentum4D"),
        "rows that may be missing": missing(ak.zip({"a": lists(floats), "b": ints}, depth_limit=1)),
        "rows that may be missing, of records": missing(ak.zip({"p": pairs, "b": ints}, depth_limit=1)),
        "rows all missing": ak.Array([None] * ROWS),
        "no rows": ak.zip({"a": lists(floats), "b": ints}, depth_limit=1)[:0],
        "no rows of lists of records": list_pairs[:0],
    }
    return out


def template(array: Any, output_format: str, path: Path) -> None:
    """What ServiceX does with the whole array in memory."""
    if output_format == "parquet":
        table = ak.to_arrow_table(array)
        with pq.ParquetWriter(path, table.schema) as writer:
            writer.write_table(table)
        return
    with path.open("wb+") as stream, uproot.recreate(stream) as file:
        if output_format == "root-file":
            file.mktree("servicex", {field: array[field] for field in array.fields})
        else:
            file.mkrntuple("servicex", array)
