"""The plan of a query: stages of row selections, and the shape of what is written.

Columns are settled here once and for all, from the tree's header: what runs later knows no query text.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from delivery.engine.expressions import Expression


@dataclass(frozen=True, slots=True)
class Record:
    """Named values side by side. ``zipped``: one list of records per row, so every field holds lists of equal lengths.

    ``is_tuple``: fields have numbers for names, as a Python tuple's.
    """

    fields: dict[str, "Shape"]
    zipped: bool = False
    is_tuple: bool = False


Shape: TypeAlias = Expression | Record


@dataclass(frozen=True, slots=True)
class Selection:
    """One `Where`: rows are kept where all conjuncts hold.

    ``ordered``: a conjunct can fail on some rows, so they are not taken apart (all see the same rows, as in the peer).
    """

    text: str
    conjuncts: tuple[Expression, ...]
    ordered: bool


@dataclass(frozen=True, slots=True)
class Stage:
    """Selections on one kind of rows; then ``exploded``: lists by new column name, whose items are the next rows."""

    selections: tuple[Selection, ...]
    exploded: dict[str, Expression]


@dataclass(frozen=True, slots=True)
class Plan:
    """All of a query: the stages (the last one explodes nothing) and the shape of each row written."""

    stages: tuple[Stage, ...]
    output: Shape

    @property
    def columns(self) -> tuple[str, ...]:
        """Branches that may be read, sorted."""
        first = self.stages[0]
        names = {name for s in first.selections for c in s.conjuncts for name in c.columns}
        return tuple(sorted(names | self.payload(0)))

    def payload(self, stage: int) -> set[str]:
        """Columns that a stage reads after its selections."""
        last = stage == len(self.stages) - 1
        results = leaves(self.output) if last else self.stages[stage].exploded.values()
        return {name for expression in results for name in expression.columns}


def leaves(shape: Shape) -> Iterator[Expression]:
    """The expressions in a shape, in order."""
    if isinstance(shape, Expression):
        yield shape
    else:
        for value in shape.fields.values():
            yield from leaves(value)
