"""Results as JSON and back: every result is a frozen dataclass of plain values, and this is the one way to write it."""

import dataclasses
import json
from typing import Any, TypeVar

from inference.errors import InferenceError

R = TypeVar("R")


def to_json(result: Any) -> str:
    """JSON text of a frozen dataclass, the same bytes for the same result; its name and format stand first.

    What is not finite has no place in JSON: results say None where there is no number.
    """
    return json.dumps(to_document(result), indent=1, allow_nan=False) + "\n"


def to_document(result: Any) -> dict[str, Any]:
    """As `to_json`, decoded."""
    return {"kind": type(result).__name__, **dataclasses.asdict(result)}


def from_json(kind: type[R], text: str | bytes) -> R:
    """Read what `to_json` wrote of this kind, lists becoming tuples again.

    Raises:
        InferenceError: it is no such document; the message says where.
    """
    try:
        document = json.loads(text)
    except ValueError as error:
        raise InferenceError(f"no {kind.__name__}: {error}") from error
    return from_document(kind, document)


def from_document(kind: type[R], document: Any) -> R:
    """As `from_json`, of a decoded document."""
    from pydantic import TypeAdapter, ValidationError

    if not isinstance(document, dict) or document.get("kind") != kind.__name__:
        found = document.get("kind") if isinstance(document, dict) else type(document).__name__
        raise InferenceError(f"no {kind.__name__}: the document is {found!r}; make it again with this version")
    try:
        return TypeAdapter(kind).validate_python({name: value for name, value in document.items() if name != "kind"})
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(step) for step in first["loc"])
        raise InferenceError(f"no {kind.__name__}: {place}: {first['msg']}") from error
