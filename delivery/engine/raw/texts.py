"""Where an expression stands in its selection, so that messages point into what the user sent."""

import ast
from dataclasses import dataclass
from typing import Any

from delivery.engine.raw.language import Parsed, parse
from delivery.errors import QueryFault


@dataclass(frozen=True, slots=True)
class Text:
    """One expression of a selection, and where in the selection it begins (None: written there in another way)."""

    parsed: Parsed
    selection: str
    start: int | None

    @classmethod
    def of(cls, expression: str, selection: str) -> "Text":
        """The expression, parsed; raises what `language.parse` raises, with the place in the selection."""
        found = selection.find(f'"{expression}"')
        try:
            return cls(parse(expression), selection, found + 1 if found >= 0 else None)
        except QueryFault as fault:
            if found < 0 or fault.span is None:
                raise
            start, end = fault.span
            raise type(fault)(fault.problem, selection, (start + found + 1, end + found + 1)) from fault

    def span(self, node: ast.AST) -> tuple[int, int]:
        """The node's place in the selection."""
        start, end = self.parsed.span(node)
        return (0, 0) if self.start is None else (start + self.start, end + self.start)

    def fault(self, kind: type[QueryFault], problem: str, node: ast.AST, **details: Any) -> QueryFault:
        """An error at the node."""
        if self.start is None:
            return kind(problem, self.parsed.text, self.parsed.span(node), **details)
        return kind(problem, self.selection, self.span(node), **details)
