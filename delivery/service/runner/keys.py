"""The key of a result: everything that decides its bytes, and neither place nor time."""

import hashlib
import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from artifacts.keys import JSON, Request, canonical_json
from artifacts.store import Entry
from delivery.identity import FileIdentity
from delivery.service.runner.jobs import Entries, Made, Query
from queries.canonical import digest
from queries.errors import QueryError

STAGE, PART_STAGE = "transform", "transform-part"
VERSION = 1
"""Raised when results change although neither query nor input nor library did."""

OUTPUT = "output"
"""The name of the one blob of an entry."""


def meaning(query: Query, versions: Mapping[str, str]) -> dict[str, JSON]:
    """The parts of a key that all files of a request share."""
    return {
        "query": _digest(query),
        "codegen": query.codegen,
        "semantics": query.semantics,
        "format": query.format,
        "tree": query.tree,
        "versions": dict(versions),
    }


@lru_cache(maxsize=64)
def _digest(query: Query) -> str:
    """Equal for queries that mean the same; a text that is none stands for itself, its run says what is wrong."""
    text = query.text
    try:
        if query.codegen == "uproot":
            return digest(text)
        if query.codegen == "uproot-raw":
            text = canonical_json(json.loads(text))
    except (QueryError, ValueError, RecursionError):
        pass
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def result_request(shared: Mapping[str, JSON], identity: FileIdentity) -> Request:
    """The store's request for the result of a file."""
    return Request(STAGE, VERSION, {**shared, "input": {"digest": identity.digest, "size": identity.size}})


def part_request(result: Request, entries: Entries) -> Request:
    """The store's request for the rows of a range of entries of a file."""
    return Request(PART_STAGE, VERSION, {"result": result.key, "entries": list(entries)})


def made(entry: Entry, *, reused: bool, memo: str = "", log: str = "") -> Made:
    """What a kept result is."""
    blob, meta = entry.blobs[OUTPUT], entry.meta
    return Made(
        key=entry.key,
        digest=blob.digest,
        bytes=blob.size,
        events_in=meta["events_in"],
        events_out=meta["events_out"],
        bytes_read=meta["bytes_read"],
        seconds=meta["seconds"],
        cutflow=tuple((text, passed) for text, passed in meta["cutflow"]),
        warnings=tuple(meta["warnings"]),
        sum_of_weights=meta["sum_of_weights"],
        reused=reused,
        memo=memo,
        log=log,
    )


def facts(result: Any) -> dict[str, JSON]:
    """What is kept beside a result's bytes, from a `delivery.requests.TransformResult`."""
    return {
        "events_in": result.events_in,
        "events_out": result.events_out,
        "bytes_read": result.bytes_read,
        "seconds": result.seconds,
        "cutflow": [[row.text, row.passed] for row in result.cutflow],
        "warnings": list(result.warnings),
        "sum_of_weights": result.sum_of_weights,
    }
