"""Queries by name: `module:function`, from installed modules or from a user's own files."""

import ast
import importlib
import importlib.util
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import Any, Final, Literal

from queries.canonical import DIGEST_FORMAT, digest
from queries.errors import QueryError, QueryFunctionError, QueryNotFoundError, nearest
from queries.linq import from_python
from queries.parser import parse
from queries.printer import unparse
from queries.syntax import Call, Constant, Malformed, Name, walk

Codegen = Literal["uproot", "uproot-raw"]

# What the ServiceX client sends for one uproot-raw sub-query: every key, null when it is not set.
RAW_TREE_KEYS: Final = (
    "treename",
    "expressions",
    "cut",
    "filter_name",
    "filter_typename",
    "aliases",
    "fail_on_missing_trees",
    "use_standard_awkward_axis",
)
RAW_COPY_KEYS: Final = ("copy_histograms",)


@dataclass(frozen=True, slots=True)
class NamedQuery:
    """A query as it is sent: `text` is qastle (`codegen` "uproot") or a JSON list (`codegen` "uproot-raw").

    `tree` is the tree that it reads, None where the text does not name exactly one; `digest` (SHA-256,
    hexadecimal) is that of its meaning, not of its spelling.
    """

    name: str
    codegen: Codegen
    text: str
    tree: str | None
    digest: str


def load(name: str, base: Path | None = None) -> NamedQuery:
    """Call the query function `module:function` (or `path/to/file.py:function`) and write down what it
    returns.

    Modules and files are looked for in the directory `base` first (modules there are run anew each time),
    then among the installed ones. The function takes nothing and returns a func_adl stream (from
    `queries.dataset.dataset` or the ServiceX client), any other query object of that client, a qastle text,
    or a list of uproot-raw sub-queries.

    Raises QueryNotFoundError (with the nearest names), QueryFunctionError if the function fails or returns
    anything else, and QuerySyntaxError for text that is no query.
    """
    module_name, colon, function_name = name.rpartition(":")
    if not (colon and module_name and function_name):
        raise QueryNotFoundError(f"{name!r} names no query: write module:function, such as queries.ttbar:selected")
    with _module(module_name, base) as module:
        function = _function(module, function_name, name)
        try:
            result = function()
        except QueryError:
            raise
        except Exception as error:
            raise QueryFunctionError(f"{name} failed: {type(error).__name__}: {error}") from error
        return _written(name, result)


@contextmanager
def _module(name: str, base: Path | None) -> Iterator[ModuleType]:
    """The module; while it is in use, what lies beside a user's file can be imported, and is forgotten afterwards."""
    file = _file(name, base)
    if file is None:
        yield _installed(name)
        return
    folder = (file.parent if base is None or name.endswith(".py") else base).resolve()
    before = set(sys.modules)
    bytecode = sys.dont_write_bytecode
    sys.path.insert(0, str(folder))
    sys.dont_write_bytecode = True  # kept bytecode would hide an edit within the same second
    try:
        yield _run_file(file, name)
    finally:
        sys.path.remove(str(folder))
        sys.dont_write_bytecode = bytecode
        for key in set(sys.modules) - before:
            if _lies_in(folder, key.split(".")[0]):
                del sys.modules[key]


def _lies_in(folder: Path, package: str) -> bool:
    return (folder / f"{package}.py").is_file() or (folder / package / "__init__.py").is_file()


def _file(name: str, base: Path | None) -> Path | None:
    """The user's file that `name` means, None if it means an installed module."""
    if name.endswith(".py"):
        file = (base or Path()) / name
        if not file.is_file():
            beside = [path.name for path in file.parent.glob("*.py")] if file.parent.is_dir() else []
            raise QueryNotFoundError(f"there is no file {file}{nearest(file.name, beside)}")
        return file
    if base is None or name.split(".", maxsplit=1)[0] == "queries":  # this package is never taken from elsewhere
        return None
    stem = base.joinpath(*name.split("."))
    candidates = (stem.with_name(stem.name + ".py"), stem / "__init__.py")
    return next((path for path in candidates if path.is_file()), None)


def _run_file(file: Path, name: str) -> ModuleType:
    importlib.invalidate_caches()
    spec = importlib.util.spec_from_file_location(Path(name).stem, file)
    if spec is None or spec.loader is None:
        raise QueryNotFoundError(f"{file} is no Python file")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise QueryFunctionError(f"{file} cannot be run: {type(error).__name__}: {error}") from error
    return module


def _installed(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not (name == error.name or name.startswith(error.name + ".")):
            raise QueryFunctionError(f"module {name} cannot be imported: {error}") from error
        known = [*_modules_beside(name), "queries.ttbar", "queries.adl"]
        raise QueryNotFoundError(f"there is no module {name!r}{nearest(name, known)}") from None
    except Exception as error:
        raise QueryFunctionError(f"module {name} cannot be imported: {type(error).__name__}: {error}") from error


def _modules_beside(name: str) -> list[str]:
    """Modules in the package that `name` would be in, top-level ones if in none."""
    import pkgutil

    package, _, _ = name.rpartition(".")
    try:
        paths = importlib.import_module(package).__path__ if package else None
    except (ImportError, AttributeError):
        return []
    prefix = f"{package}." if package else ""
    return [module.name for module in pkgutil.iter_modules(paths, prefix)]


def _function(module: ModuleType, function_name: str, name: str) -> Callable[[], object]:
    function = getattr(module, function_name, None)
    if callable(function):
        result: Callable[[], object] = function
        return result
    functions = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
    raise QueryNotFoundError(f"{name}: there is no function {function_name!r}{nearest(function_name, functions)}")


def _written(name: str, result: Any) -> NamedQuery:
    if isinstance(result, str):
        return _func_adl(name, result)
    if isinstance(result, list) and result and all(isinstance(item, Mapping) for item in result):
        return _raw(name, json.dumps([_all_keys(name, item) for item in result]))
    if hasattr(result, "generate_selection_string"):
        return _from_client(name, result)
    if isinstance(tree := getattr(result, "query_ast", None), ast.expr):
        try:
            return _func_adl(name, unparse(from_python(tree, unify=False)))
        except Malformed as error:
            raise QueryFunctionError(f"{name}: {error.reason}") from None
    raise QueryFunctionError(
        f"{name} returned {type(result).__name__}: expected a func_adl query, a query of the ServiceX client, "
        "qastle text, or a list of dictionaries (uproot-raw)"
    )


def _from_client(name: str, query: Any) -> NamedQuery:
    """A query object of the ServiceX client."""
    codegen = getattr(query, "default_codegen", None)
    try:
        text = query.generate_selection_string()
    except Exception as error:
        raise QueryFunctionError(f"{name}: {error}") from error
    if codegen == "uproot":
        return _func_adl(name, text)
    if codegen == "uproot-raw":
        return _raw(name, text)
    raise QueryFunctionError(f"{name} is for code generator {codegen!r}: expected 'uproot' or 'uproot-raw'")


def _func_adl(name: str, text: str) -> NamedQuery:
    node = parse(text)
    trees = {
        call.args[1].value
        for call in walk(node)
        if isinstance(call, Call) and isinstance(call.func, Name) and call.func.id == "EventDataset"
        if len(call.args) > 1 and isinstance(call.args[1], Constant)
    }
    tree = trees.pop() if len(trees) == 1 else None
    return NamedQuery(name, "uproot", text, tree if isinstance(tree, str) else None, digest(node))


def _raw(name: str, text: str) -> NamedQuery:
    queries = json.loads(text)
    trees = {name for query in queries for name in _tree_names(query.get("treename"))}
    meaning = [{key: query[key] for key in sorted(query) if query[key] is not None} for query in queries]
    document = f"uproot-raw {DIGEST_FORMAT}\n{json.dumps(meaning)}"
    tree = trees.pop() if len(trees) == 1 else None
    return NamedQuery(name, "uproot-raw", text, tree, sha256(document.encode()).hexdigest())


def _tree_names(treename: str | Sequence[str] | Mapping[str, str] | None) -> list[str]:
    if treename is None:
        return []
    return [treename] if isinstance(treename, str) else list(treename)


def _all_keys(name: str, query: Mapping[str, Any]) -> dict[str, Any]:
    """The sub-query as the client sends it."""
    keys = RAW_COPY_KEYS if "copy_histograms" in query else RAW_TREE_KEYS
    for key in query:
        if key not in keys:
            raise QueryFunctionError(f"{name}: unknown key {key!r} in an uproot-raw query{nearest(key, keys)}")
    if "treename" not in query and "copy_histograms" not in query:
        raise QueryFunctionError(f"{name}: an uproot-raw query needs 'treename' or 'copy_histograms'")
    return {key: query.get(key) for key in keys}
