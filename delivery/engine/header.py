"""What the compiler asks of an input before anything of it is read."""

from dataclasses import dataclass
from typing import Protocol

from delivery.engine.values import Column


@dataclass(frozen=True, slots=True)
class ColumnType:
    """Type of a branch, as its value in no events, and the branch that counts its lists' items."""

    sample: Column
    counter: str | None = None


class Header(Protocol):
    """A tree's branches: their names and types."""

    @property
    def file(self) -> str:
        """Name of the file, for messages."""

    @property
    def tree(self) -> str:
        """Name of the tree."""

    def names(self) -> list[str]:
        """All branches."""

    def column_type(self, name: str) -> ColumnType | str:
        """Type of a branch, or the name of a type that the engine cannot read."""
