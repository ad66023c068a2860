"""Make the files of a demonstration data set, those that are missing only.

This module imports nothing slow, so that asking whether everything is there costs nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from skimflow.errors import SimulationError
from skimflow.pool import in_processes
from skimflow.progress import Quiet, Reporter
from skimflow.simulate.samples import SAMPLES, Sample

GENERATOR_VERSION = 1
"""Raise it when the same settings give other events."""

EVENTS_PER_FILE = 100_000
FILES_PER_SAMPLE = 2
SEED = 1
LARGEST_FILE = 10_000_000
RECORD = "simulation.json"

Compression: TypeAlias = Literal["zlib", "lzma", "zstd", "lz4"]
Record: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class SimulationResult:
    """What `simulate` has done.

    Attributes:
        fileset: the JSON file that lists all files in the AGC's layout.
        made: paths of the files made now, relative to the fileset.
        kept: paths of the files that were there.
        events: events written now.
        size: bytes of all files.
        seconds: wall time.
    """

    fileset: Path
    made: tuple[str, ...]
    kept: tuple[str, ...]
    events: int
    size: int
    seconds: float

    def to_json(self) -> Record:
        """Plain values."""
        return {
            "fileset": str(self.fileset),
            "made": list(self.made),
            "kept": list(self.kept),
            "events": self.events,
            "bytes": self.size,
            "seconds": round(self.seconds, 3),
        }


@dataclass(frozen=True, slots=True)
class _Job:
    """One file to be made."""

    sample: Sample
    index: int

    @property
    def path(self) -> str:
        return f"{self.sample.name}/{self.sample.name}_{self.index}.root"


def simulate(
    outdir: Path | str,
    *,
    events_per_file: int = EVENTS_PER_FILE,
    files_per_sample: int = FILES_PER_SAMPLE,
    seed: int = SEED,
    compression: Compression = "zlib",
    jobs: int | None = None,
    reporter: Reporter | None = None,
) -> SimulationResult:
    """Write NanoAOD-like files of the nine AGC samples and ``fileset.json``, which lists them.

    A file depends on the settings, its sample and its number alone: making more files per sample leaves the others as
    they are, and any number of ``jobs`` gives the same bytes. Files that are there with the same settings are kept.

    Args:
        outdir: folder, made if it is not there.
        events_per_file: events written to each file.
        files_per_sample: files of each of the nine samples.
        seed: seed of the random numbers, not negative.
        compression: ``zlib`` (level 1), ``lzma`` (level 9), ``zstd`` (level 3) or ``lz4`` (level 4).
        jobs: processes (default: one per core).
        reporter: shows the progress (default: nothing is shown).

    Raises:
        SimulationError: a setting makes no sense, or the folder cannot be written.
    """
    start = time.perf_counter()
    settings = _settings(events_per_file, seed, compression)
    _check(events_per_file, files_per_sample, seed, compression)
    root = Path(outdir)
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SimulationError(f"Cannot make the folder {root}: {error.strerror}.") from error
    known = _known(root, settings)
    planned = [_Job(sample, index) for index in range(files_per_sample) for sample in SAMPLES]
    missing = [job for job in planned if not _is_there(root, job.path, known)]
    made = in_processes(partial(_make_one, root, settings), missing, jobs or os.cpu_count() or 1)
    with (reporter or Quiet()).bar("simulate", len(missing) * events_per_file, "events") as bar:
        for done, (job, entry) in enumerate(made, start=1):
            known[job.path] = entry
            _write(root / RECORD, {"settings": settings, "files": known})
            bar.update(done * events_per_file, note=job.sample.name)
    fileset = root / "fileset.json"
    _write(fileset, _fileset(planned, known))
    names = [job.path for job in missing]
    return SimulationResult(
        fileset=fileset,
        made=tuple(names),
        kept=tuple(job.path for job in planned if job.path not in set(names)),
        events=len(missing) * events_per_file,
        size=sum(known[job.path]["bytes"] for job in planned),
        seconds=time.perf_counter() - start,
    )


def up_to_date(
    outdir: Path | str,
    *,
    events_per_file: int = EVENTS_PER_FILE,
    files_per_sample: int = FILES_PER_SAMPLE,
    seed: int = SEED,
    compression: Compression = "zlib",
) -> bool:
    """Whether `simulate` with these settings would find every file and the fileset there."""
    root = Path(outdir)
    known = _known(root, _settings(events_per_file, seed, compression))
    planned = [_Job(sample, index) for index in range(files_per_sample) for sample in SAMPLES]
    if not all(_is_there(root, job.path, known) for job in planned):
        return False
    try:
        return bool(json.loads((root / "fileset.json").read_text(encoding="utf-8")) == _fileset(planned, known))
    except (OSError, ValueError):
        return False


def _settings(events_per_file: int, seed: int, compression: str) -> Record:
    """What decides the bytes of a file, apart from its sample and its number."""
    tables = files("skimflow.simulate").joinpath("thinning.json").read_bytes()
    return {
        "generator": GENERATOR_VERSION,
        "thinning": hashlib.sha256(tables).hexdigest(),
        "events_per_file": events_per_file,
        "seed": seed,
        "compression": compression,
    }


def _check(events_per_file: int, files_per_sample: int, seed: int, compression: str) -> None:
    if not 1 <= events_per_file <= LARGEST_FILE:
        raise SimulationError(f"{events_per_file} events per file: give a number from 1 to {LARGEST_FILE}.")
    if files_per_sample < 1:
        raise SimulationError(f"{files_per_sample} files per sample: give at least 1.")
    if seed < 0:
        raise SimulationError(f"Seed {seed}: give 0 or a positive number.")
    if compression not in get_args(Compression):
        raise SimulationError(f"Compression {compression!r}: give one of {', '.join(get_args(Compression))}.")


def _known(root: Path, settings: Record) -> dict[str, Record]:
    """The files that were made with these settings; an unreadable record counts as none."""
    try:
        record = json.loads((root / RECORD).read_text(encoding="utf-8"))
        return dict(record["files"]) if record["settings"] == settings else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _is_there(root: Path, path: str, known: Mapping[str, Record]) -> bool:
    try:
        return path in known and (root / path).stat().st_size == known[path]["bytes"]
    except OSError:
        return False


def _fileset(planned: Sequence[_Job], known: Mapping[str, Record]) -> Record:
    """The AGC's layout: process → variation → ``nevts_total`` and files, with what else is known of them."""
    document: Record = {}
    for job in planned:
        one = document.setdefault(job.sample.process, {}).setdefault(
            job.sample.variation, {"nevts_total": 0, "files": []}
        )
        entry = known[job.path]
        one["nevts_total"] += entry["nevts"]
        one["filter_efficiency"] = entry["filter_efficiency"]
        one["files"].append({"path": job.path, "nevts": entry["nevts"], "entries": entry["entries"]})
    return document


def _write(path: Path, document: Record) -> None:
    """Write JSON all or nothing; a file that says the same is left alone."""
    text = json.dumps(document, indent=1) + "\n"
    try:
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            return
        part = path.with_suffix(f".{os.getpid()}.part")  # two runs may write at once
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except OSError as error:
        raise SimulationError(f"Cannot write {path}: {error.strerror}.") from error


def _make_one(root: Path, settings: Record, job: _Job) -> Record:
    """Make one file; runs in its own process."""
    from skimflow.simulate import thinning
    from skimflow.simulate.production import make_file

    path = root / job.path
    try:
        made = make_file(
            job.sample, job.index, settings["events_per_file"], settings["seed"], settings["compression"], path
        )
    except OSError as error:
        raise SimulationError(f"Cannot write {path}: {error.strerror}.") from error
    return {
        "entries": made.entries,
        "nevts": made.nevts,
        "bytes": made.size,
        "filter_efficiency": thinning.of(job.sample.name).filter_efficiency,
    }
