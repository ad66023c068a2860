"""One range of entries through a plan: columns are read as the selections need them, for the rows still there."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from delivery.engine.expressions import Evaluation, Expression, flat
from delivery.engine.plan import Plan, Selection, Stage, leaves
from delivery.engine.source import Source
from delivery.engine.values import Column, Mask, keep_rows


@dataclass(frozen=True, slots=True)
class Piece:
    """What a range of entries gives: the values of the output's expressions, and the rows that passed each `Where`."""

    rows: int
    values: Mapping[Expression, Column]
    passed: tuple[int, ...]


class Rows:
    """Rows under selection: the columns known so far, cut down with every selection."""

    def __init__(self, source: Source | None, columns: dict[str, Column], start: int, stop: int) -> None:
        self._source, self._columns = source, columns
        self._start, self._stop = start, stop
        self._kept: Mask | None = None
        self.count = stop - start

    def column(self, name: str) -> Column:
        """A column of the rows still there."""
        if name not in self._columns:
            if self._source is None:
                raise KeyError(name)
            self._columns[name] = self._source.read(name, self._start, self._stop, self._kept)
        return self._columns[name]

    def select(self, mask: Mask, later: set[str]) -> None:
        """Keep the rows where `mask` is True, and of the columns those that are needed `later`."""
        passed = int(np.count_nonzero(mask))
        if passed != self.count:
            if self._kept is None:
                self._kept = mask
            else:
                self._kept = self._kept.copy()
                self._kept[self._kept] = mask
            self._columns = {n: keep_rows(c, mask) for n, c in self._columns.items() if n in later}
        self.count = passed


def ordered(plan: Plan, source: Source) -> Plan:
    """The plan with the conjuncts of each `Where` in the order of the compressed bytes that they make us read.

    The order of the `Where`s themselves stays: the cutflow counts after each.
    """
    first, *rest = plan.stages
    known: set[str] = set()
    selections = []
    for selection in first.selections:
        left = list(selection.conjuncts)
        if not selection.ordered:
            left = []
            waiting = list(selection.conjuncts)
            while waiting:
                cheapest = min(waiting, key=lambda c: sum(source.size(n)[0] for n in c.columns - known))
                waiting.remove(cheapest)
                left.append(cheapest)
                known |= cheapest.columns
        known |= {name for conjunct in left for name in conjunct.columns}
        selections.append(Selection(selection.text, tuple(left), selection.ordered))
    return Plan((Stage(tuple(selections), first.exploded), *rest), plan.output)


def run_range(plan: Plan, source: Source, start: int, stop: int) -> Piece:
    """The entries `start` to `stop` through all stages; raises `UnequalLists` and UnreadableFile."""
    rows = Rows(source, {}, start, stop)
    passed: list[int] = []
    for number, stage in enumerate(plan.stages):
        _select(rows, stage, plan.payload(number), passed)
        evaluate = Evaluation(rows.column)
        if number < len(plan.stages) - 1:
            items = {name: flat(evaluate(lists)) for name, lists in stage.exploded.items()}
            rows = Rows(None, dict(items), 0, len(next(iter(items.values()))))
    values = {expression: evaluate(expression) for expression in leaves(plan.output)}
    return Piece(rows.count, values, tuple(passed))


def _select(rows: Rows, stage: Stage, payload: set[str], passed: list[int]) -> None:
    steps = [(group, last) for selection in stage.selections for group, last in _groups(selection)]
    for position, (group, last) in enumerate(steps):
        later = payload.union(*(c.columns for following, _ in steps[position + 1 :] for c in following))
        if rows.count and group:
            evaluate = Evaluation(rows.column)
            rows.select(np.logical_and.reduce([flat(evaluate(conjunct)) for conjunct in group]), later)
        if last:
            passed.append(rows.count)


def _groups(selection: Selection) -> list[tuple[tuple[Expression, ...], bool]]:
    """The conjuncts that are evaluated together, and whether they are a selection's last."""
    if selection.ordered or len(selection.conjuncts) < 2:
        return [(selection.conjuncts, True)]
    return [((c,), c is selection.conjuncts[-1]) for c in selection.conjuncts]
