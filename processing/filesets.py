"""Filesets: which files stand for which process and variation, and with what cross-section.

Cross-sections and luminosity are those of the AGC's processor (task version 2), whose code and not its
documentation is the reference.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from processing.errors import FilesetError

LUMINOSITY_PB = 3378.0
"""Integrated luminosity of the CMS 2015 Open Data used by the AGC, in 1/pb."""

CROSS_SECTIONS_PB = {
    "ttbar": 396.87 + 332.97,  # not all-hadronic + all-hadronic, the same for every generator variation
    "single_top_s_chan": 2.0268 + 1.2676,
    "single_top_t_chan": (36.993 + 22.175) / 0.252,  # from the lepton-filtered to the inclusive one
    "single_top_tW": 37.936 + 37.906,
    "wjets": 61457 * 0.252,  # W to e nu and mu nu
}
"""Process → cross-section in pb."""

SKIPPED_PROCESSES = frozenset({"data"})
"""Collision data, which every implementation of the AGC leaves out."""

_URL = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*://")


def is_url(path: str) -> bool:
    """Whether a file is reached by URL and not by a local path."""
    return _URL.match(path) is not None


@dataclass(frozen=True, slots=True)
class InputFile:
    """One ROOT file.

    Attributes:
        path: local path, URL, or ``blob:<SHA-256>:<size in bytes>`` for a file in the store of results, which each
            worker fetches from there; such a file needs its ``entries``.
        nevts: generated events that the file stands for, before any skim or filter; None: its entries.
        tree: name of the tree of events.
        entries: events in the tree; None: not known yet, read from the file when chunks are planned.
        digest: identity of the file's content (hex); None: SHA-256 of the local file.
    """

    path: str
    nevts: int | None
    tree: str = "Events"
    entries: int | None = None
    digest: str | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """The files of one process in one variation, and the cross-section in pb they are normalised to."""

    process: str
    variation: str
    files: tuple[InputFile, ...]
    cross_section: float

    def __post_init__(self) -> None:
        paths = [file.path for file in self.files]
        if len(set(paths)) < len(paths):
            twice = sorted({path for path in paths if paths.count(path) > 1})
            raise FilesetError(f"{self.name} lists files more than once: {', '.join(twice)}")

    @property
    def name(self) -> str:
        """The AGC's name of the sample, ``process__variation``."""
        return f"{self.process}__{self.variation}"


@dataclass(frozen=True, slots=True)
class Fileset:
    """Samples in a fixed order, each name once."""

    samples: tuple[Sample, ...]

    def __post_init__(self) -> None:
        names = [sample.name for sample in self.samples]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise FilesetError(f"samples named more than once: {', '.join(twice)}; merge their files")

    def __getitem__(self, name: str) -> Sample:
        for sample in self.samples:
            if sample.name == name:
                return sample
        known = ", ".join(sample.name for sample in self.samples)
        raise FilesetError(f"no sample {name!r} in the fileset; it has {known}")


def load_fileset(path: str | Path, files_per_sample: int | None = None, base: Path | None = None) -> Fileset:
    """Read a fileset in the AGC's JSON layout.

    Args:
        path: file with ``{process: {variation: {"nevts_total": N, "files": [{"path", "nevts"}, …]}}}``;
            a variation may give ``cross_section`` (pb) for a process that the AGC does not have, a file may
            give ``tree``, ``entries`` and ``digest``.
        files_per_sample: keep the first N files of each sample, as the AGC does; None keeps all.
        base: folder that relative paths start from; None: the folder of the JSON file.

    Raises:
        FilesetError: the file cannot be read, or an entry is missing or of the wrong kind.
    """
    path = Path(path)
    if files_per_sample is not None and files_per_sample < 1:
        raise FilesetError(f"files per sample must be at least 1, got {files_per_sample}")
    try:
        document = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise FilesetError(f"cannot read the fileset {path}: {error}") from error
    layout = _mapping(document, f"{path}")
    folder = base if base is not None else path.parent
    return Fileset(
        tuple(
            _sample((process, variation), content, f"{path}: {process}/{variation}", files_per_sample, folder)
            for process, variations in layout.items()
            if process not in SKIPPED_PROCESSES
            for variation, content in _mapping(variations, f"{path}: {process}").items()
        )
    )


def _sample(name: tuple[str, str], content: Any, where: str, limit: int | None, folder: Path) -> Sample:
    process, variation = name
    fields = _mapping(content, where)
    cross_section = fields.get("cross_section", CROSS_SECTIONS_PB.get(process))
    if not isinstance(cross_section, int | float):
        known = ", ".join(CROSS_SECTIONS_PB)
        raise FilesetError(f"{where}: no cross-section: give 'cross_section' in pb or use one of {known}")
    files = fields.get("files")
    if not isinstance(files, list) or not files:
        raise FilesetError(f"{where}: 'files' must be a list with at least one file")
    listed = [_input_file(entry, f"{where}/files[{i}]", folder) for i, entry in enumerate(files)]
    listed = _counted(listed, _count(fields, "nevts_total", where), where)
    return Sample(process, variation, tuple(listed[:limit]), float(cross_section))


def _counted(files: list[InputFile], total: int | None, where: str) -> list[InputFile]:
    """The files with their generated events: each one's own, which go with any choice of files, as in the AGC.

    The total alone tells them for a single file. Without any number, unskimmed files stand for their entries.
    """
    if total is None or all(file.nevts is not None for file in files):
        return files
    if len(files) == 1:
        return [replace(files[0], nevts=total)]
    raise FilesetError(f"{where}: 'nevts_total' is {total:,}, but not every file has 'nevts': give it for each")


def _input_file(entry: Any, where: str, folder: Path) -> InputFile:
    fields = _mapping(entry, where)
    path = fields.get("path")
    if not isinstance(path, str) or not path:
        raise FilesetError(f"{where}: 'path' must be a path or URL, got {path!r}")
    tree, digest = fields.get("tree", "Events"), fields.get("digest")
    if not isinstance(tree, str) or not isinstance(digest, str | None):
        raise FilesetError(f"{where}: 'tree' and 'digest' must be text")
    return InputFile(
        path=path if is_url(path) else str(folder / path),
        nevts=_count(fields, "nevts", where),
        tree=tree,
        entries=_count(fields, "entries", where),
        digest=digest,
    )


def _count(fields: dict[str, Any], key: str, where: str) -> int | None:
    value = fields.get(key)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
        raise FilesetError(f"{where}: {key!r} must be a number of events, got {value!r}")
    return value


def _mapping(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise FilesetError(f"{where}: expected an object with names, found {type(value).__name__}")
    return value
