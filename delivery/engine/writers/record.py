"""The record of what was done, kept in each output.

It is one JSON object under the name `skimflow`: in Parquet an entry of the file's metadata, in ROOT a TObjString.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

Json: TypeAlias = "bool | int | float | str | list[Json] | tuple[Json, ...] | Mapping[str, Json] | None"

NAME = "skimflow"


def to_text(record: Mapping[str, Json]) -> str:
    """The record as JSON: equal records give equal texts. Numbers that JSON does not have (NaN, infinite) are null."""
    return json.dumps(_finite(record), sort_keys=True, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list | tuple) else value


def read_record(path: str | Path) -> dict[str, Any] | None:
    """The record in a file that skimflow wrote, None in any other Parquet or ROOT file.

    Raises what pyarrow or uproot raise for a file that they cannot read.
    """
    with Path(path).open("rb") as stream:
        text = _of_table(stream) if stream.read(4) == b"PAR1" else _of_root(stream)
    return None if text is None else json.loads(text)


def _of_table(stream: Any) -> str | None:
    import pyarrow.parquet as pq

    text: bytes | None = (pq.read_metadata(stream).metadata or {}).get(NAME.encode())
    return None if text is None else text.decode()


def _of_root(stream: Any) -> str | None:
    import uproot

    stream.seek(0)
    with uproot.open(stream) as file:
        return str(file[NAME]) if file.classnames(recursive=False, cycle=False).get(NAME) == "TObjString" else None
