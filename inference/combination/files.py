"""A workspace combined with others in files."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from inference.combination.combine import Combination, combine
from inference.combination.correlation import load_map
from inference.combination.errors import InvalidMap
from inference.workspace import load_workspace


def combine_with(
    workspace: Mapping[str, Any],
    *,
    others: Mapping[str, Path],
    correlation: Path | None = None,
    this: str = "this",
) -> Combination:
    """Combine a workspace with others.

    Args:
        workspace: pyhf's JSON, decoded.
        others: files of the others, by the names that the map uses.
        correlation: file of the map, as of `inference.combination.correlation`; parameters of the same name are the
            same without it.
        this: what the map calls ``workspace``.

    Raises:
        InvalidWorkspace, InvalidMap, Clash: as `inference.combination.combine.combine`.
    """
    if this in others:
        raise InvalidMap(f"two workspaces are called {this!r}: give the one that is combined with them another name")
    inputs = {this: workspace, **{each: load_workspace(path) for each, path in others.items()}}
    return combine(inputs, None if correlation is None else load_map(correlation))
