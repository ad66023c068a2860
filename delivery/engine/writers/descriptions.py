"""The description of a new TTree, worked out once for each set of branches.

uproot adds up the lengths of all pieces of a description anew, several times for each branch. Its time grows with the
square of the branches: with the AGC's 24 it is half of what compressing takes, with 1500 it is seconds, for each file.
A process that writes many files of the same columns therefore keeps the description.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

from uproot.writing._cascadetree import Tree

_MOST = 8  # sets of branches
_PLACES = ("metadata_start", "basket_metadata_start", "tleaf_reference_number", "tleaf_special_struct")
_Key: TypeAlias = tuple[Any, ...]


class _Description(NamedTuple):
    pieces: tuple[bytes, ...]
    start: int  # of the tree's own numbers
    places: tuple[tuple[Any, ...], ...]  # of each branch's numbers


_known: dict[_Key, _Description] = {}
_build_anew: Callable[[Any], list[bytes]] = Tree._build_out


def remember_descriptions() -> None:
    """From now on uproot asks here for the description of a tree."""
    Tree._build_out = _build_out


def _build_out(tree: Any) -> list[bytes]:
    if tree._num_entries or tree._num_baskets:
        return _build_anew(tree)
    key = _key(tree)
    if key not in _known:
        pieces = tuple(_build_anew(tree))
        places = tuple(tuple(datum.get(place) for place in _PLACES) for datum in tree._branch_data)
        while len(_known) >= _MOST:
            _known.pop(next(iter(_known)), None)
        _known[key] = _Description(pieces, tree._metadata_start, places)
        return list(pieces)
    known = _known[key]
    tree._metadata_start = known.start
    for datum, places in zip(tree._branch_data, known.places, strict=True):
        if datum["kind"] != "record":
            datum.update(zip(_PLACES, places, strict=True))
    return list(known.pieces)


def _key(tree: Any) -> _Key:
    """All that the description of a tree without entries depends on."""
    branches = (
        (
            datum["kind"],
            datum.get("fName"),
            datum.get("fTitle"),  # has the dtype's letter, the shape and the counter
            datum.get("fBasketSize"),
            datum.get("fEntryOffsetLen"),
            datum.get("fSplitLevel"),
        )
        for datum in tree._branch_data
    )
    return tree._name, tree._title, tree._basket_capacity, tuple(tree._metadata.items()), *branches
