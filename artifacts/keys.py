"""Canonical JSON and the keys made of it: equal documents have equal keys, others have not."""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from artifacts.errors import InvalidRequest

JSON: TypeAlias = bool | int | float | str | Sequence["JSON"] | Mapping[str, "JSON"] | None

KEY_FORMAT = 1
"""Version of the way keys are made; raising it makes every older entry a miss."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked of a stage: everything that decides the bytes of the answer, and nothing else.

    `stage` is its name and `version` the number that its author raises when its answers change.
    `parts` is any JSON value with string keys. 1 and 1.0 are different parts, as are 0.0 and -0.0;
    a tuple is a list. The parts are written down at once: changing them later changes no key.

    Raises `InvalidRequest` for what JSON cannot say exactly: NaN, infinities, objects, keys of another type.
    """

    stage: str
    version: int
    parts: Mapping[str, JSON] = field(compare=False)
    document: str = field(init=False, repr=False)
    key: str = field(init=False, compare=False)

    def __post_init__(self) -> None:
        document = canonical_json(
            {"format": KEY_FORMAT, "stage": self.stage, "version": self.version, "parts": self.parts}
        )
        object.__setattr__(self, "document", document)
        object.__setattr__(self, "key", hashlib.sha256(document.encode()).hexdigest())


def canonical_json(value: JSON) -> str:
    """The one spelling of a JSON value: sorted keys, no blanks, shortest exact floats, UTF-8 kept as it is.

    Raises `InvalidRequest` with the place of the first value that JSON cannot say exactly.
    """
    try:
        text = json.dumps(
            _plain(value, "$"), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
        )
        text.encode()
    except RecursionError:
        raise InvalidRequest("the request is nested too deep or contains itself; give plain values") from None
    except UnicodeEncodeError as error:
        raise InvalidRequest(f"a text of the request is not valid Unicode ({error.reason})") from None
    except ValueError as error:  # an integer of more digits than Python writes
        raise InvalidRequest(f"the request cannot be written as JSON: {error}") from None
    return text


def _plain(value: JSON, where: str) -> JSON:
    """The value made of dict, list and exact scalars, so that no subclass chooses its own spelling."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return _finite(float(value), where)
    if isinstance(value, Mapping):
        return {_name(name, where): _plain(item, f"{where}.{name}") for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, f"{where}[{index}]") for index, item in enumerate(value)]
    raise InvalidRequest(
        f"{where} is a {type(value).__name__}; a request holds None, bool, int, float, str, list and dict"
    )


def _finite(value: float, where: str) -> float:
    if not math.isfinite(value):
        raise InvalidRequest(f"{where} is {value}; JSON has only finite numbers")
    return value


def _name(name: object, where: str) -> str:
    if not isinstance(name, str):
        raise InvalidRequest(f"{where} has the key {name!r}; keys of a JSON object are strings")
    return str.__str__(name)
