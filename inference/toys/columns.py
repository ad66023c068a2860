"""Fits of toys as Parquet bytes and back: one row per toy, one column per number."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from inference.likelihood.specification import Floats
from inference.toys.fits import ToyFits

MEDIA_TYPE = "application/vnd.apache.parquet"
_PLAIN = ("nll", "converged", "edm", "iterations")


def to_parquet(fits: Mapping[str, ToyFits]) -> bytes:
    """One row per toy; columns ``variant/nll`` and so on, parameters as ``variant/=label``, ``variant/±label``."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns: dict[str, Any] = {}
    for name, each in fits.items():
        columns |= {f"{name}/{what}": getattr(each, what) for what in _PLAIN}
        columns[f"{name}/reason"] = pa.array(each.reasons, pa.string())
        columns |= {f"{name}/={label}": each.of(label) for label in each.labels}
        if each.uncertainties is not None:
            columns |= {f"{name}/±{label}": each.uncertainty(label) for label in each.labels}
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer)
    return buffer.getvalue()


def from_parquet(content: bytes) -> dict[str, ToyFits]:
    """What `to_parquet` wrote."""
    import pyarrow.parquet as pq

    table = pq.read_table(io.BytesIO(content))
    columns: dict[str, dict[str, Any]] = {}
    for column in table.column_names:
        name, _, what = column.partition("/")
        columns.setdefault(name, {})[what] = table[column]
    found = {}
    for name, parts in columns.items():
        labels = tuple(what[1:] for what in parts if what.startswith("="))
        plain = {what: parts[what].to_numpy() for what in _PLAIN}
        uncertainties = _matrix(parts, [f"±{label}" for label in labels], len(table)) if _known(parts) else None
        values = _matrix(parts, [f"={label}" for label in labels], len(table))
        found[name] = ToyFits(
            labels, values, **plain, reasons=tuple(parts["reason"].to_pylist()), uncertainties=uncertainties
        )
    return found


def _known(parts: Mapping[str, Any]) -> bool:
    return any(what.startswith("±") for what in parts)


def _matrix(parts: Mapping[str, Any], columns: Sequence[str], rows: int) -> Floats:
    return np.asarray([parts[column].to_numpy() for column in columns]).reshape(len(columns), rows).T
