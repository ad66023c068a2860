"""Where an expression stands in its selection, so that messages point into what the user sent."""

import ast
import json
from dataclasses import dataclass
from typing import Any

from delivery.engine.raw.language import Parsed, parse
from delivery.errors import QueryFault


@dataclass(frozen=True, slots=True)
class Text:
    """One expression of a selection, and where it stands there.

    ``start`` is None if JSON writes the expression with escapes, so that places in it are none in the selection; then
    ``whole`` is the place of all of it.
    """

    parsed: Parsed
    selection: str
    start: int | None
    whole: tuple[int, int]

    @classmethod
    def of(cls, expression: str, selection: str) -> "Text":
        """The expression, parsed; raises what `language.parse` raises, with the place in the selection."""
        start, whole = _place(expression, selection)
        try:
            return cls(parse(expression), selection, start, whole)
        except QueryFault as fault:
            if start is None or fault.span is None:
                raise
            span = (fault.span[0] + start, fault.span[1] + start)
            raise type(fault)(fault.problem, selection, span) from fault

    def span(self, node: ast.AST) -> tuple[int, int]:
        """The node's place in the selection."""
        start, end = self.parsed.span(node)
        return self.whole if self.start is None else (start + self.start, end + self.start)

    def fault(self, kind: type[QueryFault], problem: str, node: ast.AST, **details: Any) -> QueryFault:
        """An error at the node."""
        if self.start is None:
            return kind(problem, self.parsed.text, self.parsed.span(node), **details)
        return kind(problem, self.selection, self.span(node), **details)


def _place(expression: str, selection: str) -> tuple[int | None, tuple[int, int]]:
    """Where the expression begins in the selection, if it is written there as it is, and where all of it stands."""
    plain = selection.find(f'"{expression}"')
    if plain >= 0:
        return plain + 1, (plain + 1, plain + 1 + len(expression))
    for written in (json.dumps(expression), json.dumps(expression, ensure_ascii=False)):
        found = selection.find(written)
        if found >= 0:
            return None, (found, found + len(written))
    return None, (0, len(selection))
