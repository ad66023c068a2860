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

from processing.chunk_store import LIBRARIES
from processing.errors import UnknownProcessor

OURS = frozenset({"artifacts", "delivery", "inference", "processing", "queries", "skimflow"})
_FROM_FILES: set[str] = set()
"""Names of the modules that the last processor given as a file was made of."""


def load_processor(name: str) -> ProcessorABC:
    """An instance of the processor.

    A user's code travels to the workers by value, a file with the modules beside it and a module with its whole
    top-level package: workers need not have it, and one that imported it before an edit does not go on with the old.

    Raises:
        UnknownProcessor: no such module, file or class, or the class is no processor, needs arguments or cannot travel.
    """
    module_name, _, class_name = name.rpartition(":")
    try:
        module = _from_file(Path(module_name)) if module_name.endswith(".py") else _from_module(module_name)
        found = getattr(module, class_name)
    except (ImportError, AttributeError, ValueError, OSError, SyntaxError) as error:
        raise UnknownProcessor(
            f"no processor {name!r} ({error}); write 'module:Class' or 'file.py:Class', "
            "as in 'processing.ttbar:TtbarProcessor'"
        ) from error
    if not (inspect.isclass(found) and issubclass(found, ProcessorABC)):
        raise UnknownProcessor(f"{name!r} is not a class derived from coffea.processor.ProcessorABC")
    try:
        processor = found()
    except TypeError as error:
        raise UnknownProcessor(f"{name!r} cannot be made without arguments: {error}") from error
    try:
        cloudpickle.dumps(processor)
    except Exception as error:  # pickling calls the user's code and raises what that raises
        raise UnknownProcessor(
            f"{name!r} cannot be sent to workers ({error}); make what cannot be pickled, as a lock or an open file, "
            "where it is used and not for the module or class as a whole"
        ) from error
    return processor


def _from_module(name: str) -> ModuleType:
    """The module, by value with its whole top-level package unless that is held to its version on the workers."""
    module = importlib.import_module(name)
    package = name.partition(".")[0]
    if package not in OURS and package.replace("_", "-") not in LIBRARIES:
        cloudpickle.register_pickle_by_value(sys.modules[package])
    return module


def _from_file(file: Path) -> ModuleType:
    """The file run anew as a module of its own name, its folder importable meanwhile."""
    folder = file.resolve().parent
    spec = importlib.util.spec_from_file_location(file.stem, file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} is no Python file")
    # What an earlier call loaded may have been edited since, or be another folder's module of the same name.
    while _FROM_FILES:
        sys.modules.pop(_FROM_FILES.pop(), None)
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
        _FROM_FILES.add(beside.__name__)
    return module


def _lies_in(module: ModuleType, folder: Path) -> bool:
    """Whether the module is a file in that very folder (not in a package below it)."""
    file = getattr(module, "__file__", None)
    return file is not None and Path(file).resolve().parent == folder and "." not in module.__name__
