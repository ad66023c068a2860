"""The peer's recorded answers: one compressed file of JSON lines per environment, keyed by query."""

import gzip
import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "goldens"
ENVIRONMENTS = ("P24", "P26")

Document = dict[str, Any]


@cache
def goldens(environment: str) -> dict[str, Document]:
    """Answers of one environment by the key of their query."""
    with gzip.open(FOLDER / f"{environment}.jsonl.gz", "rt") as lines:
        return {document.pop("id"): document for document in map(json.loads, lines)}


def save(environment: str, documents: Iterable[Document]) -> Path:
    """Write the answers of an environment; equal answers make equal bytes."""
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / f"{environment}.jsonl.gz"
    lines = [json.dumps(document, sort_keys=True) for document in sorted(documents, key=lambda each: each["id"])]
    path.write_bytes(gzip.compress("\n".join([*lines, ""]).encode(), mtime=0))
    return path
