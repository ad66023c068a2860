"""One range of entries through a plan: columns are read as the selections need them, for the rows still there."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np

from delivery.engine.expressions import Evaluation, Expression
from delivery.engine.forms import general
from delivery.engine.operations import OPERATIONS
from delivery.engine.plan import Plan, Selection, Stage
from delivery.engine.row_errors import UnequalLists
from delivery.engine.source import Source
from delivery.engine.values import ROWS, Array, Choice, Column, Lists, Mask

WEIGHT = "genWeight"


@dataclass(frozen=True, slots=True)
class Piece:
    """What a range of entries gives: rows of the output (an ``ak.Array``), and how many rows passed each `Where`.

    ``weights`` is the sum of `WEIGHT` over all entries, None where nobody asked.
    """

    rows: Any
    passed: tuple[int, ...]
    weights: Fraction | None = None


class Rows:
    """Rows under selection; a column is cut down to the rows still there when it is asked for, not before."""

    def __init__(self, source: Source | None, columns: dict[str, Column], start: int, stop: int) -> None:
        self._source = source
        self._columns = {name: (0, column) for name, column in columns.items()}  # with the selections it went through
        self._start, self._stop = start, stop
        self._masks: list[Mask] = []
        self._choices: dict[int, Choice] = {}  # by the selections that a column went through: the rest of them
        self._kept: Mask | None = None
        self.count = stop - start

    def column(self, name: str) -> Column:
        """A column of the rows still there."""
        if name == ROWS:
            return np.zeros(self.count, np.int8)
        if name not in self._columns:
            if self._source is None:
                raise KeyError(name)
            self._columns[name] = len(self._masks), self._source.read(name, self._start, self._stop, self._kept)
        done, column = self._columns[name]
        if done < len(self._masks):
            column = self._choice(done).of(column)
            self._columns[name] = len(self._masks), column
        return column

    def _choice(self, done: int) -> Choice:
        """The rows still there of those after the first `done` selections."""
        if done not in self._choices:
            rows = np.flatnonzero(self._masks[done])
            for mask in self._masks[done + 1 :]:
                rows = rows[mask]
            self._choices[done] = Choice(rows)
        return self._choices[done]

    def fetch(self, expressions: Iterable[Expression]) -> None:
        """Have the bytes of the columns that these expressions read at hand, fetched together."""
        names = sorted({n for e in expressions for n in e.columns if n not in self._columns})
        if self._source is not None and names:
            self._source.prefetch(names, self._start, self._stop, self._kept)

    def entry(self, row: int) -> int | None:
        """The tree's entry that a row is; None if rows are items of lists."""
        if self._source is None:
            return None
        return self._start + (row if self._kept is None else int(np.flatnonzero(self._kept)[row]))

    def select(self, mask: Mask, later: set[str]) -> None:
        """Keep the rows where `mask` is True, and of the columns those that are needed `later`."""
        passed = int(np.count_nonzero(mask))
        if passed != self.count:
            if self._kept is None:
                self._kept = mask
            else:
                rows = np.flatnonzero(self._kept)[mask]
                self._kept = np.zeros(len(self._kept), np.bool_)
                self._kept[rows] = True
            self._masks.append(mask)
            self._choices.clear()
            self._columns = {name: known for name, known in self._columns.items() if name in later}
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
    return replace(plan, stages=(Stage(tuple(selections), first.exploded), *rest))


def run_range(plan: Plan, source: Source, start: int, stop: int, *, weigh: bool = False) -> Piece:
    """The entries `start` to `stop` through all stages; raises `UnequalLists` and UnreadableFile."""
    rows = Rows(source, {}, start, stop)
    weights = exact_sum(source.read(WEIGHT, start, stop, None)) if weigh else None
    passed: list[int] = []
    try:
        for number, stage in enumerate(plan.stages):
            _select(rows, stage, plan.payload(number), passed)
            evaluate = Evaluation(rows.column)
            if number < len(plan.stages) - 1:
                rows.fetch(stage.exploded.values())
                items = {name: OPERATIONS["flatten"](1, evaluate(lists)) for name, lists in stage.exploded.items()}
                rows = Rows(None, items, 0, len(next(iter(items.values()))))
        rows.fetch([plan.output])
        return Piece(general(evaluate(plan.output)), tuple(passed), weights)
    except UnequalLists as error:
        error.entry = None if error.row is None else rows.entry(error.row)
        raise


def has_weights(source: Source) -> bool:
    """Whether the tree has `WEIGHT`, one number per event."""
    kind = source.column_type(WEIGHT) if WEIGHT in source.names() else ""
    return not isinstance(kind, str) and isinstance(kind.sample, np.ndarray)


def exact_sum(column: Column) -> Fraction | None:
    """The sum without rounding, so that it does not depend on where a file was cut; None if a value is not finite."""
    if not isinstance(column, np.ndarray) or not np.isfinite(column).all():
        return None
    mantissas, exponents = np.frexp(column.astype(np.float64))
    whole = np.ldexp(mantissas, 53).astype(np.int64)
    total = Fraction(0)
    for exponent in np.unique(exponents):
        same = whole[exponents == exponent]
        units = (int((same >> 32).sum()) << 32) + int((same & 0xFFFFFFFF).sum())
        total += units * Fraction(2) ** (int(exponent) - 53)
    return total


def _select(rows: Rows, stage: Stage, payload: set[str], passed: list[int]) -> None:
    steps = [(group, last) for selection in stage.selections for group, last in _groups(selection)]
    for position, (group, last) in enumerate(steps):
        later = payload.union(*(c.columns for following, _ in steps[position + 1 :] for c in following))
        if rows.count and group:
            rows.fetch(group)
            evaluate = Evaluation(rows.column)
            rows.select(np.logical_and.reduce([_truth(evaluate(conjunct)) for conjunct in group]), later)
        if last:
            passed.append(rows.count)


def _truth(mask: Column) -> Array:
    if isinstance(mask, Lists):
        raise TypeError("a mask of rows was expected")
    return np.asarray(mask)


def _groups(selection: Selection) -> list[tuple[tuple[Expression, ...], bool]]:
    """The conjuncts that are evaluated together, and whether they are a selection's last."""
    if selection.ordered or len(selection.conjuncts) < 2:
        return [(selection.conjuncts, True)]
    last = len(selection.conjuncts) - 1  # a conjunct can be there twice
    return [((conjunct,), number == last) for number, conjunct in enumerate(selection.conjuncts)]
