"""Signals on disk: one file, a folder or a tar archive of patches, a PatchSet, histograms.

An archive may hold several background workspaces, each in a folder with its patches, as HEPData records do. Then the
patches that count are those beside the workspace that is asked about, which its digest tells.
"""

import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from inference.reinterpretation import patchset
from inference.reinterpretation.errors import InvalidSignal
from inference.reinterpretation.histograms import from_histograms, from_root, is_histograms
from inference.reinterpretation.signals import Signal, decoded, from_patch, name_of, named

Labels = tuple[str, ...]


def read_signals(source: Path | str, background: Mapping[str, Any], poi: str | None) -> tuple[list[Signal], Labels]:
    """All signals of a file, folder or archive, and the labels of their values, where these have names.

    Args:
        source: a JSON Patch, a PatchSet, signals that name their channels, histograms (UHI JSON or ROOT), or a folder
            or tar archive of JSON Patches.
        background: the workspace they are for.
        poi: its parameter of interest.

    Raises:
        InvalidSignal: what is wrong, and where.
    """
    path = Path(source)
    if not path.exists():
        raise InvalidSignal(f"there is no {path}")
    if path.suffix == ".root":
        return from_root(path, background, poi), ()
    if path.is_dir() or tarfile.is_tarfile(path):
        return _patches(path, background), ()
    document = decoded(path.read_bytes(), str(path))
    if isinstance(document, list):
        return [from_patch(name_of(path.name), document)], ()
    if isinstance(document, Mapping) and "patches" in document:
        return patchset.read(document, background)
    if isinstance(document, Mapping) and is_histograms(document):
        return from_histograms(path, background, poi), ()
    if isinstance(document, Mapping):
        return named(document, background, poi), ()
    raise InvalidSignal(f"{path} holds no signal: give a JSON Patch, a PatchSet, named signals or histograms")


def _patches(path: Path, background: Mapping[str, Any]) -> list[Signal]:
    """Patches of the folder that holds the background; of all folders where none holds a workspace."""
    lists: dict[str, list[tuple[str, bytes]]] = {}
    workspaces: dict[str, bool] = {}
    own = patchset.digests(background)
    for name, content in _members(path):
        folder = str(PurePosixPath(name).parent)
        if content.lstrip().startswith(b"["):
            lists.setdefault(folder, []).append((name, content))
            continue
        document = decoded(content, f"{name} in {path}")
        if isinstance(document, Mapping) and "channels" in document:
            workspaces[folder] = workspaces.get(folder, False) or patchset.digests(document) == own
    beside = [folder for folder, same in workspaces.items() if same]
    if workspaces and not beside:
        raise InvalidSignal(
            f"{path} holds the workspaces of {', '.join(sorted(workspaces))}, none of which is the one given"
        )
    found = [each for folder in beside or sorted(lists) for each in lists.get(folder, [])]
    if not found:
        raise InvalidSignal(f"{path} holds no JSON Patch for this workspace")
    signals = [from_patch(name_of(name), decoded(content, f"{name} in {path}")) for name, content in found]
    return sorted(signals, key=lambda signal: (signal.values, signal.name))


def _members(path: Path) -> Iterator[tuple[str, bytes]]:
    """JSON files by name, in order; nothing is unpacked to disk."""
    if path.is_dir():
        for file in sorted(path.rglob("*.json")):
            yield file.relative_to(path).as_posix(), file.read_bytes()
        return
    with tarfile.open(path) as archive:
        for member in archive:
            opened = archive.extractfile(member) if member.isfile() and member.name.endswith(".json") else None
            if opened is not None:
                yield member.name, opened.read()
