"""The workspaces of a pipeline: the one that is built, those that results make of it, and their blinded twins.

In a blinded pipeline every result is of the twin, so that none can tell what is hidden.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from artifacts.keys import Request
from artifacts.store import Blob, Entry
from skimflow.code import code_digest
from skimflow.errors import PipelineError
from skimflow.stages.context import Context
from skimflow.stages.fit import RESULT, VERSION, WORKSPACE, Outputs, made
from skimflow.tools import load
from skimflow.units import Unit, versions
from skimflow.wanted import BUILT, Wanted, keywords, typed_settings, workspace_names

if TYPE_CHECKING:
    from inference.hidden import Hidden

CHUNK = 1 << 20


@dataclass(frozen=True)
class Settings:
    """Settings of a result: as its function takes them, files as paths; and as its key has them, files as digests."""

    values: Mapping[str, Any]
    key: Mapping[str, Any]


@dataclass
class Workspaces:
    """Entries with the workspaces of a pipeline, found in the store or made when they are asked for.

    Attributes:
        built: the entry with the one that is built.
        check: sees each unit before it is made; without it nothing is made, and what is missing is None.
    """

    context: Context
    built: Entry
    check: Callable[[Unit], None] | None = None
    _found: dict[str, Entry | None] = field(default_factory=dict)

    @property
    def fitted(self) -> str:
        """Name of the workspace that results are of if they say nothing else."""
        return self.context.pipeline.inference.fitted

    @property
    def blind(self) -> dict[str, float] | None:
        """What the pipeline hides; None in the open."""
        return self.context.pipeline.inference.blinded

    def makers(self) -> list[Wanted]:
        """The results that make workspaces."""
        return [one for one in self.context.pipeline.inference.wanted if one.makes_workspace]

    def complete(self) -> bool:
        """Make all workspaces that results may be of, or say whether the store has them."""
        return all(self.true(one.name) is not None for one in self.makers()) and self.shown(self.fitted) is not None

    def name(self, one: Wanted) -> str:
        """Name of the workspace that a result is of: makers start from the built one."""
        return one.of or (BUILT if one.makes_workspace else self.fitted)

    def of(self, one: Wanted) -> Entry | None:
        """The entry with the workspace that a result is of, as it may be seen by the result."""
        unseen = one.makes_workspace or (one.tool is not None and one.tool.hides_by_itself)
        return self.true(self.name(one)) if unseen else self.shown(self.name(one))

    def true(self, name: str) -> Entry | None:
        """A workspace with its data."""
        if name == BUILT:
            return self.built
        if name not in self._found:
            self._found[name] = self._make(next(one for one in self.makers() if one.name == name))
        return self._found[name]

    def shown(self, name: str) -> Entry | None:
        """A workspace as results see it: in a blinded pipeline without the data of hidden bins."""
        entry = self.true(name)
        if self.blind is None or entry is None:
            return entry
        blob = entry.blobs[WORKSPACE]
        return self._hide(f"{name}, blinded", blob.digest, lambda: self.document(entry), strict=True)

    def hidden(self, name: str) -> Hidden | None:
        """What is hidden of a workspace that was made; None in the open."""
        entry = self.shown(name)
        if self.blind is None or entry is None:
            return None
        from inference.documents import from_document
        from inference.hidden import Hidden

        return from_document(Hidden, json.loads(self.context.store.read(entry.blobs[RESULT])))

    def notes(self) -> tuple[str, ...]:
        """What a reader of the results must know of their workspace."""
        hidden = self.hidden(self.fitted)
        if self.fitted == BUILT:
            return () if hidden is None else (hidden.sentence,)
        [maker] = [one for one in self.makers() if one.name == self.fitted]
        fitted = f"fitted is the workspace {self.fitted!r}: {maker.kind} of {self.name(maker)!r}"
        return (fitted,) if hidden is None else (fitted, hidden.sentence)

    def document(self, entry: Entry) -> dict[str, Any]:
        """A workspace, decoded."""
        return dict(json.loads(self.context.store.read(entry.blobs[WORKSPACE])))

    def result(self, one: Wanted) -> dict[str, Any]:
        """What a maker says besides its workspace, as plain values."""
        entry = self.true(one.name)
        assert entry is not None  # noqa: S101
        return dict(json.loads(self.context.store.read(entry.blobs[RESULT])))

    def settings(self, one: Wanted) -> Settings | None:
        """Settings of a result with its files resolved; None while a workspace that they name is not made yet."""
        values, key = dict(one.settings), dict(one.settings)
        if one.tool is not None and one.tool.hides_by_itself and self.blind is not None:
            hidden = self.hidden(self.name(one))
            if hidden is None:
                return None
            # What the pipeline hides is hidden, whatever else the result is asked to hide.
            values["pois"] = list(dict.fromkeys([*(label for label, _ in hidden.at), *values.get("pois", ())]))
            key = dict(values)
        for name in one.tool.files if one.tool else ():
            given = one.settings.get(name)
            if given is None:
                continue
            several = given if isinstance(given, dict) else {"": given}
            found = {each: self._file(str(path), one) for each, path in several.items()}
            entries = {each: pair for each, pair in found.items() if pair is not None}
            if len(entries) < len(found):
                return None
            paths = {each: path for each, (path, _) in entries.items()}
            digests = {each: digest for each, (_, digest) in entries.items()}
            values[name], key[name] = (paths, digests) if isinstance(given, dict) else (paths[""], digests[""])
        if "other" in values:  # a comparison's second model: its name is in the result
            values.setdefault("called", _stem(one.settings["other"]))
            key["called"] = values["called"]
        return Settings(values, key)

    def _file(self, given: str, one: Wanted) -> tuple[Path, str] | None:
        """Path and digest of a file, or of a workspace of this pipeline; a workspace to fit only as it may be seen."""
        store, comparing = self.context.store, one.kind == "comparison"
        if given in workspace_names(self.context.pipeline.inference.wanted):
            entry = self.shown(given) if comparing else self.true(given)
        else:
            path = self.context.path(Path(given))
            digest = digest_of(path)
            if self.blind is None or not comparing:
                return path, digest
            entry = self._hide(f"{path.name}, blinded", digest, lambda: _workspace(path), strict=False)
        if entry is None:
            return None
        blob: Blob = entry.blobs[WORKSPACE]
        return store.local_path(blob), blob.digest

    def _make(self, one: Wanted) -> Entry | None:
        source, settings = self.true(self.name(one)), self.settings(one)
        if source is None or settings is None:
            return None
        tool = one.tool
        assert tool is not None  # noqa: S101
        parts = {
            "result": one.kind,
            "workspace": source.blobs[WORKSPACE].digest,
            "settings": {**settings.key, "this": self.name(one)},
            "code": code_digest(tool.function.partition(":")[0]),
            "versions": versions("build"),
        }

        def make() -> Outputs:
            function = load(tool.function)
            given = {"this": self.name(one)} if "this" in keywords(tool) else {}
            typed = typed_settings(function, one.kind, settings.values)
            return _outputs(function(self.document(source), **given, **typed))

        return self._made(one.name, parts, make)

    def _hide(self, name: str, digest: str, read: Callable[[], dict[str, Any]], *, strict: bool) -> Entry | None:
        """The blinded twin of a workspace; one of elsewhere (not `strict`) need not have all that is hidden."""
        fixed = dict(self.context.pipeline.inference.fixed)
        parts = {
            "blind": self.blind,
            "workspace": digest,
            "settings": {f"fixed {label}": value for label, value in fixed.items()},
            "code": code_digest("inference.hidden"),
            "versions": versions("fit"),
        }

        def make() -> Outputs:
            from inference.hidden import hide
            from inference.likelihood.specification import specification

            workspace, at = read(), dict(self.blind or {})
            labels = set(specification(workspace).labels)
            if not strict:
                at = {label: value for label, value in at.items() if label in labels}
            known = {label: value for label, value in fixed.items() if strict or label in labels}
            return _outputs(hide(workspace, at=at, fixed=known))

        if name not in self._found:
            self._found[name] = self._made(name, parts, make)
        return self._found[name]

    def _made(self, name: str, parts: dict[str, Any], make: Callable[[], Outputs]) -> Entry | None:
        unit = self.context.look_up("build", f"workspace {name}", Request("build", VERSION, parts))
        if self.check is None:
            return unit.entry
        self.check(unit)
        return made(self.context, unit, lambda _: make())


def check_files(base: Path, results: tuple[Wanted, ...]) -> None:
    """Raise `PipelineError` where a result names a file that is not there, before anything runs."""
    names = workspace_names(results)
    for one in results:
        for setting in one.tool.files if one.tool else ():
            given = one.settings.get(setting)
            paths = [] if given is None else list(given.values()) if isinstance(given, dict) else [given]
            for path in map(str, paths):
                if path not in names and not (base / path).exists():
                    raise PipelineError(
                        f"inference.results: {one.name}: {setting}: there is no file {base / path}, and no workspace "
                        f"of that name (workspaces: {', '.join(names)})"
                    )


def digest_of(path: Path) -> str:
    """SHA-256 of a file, or of names and contents of a folder's files."""
    sha = hashlib.sha256()
    if path.is_dir():
        for file in sorted(each for each in path.rglob("*") if each.is_file()):
            sha.update(f"{file.relative_to(path).as_posix()} {digest_of(file)}\n".encode())
        return sha.hexdigest()
    with path.open("rb") as opened:
        while block := opened.read(CHUNK):
            sha.update(block)
    return sha.hexdigest()


def _outputs(result: Any) -> Outputs:
    """The workspace of a result by itself, and the rest."""
    from inference.documents import to_document
    from inference.workspace import workspace_bytes

    document = {**to_document(result), "workspace": {}}
    return {WORKSPACE: workspace_bytes(result.workspace), RESULT: json.dumps(document, sort_keys=True).encode()}


def _workspace(path: Path) -> dict[str, Any]:
    from inference.workspace import load_workspace

    return load_workspace(path)


def _stem(other: Any) -> str:
    return Path(str(other)).stem
