"""Runs requests: chooses files fairly, hands them to Dask workers, and writes down what came of each.

`Runner` is resolved on first use: workers import this package too, and need nothing of the database.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from delivery.service.runner.runner import Runner

__all__ = ["Runner"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from delivery.service.runner.runner import Runner

    return Runner
