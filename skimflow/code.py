"""Digest of the analysis code that decides a result, without importing it.

Importing a processor means importing coffea, which a run with nothing to do must not pay for. So the source files are
found through the import system, parsed, and their syntax trees hashed: comments, blank lines and docstrings do not
count, every other change does. Imports are followed inside the project's own stage packages and beside a user's file.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

from skimflow.errors import CodeNotFound

ROOMS = ("queries", "delivery", "processing", "inference")
DATA_SUFFIXES = frozenset({".json", ".yml", ".yaml"})


def code_digest(*targets: str, base: Path | None = None) -> str:
    """SHA-256 (hex) of the meaning of the code behind `targets` and of everything of ours it imports.

    Args:
        targets: `package.module`, `package.module:name` or `path/to/file.py:name`.
        base: folder that relative file names start from (default: the current one).

    Raises:
        CodeNotFound: no such module or file.
    """
    files = sorted({file for target in targets for file in sources(target, base)})
    digest = hashlib.sha256()
    for file in files:
        digest.update(_meaning(str(file), file.stat().st_mtime_ns))
    return digest.hexdigest()


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
            todo.extend(_imported(file))
            todo.extend(one for one in _data_files(file))
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
    root = Path(sys.modules[__name__].__file__ or "").resolve().parent.parent
    theirs = {file for file in sources(target, base) if not any(file.is_relative_to(root / room) for room in ROOMS)}
    wanted = target.rpartition(":")[0]
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if file and name != "__main__" and (Path(file).resolve() in theirs or (theirs and name == wanted)):
            del sys.modules[name]
    importlib.invalidate_caches()


@cache
def _meaning(file: str, _changed: int) -> bytes:
    """Hash of one file: of its syntax tree without docstrings if it is Python, else of its bytes."""
    if not file.endswith(".py"):
        return hashlib.sha256(Path(file).read_bytes()).digest()
    return hashlib.sha256(ast.dump(_tree(Path(file))).encode()).digest()


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


def _imported(file: Path) -> Iterator[Path]:
    """Files of ours, or beside `file`, that `file` imports anywhere in its text."""
    for node in ast.walk(_tree(file)):
        names: Iterable[str] = ()
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        for name in names:
            beside = file.parent / (name.replace(".", "/") + ".py")
            if name.partition(".")[0] in ROOMS:
                yield from _module_file(name)
            elif beside.is_file():
                yield beside.resolve()


@cache
def _module_file(name: str) -> tuple[Path, ...]:
    """The file of one of our modules; nothing when `name` is a class or function of a module."""
    root = Path(sys.modules[__name__].__file__ or "").resolve().parent.parent
    path = root / name.replace(".", "/")
    candidates = (path.with_suffix(".py"), path / "__init__.py")
    return tuple(one for one in candidates if one.is_file())


def _data_files(file: Path) -> Iterator[Path]:
    """Data of a package's own sub-folders that its code names (corrections, thresholds): part of what it does."""
    text = file.read_text(encoding="utf-8")
    for data in sorted(file.parent.glob("*/*")):
        if data.suffix in DATA_SUFFIXES and data.name in text:
            yield data.resolve()
