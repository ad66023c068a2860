"""Objects of an input file that are no trees: found by the patterns of `copy_histograms`, copied as they are."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from uproot.reading import ReadOnlyFile

from delivery.engine.raw.filters import filter_of
from delivery.engine.reading import reading
from delivery.engine.storage.opening import UprootSource, open_held

_TREES: Final = frozenset(["TTree", "TNtuple", "TNtupleD", "ROOT::RNTuple"])
_FOLDERS: Final = frozenset(["TDirectory", "TDirectoryFile"])


@contextmanager
def directory_of(file: str) -> Iterator[Any]:
    """The file's outermost folder as uproot reads it. Raises UnreadableFile."""
    with reading(file):
        held = open_held(file)
        try:
            opened = ReadOnlyFile(file, handler=UprootSource, held=held, object_cache=None, array_cache=None)
            yield opened.root_directory
        finally:
            held.close()


def objects_in(directory: Any, patterns: Sequence[str]) -> tuple[list[str], list[str]]:
    """Names of the objects that a pattern fits, and of the trees that one fits: these cannot be copied.

    Raises BadSelection for a regular expression that is none.
    """
    filter_of(patterns)
    found = directory.classnames(filter_name=list(patterns), cycle=False)
    trees = [name for name, kind in found.items() if kind in _TREES]
    return [name for name, kind in found.items() if kind not in _TREES | _FOLDERS], trees
