"""The plan of a query: stages of row selections, and what is written of each row.

Columns are settled here once and for all, from the tree's header: what runs later knows no query text.
"""

from dataclasses import dataclass

from delivery.engine.expressions import Expression
from queries.syntax import Node


@dataclass(frozen=True, slots=True)
class Selection:
    """One `Where`: rows are kept where all conjuncts hold.

    ``ordered``: a conjunct can fail on some rows, so they are not taken apart (all see the same rows, as in the peer).
    """

    text: str
    conjuncts: tuple[Expression, ...]
    ordered: bool

    @property
    def columns(self) -> frozenset[str]:
        """Columns that the conjuncts read."""
        return frozenset[str]().union(*(conjunct.columns for conjunct in self.conjuncts))


@dataclass(frozen=True, slots=True)
class Stage:
    """Selections on one kind of rows; then ``exploded``: lists by new column name, whose items are the next rows."""

    selections: tuple[Selection, ...]
    exploded: dict[str, Expression]


@dataclass(frozen=True, slots=True)
class Plan:
    """All of a query: the stages (the last one explodes nothing), what is written of each row, and ``tail``.

    ``tail`` is the rest of a query that needs all rows at once (OrderBy, Sum, First and the like of the whole dataset),
    a chain of operators on the name `STREAM`; None if there is no such rest. ``whole``: no Select was written, so that
    the output has every column that can be read.
    """

    stages: tuple[Stage, ...]
    output: Expression
    tail: Node | None = None
    warnings: tuple[str, ...] = ()
    whole: bool = False

    @property
    def columns(self) -> tuple[str, ...]:
        """Branches that may be read, sorted."""
        names = {name for selection in self.stages[0].selections for name in selection.columns}
        return tuple(sorted(names | self.payload(0)))

    @property
    def selections(self) -> tuple[Selection, ...]:
        """All selections, in the query's order."""
        return tuple(selection for stage in self.stages for selection in stage.selections)

    def payload(self, stage: int) -> set[str]:
        """Columns that a stage reads after its selections."""
        last = stage == len(self.stages) - 1
        results = [self.output] if last else list(self.stages[stage].exploded.values())
        return {name for expression in results for name in expression.columns}


STREAM = "#stream"  # in a plan's tail: the rows that the stages give
