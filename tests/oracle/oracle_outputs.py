"""What our transform writes for a query, beside what the server's templates write of the peer's answer."""

import json
from pathlib import Path
from typing import Any

import oracle_answers
import oracle_inputs
import pyarrow as pa
import pyarrow.parquet as pq
import uproot
from oracle_goldens import Document, goldens
from oracle_queries import Query

from delivery.engine import TransformRequest, transform
from delivery.errors import DeliveryError

Answer = list[Any] | Document


def parquet_difference(query: Query, inputs: dict[str, Path], folder: Path) -> str:
    """What is wrong with our Parquet file, empty if nothing: storage schema and values."""
    theirs = _written(query, "parquet")
    ours, path = _transformed(query, inputs, folder / "out.parquet", "parquet")
    if isinstance(ours, dict):
        return "" if all(isinstance(answer, dict) for answer in theirs) else f"we fail: {ours['message']}"
    table = pq.read_table(path)
    schema = [oracle_answers.field_of(field, pa) for field in table.schema]
    if schema not in theirs:
        return f"schema {schema} instead of {theirs}"
    wanted = [oracle_answers.array_of(document) for document in _answers(query)]
    columns = {name: table.column(place).to_pylist() for place, name in enumerate(table.column_names)}
    values = (
        columns[""]
        if list(columns) == [""]
        else [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    )
    known = [shown(array.to_list()) for array in wanted if array is not None]
    return "" if not known or shown(values) in known else f"values {shown(values)[:300]} instead of {known[0][:300]}"


def root_difference(query: Query, inputs: dict[str, Path], folder: Path) -> str:
    """What is wrong with the branches of our ROOT file, empty if nothing."""
    theirs = _written(query, "root")[-1:]
    ours, path = _transformed(query, inputs, folder / "out.root", "root-file")
    if isinstance(ours, dict):
        return "" if isinstance(theirs[0], dict) else f"we fail: {ours['message']}"
    with uproot.open(path) as file:
        branches = [[branch.name, branch.typename] for branch in file["servicex"].branches]
    return "" if branches in theirs else f"branches {branches} instead of {theirs[0]}"


def shown(values: list[Any]) -> str:
    """Values as text, in which one NaN equals another; tuples are records of numbered fields."""
    return json.dumps([numbered(value) for value in values])


def numbered(value: Any) -> Any:
    if isinstance(value, tuple):
        return {str(place): numbered(part) for place, part in enumerate(value)}
    if isinstance(value, list):
        return [numbered(part) for part in value]
    return {name: numbered(part) for name, part in value.items()} if isinstance(value, dict) else value


def _answers(query: Query) -> list[Document]:
    return [answer for name in ("P24", "P26") if "error" not in (answer := goldens(name)[query.key])]


def _written(query: Query, form: str) -> list[Answer]:
    return [answer[form] for answer in _answers(query)]


def _transformed(query: Query, inputs: dict[str, Path], path: Path, form: Any) -> tuple[Document, Path]:
    """The failure, if it is one of ours, and the file."""
    tree = oracle_inputs.tree_of(query.file)
    try:
        transform(TransformRequest(query.text, str(inputs[query.file]), path, tree=tree, format=form))
    except DeliveryError as error:
        return {"error": type(error).__name__, "message": str(error)}, path
    return None, path
