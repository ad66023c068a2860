"""Units of work: what one key stands for, whether the store has it, and in words why not."""

from __future__ import annotations

import importlib.metadata
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from artifacts.keys import Request
from artifacts.store import Entry, Store
from delivery.versions import BYTES_DECIDED_BY
from processing.chunk_store import LIBRARIES as CHUNK_LIBRARIES

LIBRARIES: Mapping[str, tuple[str, ...]] = {
    "deliver": BYTES_DECIDED_BY,
    "process": CHUNK_LIBRARIES,
    "build": ("numpy", "boost-histogram", "hist", "cabinetry", "pyhf"),
    "fit": ("numpy", "scipy", "jax", "jaxlib", "pyhf", "cabinetry"),
    "figures": ("numpy", "matplotlib", "mplhep", "pyhf", "boost-histogram"),
}
"""Libraries that decide the numbers of a stage; their versions are part of its keys."""

REASONS: Mapping[str, str] = {
    "code": "code changed",
    "query": "query changed",
    "input": "input file changed",
    "endpoint": "endpoint changed",
    "samples": "input files or their normalisation changed",
    "histograms": "histograms changed",
    "model": "model file changed",
    "extensions": "extensions changed",
    "workspace": "workspace changed",
    "fit": "fit result changed",
    "result": "result changed",
    "blind": "what is hidden changed",
}


@dataclass(frozen=True)
class Unit:
    """One unit of a stage: its request, the entry that the store has for it, else the reason of the miss."""

    stage: str
    name: str
    request: Request
    entry: Entry | None
    reason: str = ""

    @property
    def hit(self) -> bool:
        """Whether the store has the result."""
        return self.entry is not None


@dataclass
class StageSummary:
    """What happened to a stage in one run."""

    stage: str
    hits: int = 0
    ran: int = 0
    failed: int = 0
    seconds: float = 0.0
    reasons: dict[str, int] = field(default_factory=dict)
    note: str = ""

    def count(self, units: Iterable[Unit]) -> StageSummary:
        """Add up hits and the reasons of the misses."""
        for unit in units:
            if unit.hit:
                self.hits += 1
            else:
                self.ran += 1
                self.reasons[unit.reason] = self.reasons.get(unit.reason, 0) + 1
        return self

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "stage": self.stage, "hits": self.hits, "ran": self.ran, "failed": self.failed,
            "seconds": round(self.seconds, 3), "reasons": self.reasons, "note": self.note,
        }  # fmt: skip


def versions(stage: str) -> dict[str, str]:
    """Versions of the libraries that decide the numbers of `stage`, without importing them."""
    return {name: importlib.metadata.version(name) for name in LIBRARIES[stage]}


class Record:
    """The requests of the last run of a pipeline: what a miss is compared with."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._units: dict[str, Any] = {}
        try:
            self._units = dict(json.loads(self._path.read_text(encoding="utf-8"))["units"])
        except (OSError, ValueError, KeyError, TypeError):
            self._units = {}

    def look_up(self, store: Store, stage: str, name: str, request: Request, *, force: bool = False) -> Unit:
        """The unit for `request`: a hit, or a miss with its reason."""
        if force:
            return Unit(stage, name, request, None, "forced")
        entry = store.get(request)
        return Unit(stage, name, request, entry, "" if entry else self._reason(stage, name, request))

    def save(self, document: Mapping[str, Any]) -> None:
        """Write down what this run found and made, also when it ends early; units it did not come to stay."""
        units = {**self._units, **document}
        if units == self._units:
            return
        part = self._path.with_suffix(f".{os.getpid()}.part")
        with suppress(OSError):  # a folder that cannot be written costs the reasons of the next run, nothing else
            self._path.parent.mkdir(parents=True, exist_ok=True)
            part.write_text(json.dumps({"units": units}), encoding="utf-8")
            part.replace(self._path)

    def _reason(self, stage: str, name: str, request: Request) -> str:
        before = self._units.get(f"{stage}/{name}")
        if before is None:
            return "new" if any(key.startswith(f"{stage}/") for key in self._units) else "never computed"
        if before["key"] == request.key:
            return "its result is gone from the store, or damaged"
        return explain(before["parts"], json.loads(request.document)["parts"])


def explain(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Which parts of a request changed, in words."""
    said = []
    for part in sorted({*before, *now}):
        old, new = before.get(part), now.get(part)
        if old == new:
            continue
        if part in {"versions", "settings"} and isinstance(old, dict) and isinstance(new, dict):
            changed = (name for name in sorted({*old, *new}) if old.get(name) != new.get(name))
            said += [f"{name} {old.get(name)} → {new.get(name)}" for name in changed]
        else:
            said.append(REASONS.get(part, f"{part} changed"))
    return "; ".join(said) or "the form of the key changed"


def record_document(units: Sequence[Unit], entries: Mapping[str, Entry]) -> dict[str, Any]:
    """What `Record` reads next time: of every unit its key, its request and the digests of its outputs."""
    return {
        f"{unit.stage}/{unit.name}": {
            "key": unit.request.key,
            "parts": json.loads(unit.request.document)["parts"],
            "blobs": {name: blob.digest for name, blob in entries[unit.request.key].blobs.items()},
        }
        for unit in units
        if unit.request.key in entries
    }
