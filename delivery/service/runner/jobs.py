"""What is handed to a worker and what comes back: plain frozen values, cheap to import and to pickle."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import TypeAdapter

from delivery.requests import Semantics
from delivery.service.settings import Inputs

Entries = tuple[int, int]
"""A range of entries: the first, and the first that is not of it any more."""

Blame = Literal["passing", "input", "memory", "ours", "lasting"]
"""Whose fault an error is, which says what may help: ``passing`` (the network, the storage of the input: time),
``input`` (this copy of the file is damaged or absent: another copy), ``memory`` (smaller ranges),
``ours`` (the store, the scratch disk, the workers: time, and it is not counted), ``lasting`` (nothing)."""


@dataclass(frozen=True, slots=True)
class Query:
    """What a request asks of each of its files; the fields are those of `delivery.requests.TransformRequest`."""

    text: str
    codegen: str
    semantics: Semantics
    format: str
    tree: str | None


@dataclass(frozen=True, slots=True)
class Job:
    """One thing to do.

    kind ``file``: the result of a file, or the ranges to cut it into; ``part``: the rows of ``entries``; ``merge``: the
    result from ``parts``, keys of the store in the order of their entries.

    ``token`` names it, ``topic`` is where its progress is told. ``memo`` is what was remembered of the input
    (`delivery.identity.Memo`), empty for nothing. Columns of more than ``range_bytes`` are cut; ``chunk_bytes`` as in
    `TransformRequest`. ``alone``: nothing else of ours runs on the worker meanwhile. ``scratch`` is the folder for
    unfinished files if the worker sees it. ``versions`` are the service's own.
    """

    token: str
    topic: str
    kind: Literal["file", "part", "merge"]
    query: Query
    path: str
    store: str
    versions: Mapping[str, str]
    inputs: Inputs
    read_seconds: float
    range_bytes: int
    chunk_bytes: int
    memo: str = ""
    entries: Entries = (0, 0)
    parts: tuple[str, ...] = ()
    alone: bool = False
    scratch: str | None = None


@dataclass(frozen=True, slots=True)
class Made:
    """A result, in the store under ``key``; the counts are those of `TransformResult`.

    ``memo`` is what to remember of a local input, empty for nothing. ``reused``: the store had it.
    """

    key: str
    digest: str
    bytes: int
    events_in: int
    events_out: int
    bytes_read: int
    seconds: float
    cutflow: tuple[tuple[str, int], ...]
    warnings: tuple[str, ...]
    sum_of_weights: float | None
    reused: bool
    memo: str = ""
    log: str = ""


@dataclass(frozen=True, slots=True)
class Split:
    """A file that is to be made in these ranges of entries."""

    ranges: tuple[Entries, ...]
    key: str
    memo: str = ""


@dataclass(frozen=True, slots=True)
class PartMade:
    """A range of a file, in the store under ``key``."""

    key: str


@dataclass(frozen=True, slots=True)
class Failed:
    """A task that gave an error: its class, the reason in one sentence, whose fault it is, and the log's last lines."""

    kind: str
    sentence: str
    blame: Blame
    log: str = ""


@dataclass(frozen=True, slots=True)
class Stopped:
    """A task that was told to stop and did."""


Outcome = Made | Split | PartMade | Failed | Stopped

_KINDS: dict[str, TypeAdapter[Any]] = {
    kind.__name__: TypeAdapter(kind) for kind in (Made, Split, PartMade, Failed, Stopped)
}


def to_message(outcome: Outcome) -> list[str]:
    """The outcome as plain text: no code comes back from a worker."""
    kind = type(outcome).__name__
    return [kind, _KINDS[kind].dump_json(outcome).decode()]


def from_message(message: Sequence[str]) -> Outcome:
    """The outcome of `to_message`."""
    kind, text = message
    outcome: Outcome = _KINDS[kind].validate_json(text)
    return outcome
