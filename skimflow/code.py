"""Digest of the analysis code that decides a result, without importing it.

Importing a processor means importing coffea, which a run with nothing to do must not pay for. So the source files are
found through the import system, parsed, and their syntax trees hashed: comments, blank lines and docstrings do not
count, every other change does. Imports are followed inside the project's own stage packages and among a user's files;
of a library that a user's file imports the version counts; data files that the code names count with all their bytes.
"""

from __future__ import annotations

import ast
import difflib
import hashlib
import importlib
import importlib.metadata
import importlib.util
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

from skimflow.errors import CodeNotFound

ROOMS = ("queries", "delivery", "processing", "inference")
ROOT = Path(__file__).resolve().parent.parent
INSTALLED = frozenset(Path(sysconfig.get_path(kind)).resolve() for kind in ("purelib", "platlib", "stdlib"))
"""Folders of installed libraries; ROOT is one of them where skimflow itself is installed."""


def code_digest(*targets: str, base: Path | None = None) -> str:
    """SHA-256 (hex) of the meaning of the code behind `targets` and of everything of ours it imports.

    Args:
        targets: `package.module`, `package.module:name` or `path/to/file.py:name`.
        base: folder that relative file names start from (default: the current one).

    Raises:
        CodeNotFound: no such module or file.
    """
    files = {file for target in targets for file in sources(target, base)}
    # By name and content, never by place: an analysis that moves to another folder keeps its results.
    said = sorted(f"{file.name} {_meaning(file)}" for file in files)
    said += sorted({library for file in files if not _is_ours(file) for library in _libraries(file)})
    return hashlib.sha256("\n".join(said).encode()).hexdigest()


def sources(target: str, base: Path | None = None) -> frozenset[Path]:
    """Source and data files that decide what `target` does."""
    first = find_source(target, base)
    found: set[Path] = set()
    todo = [first]
    while todo:
        file = todo.pop()
        if file in found:
            continue
        found.add(file)
        if file.suffix == ".py":
            todo.extend(one for name in _source(file).imports for one in _files_of(name, file))
            todo.extend(_data_files(file))
    return frozenset(found)


def find_source(target: str, base: Path | None = None) -> Path:
    """The file that holds `target` (raises `CodeNotFound`)."""
    module = target.rpartition(":")[0] or target
    if module.endswith(".py"):
        path = ((base or Path.cwd()) / module).resolve()
        if not path.is_file():
            raise CodeNotFound(f"no file {path} (for {target!r})")
        return path
    try:
        spec = _spec(module)
    except (ImportError, ValueError) as error:
        raise CodeNotFound(f"no module {module!r} (for {target!r}): {error}") from error
    if spec is None or spec.origin is None:
        raise CodeNotFound(f"no module {module!r} (for {target!r}); is its folder on the Python path?")
    return Path(spec.origin)


def check_defined(target: str, base: Path | None = None) -> None:
    """Raise `CodeNotFound` if the source of `module:name` nowhere gives that name, with the nearest ones it gives."""
    name = target.rpartition(":")[2]
    if ":" not in target:
        raise CodeNotFound(f"{target!r} names no class: write module:Class, as processing.ttbar:TtbarProcessor")
    given: list[str] = []
    for node in _tree(find_source(target, base)).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            given.append(node.name)
        elif isinstance(node, ast.Assign):
            given += [one.id for one in node.targets if isinstance(one, ast.Name)]
        elif isinstance(node, ast.Import | ast.ImportFrom):
            given += [alias.asname or alias.name for alias in node.names]
    if name not in given and "*" not in given:
        near = difflib.get_close_matches(name, given, n=3)
        hint = f"; near: {', '.join(near)}" if near else ""
        raise CodeNotFound(f"{target!r}: the module defines no {name!r}{hint}")


def _spec(module: str) -> ModuleSpec | None:
    """Where an import would find a module now, whatever of that name was imported before; runs none of its packages."""
    path: Sequence[str] | None = None
    spec = None
    parts = module.split(".")
    for depth in range(1, len(parts) + 1):
        spec = PathFinder.find_spec(".".join(parts[:depth]), path)
        if spec is None:
            return importlib.util.find_spec(module)  # it may be found in a way of its own
        path = spec.submodule_search_locations or []
    return spec


def forget_imported(target: str, base: Path | None = None) -> None:
    """Take the user's modules behind `target` out of `sys.modules`, so that they are imported as they are now.

    A notebook that edits its processor and runs again would else keep the old code's results under the new one's key.
    """
    theirs = {file for file in sources(target, base) if not _is_ours(file)}
    wanted = target.rpartition(":")[0]
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if file and name != "__main__" and (Path(file).resolve() in theirs or (theirs and name == wanted)):
            del sys.modules[name]
    importlib.invalidate_caches()


def _meaning(file: Path) -> str:
    """Hash of one file: of its syntax tree without docstrings if it is Python, else of its bytes."""
    return _source(file).meaning if file.suffix == ".py" else hashlib.sha256(file.read_bytes()).hexdigest()


@dataclass(frozen=True)
class _Source:
    """What is read from a Python file, once for each of its states: parsing is most of the work of a key."""

    meaning: str
    imports: tuple[str, ...]
    text: str


def _source(file: Path) -> _Source:
    stat = file.stat()
    return _parsed(str(file), stat.st_mtime_ns, stat.st_size)


@cache
def _parsed(name: str, _changed: int, _size: int) -> _Source:
    file = Path(name)
    tree = _tree(file)
    meaning = hashlib.sha256(ast.dump(tree).encode()).hexdigest()
    return _Source(meaning, tuple(_imported_names(tree)), file.read_text(encoding="utf-8"))


def _tree(file: Path) -> ast.Module:
    """Syntax tree of a file without docstrings (raises `CodeNotFound`, naming the line, where it is no Python)."""
    try:
        tree = ast.parse(file.read_bytes())
    except SyntaxError as error:
        raise CodeNotFound(f"{file}:{error.lineno}: {error.msg}") from error
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            _drop_docstring(node)
    return tree


def _drop_docstring(node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> None:
    first = node.body[0] if node.body else None
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        del node.body[0]


def _is_ours(file: Path) -> bool:
    return any(file.is_relative_to(ROOT / room) for room in ROOMS)


def _imported_names(tree: ast.Module) -> Iterator[str]:
    """Names that a file imports anywhere in its text; relative ones keep their leading dots."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            yield module
            yield from (f"{module}{'' if module.endswith('.') else '.'}{alias.name}" for alias in node.names)


def _files_of(name: str, importer: Path) -> Iterator[Path]:
    """The user's files, or ours, behind an imported name, its packages included; none for a library or a class."""
    level = len(name) - len(name.lstrip("."))
    parts = [part for part in name.split(".") if part]
    if level:
        roots = [importer.parents[level - 1]]
    elif parts[0] in ROOMS:
        roots = [ROOT]
    elif _is_ours(importer):
        roots = []
    else:
        roots = _import_roots(importer, parts[0])
    for root in roots:
        for depth in range(1, len(parts) + 1):
            path = root.joinpath(*parts[:depth])
            yield from (one.resolve() for one in (path.with_suffix(".py"), path / "__init__.py") if one.is_file())


def _import_roots(file: Path, package: str) -> list[Path]:
    """Folders that a user's file may import a package of its author from.

    Its own folder, and the one that holds its outermost package. Where libraries are installed, only that very package
    is its author's: its neighbours count by their version.
    """
    roots = [file.parent]
    while (roots[-1] / "__init__.py").is_file():
        roots.append(roots[-1].parent)
    return [root for root in roots if root not in INSTALLED or file.is_relative_to(root / package)]


def _libraries(file: Path) -> Iterator[str]:
    """Name and version of each installed library that a user's Python file imports."""
    for name in _source(file).imports if file.suffix == ".py" else ():
        top = name.partition(".")[0]
        if top and top not in ROOMS and top not in sys.stdlib_module_names and not any(_files_of(top, file)):
            yield f"{top} {_version(top)}"


@cache
def _version(module: str) -> str:
    """Version of the distribution that a top-level module belongs to; empty if nobody says."""
    try:
        return importlib.metadata.version(module)
    except importlib.metadata.PackageNotFoundError:
        owners = importlib.metadata.packages_distributions().get(module, ())
        return " ".join(importlib.metadata.version(owner) for owner in sorted(set(owners)))


def _data_files(file: Path) -> Iterator[Path]:
    """Files beside the code or one folder below that its text names (corrections, thresholds): part of what it does."""
    text = _source(file).text
    for data in (*file.parent.glob("*"), *file.parent.glob("*/*")):
        if data.suffix != ".py" and data.name in text and data.is_file():
            yield data.resolve()
