"""One query on one file: from a func_adl query and a ROOT file to the selected columns.

`evaluate` gives an array in memory, `transform` goes from file to file, `explain` tells the plan. These names
are resolved on first use, since they bring uproot and awkward along.
"""

from typing import TYPE_CHECKING, Any

from delivery.requests import CutflowRow, TransformRequest, TransformResult

if TYPE_CHECKING:
    from delivery.engine.skim import evaluate, explain, transform

__all__ = ["CutflowRow", "TransformRequest", "TransformResult", "evaluate", "explain", "transform"]


def __getattr__(name: str) -> Any:
    if name not in ("evaluate", "explain", "transform"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import delivery.engine.skim as module

    return getattr(module, name)
