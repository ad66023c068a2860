"""What every stage of one run shares."""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from artifacts.errors import UnknownKey
from artifacts.keys import Request
from artifacts.maintenance import remove
from artifacts.store import Entry, Store
from skimflow.pipeline import Pipeline
from skimflow.progress import Reporter
from skimflow.units import Record, StageSummary, Unit

if TYPE_CHECKING:
    from delivery.identity import FileMemo
    from inference.model import Model
    from queries.named import NamedQuery

SCRATCH = "scratch"


@dataclass
class Context:
    """A pipeline being planned or run: where things are, what was found, what happened.

    Attributes:
        query, model, extensions: what the pipeline names, read once, so that all stages see the same.
        base: folder that relative paths of the pipeline start from.
        state: folder for what is kept beside the pipeline file.
        record: requests of the last run, to say why a unit is a miss.
        forced: stages that run although the store has their results.
        spare_files: files that may still fail after delivery, of those that the pipeline allows.
        units: every unit looked up so far, in order.
        entries: entries by key, found or made in this run.
        names: of the files that go into processing, by the path they have there.
        summaries: what happened, by stage.
    """

    pipeline: Pipeline
    query: NamedQuery
    model: Model
    extensions: Mapping[str, Any]
    base: Path
    state: Path
    store: Store
    reporter: Reporter
    record: Record
    memo: FileMemo
    forced: frozenset[str] = frozenset()
    spare_files: int = 0
    units: list[Unit] = field(default_factory=list)
    entries: dict[str, Entry] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    summaries: dict[str, StageSummary] = field(default_factory=dict)

    def look_up(self, stage: str, name: str, request: Request) -> Unit:
        """Look one unit up in the store and remember it."""
        unit = self.record.look_up(self.store, stage, name, request, force=stage in self.forced)
        self.units.append(unit)
        if unit.entry is not None:
            self.entries[request.key] = unit.entry
        return unit

    def keep(self, unit: Unit, outputs: dict[str, bytes | Path], meta: dict[str, Any], media: dict[str, str]) -> Entry:
        """Put a unit's outputs into the store."""
        if unit.stage in self.forced:
            with suppress(UnknownKey):
                remove(self.store, unit.request.key)
        entry = self.store.put(unit.request, outputs, {"unit": unit.name, **meta}, media)
        self.entries[unit.request.key] = entry
        return entry

    def path(self, path: Path) -> Path:
        """A path of the pipeline file, made absolute."""
        return (self.base / path).resolve()

    def summary(self, stage: str) -> StageSummary:
        """The summary of one stage."""
        return self.summaries.setdefault(stage, StageSummary(stage))

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A folder for files on their way into the store, beside the default store so that they can be moved in.

        What killed runs of this machine left behind is removed.
        """
        self.state.mkdir(parents=True, exist_ok=True)
        mine = f"{SCRATCH}-{platform.node()}-"
        for left in self.state.glob(f"{mine}*"):
            if not _is_alive(left.name.removeprefix(mine).partition("-")[0]):
                shutil.rmtree(left, ignore_errors=True)
        prefix = f"{mine}{os.getpid()}-"
        with tempfile.TemporaryDirectory(prefix=prefix, dir=self.state, ignore_cleanup_errors=True) as folder:
            yield Path(folder)


def _is_alive(pid: str) -> bool:
    """Whether a process of this machine has that number; a name of another form is left alone."""
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except (ValueError, PermissionError):
        return True
    return True
