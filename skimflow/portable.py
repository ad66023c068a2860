"""A pipeline made fit to travel: its file and what it names in one folder, every path relative."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from skimflow.code import sources
from skimflow.pipeline import load_pipeline

EVENTS = "events"
OUTSIDE = "inputs"  # for files that the pipeline names outside its own folder
REPORT = "report"
PLACES = {"store", "report", "folder"}  # keys that name where something is written


@dataclass
class Portable:
    """What was put together.

    Attributes:
        pipeline: name of its file in the folder.
        files: all others, relative to the folder.
        directories: that whoever runs it has to bring.
        notes: what is not in the folder or is otherwise than here, one sentence each.
    """

    name: str
    pipeline: str
    files: list[str] = field(default_factory=list)
    directories: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def make_portable(path: Path, folder: Path) -> Portable:
    """Copy a pipeline and the files that it names into a folder.

    Local files of events are not copied: the fileset says where below ``events/`` they belong.

    Raises:
        PipelineError, CodeNotFound: as when it would run.
    """
    pipeline = load_pipeline(path)
    base = path.resolve().parent
    made = Portable(pipeline.name, path.name)
    folder.mkdir(parents=True, exist_ok=True)
    document = _carried(yaml.safe_load(path.read_text(encoding="utf-8")), base, folder, made)
    for target in (pipeline.query, pipeline.processing.processor):
        for source in sorted(sources(target, base)):
            if source.is_relative_to(base):
                _copy(source, source.relative_to(base).as_posix(), folder, made)
    document.pop("store", None)
    document["report"] = REPORT
    if pipeline.cluster.kind not in {"local", "iterative"}:
        document["cluster"] = {"kind": "local"}
        made.notes.append(f"the cluster is 'local' there instead of {pipeline.cluster.kind!r}")
    samples = document["samples"]
    if pipeline.samples.simulate is not None and Path(str(samples.get("folder", EVENTS))).is_absolute():
        samples["folder"] = EVENTS
    if pipeline.samples.fileset is not None:
        _place_events(Path(samples["fileset"]), folder, made)
    text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True)
    (folder / path.name).write_text(f"# Run it: skimflow run {path.name}\n{text}", encoding="utf-8")
    return made


def _carried(value: Any, base: Path, folder: Path, made: Portable) -> Any:
    """The document with every file that it names copied, and named as it is called now."""
    if isinstance(value, dict):
        return {key: one if key in PLACES else _carried(one, base, folder, made) for key, one in value.items()}
    if isinstance(value, list):
        return [_carried(one, base, folder, made) for one in value]
    if not isinstance(value, str) or not value:
        return value
    name, colon, attribute = value.partition(":") if ".py:" in value else (value, "", "")
    source = (base / name).resolve()
    if not source.is_file():
        return value
    new = source.relative_to(base).as_posix() if source.is_relative_to(base) else f"{OUTSIDE}/{source.name}"
    _copy(source, new, folder, made)
    return new + colon + attribute


def _copy(source: Path, name: str, folder: Path, made: Portable) -> None:
    if name in made.files:
        return
    target = folder / name
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    made.files.append(name)


def _place_events(fileset: Path, folder: Path, made: Portable) -> None:
    """Name local files of a fileset (JSON as the AGC has it) below ``events/``, beside it."""
    document = json.loads((folder / fileset).read_text(encoding="utf-8"))
    local = [entry for entry in _files(document) if "://" not in entry[1]["path"]]
    taken: set[str] = set()
    for sample, file in local:
        name, count = f"{EVENTS}/{sample}/{Path(file['path']).name}", 1
        while name in taken:
            count += 1
            name = f"{EVENTS}/{sample}/{count}_{Path(file['path']).name}"
        taken.add(name)
        file["path"] = name
    if local:
        made.directories.append((fileset.parent / EVENTS).as_posix())
        made.notes.append(
            f"{len(local)} local files of events are not copied: put them where {fileset.as_posix()} names them"
        )
        (folder / fileset).write_text(json.dumps(document, indent=1), encoding="utf-8")


def _files(document: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Files of a fileset with the name of their sample."""
    for process, variations in document.items():
        for variation, sample in variations.items():
            for file in sample["files"]:
                yield f"{process}_{variation}", file
