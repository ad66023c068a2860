"""Find a coffea processor by its name: ``module:Class``, or ``path/to/file.py:Class`` for a user's own."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from pathlib import Path
from types import ModuleType

import cloudpickle
from coffea.processor import ProcessorABC

from processing.errors import UnknownProcessor


def load_processor(name: str) -> ProcessorABC:
    """An instance of the processor.

    A file, and the modules beside it that it imports, travel to the workers by value: they need not have them.

    Raises:
        UnknownProcessor: no such module, file or class, or the class is no processor or needs arguments.
    """
    module_name, _, class_name = name.rpartition(":")
    try:
        module = _from_file(Path(module_name)) if module_name.endswith(".py") else importlib.import_module(module_name)
        found = getattr(module, class_name)
    except (ImportError, AttributeError, ValueError, OSError, SyntaxError) as error:
        raise UnknownProcessor(
            f"no processor {name!r} ({error}); write 'module:Class' or 'file.py:Class', "
            "as in 'processing.ttbar:TtbarProcessor'"
        ) from error
    if not (inspect.isclass(found) and issubclass(found, ProcessorABC)):
        raise UnknownProcessor(f"{name!r} is not a class derived from coffea.processor.ProcessorABC")
    try:
        return found()
    except TypeError as error:
        raise UnknownProcessor(f"{name!r} cannot be made without arguments: {error}") from error


def _from_file(file: Path) -> ModuleType:
    """The file run anew as a module of its own name, its folder importable meanwhile."""
    folder = file.resolve().parent
    spec = importlib.util.spec_from_file_location(file.stem, file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} is no Python file")
    # What an earlier call loaded may have been edited since, or be another folder's module of the same name.
    for name in cloudpickle.list_registry_pickle_by_value():
        sys.modules.pop(name, None)
    importlib.invalidate_caches()
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(folder))
    try:
        sys.modules[file.stem] = module
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(folder))
    for beside in [one for one in sys.modules.values() if _lies_in(one, folder)]:
        cloudpickle.register_pickle_by_value(beside)
    return module


def _lies_in(module: ModuleType, folder: Path) -> bool:
    """Whether the module is a file in that very folder (not in a package below it)."""
    file = getattr(module, "__file__", None)
    return file is not None and Path(file).resolve().parent == folder and "." not in module.__name__
